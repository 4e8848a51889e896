#![doc = include_str!("../README.md")]

mod api;
mod cleanup;
mod configuration;
mod docker;
mod findings;
mod harness;
mod images;
mod options;
mod paths;
mod pictures;
mod service;
mod slack_sdk;
mod story;

pub use api::{SessionSummary, TurnReport};
pub use cleanup::{make_folder, take_away};
pub use docker::run_in_image;
pub use harness::{Harness, People};
pub use options::{ImageCache, ModelChoice, Options, REAL_MODEL_VARIABLES, Ranker, Wait};
pub use paths::{repository_root, sample_folder, service_binary, target_folder};
pub use pictures::{Album, Taken, alike, take};
pub use service::Service;
pub use slack_sdk::{Looked, SdkVerdict, check_by_slack_sdk};
pub use story::{Growth, TURN_LIMIT};
