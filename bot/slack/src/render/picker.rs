//! The question which repository a prompt is about.

use longshore_session::{PromptId, RepoName, SlackUserId};
use serde_json::{Value, json};

use super::{
    Message,
    block::{self, Style},
    words::{cut, line},
};
use crate::action::Action;

/// Asked where routing is unsure. The prompt waits under its id; a click goes on with it, nothing is typed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryPicker {
    pub prompt: PromptId,
    pub asker: SlackUserId,
    /// What was asked, shown as a reminder.
    pub asked: String,
    /// Best first; the first five are shown with their reasons.
    pub candidates: Vec<Candidate>,
    /// Every other repository that the asker may use.
    pub others: Vec<RepoName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub repo: RepoName,
    /// As a sentence's part: `the channel is mostly about it`.
    pub reason: String,
}

/// What the picker turns into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PickerDone {
    Picked {
        repo: RepoName,
        by: SlackUserId,
    },
    Withdrawn {
        by: SlackUserId,
    },
    /// Nobody answered in time.
    Expired,
    /// In the place of a picker that is over, where the thread says below what became of it.
    Closed,
}

const CANDIDATES_SHOWN: usize = 5;
/// Slack's limit of options per group and of groups.
pub(super) const OPTIONS: usize = 100;

impl RepositoryPicker {
    pub fn render(&self) -> Message {
        let question = if self.candidates.is_empty() {
            "I cannot tell which repository this is about. Please pick one."
        } else {
            "Which repository is this about? I am not sure enough to start."
        };
        let (shown, rest) = self.candidates.split_at(self.candidates.len().min(CANDIDATES_SHOWN));
        let head = format!("🧭 <@{}>, {}\n> {}", self.asker, lower_first(question), line(&self.asked, 200));
        let mut blocks = vec![block::section("picker.head", &head)];
        for (index, candidate) in shown.iter().enumerate() {
            let mut section =
                block::section(&format!("picker.candidate.{index}"), &format!("*{}*\n{}", candidate.repo, line(&candidate.reason, 200)));
            let style = if index == 0 { Style::Primary } else { Style::Default };
            section["accessory"] = block::button("This one", &self.pick(&candidate.repo), &index.to_string(), style);
            blocks.push(section);
        }
        let mut others: Vec<&RepoName> = rest.iter().map(|candidate| &candidate.repo).chain(&self.others).collect();
        others.sort();
        others.dedup();
        others.retain(|repo| shown.iter().all(|candidate| candidate.repo != **repo));
        let mut elements: Vec<Value> = self.select(&others).into_iter().collect();
        elements.push(block::button("Never mind", &Action::Withdraw(self.prompt.clone()), "", Style::Default));
        blocks.extend(block::actions("picker.actions", elements));

        let names: Vec<String> = shown.iter().map(|candidate| candidate.repo.to_string()).collect();
        let names = if names.is_empty() { String::new() } else { format!(" Most likely: {}.", names.join(", ")) };
        Message { text: format!("{question}{names}"), blocks }
    }

    fn pick(&self, repo: &RepoName) -> Action {
        Action::PickRepository { prompt: self.prompt.clone(), repo: repo.clone() }
    }

    fn select(&self, repos: &[&RepoName]) -> Option<Value> {
        let (action_id, _) = self.pick(repos.first()?).encode("select");
        Some(select(&action_id, "Another repository…", repos))
    }
}

/// Searched in Slack by typing. One that is chosen has the repository's name as its value.
pub(super) fn select(action_id: &str, placeholder: &str, repos: &[&RepoName]) -> Value {
    let mut select = json!({ "type": "static_select", "action_id": action_id, "placeholder": block::plain_text(placeholder, 150) });
    if repos.len() <= OPTIONS {
        select["options"] = repos.iter().map(|repo| option(repo)).collect();
    } else {
        select["option_groups"] = groups(repos, OPTIONS).into();
    }
    select
}

pub(super) fn option(repo: &RepoName) -> Value {
    json!({ "text": block::plain_text(repo.as_str(), 75), "value": repo })
}

/// At most `most` groups, each named by its ends.
pub(super) fn groups(repos: &[&RepoName], most: usize) -> Vec<Value> {
    let groups = repos.chunks(OPTIONS).take(most).map(|group| {
        let ends = [group.first(), group.last()].map(|repo| repo.map_or(String::new(), |repo| cut(repo.as_str(), 34)));
        json!({ "label": block::plain_text(&ends.join(" to "), 75), "options": group.iter().map(|repo| option(repo)).collect::<Vec<_>>() })
    });
    groups.collect()
}

impl PickerDone {
    pub fn render(&self) -> Message {
        Message::of_words(match self {
            Self::Picked { repo, by } => format!("🧭 *{repo}*, picked by <@{by}>."),
            Self::Withdrawn { by } => format!("🧭 Withdrawn by <@{by}>. Nothing was started."),
            Self::Closed => "🧭 This question is closed.".to_owned(),
            Self::Expired => "🧭 Nobody picked a repository, so nothing was started. Mention me again, and name the repository.".to_owned(),
        })
    }
}

fn lower_first(text: &str) -> String {
    // "I" stays as it is.
    match text.strip_prefix('W') {
        Some(rest) => format!("w{rest}"),
        None => text.to_owned(),
    }
}
