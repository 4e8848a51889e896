//! The answers to `/agent` that list no sessions.

use std::time::Duration;

use longshore_session::{RepoName, SlackUserId};

use super::{
    Message, block,
    words::{code, count, elapsed, line, link},
};

/// `/agent repos`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRepos {
    pub repositories: Vec<ImageLine>,
    /// None before it was looked at.
    pub disk: Option<DiskLine>,
}

/// What images and snapshots take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLine {
    pub engine: u64,
    /// None where the registry does not tell.
    pub registry: Option<u64>,
    pub snapshots: u64,
    /// What images may take in each of the two places.
    pub limit: u64,
    pub snapshot_limit: u64,
    pub room: Room,
}

/// Whether what has to be kept keeps to the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Enough,
    /// Nothing more can be given up.
    TooLittle,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLine {
    pub repo: RepoName,
    pub state: ImageState,
    /// Why the last build failed, in words, and how long ago.
    pub last_failure: Option<(String, Duration)>,
    /// Why a newer image is not used, and how long ago that was found.
    pub taken_back: Option<(String, Duration)>,
    pub pool: PoolLine,
}

/// What waits for a repository's next sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolLine {
    /// Sandboxes that can be had at once.
    pub waiting: usize,
    /// Those that are on their way.
    pub being_made: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    Ready {
        commit: String,
        age: Duration,
    },
    /// Sessions start from the earlier image, where there is one.
    Building {
        since: Duration,
        earlier: Option<String>,
    },
    Missing,
}

/// `/agent link`: which GitHub account stands for the person, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLink {
    pub user: SlackUserId,
    pub linked: Linked,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// The configuration has a token of this GitHub account.
    To {
        login: String,
        url: String,
    },
    /// The configuration names a variable for the token, and it is not set.
    TokenMissing,
    /// GitHub does not take the token.
    TokenRefused,
    /// There is a token, and GitHub could not be asked whose it is.
    Unknown,
    No,
}

/// `/agent help`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHelp {
    pub bot: SlackUserId,
}

/// A word that is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentUnknown {
    pub word: String,
    /// In Slack's markup, from [`crate::AgentCommand::Unknown`].
    pub hint: String,
}

/// Lines that the accessible text repeats.
const SPOKEN: usize = 20;

impl AgentRepos {
    pub fn render(&self) -> Message {
        if self.repositories.is_empty() {
            return Message::of_words("There are no repositories yet. An operator adds one with a manifest.".to_owned());
        }
        let headline = count(self.repositories.len(), "repository").replace("repositorys", "repositories");
        let mut blocks = vec![block::header("repos.head", &headline)];
        // Ten to a block: sections take 3,000 characters.
        for (index, lines) in self.repositories.chunks(10).take(40).enumerate() {
            let lines: Vec<String> = lines.iter().map(ImageLine::markup).collect();
            blocks.push(block::section(&format!("repos.{index}"), &lines.join("\n")));
        }
        let words: Vec<String> = self
            .repositories
            .iter()
            .take(SPOKEN)
            .map(|image| format!("{} {}{}.", image.repo, image.state.words(), image.pool.words()))
            .collect();
        let mut text = format!("{headline}. {}", words.join(" "));
        if let Some(disk) = &self.disk {
            let disk = disk.words();
            blocks.push(block::context("repos.disk", &format!("💾 {disk}")));
            text = format!("{text} {disk}");
        }
        Message { text, blocks }
    }
}

impl DiskLine {
    fn words(&self) -> String {
        let registry = match self.registry {
            Some(bytes) => format!("{} in the registry (up to {} each)", gigabytes(bytes), gigabytes(self.limit)),
            None => format!("an unknown part in the registry, which does not tell (up to {} each)", gigabytes(self.limit)),
        };
        let mut words = format!(
            "Images take {} here and {registry}, snapshots {} (up to {}).",
            gigabytes(self.engine),
            gigabytes(self.snapshots),
            gigabytes(self.snapshot_limit)
        );
        match self.room {
            Room::Enough => {}
            Room::TooLittle => words.push_str(" That is more than the limit, and all of it is needed: an operator has to make room."),
        }
        words
    }
}

/// Of 1024 × 1024 × 1024 bytes, as operators set them; whole ones without a point.
fn gigabytes(bytes: u64) -> String {
    let text = format!("{:.1}", bytes as f64 / f64::from(1 << 30));
    format!("{} GB", text.strip_suffix(".0").unwrap_or(&text))
}

impl AgentHelp {
    pub fn render(&self) -> Message {
        let text = format!(
            "Mention me (<@{}>) in a channel and say what is wrong or what you want. I find the repository, work in a sandbox of my own, show \
             here what I do, and open a pull request. Reply in the thread to go on.",
            self.bot
        );
        let commands = "`/agent status` your sessions; `/agent status channel` those of this channel, `/agent status all` everybody's\n\
                        `/agent repos` the repositories I work in, and how fresh their images are\n\
                        `/agent stop` stop a session of yours; `/agent stop s-…` stop that one\n\
                        `/agent link` in whose name your pull requests are opened\n`/agent help` this";
        let blocks = vec![block::section("help.words", &text), block::section("help.commands", commands)];
        Message { text: format!("{text} Commands: /agent status, /agent repos, /agent stop, /agent link, /agent help."), blocks }
    }
}

impl AgentLink {
    pub fn render(&self) -> Message {
        let by_app = "Your pull requests are opened by the Longshore app, with your name in their description.";
        let commits = "Commits of what you ask for carry your name and e-mail address from Slack.";
        let operator =
            format!("whoever runs Longshore here can put a GitHub token of yours into its configuration (`people.{}`)", self.user);
        Message::of_words(match &self.linked {
            Linked::To { login, url } => format!(
                "🔗 You are linked to the GitHub account {}: Longshore's configuration has a token of yours, and your pull requests are opened with it, in your name. {commits}",
                link(url, login),
            ),
            Linked::TokenMissing => format!(
                "⚠️ You are half linked: the configuration speaks of a GitHub token of yours, but there is none. {by_app} {commits}\n*What to do:* {operator} and start it again."
            ),
            Linked::TokenRefused => format!(
                "⚠️ GitHub does not take the token that the configuration has for you, so opening a pull request will fail. {commits}\n*What to do:* {operator} anew and start it again."
            ),
            Linked::Unknown => format!(
                "🔗 The configuration has a GitHub token of yours, and your pull requests are opened with it. GitHub does not answer just now, so I cannot say whose account it is. {commits}"
            ),
            Linked::No => format!(
                "🔗 You are not linked to a GitHub account. {by_app} {commits}\n*To be linked:* {operator}. Signing in by yourself is not possible yet."
            ),
        })
    }
}

impl AgentUnknown {
    pub fn render(&self) -> Message {
        Message::of_words(format!("I don't know {}. {}", code(&self.word, 60), self.hint))
    }
}

impl ImageLine {
    /// For the foot of a list.
    pub(super) fn brief(&self) -> String {
        let state = match &self.state {
            ImageState::Ready { age, .. } => format!("{} old", elapsed(*age)),
            ImageState::Building { since, earlier: Some(_) } => format!("being rebuilt for {}", elapsed(*since)),
            ImageState::Building { since, earlier: None } => format!("first build for {}", elapsed(*since)),
            ImageState::Missing => "none yet".to_owned(),
        };
        let failed = if self.last_failure.is_some() { ", last build failed" } else { "" };
        let pool = match self.pool {
            PoolLine { waiting: 0, being_made: 0 } => String::new(),
            PoolLine { waiting: 0, being_made: _ } => ", warming up".to_owned(),
            PoolLine { waiting, being_made: _ } => format!(", {waiting} warm"),
        };
        format!("{} {state}{failed}{pool}", self.repo)
    }

    fn markup(&self) -> String {
        let emoji = match self.state {
            ImageState::Ready { .. } => "🟢",
            ImageState::Building { .. } => "🟡",
            ImageState::Missing => "⚪",
        };
        let failure =
            self.last_failure.as_ref().map(|(why, ago)| format!("\n      ⚠️ last build failed {} ago: {}", elapsed(*ago), line(why, 120)));
        let taken_back = self.taken_back.as_ref().map(|(why, ago)| {
            let why = line(why, 120);
            format!("\n      ⚠️ a newer image was taken back {} ago, since no session could start from it: {why}", elapsed(*ago))
        });
        let (repo, state, pool) = (&self.repo, self.state.words(), self.pool.words());
        format!("{emoji} *{repo}* {state}{pool}{}{}", taken_back.unwrap_or_default(), failure.unwrap_or_default())
    }
}

impl PoolLine {
    /// As the end of a sentence; nothing where there is no pool.
    fn words(self) -> String {
        let being_made = count(self.being_made, "warm sandbox").replace("sandboxs", "sandboxes");
        let waiting = count(self.waiting, "warm sandbox").replace("sandboxs", "sandboxes");
        let waits = if self.waiting == 1 { "waits" } else { "wait" };
        match (self.waiting, self.being_made) {
            (0, 0) => String::new(),
            (0, _) => format!("; {being_made} being made"),
            (_, 0) => format!("; {waiting} {waits}"),
            (_, more) => format!("; {waiting} {waits}, {more} more being made"),
        }
    }
}

impl ImageState {
    fn words(&self) -> String {
        let short = |commit: &str| code(&commit.chars().take(10).collect::<String>(), 10);
        match self {
            Self::Ready { commit, age } => format!("ready at {}, {} old", short(commit), elapsed(*age)),
            Self::Building { since, earlier: Some(commit) } => {
                format!("is being rebuilt (for {}); sessions start from {}", elapsed(*since), short(commit))
            }
            Self::Building { since, earlier: None } => format!("is being built for the first time (for {})", elapsed(*since)),
            Self::Missing => "has no image yet".to_owned(),
        }
    }
}
