//! Pictures of every message that the bot can send, as a browser shows them on the emulated workspace's page.

mod album;
mod camera;

pub use album::{Album, alike};
pub use camera::{Taken, take};
