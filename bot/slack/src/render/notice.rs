//! Short answers.

use std::time::Duration;

use longshore_session::{RepoName, SlackUserId};

use super::{
    Message,
    words::{code, elapsed, line, link},
};

/// Somebody or some place that the configuration does not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAllowed {
    Workspace,
    Channel,
    User,
}

impl NotAllowed {
    pub fn render(&self) -> Message {
        let what = match self {
            Self::Workspace => "I do not work for this workspace.",
            Self::Channel => "I do not work in this channel.",
            Self::User => "You are not on the list of people I work for.",
        };
        Message::of_words(format!("🚫 {what} Whoever runs Longshore here can change that in its configuration (`access`)."))
    }
}

/// No such repository, or none that this person may use: both read the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRepository {
    /// As it was written, where one was named.
    pub named: Option<String>,
}

impl UnknownRepository {
    pub fn render(&self) -> Message {
        let which = match &self.named {
            Some(named) => format!("I know no repository {} that you can use.", code(named, 120)),
            None => "I know no repository that you can use for this.".to_owned(),
        };
        Message::of_words(format!("🤷 {which} `/agent repos` shows those I work in."))
    }
}

/// A repository that no sandbox can be started for yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageNotReady {
    /// The first build is under way; the prompt is kept and starts after it.
    Building { repo: RepoName, since: Duration },
    /// The build failed and there is no earlier image. Nothing was started.
    Failed { repo: RepoName, reference: String },
    /// Nothing was built yet, and nothing is being built.
    Missing { repo: RepoName },
}

impl ImageNotReady {
    pub fn render(&self) -> Message {
        Message::of_words(match self {
            Self::Building { repo, since } => {
                format!(
                    "📦 The image of *{repo}* is being built for the first time (for {}). I start as soon as it is ready.",
                    elapsed(*since)
                )
            }
            Self::Failed { repo, reference } => format!(
                "❌ I cannot start in *{repo}*: its image could not be built.\n*What to do:* `/agent repos` shows the step that failed; mention me again once it is repaired.\nReference: {}",
                code(reference, 80)
            ),
            Self::Missing { repo } => {
                format!("📦 *{repo}* has no image yet, so I cannot start. `/agent repos` shows when one is built; mention me again then.")
            }
        })
    }
}

/// Everything else that takes a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A mention with nothing in it.
    Empty,
    StopAsked {
        by: SlackUserId,
    },
    NothingToStop,
    /// The turn is ending already, because somebody else was quicker or because it is done.
    EndingAlready,
    /// The turn that a prompt should join is ending.
    TooLateToJoin,
    /// The prompt that was edited waits still: the new words count.
    PromptReplaced,
    /// The prompt that was edited is being worked on already.
    EditTooLate,
    PromptWithdrawn,
    /// A button of a message whose time is over.
    Outdated,
    /// Somebody was quicker with an answer to the agent's question.
    AnsweredAlready {
        by: SlackUserId,
    },
    /// There is no repository to move a prompt to.
    NoOtherRepository,
    /// The pull request was asked for and is on its way.
    PullRequestAsked,
    /// Nothing that people write can be stored.
    DiskFull,
    /// A session's database was damaged.
    RecordRebuilt,
    /// Somebody's click opened it.
    PullRequestOpened {
        number: u64,
        url: String,
    },
    /// It was asked for and cannot be opened.
    PullRequestRefused {
        why: String,
    },
    /// Something of ours broke. The reference is in the log.
    Broken {
        reference: String,
    },
    /// A plain remark to show as it is, for instance what an agent reports on the way.
    Update {
        words: String,
    },
}

impl Notice {
    pub fn render(&self) -> Message {
        Message::of_words(match self {
            Self::Empty => {
                "👋 Tell me what to do, for instance: _the checkout page charges twice when a payment is tried again_.".to_owned()
            }
            Self::StopAsked { by } => format!("✋ <@{by}> asked me to stop."),
            Self::NothingToStop => "There is nothing running here that could be stopped.".to_owned(),
            Self::EndingAlready => "✋ This is ending already; what became of it comes in a moment.".to_owned(),
            Self::TooLateToJoin => "The present work is ending; what waits comes after it.".to_owned(),
            Self::PromptReplaced => "✏️ I take the edited words.".to_owned(),
            Self::EditTooLate => {
                "✏️ I am working on this already, by its first words. Reply in this thread with what should be different.".to_owned()
            }
            Self::PromptWithdrawn => "Withdrawn.".to_owned(),
            Self::Outdated => "This button's time is over: what it stands for has changed since.".to_owned(),
            Self::AnsweredAlready { by } => {
                format!("☑️ This was answered already, by <@{by}>. Reply in the thread if something else is right.")
            }
            Self::NoOtherRepository => "This is the only repository that I work in; `/agent repos` shows it.".to_owned(),
            Self::DiskFull => "⚠️ The disk that I keep everything on is full, so I take nothing new. Whoever runs Longshore must make room. Then I read here what I missed and go on by myself; nothing is lost.".to_owned(),
            Self::RecordRebuilt => "🩹 My record of this session was damaged. I put it together again from this thread and from what I had kept. Steps and costs of earlier turns are gone; no other session is concerned.".to_owned(),
            Self::PullRequestAsked => "🔀 I am opening the pull request.".to_owned(),
            Self::PullRequestOpened { number, url } => format!("🔀 Pull request #{number} is open: {}", link(url, url)),
            Self::PullRequestRefused { why } => format!("🔀 I cannot open the pull request: {}", line(why, 2_000)),
            Self::Broken { reference } => format!(
                "❌ Something broke on my side, and nothing was started.\n*What to do:* try again in a minute; if it stays so, give this reference to whoever runs Longshore: {}",
                code(reference, 80)
            ),
            Self::Update { words } => format!("💡 {}", line(words, 2_500)),
        })
    }
}
