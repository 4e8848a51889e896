#![doc = include_str!("README.md")]

mod blocks;
mod calls;
mod changes;
mod clock;
mod conversation;
mod delivery;
mod faults;
mod handle;
mod limits;
mod message;
mod people;
mod render;
mod setup;
mod shared;
mod state;
mod views;
mod web;
mod wire;

pub use calls::Call;
pub use changes::{Change, ChangeKind};
pub use clock::EmulatorClock;
pub use delivery::{Attempt, AttemptOutcome, DeliveryRecord, Disconnect};
pub use faults::Fault;
pub use handle::{OtherApp, SlackEmulator, SlackEmulatorBuilder, SlackHandle, StartError};
pub use limits::Limits;
pub use people::{Choice, NewFile, NewPost, PeopleError, Person, SubmitOutcome, Target};
pub use setup::{
    App, Channel, ChannelKind, ChannelLife, Delivery, RequestUrls, RetryTimes, Shortcut, Team, User, UserKind, WorkspaceSetup,
};
pub use state::FilePlace;
