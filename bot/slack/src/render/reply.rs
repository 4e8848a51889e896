//! The final reply that every prompt is owed.

use std::time::Duration;

use longshore_session::{RepoName, SessionId, SlackUserId};
use serde_json::Value;

use super::{
    Continuation, Message, PullRequestStanding, Spent, Verification,
    block::{self, Style},
    words::{code, count, line, link, plain, precise, quiet, split_markdown},
};
use crate::action::Action;

/// How a prompt ended, said once.
#[derive(Debug, Clone, PartialEq)]
pub struct FinalReply {
    pub session: SessionId,
    /// None where the question needed no repository.
    pub repo: Option<RepoName>,
    pub asker: SlackUserId,
    /// Who else's prompts the turn was given while it ran, one entry for each prompt. May name the asker again.
    pub joined: Vec<SlackUserId>,
    pub outcome: Outcome,
    /// What the session's branch holds over its base. None where nothing was changed.
    pub diff: Option<DiffStat>,
    /// Without one, and with changes, the reply offers to open it.
    pub pull_request: Option<PullRequestLink>,
    pub verified: Verification,
    pub spent: Spent,
    /// Where a browser shows the session.
    pub session_url: Option<String>,
    /// How long each phase of the way took, in order.
    pub receipt: Vec<ReceiptPhase>,
    pub continuation: Continuation,
    /// A remark below everything else, such as that a scripted model answered.
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done {
        /// The agent's own words, in standard markdown.
        summary: String,
    },
    /// The agent asked something in a message of its own, and goes on with the answer.
    Asked {
        /// What it did so far, in its own words.
        summary: String,
    },
    Failed {
        /// A sentence that the asker understands.
        what: String,
        /// What they can do now.
        next: String,
        /// What an operator finds in the log.
        reference: String,
    },
    Stopped {
        by: Option<SlackUserId>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffStat {
    pub files: usize,
    pub added: usize,
    pub removed: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestLink {
    pub url: String,
    pub number: u64,
    pub title: String,
    /// When the reply was written.
    pub standing: PullRequestStanding,
    pub covers: Covers,
    /// The session's pull request before it, which was merged or closed.
    pub follows: Option<u64>,
}

/// What of the session's work is in its pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    All,
    /// It is over, and the branch has got more since: that wants a new one.
    Earlier,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptPhase {
    /// Such as `sandbox`.
    pub name: String,
    pub took: Duration,
}

/// Slack takes 12,000 characters of markdown per message and about 13,200 in all; the rest of the reply has to fit, too.
const SUMMARY_PART: usize = 11_000;
/// The rest of a longer answer comes as a file: nobody reads five screens in a thread.
const MOST_PARTS: usize = 4;

impl FinalReply {
    /// One message, and more where the summary is too long for one. The first one alone says how it ended and holds links and buttons.
    pub fn render(&self) -> Vec<Message> {
        let (summary, more) = self.summary();
        let mut blocks = vec![block::section("reply.head", &self.head())];
        blocks.extend(summary);
        blocks.extend(self.verified.markup().map(|markup| block::section("reply.check", &markup)));
        blocks.extend(self.pull_request_markup().map(|markup| block::section("reply.pull_request", &markup)));
        blocks.extend(self.foot().map(|foot| block::context("reply.foot", &foot)));
        blocks.extend(block::actions("reply.actions", self.buttons()));
        let mut messages = vec![Message { text: self.text(), blocks }];
        messages.extend(more);
        messages
    }

    fn head(&self) -> String {
        match &self.outcome {
            Outcome::Done { summary } => {
                let how = if self.verified.has_failed() { "⚠️ *Done, but the check fails*" } else { "✅ *Done*" };
                let mute = if summary.trim().is_empty() { " The agent left no summary." } else { "" };
                format!("{how}, {}.{mute}", self.people())
            }
            // The question's own message has called the asker already.
            Outcome::Asked { .. } => "🙋 *I go on with the answer to my question above.* It can wait; nothing runs meanwhile.".to_owned(),
            Outcome::Failed { what, next, reference } => format!(
                "❌ *This did not work*, {}. {}\n*What to do:* {}\nReference: {}",
                self.people(),
                line(what, 1_000),
                line(next, 1_000),
                code(reference, 80)
            ),
            Outcome::Stopped { by } => {
                let by = by.as_ref().map(|by| format!(" by <@{by}>")).unwrap_or_default();
                let kept = if self.has_changes() { " What was done so far is kept." } else { "" };
                format!("⏹️ *Stopped*{by}.{kept} Reply in this thread to go on.")
            }
        }
    }

    /// The whole answer, where the messages hold only its beginning: it belongs behind them as a file.
    pub fn whole_answer(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Done { summary } | Outcome::Asked { summary } if split_markdown(&quiet(summary), SUMMARY_PART).len() > MOST_PARTS => {
                Some(summary)
            }
            Outcome::Done { .. } | Outcome::Asked { .. } | Outcome::Failed { .. } | Outcome::Stopped { .. } => None,
        }
    }

    /// Everybody whom this answers, once.
    fn people(&self) -> String {
        let mut people = vec![&self.asker];
        for person in &self.joined {
            if !people.contains(&person) {
                people.push(person);
            }
        }
        let names: Vec<String> = people.iter().map(|person| format!("<@{person}>")).collect();
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        }
    }

    /// That this answers more than the turn's own prompt.
    fn joined_words(&self) -> Option<String> {
        match self.joined.len() {
            0 => None,
            1 => Some("This answers the prompt that joined the work on the way, too.".to_owned()),
            more => Some(format!("This answers the {more} prompts that joined the work on the way, too.")),
        }
    }

    fn summary(&self) -> (Option<Value>, Vec<Message>) {
        let (Outcome::Done { summary } | Outcome::Asked { summary }) = &self.outcome else { return (None, Vec::new()) };
        let mut parts = split_markdown(&quiet(summary), SUMMARY_PART);
        if parts.len() > MOST_PARTS {
            parts.truncate(MOST_PARTS);
            parts.push("_The rest is in the file below, which holds the whole answer._".to_owned());
        }
        let mut parts = parts.into_iter();
        let first = parts.next().map(|part| block::markdown(&part));
        let more = parts.map(|part| Message { text: plain(&part, 300), blocks: vec![block::markdown(&part)] });
        let more =
            more.map(|message| if message.text.is_empty() { Message { text: "(continued)".to_owned(), ..message } } else { message });
        (first, more.collect())
    }

    fn pull_request_markup(&self) -> Option<String> {
        let pull_request = self.pull_request.as_ref()?;
        let label = format!("#{} {}", pull_request.number, pull_request.title);
        let standing = pull_request.standing.words().map(|words| format!(" · {words}")).unwrap_or_default();
        let follows = pull_request.follows.map(|number| format!(" · follows #{number}")).unwrap_or_default();
        let beyond = if self.offers_another() { "\nIt does not hold what was changed since: the button opens a new one." } else { "" };
        Some(format!("🔀 Pull request {}{standing}{follows}{beyond}", link(&pull_request.url, &label)))
    }

    fn foot(&self) -> Option<String> {
        let diff = self.diff.filter(|_| self.has_changes()).map(|diff| diff.words());
        let receipt: Vec<String> = self.receipt.iter().map(|phase| format!("{} {}", line(&phase.name, 40), precise(phase.took))).collect();
        let receipt = (!receipt.is_empty()).then(|| receipt.join(" · "));
        let note = self.note.as_ref().map(|note| line(note, 300));
        let session = Some(format!("session {}", code(self.session.as_str(), 40)));
        let spent = self.spent.words().map(|spent| format!("Models: {spent}"));
        let lines: Vec<String> =
            [self.joined_words(), diff, receipt, spent, self.continuation.words(), note, session].into_iter().flatten().collect();
        Some(lines.join("\n"))
    }

    fn buttons(&self) -> Vec<Value> {
        let create = || block::button("Create pull request", &Action::OpenPullRequest(self.session.clone()), "", Style::Primary);
        let create = (self.offers_another() || self.pull_request.is_none() && self.has_changes()).then(create);
        let open =
            self.pull_request.as_ref().map(|pull_request| block::link_button("Open pull request", &pull_request.url, "pull_request"));
        let session = self.session_url.as_ref().map(|url| block::link_button("Open session", url, "session"));
        create.into_iter().chain(open).chain(session).collect()
    }

    /// The pull request is over, and there is more.
    fn offers_another(&self) -> bool {
        self.has_changes() && self.pull_request.as_ref().is_some_and(|pull_request| pull_request.covers == Covers::Earlier)
    }

    fn has_changes(&self) -> bool {
        self.diff.is_some_and(|diff| diff.files > 0)
    }

    fn text(&self) -> String {
        let repo = self.repo.as_ref().map(|repo| format!(" in {repo}")).unwrap_or_default();
        let ending = match &self.outcome {
            Outcome::Done { summary } => {
                let words = plain(summary, 400);
                if words.is_empty() { format!("Done{repo}.") } else { format!("Done{repo}: {words}") }
            }
            Outcome::Asked { summary } => {
                let words = plain(summary, 400);
                format!("I go on{repo} with the answer to my question in the thread. {words}").trim_end().to_owned()
            }
            Outcome::Failed { what, next, .. } => format!("This did not work{repo}. {} What to do: {}", line(what, 300), line(next, 300)),
            Outcome::Stopped { .. } => format!("Stopped{repo}. Reply in this thread to go on."),
        };
        let check = self.verified.words().map(|words| format!(" {words}")).unwrap_or_default();
        let ending = format!("{ending}{check}");
        match &self.pull_request {
            Some(pull_request) => {
                let more = if self.offers_another() {
                    " What was changed since is not in it; a new one can be created with the button."
                } else {
                    ""
                };
                format!("{ending} Pull request #{}: {}{more}", pull_request.number, link(&pull_request.url, &pull_request.title))
            }
            None if self.has_changes() => format!("{ending} There are changes; a pull request can be created with the button."),
            None => ending,
        }
    }
}

impl DiffStat {
    fn words(self) -> String {
        format!("{} changed, {} added, {} removed", count(self.files, "file"), count(self.added, "line"), count(self.removed, "line"))
    }
}
