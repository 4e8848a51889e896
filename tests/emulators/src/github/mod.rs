#![doc = include_str!("README.md")]

mod auth;
mod changes;
mod clock;
mod error;
mod faults;
mod git;
mod git_http;
mod handle;
mod json;
mod key;
mod oauth;
mod rest;
mod server;
mod setup;
mod state;
mod web;
mod webhooks;

pub use faults::{Fault, Hold, Outage, Route};
pub use git::{Commit, FileChange, GitError, Signature};
pub use handle::{GitHubEmulator, GitHubEmulatorError, PullRequestView};
pub use setup::{AnonymousRead, AppSetup, Consent, GitHubSetup, Level, NewUser, Permissions, Repositories, WebhookTarget};
pub use state::LoggedRequest;
pub use webhooks::{Delivery, DeliveryOutcome};
