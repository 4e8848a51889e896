//! The answers to `/agent`.

use std::time::Duration;

use longshore_session::{RepoName, SessionId, SlackUserId};
use serde_json::Value;

use super::{
    CardPhase, Message,
    block::{self, Style},
    words::{code, count, elapsed, line, link},
};
use crate::action::Action;

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLine {
    pub session: SessionId,
    pub repo: Option<RepoName>,
    pub asker: SlackUserId,
    pub phase: CardPhase,
    /// How long it has been in this turn, or in the queue.
    pub since: Duration,
    pub thread_url: Option<String>,
    /// Whether the reader may stop it, and so gets a button.
    pub stoppable: bool,
}

/// `/agent status`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStatus {
    pub running: Vec<SessionLine>,
    /// In order.
    pub queued: Vec<SessionLine>,
}

/// `/agent stop` without a session: mine, with buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStop {
    pub mine: Vec<SessionLine>,
}

/// `/agent repos`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRepos {
    pub repositories: Vec<ImageLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLine {
    pub repo: RepoName,
    pub state: ImageState,
    /// Why the last build failed, in words, and how long ago.
    pub last_failure: Option<(String, Duration)>,
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

/// Lines of one list that are shown, so that 50 blocks are enough.
const SHOWN: usize = 20;

impl AgentStatus {
    pub fn render(&self) -> Message {
        if self.running.is_empty() && self.queued.is_empty() {
            return Message::of_words("💤 Nothing is running, and nothing waits.".to_owned());
        }
        let headline = format!("{} running, {} waiting", self.running.len(), self.queued.len());
        let mut blocks = vec![block::header("status.head", &headline)];
        blocks.extend(session_blocks("status.running", &self.running));
        if !self.queued.is_empty() {
            blocks.push(block::context("status.queue", "*Waiting*"));
            blocks.extend(session_blocks("status.queued", &self.queued));
        }
        let lines: Vec<String> = self.running.iter().chain(&self.queued).take(SHOWN).map(SessionLine::words).collect();
        Message { text: format!("{headline}. {}", lines.join(" ")), blocks }
    }
}

impl AgentStop {
    pub fn render(&self) -> Message {
        if self.mine.is_empty() {
            return Message::of_words("There is nothing of yours running. `/agent status` shows what else runs.".to_owned());
        }
        let mut blocks = vec![block::section("stop.head", "Which one shall I stop?")];
        blocks.extend(session_blocks("stop.mine", &self.mine));
        let lines: Vec<String> = self.mine.iter().take(SHOWN).map(SessionLine::words).collect();
        Message { text: format!("Which one shall I stop? {}", lines.join(" ")), blocks }
    }
}

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
        let words: Vec<String> =
            self.repositories.iter().take(SHOWN).map(|image| format!("{} {}.", image.repo, image.state.words())).collect();
        Message { text: format!("{headline}. {}", words.join(" ")), blocks }
    }
}

impl AgentHelp {
    pub fn render(&self) -> Message {
        let text = format!(
            "Mention me (<@{}>) in a channel and say what is wrong or what you want. I find the repository, work in a sandbox of my own, show \
             here what I do, and open a pull request. Reply in the thread to go on.",
            self.bot
        );
        let commands = "`/agent status` what runs, for whom, since when\n`/agent repos` the repositories I work in, and how fresh their images are\n\
                        `/agent stop` stop a session of yours; `/agent stop s-…` stop that one\n`/agent help` this";
        let blocks = vec![block::section("help.words", &text), block::section("help.commands", commands)];
        Message { text: format!("{text} Commands: /agent status, /agent repos, /agent stop, /agent help."), blocks }
    }
}

impl AgentUnknown {
    pub fn render(&self) -> Message {
        Message::of_words(format!("I don't know {}. {}", code(&self.word, 60), self.hint))
    }
}

fn session_blocks(id: &str, sessions: &[SessionLine]) -> Vec<Value> {
    let shown = sessions.iter().take(SHOWN).enumerate().map(|(index, session)| session.block(&format!("{id}.{index}")));
    let more = sessions.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| block::context(&format!("{id}.more"), &format!("… and {more} more")));
    shown.chain(more).collect()
}

impl SessionLine {
    fn block(&self, id: &str) -> Value {
        let repo = self.repo.as_ref().map_or("no repository".to_owned(), |repo| format!("*{repo}*"));
        let thread = self.thread_url.as_ref().map(|url| format!(" · {}", link(url, "thread"))).unwrap_or_default();
        let markup = format!(
            "{} {repo} · {} · {}\nfor <@{}> · {}{thread}",
            self.phase.emoji(),
            self.phase_words(),
            elapsed(self.since),
            self.asker,
            code(self.session.as_str(), 40),
        );
        let mut section = block::section(id, &markup);
        if self.stoppable && self.phase.is_live() {
            let stop = block::button("Stop", &Action::Stop(self.session.clone()), self.session.as_str(), Style::Danger);
            section["accessory"] = block::confirmed(stop, "Stop this session?", "What was done so far is kept.", "Stop", "Let it run");
        }
        section
    }

    fn phase_words(&self) -> String {
        match self.phase {
            CardPhase::Queued { place } => format!("place {place}"),
            phase => phase.words().to_lowercase(),
        }
    }

    fn words(&self) -> String {
        let repo = self.repo.as_ref().map_or("no repository", |repo| repo.as_str());
        format!("{}: {repo}, {}, {}.", self.session, self.phase_words(), elapsed(self.since))
    }
}

impl ImageLine {
    fn markup(&self) -> String {
        let emoji = match self.state {
            ImageState::Ready { .. } => "🟢",
            ImageState::Building { .. } => "🟡",
            ImageState::Missing => "⚪",
        };
        let failure =
            self.last_failure.as_ref().map(|(why, ago)| format!("\n      ⚠️ last build failed {} ago: {}", elapsed(*ago), line(why, 120)));
        format!("{emoji} *{}* {}{}", self.repo, self.state.words(), failure.unwrap_or_default())
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
