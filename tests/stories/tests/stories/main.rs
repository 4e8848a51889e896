//! One binary for all stories.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails a test")]

mod asking;
mod bad_agent;
mod bad_configuration;
mod bad_disk;
mod bad_doctor;
mod bad_engine;
mod bad_ground;
mod bad_images;
mod bad_limits;
mod bad_model;
mod bad_places;
mod bad_talk;
mod bad_weather;
mod choosing;
mod cli;
mod commanding;
mod dependencies;
mod direct;
mod files;
mod hold;
mod home;
mod over_http;
mod questions;
mod queueing;
mod secrets;
mod shortcut;
mod stage;
mod stopping;
mod surviving;
mod talking;
mod thread;
mod verifying;
mod waiting;
mod when_all_is_told;
mod working;
