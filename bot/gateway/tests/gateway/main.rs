//! The gateway on a real socket, with real clients (git, curl, HTTP) in front and real servers (git's own, a small model provider) behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

mod git;
mod hooks;
mod llm;
mod mcp;
mod proxy;
mod registry;
mod world;
