//! Counts what is logged as a warning or an error, by the module that logs it: whatever goes wrong anywhere is counted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

static LOGGED: Mutex<BTreeMap<(&'static str, &'static str), u64>> = Mutex::new(BTreeMap::new());

/// Sits beside whatever writes the log.
#[derive(Debug, Clone, Copy)]
pub struct LogCounter;

impl<S: Subscriber> Layer<S> for LogCounter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let level = match *about.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        *LOGGED.lock().unwrap_or_else(PoisonError::into_inner).entry((level, about.target())).or_default() += 1;
    }
}

/// How often which module logged what, by level and module.
pub(super) fn logged() -> BTreeMap<(&'static str, &'static str), u64> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn warnings_and_errors_are_counted_by_their_module() {
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(LogCounter));
        tracing::info!(target: "of_this_test", "well");
        tracing::error!(target: "of_this_test", "bad");
        tracing::error!(target: "of_this_test", "bad");
        assert_eq!(logged().get(&("error", "of_this_test")), Some(&2));
        assert!(!logged().contains_key(&("info", "of_this_test")));
    }
}
