#![doc = include_str!("../README.md")]

mod action;
mod client;
mod command;
mod config;
mod dialog;
mod doctor;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod inbound;
mod intake;
mod render;

pub use action::{Action, Preference};
pub use client::{
    Bot, EphemeralTo, FileUpload, Membership, Metadata, PostTo, Posted, Priority, Profile, Reply, ReplyPage, SlackClient, SlackError,
    SlackSetupError, ThreadEnd, ThreadTail,
};
pub use command::{AgentCommand, StatusScope};
pub use config::{AppToken, BotToken, InvalidSecret, SigningSecret, SlackConfig, SlackHttpConfig};
pub use dialog::{AskAbout, Dialog};
pub use doctor::{Finding, Verdict, check};
pub use inbound::{
    ActionClick, AssistantOpened, AssistantSign, BotIdentity, ChannelKind, CommandCall, DeletedPost, EditedPost, FileRef, HomeClick,
    HomeOpened, HomeTab, Ignored, Inbound, Post, PostKey, Reaction, ShortcutCall, ViewSubmission, readable,
};
pub use intake::{Delivery, DeliveryKind, Inbox, InboxError, InboxFuture, SocketMode, Stored, http_router};
pub use render::*;
