//! Sandboxes and images on the real Docker engine. Each test has a namespace of its own and takes it away at its end, also when it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is tests, the helping functions too")]

mod fixture;
mod images;
mod isolation;
mod registry;
mod sandboxes;
mod snapshots;
mod stock;
