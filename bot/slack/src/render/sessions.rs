//! Lists of sessions: `/agent status` and `/agent stop`, and the lines that the Home tab shares with them.

use std::time::Duration;

use longshore_session::{RepoName, SessionId, SlackUserId};
use serde_json::Value;

use super::{
    CardPhase, ImageLine, Message, Rest, Spent,
    block::{self, Style},
    words::{code, elapsed, line, link},
};
use crate::{action::Action, command::StatusScope};

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLine {
    /// None for a prompt whose repository is still open.
    pub session: Option<SessionId>,
    pub repo: Option<RepoName>,
    /// What was asked, in one line.
    pub title: String,
    pub asker: SlackUserId,
    pub stage: SessionStage,
    /// How long it has been there.
    pub since: Duration,
    /// How long ago it began.
    pub age: Duration,
    /// All its turns' model requests.
    pub spent: Spent,
    pub pull_request: Option<PullRequestLine>,
    pub thread_url: Option<String>,
    /// Whether the reader may stop it, and so gets a button.
    pub stoppable: bool,
}

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionStage {
    /// A turn is under way, or waits for its sandbox.
    Live(CardPhase),
    /// A prompt waits for the turns of its session. Place 1 is the next one.
    Behind { place: usize },
    /// For somebody's answer to this question.
    Asking { question: String },
    /// Nothing to do. A reply in its thread goes on with it.
    Idle { rest: Rest },
}

/// A session's pull request in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestLine {
    pub number: u64,
    pub url: String,
    pub standing: PullRequestStanding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRequestStanding {
    Open,
    Draft,
    Merged,
    Closed,
    /// GitHub did not say.
    Unknown,
}

impl PullRequestStanding {
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Open => Some("open"),
            Self::Draft => Some("draft"),
            Self::Merged => Some("merged"),
            Self::Closed => Some("closed"),
            Self::Unknown => None,
        }
    }
}

/// `/agent status`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStatus {
    pub scope: StatusScope,
    pub running: Vec<SessionLine>,
    /// For an answer.
    pub asking: Vec<SessionLine>,
    /// In order.
    pub queued: Vec<SessionLine>,
    /// Newest first.
    pub idle: Vec<SessionLine>,
    /// Turns and waiting prompts that this list leaves out.
    pub elsewhere: usize,
    /// Of the repositories that are spoken of here.
    pub images: Vec<ImageLine>,
}

/// `/agent stop` without a session: mine, with buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStop {
    pub mine: Vec<SessionLine>,
}

/// Lines of each list that are shown, so that 50 blocks are enough for all of them.
const RUNNING_SHOWN: usize = 14;
const OTHERS_SHOWN: usize = 7;
const STOP_SHOWN: usize = 20;
/// Lines that the accessible text repeats.
const SPOKEN: usize = 20;
const IMAGES_SHOWN: usize = 5;

impl AgentStatus {
    pub fn render(&self) -> Message {
        let mut blocks = vec![block::header("status.head", &self.headline())];
        let lists = [
            ("running", None, &self.running, RUNNING_SHOWN),
            ("asking", Some("*Waiting for an answer*"), &self.asking, OTHERS_SHOWN),
            ("queued", Some("*Queued*"), &self.queued, OTHERS_SHOWN),
            ("idle", Some("*Idle* · a reply in the thread goes on"), &self.idle, OTHERS_SHOWN),
        ];
        for (name, title, lines, most) in lists {
            if lines.is_empty() {
                continue;
            }
            blocks.extend(title.map(|title| block::context(&format!("status.{name}.head"), title)));
            blocks.extend(session_blocks(&format!("status.{name}"), lines, most));
        }
        blocks.extend(self.elsewhere_words().map(|words| block::context("status.elsewhere", &words)));
        blocks.push(block::context("status.images", &self.image_words()));
        let all = [&self.running, &self.asking, &self.queued, &self.idle];
        let spoken: Vec<String> = all.into_iter().flatten().take(SPOKEN).map(SessionLine::words).collect();
        let mut text = format!("{}.", self.headline());
        for words in spoken {
            text.push(' ');
            text.push_str(&words);
        }
        Message { text, blocks }
    }

    fn headline(&self) -> String {
        let whose = match self.scope {
            StatusScope::Mine => "Yours",
            StatusScope::Channel => "This channel",
            StatusScope::All => "Everybody",
        };
        let lists = [&self.running, &self.asking, &self.queued, &self.idle];
        if lists.iter().all(|list| list.is_empty()) {
            return format!("{whose}: nothing is running, and nothing waits");
        }
        let mut parts = vec![format!("{} running", self.running.len())];
        if !self.asking.is_empty() {
            parts.push(format!("{} waiting for an answer", self.asking.len()));
        }
        if !self.queued.is_empty() {
            parts.push(format!("{} queued", self.queued.len()));
        }
        if !self.idle.is_empty() {
            parts.push(format!("{} idle", self.idle.len()));
        }
        format!("{whose}: {}", parts.join(", "))
    }

    fn elsewhere_words(&self) -> Option<String> {
        let others = match self.scope {
            StatusScope::Mine => "of other people's",
            StatusScope::Channel => "elsewhere",
            StatusScope::All => return None,
        };
        let verb = if self.elsewhere == 1 { "is" } else { "are" };
        (self.elsewhere > 0).then(|| format!("{} more {verb} {others}: `/agent status all`", self.elsewhere))
    }

    fn image_words(&self) -> String {
        let mut words: Vec<String> = self.images.iter().take(IMAGES_SHOWN).map(ImageLine::brief).collect();
        if self.images.len() > IMAGES_SHOWN {
            words.push(format!("{} more: `/agent repos`", self.images.len() - IMAGES_SHOWN));
        }
        let images = if words.is_empty() { String::new() } else { format!("*Images:* {}\n", words.join(" · ")) };
        format!("{images}Each session's sandbox is started from the image of its repository. There is no pool of waiting sandboxes.")
    }
}

impl AgentStop {
    pub fn render(&self) -> Message {
        if self.mine.is_empty() {
            return Message::of_words("There is nothing of yours running. `/agent status all` shows what else runs.".to_owned());
        }
        let mut blocks = vec![block::section("stop.head", "Which one shall I stop?")];
        blocks.extend(session_blocks("stop.mine", &self.mine, STOP_SHOWN));
        let lines: Vec<String> = self.mine.iter().take(SPOKEN).map(SessionLine::words).collect();
        Message { text: format!("Which one shall I stop? {}", lines.join(" ")), blocks }
    }
}

/// A section for each line, at most `most` of them, and how many there are beside them.
pub(super) fn session_blocks(id: &str, sessions: &[SessionLine], most: usize) -> Vec<Value> {
    let shown = sessions.iter().take(most).enumerate().map(|(index, session)| session.block(&format!("{id}.{index}")));
    let more = sessions.len().saturating_sub(most);
    let more = (more > 0).then(|| block::context(&format!("{id}.more"), &format!("… and {more} more")));
    shown.chain(more).collect()
}

impl SessionLine {
    fn block(&self, id: &str) -> Value {
        let repo = self.repo.as_ref().map_or("no repository".to_owned(), |repo| format!("*{repo}*"));
        let mut foot = vec![format!("for <@{}>", self.asker)];
        foot.extend(self.session.as_ref().map(|session| code(session.as_str(), 40)));
        foot.push(format!("begun {} ago", elapsed(self.age)));
        foot.extend(self.spent.words());
        foot.extend(self.pull_request.as_ref().map(PullRequestLine::markup));
        foot.extend(self.thread_url.as_ref().map(|url| link(url, "thread")));
        let mut markup = format!("{} {repo} · {} · {}", self.stage.emoji(), self.stage.words(), elapsed(self.since));
        if !self.title.trim().is_empty() {
            markup.push_str(&format!("\n{}", line(&self.title, 120)));
        }
        if let SessionStage::Asking { question } = &self.stage {
            markup.push_str(&format!("\n> {}", line(question, 200)));
        }
        markup.push_str(&format!("\n{}", foot.join(" · ")));
        let mut section = block::section(id, &markup);
        if let Some(session) = self.session.as_ref().filter(|_| self.stoppable) {
            let stop = block::button("Stop", &Action::Stop(session.clone()), session.as_str(), Style::Danger);
            section["accessory"] = block::confirmed(stop, "Stop this session?", "What was done so far is kept.", "Stop", "Let it run");
        }
        section
    }

    /// For screen readers.
    fn words(&self) -> String {
        let repo = self.repo.as_ref().map_or("no repository", |repo| repo.as_str());
        let name = self.session.as_ref().map_or("a prompt", |session| session.as_str());
        format!("{name}: {repo}, {}, {}.", self.stage.words(), elapsed(self.since))
    }
}

impl SessionStage {
    fn emoji(&self) -> &'static str {
        match self {
            Self::Live(phase) => phase.emoji(),
            Self::Behind { .. } => "🕒",
            Self::Asking { .. } => CardPhase::Waiting.emoji(),
            Self::Idle { rest } => rest.emoji(),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Live(CardPhase::Queued { place }) => format!("waiting for a sandbox, place {place}"),
            Self::Behind { place } => format!("place {place}"),
            Self::Live(phase) => phase.words().to_lowercase(),
            Self::Asking { .. } => CardPhase::Waiting.words().to_lowercase(),
            Self::Idle { rest } => rest.words(),
        }
    }
}

impl PullRequestLine {
    fn markup(&self) -> String {
        let words = self.standing.words().map(|words| format!(" {words}")).unwrap_or_default();
        format!("{}{words}", link(&self.url, &format!("PR #{}", self.number)))
    }
}
