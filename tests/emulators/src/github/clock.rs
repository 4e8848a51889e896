//! The emulator's time: the machine's, plus however much a test has moved it.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970-01-01 UTC.
pub(super) type Millis = i64;

#[derive(Debug, Default)]
pub(super) struct EmulatorClock {
    ahead: AtomicI64,
}

impl EmulatorClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the emulator's one place that reads the machine's clock; it knows nothing of the service's"
    )]
    pub(super) fn now(&self) -> Millis {
        let span = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(span.as_millis()).unwrap_or(i64::MAX).saturating_add(self.ahead.load(Ordering::SeqCst))
    }

    pub(super) fn advance(&self, span: Duration) {
        self.ahead.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    pub(super) fn now_text(&self) -> String {
        rfc3339(self.now())
    }
}

/// As GitHub writes times: seconds, `Z`.
pub(super) fn rfc3339(at: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(at).unwrap_or_default().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
