//! The people's side: what a human does in the client, and over which address a browser page does it.

mod actions;
mod client;
mod compose;
mod input;
mod payloads;
mod person;

pub use actions::{Choice, SubmitOutcome, Target};
pub(super) use client::router;
pub(super) use input::{initial_state, input_elements};
pub use person::{NewFile, NewPost, Person};

/// Why something that a person tried did not happen, as they would read it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    #[error("there is no user {0}")]
    NoSuchUser(String),
    #[error("there is no channel {0}")]
    NoSuchChannel(String),
    #[error("there is no message {0}")]
    NoSuchMessage(String),
    #[error("{user} is not in {channel}")]
    NotInChannel { user: String, channel: String },
    #[error("{0} is archived")]
    Archived(String),
    #[error("a message needs text or a file")]
    Empty,
    #[error("this message is somebody else's")]
    NotYours,
    #[error("nothing there has the action id {0}")]
    NoSuchAction(String),
    #[error("{0} is not one of the choices")]
    NoSuchChoice(String),
    #[error("there is no open view {0}")]
    NoSuchView(String),
    #[error("please complete the required field {0}")]
    RequiredField(String),
    #[error("{0} is not a valid command")]
    NoSuchCommand(String),
    #[error("{0} is not supported in threads. Sorry!")]
    CommandInThread(String),
    /// The app did not acknowledge in time; the reason in Slack's words.
    #[error("the app did not answer: {0}")]
    AppDidNotAnswer(String),
    /// The app's answer breaks a rule.
    #[error("the app answered badly: {0}")]
    BadAnswer(String),
    #[error("nothing came in time: {0}")]
    TimedOut(String),
}
