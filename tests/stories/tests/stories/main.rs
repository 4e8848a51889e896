//! One binary for all stories.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails a test")]

mod dependencies;
