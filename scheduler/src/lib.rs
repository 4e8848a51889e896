#![doc = include_str!("../README.md")]

mod expression;
mod jobs;

pub use expression::{CronExpression, InvalidCron};
pub use jobs::{Job, run_jobs};
