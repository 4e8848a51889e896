//! The service's configuration is read in its program, which is no library: its file is taken in here.
#![allow(dead_code, reason = "only what reads is used")]

#[path = "../../bot/src/config.rs"]
pub mod config;
#[path = "../../bot/src/prices.rs"]
mod prices;
