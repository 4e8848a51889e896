//! The emulator's time: the wall clock, or one that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where timestamps, expiries and rate limits take the time from. Waiting for an acknowledgement is real time in either case.
#[derive(Clone, Debug, Default)]
pub enum EmulatorClock {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl EmulatorClock {
    /// A clock that stands still at `unix_ms` until it is advanced.
    #[must_use]
    pub fn manual(unix_ms: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(unix_ms)))
    }

    /// Moves a manual clock; the system clock stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Unix milliseconds.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the emulator stands outside the service and keeps a time of its own")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Unix seconds.
    #[must_use]
    pub fn now_secs(&self) -> i64 {
        self.now_ms() / 1000
    }
}
