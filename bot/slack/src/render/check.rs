//! What the service verified of a turn's work.

use std::time::Duration;

use super::words::{code, elapsed, fenced, line, precise};

/// What is said of the repository's check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Nothing was changed, or the turn did not come to its own end.
    Nothing,
    /// The repository names no check.
    NoCheck,
    Ran(CheckResult),
}

/// The repository's check, run by the service and not by the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    pub command: String,
    /// The pushed commit that it ran on, in full.
    pub commit: String,
    pub end: CheckEnd,
    pub took: Duration,
    /// The last lines of what it printed; shown unless it passed.
    pub tail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckEnd {
    /// 0 alone is good.
    Exited(i32),
    /// It was ended after this long.
    TimedOut(Duration),
    OutOfMemory,
    /// Nothing is known; why, as a sentence's part.
    NotRun(String),
}

impl Verification {
    /// The check ran and did not pass.
    pub(super) fn has_failed(&self) -> bool {
        match self {
            Self::Nothing | Self::NoCheck => false,
            Self::Ran(result) => match result.end {
                CheckEnd::Exited(code) => code != 0,
                CheckEnd::TimedOut(_) | CheckEnd::OutOfMemory => true,
                CheckEnd::NotRun(_) => false,
            },
        }
    }

    pub(super) fn markup(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::NoCheck => Some("⚪ *Not checked:* the repository's manifest names no check.".to_owned()),
            Self::Ran(result) => Some(result.markup()),
        }
    }

    /// For the accessible text.
    pub(super) fn words(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::NoCheck => None,
            Self::Ran(result) => Some(match &result.end {
                CheckEnd::Exited(0) => "The check passed.".to_owned(),
                CheckEnd::Exited(code) => format!("The check failed with exit code {code}."),
                CheckEnd::TimedOut(limit) => format!("The check was ended after {}.", elapsed(*limit)),
                CheckEnd::OutOfMemory => "The check ran out of memory.".to_owned(),
                CheckEnd::NotRun(why) => format!("The check could not be run: {}.", line(why, 200)),
            }),
        }
    }
}

impl CheckResult {
    fn markup(&self) -> String {
        let command = code(&self.command, 200);
        let on = format!("on {}", code(&self.commit.chars().take(7).collect::<String>(), 20));
        let took = precise(self.took);
        let said = match &self.end {
            CheckEnd::Exited(0) => format!("✅ *Check* {command} exit 0 in {took} {on}"),
            CheckEnd::Exited(status) => format!("❌ *Check* {command} exit {status} in {took} {on}"),
            CheckEnd::TimedOut(limit) => format!("❌ *Check* {command} was ended at its limit of {} {on}", elapsed(*limit)),
            CheckEnd::OutOfMemory => format!("❌ *Check* {command} ran out of memory after {took} {on}"),
            CheckEnd::NotRun(why) => format!("⚠️ *Not checked:* {command} could not be run {on}: {}", line(why, 300)),
        };
        let tail = self.tail.trim();
        if tail.is_empty() || self.end == CheckEnd::Exited(0) { said } else { format!("{said}\n{}", fenced(tail, 2_000)) }
    }
}
