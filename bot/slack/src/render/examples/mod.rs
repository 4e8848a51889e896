//! One of each message that the bot can send: for the snapshots beside this, the pictures in `docs/messages.md` and the check by Slack's own models.
//!
//! Plain data, which the service itself never looks at. A new message belongs in the list of its kind; tests find those that are missing.
#![expect(clippy::unwrap_used, reason = "the names and ids are written here, and a test goes over all of them")]

mod agent;
mod cards;
mod failures;
mod home;
mod notices;
mod pickers;
mod questions;
pub(super) mod replies;
mod shortcut;

use std::{any::type_name, fmt::Debug};

use longshore_session::{PromptId, RepoName, SessionId, SlackUserId};
use serde::Serialize;
use serde_json::Value;

use super::Message;

/// A message as somebody may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Names its picture and its snapshot: `card-working`. Lower-case letters, digits and hyphens.
    pub name: &'static str,
    /// When it is sent: a sentence for `docs/messages.md`.
    pub when: &'static str,
    /// What it was rendered from, as Rust's `Debug` shows it after its type's name. Tells which variants have an example.
    pub from: String,
    pub shape: Shape,
}

/// Where it is seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Shape {
    /// In the thread, by everybody; one after the other where there is more than one.
    Thread(Vec<Message>),
    /// By one person alone.
    ForOne(Message),
    /// A person's Home tab: the view.
    Home(Value),
    /// A window that a click opens: the view.
    Modal(Value),
}

/// All of them.
pub fn examples() -> Vec<Example> {
    groups().into_iter().flat_map(|(_, group)| group).collect()
}

/// All of them under a title each, in the order in which `docs/messages.md` shows them.
pub fn groups() -> Vec<(&'static str, Vec<Example>)> {
    vec![
        ("The card of a turn", cards::all()),
        ("The final reply", replies::all()),
        ("The final reply of a turn that failed", failures::all()),
        ("Which repository", pickers::all()),
        ("Questions of the agent", questions::all()),
        ("Short answers", notices::all()),
        ("`/agent`", agent::all()),
        ("The Home tab", home::all()),
        ("Ask Longshore about this", shortcut::all()),
    ]
}

/// A message that everybody in the thread sees.
fn thread<T: Debug>(name: &'static str, when: &'static str, from: &T, render: impl FnOnce(&T) -> Message) -> Example {
    Example { name, when, from: source(from), shape: Shape::Thread(vec![render(from)]) }
}

/// A message that only the person concerned sees.
fn for_one<T: Debug>(name: &'static str, when: &'static str, from: &T, render: impl FnOnce(&T) -> Message) -> Example {
    Example { name, when, from: source(from), shape: Shape::ForOne(render(from)) }
}

fn source<T: Debug>(from: &T) -> String {
    format!("{} {from:?}", type_name::<T>().rsplit("::").next().unwrap_or_default())
}

pub(super) fn session() -> SessionId {
    SessionId::parse("s-7k2m9q4dxw").unwrap()
}

pub(super) fn prompt() -> PromptId {
    PromptId::parse("p-4h8x2m9q7kdw").unwrap()
}

pub(super) fn repo(name: &str) -> RepoName {
    RepoName::parse(name).unwrap()
}

/// Ana Kovač of the emulated workspace.
pub(super) fn ana() -> SlackUserId {
    SlackUserId::parse("U0ANA").unwrap()
}

/// Ben Okafor.
fn ben() -> SlackUserId {
    SlackUserId::parse("U0BEN").unwrap()
}

/// The bot itself.
fn bot() -> SlackUserId {
    SlackUserId::parse("U0LONGSHORE").unwrap()
}

#[cfg(test)]
mod tests;
