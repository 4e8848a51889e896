//! An image registry and a Docker engine of a test's own: both can be stopped, lose things and come back without anybody else noticing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is tests, the helping functions too")]

mod engine;
mod registry;

use std::{
    net::TcpListener,
    process::Child,
    thread,
    time::{Duration, Instant},
};

pub use engine::{Containers, OwnEngine};
pub use registry::{Door, OwnRegistry, PASSWORD, USER};

/// How long a server may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A port of the loopback address that is free now.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until a server answers. Panics with what it logged when it ends, or takes too long.
fn await_answer(child: &mut Child, log: &std::path::Path, mut answers: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let told = || std::fs::read_to_string(log).unwrap_or_default();
    while !answers() {
        assert!(child.try_wait().unwrap().is_none(), "it ended: {}", told());
        assert!(Instant::now() < deadline, "it does not answer: {}", told());
        thread::sleep(Duration::from_millis(50));
    }
}
