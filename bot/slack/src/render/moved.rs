//! A prompt that went to the wrong repository: the question where it belongs, and what became of it.

use longshore_session::{RepoName, SessionId, SlackUserId};
use serde_json::{Value, json};

use super::{
    Message,
    block::{self, Style},
    picker::{self, Candidate, OPTIONS},
    words::{code, line, link, one_line},
};
use crate::{action::Action, dialog::Dialog, dialog::REPOSITORY};

/// Asks where a session's prompt belongs: as a modal, or as a message where a modal comes too late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongRepository {
    pub session: SessionId,
    /// Where it is now.
    pub repo: RepoName,
    /// Who is asked.
    pub by: SlackUserId,
    /// The prompt.
    pub asked: String,
    /// Best first; the first five are shown with their reasons.
    pub candidates: Vec<Candidate>,
    pub others: Vec<RepoName>,
}

const CANDIDATES_SHOWN: usize = 5;

impl WrongRepository {
    /// For `views.open`. The choice comes back as [`crate::ViewSubmission::repository`].
    pub fn modal(&self) -> Value {
        let (callback_id, private_metadata) = Dialog::WrongRepository(self.session.clone()).encode();
        let now = format!("This is in *{}* now. Where does it belong?\n> {}", self.repo, line(&self.asked, 300));
        let (likely, others) = self.split();
        let likely: Vec<Value> = likely
            .iter()
            .map(|candidate| {
                let mut option = picker::option(&candidate.repo);
                option["description"] = block::plain_text(&one_line(&candidate.reason), 75);
                option
            })
            .collect();
        let mut groups = Vec::new();
        if !likely.is_empty() {
            groups.push(json!({ "label": block::plain_text("Most likely", 75), "options": likely }));
        }
        let mut rest = picker::groups(&others, OPTIONS - groups.len());
        if let [only] = rest.as_mut_slice() {
            only["label"] = block::plain_text(if groups.is_empty() { "All repositories" } else { "All others" }, 75);
        }
        groups.append(&mut rest);
        json!({
            "type": "modal",
            "callback_id": callback_id,
            "private_metadata": private_metadata,
            "title": block::plain_text("Wrong repository", 24),
            "submit": block::plain_text("Move it there", 24),
            "close": block::plain_text("Leave it", 24),
            "blocks": [
                block::section("wrong.now", &now),
                {
                    "type": "input",
                    "block_id": REPOSITORY,
                    "label": block::plain_text("Repository", 2_000),
                    "element": {
                        "type": "static_select",
                        "action_id": REPOSITORY,
                        "placeholder": block::plain_text("Type to search…", 150),
                        "option_groups": groups,
                    },
                    "hint": block::plain_text("What runs here ends, what I pushed here is taken back, and the work begins anew there.", 2_000),
                },
            ],
        })
    }

    /// For the thread.
    pub fn message(&self) -> Message {
        let (likely, others) = self.split();
        let head = format!("🧭 <@{}>, this is in *{}* now. Where does it belong?\n> {}", self.by, self.repo, line(&self.asked, 200));
        let mut blocks = vec![block::section("wrong.head", &head)];
        for (index, candidate) in likely.iter().enumerate() {
            let words = format!("*{}*\n{}", candidate.repo, line(&candidate.reason, 200));
            let mut section = block::section(&format!("wrong.candidate.{index}"), &words);
            section["accessory"] = block::button("Move it there", &self.to(&candidate.repo), &index.to_string(), Style::Default);
            blocks.push(section);
        }
        let select = others.first().map(|first| {
            let (action_id, _) = self.to(first).encode("select");
            picker::select(&action_id, "Another repository…", &others)
        });
        blocks.extend(block::actions("wrong.actions", select.into_iter().collect()));
        let names: Vec<String> = likely.iter().map(|candidate| candidate.repo.to_string()).collect();
        let names = if names.is_empty() { String::new() } else { format!(" Most likely: {}.", names.join(", ")) };
        Message { text: format!("This is in {} now. Where does it belong?{names}", self.repo), blocks }
    }

    fn to(&self, repo: &RepoName) -> Action {
        Action::MoveTo { session: self.session.clone(), repo: repo.clone() }
    }

    /// The likely ones, and all others by name.
    fn split(&self) -> (Vec<&Candidate>, Vec<&RepoName>) {
        let likely: Vec<&Candidate> =
            self.candidates.iter().filter(|candidate| candidate.repo != self.repo).take(CANDIDATES_SHOWN).collect();
        let mut others: Vec<&RepoName> = self.candidates.iter().map(|candidate| &candidate.repo).chain(&self.others).collect();
        others.sort();
        others.dedup();
        others.retain(|repo| **repo != self.repo && likely.iter().all(|candidate| candidate.repo != **repo));
        (likely, others)
    }
}

/// The last word on a prompt in the session that it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedNotice {
    pub from: RepoName,
    pub to: RepoName,
    pub by: SlackUserId,
}

impl MovedNotice {
    pub fn render(&self) -> Message {
        Message::of_words(format!("↪️ Moved from *{}* to *{}* by <@{}>. I work on it there, in this thread.", self.from, self.to, self.by))
    }
}

/// What a session that was moved had pushed, where that is worth a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    PullRequestClosed {
        repo: RepoName,
        number: u64,
        url: String,
    },
    /// People commented, reviewed or pushed.
    PullRequestKept {
        repo: RepoName,
        number: u64,
        url: String,
    },
    /// Nobody can tell any more whether all of it is ours.
    BranchKept {
        repo: RepoName,
        branch: String,
    },
    /// GitHub did not answer, or declined.
    NotLookedAt {
        repo: RepoName,
        branch: String,
    },
}

impl Leftover {
    pub fn render(&self) -> Message {
        let pull = |repo: &RepoName, number: &u64, url: &str| format!("pull request {} in *{repo}*", link(url, &format!("#{number}")));
        Message::of_words(match self {
            Self::PullRequestClosed { repo, number, url } => {
                format!("🧹 I closed my {}: its work belongs elsewhere.", pull(repo, number, url))
            }
            Self::PullRequestKept { repo, number, url } => {
                format!("🧹 My {} stays open, since people have worked on it. Close it if nobody wants it.", pull(repo, number, url))
            }
            Self::BranchKept { repo, branch } => {
                format!("🧹 The branch {} stays in *{repo}*: I cannot tell whether only I pushed to it.", code(branch, 120))
            }
            Self::NotLookedAt { repo, branch } => format!(
                "🧹 GitHub did not let me clean up in *{repo}*. If the branch {} or a pull request from it is there, delete it by hand.",
                code(branch, 120)
            ),
        })
    }
}
