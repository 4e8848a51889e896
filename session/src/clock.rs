//! Time as a parameter: whoever needs it takes a [`Clock`], so that a test can say what time it is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Zero where `earlier` is in fact later: the machine's clock may jump.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Reads `2026-11-22T13:40:05.123456789Z`, as engines and registries write times. None where it is no such time.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Timestamp(time.timestamp_millis()))
    }

    /// `2026-11-22`, in UTC.
    pub fn date(self) -> String {
        self.in_utc("%Y-%m-%d")
    }

    /// `2026-11-22 13:40 UTC`.
    pub fn minute(self) -> String {
        self.in_utc("%Y-%m-%d %H:%M UTC")
    }

    /// `2026-11-22 13:40:12 UTC`.
    pub fn second(self) -> String {
        self.in_utc("%Y-%m-%d %H:%M:%S UTC")
    }

    fn in_utc(self, format: &str) -> String {
        // A time that no calendar reaches is a fault of the machine's clock, and is shown as the beginning of time.
        DateTime::from_timestamp_millis(self.0).unwrap_or_default().format(format).to_string()
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Tells the wall clock's time.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let span = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.0)))
    }

    /// As somebody does who corrects a clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    pub fn advance(&self, span: Duration) {
        let now = Timestamp(self.0.load(Ordering::SeqCst)) + span;
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_never_negative() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(9).since(Timestamp(5)), Duration::from_millis(4));
    }

    #[test]
    fn times_are_told_in_utc() {
        let minutes = [0, 951_782_400_000, 1_709_164_799_000, 1_795_354_812_123].map(|millis| Timestamp(millis).minute());
        assert_eq!(minutes, ["1970-01-01 00:00 UTC", "2000-02-29 00:00 UTC", "2024-02-28 23:59 UTC", "2026-11-22 13:40 UTC"]);
        assert_eq!(Timestamp(1_795_354_812_123).second(), "2026-11-22 13:40:12 UTC");
        assert_eq!((Timestamp(1_709_164_799_000).date(), Timestamp(-1).date()), ("2024-02-28".to_owned(), "1969-12-31".to_owned()));
        assert_eq!(Timestamp(i64::MAX).date(), "1970-01-01", "no calendar goes so far");
    }
}
