//! Where a session's sandbox is between turns, and what is said when a turn could not go on in the one before.

use longshore_session::Timestamp;

/// A session's sandbox while nothing is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It runs.
    Awake,
    /// It stands still, and goes on in a moment.
    Paused,
    /// It is kept as the snapshot of this time.
    Asleep { taken: Timestamp },
    /// There is none.
    Gone,
}

/// How a turn came to what the session had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// There is nothing to say: it had nothing, or its sandbox was still there.
    Seamless,
    /// From the snapshot of this time.
    Restored { taken: Timestamp, told: Told },
    /// From the image and the branch, since the snapshot of this time could not be used.
    SnapshotLost { taken: Timestamp },
    /// From the image and the branch.
    Replaced,
}

/// What of the conversation a restored agent had to be given as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Nothing,
    /// What came after the snapshot.
    Later,
    All,
}

impl Rest {
    pub(super) fn emoji(self) -> &'static str {
        match self {
            Self::Awake | Self::Asleep { .. } | Self::Gone => "💤",
            Self::Paused => "⏸️",
        }
    }

    /// In Slack's markup.
    pub(super) fn words(self) -> String {
        match self {
            Self::Awake => "idle".to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Asleep { taken } => format!("asleep (snapshot of {})", date(taken)),
            Self::Gone => "idle, without a sandbox".to_owned(),
        }
    }
}

impl Continuation {
    /// In Slack's markup.
    pub(super) fn words(self) -> Option<String> {
        let rebuilt = "the branch is as it was last pushed, and the agent was given the conversation so far.";
        match self {
            Self::Seamless => None,
            Self::Restored { taken, told } => {
                let more = match told {
                    Told::Nothing => ".",
                    Told::Later => "; the agent was told what came after it.",
                    Told::All => ", but not the agent's memory: it was given the conversation so far.",
                };
                Some(format!("Restored from the snapshot of {}{more}", date(taken)))
            }
            Self::SnapshotLost { taken } => {
                Some(format!("The snapshot of {} could not be used, so this was a new sandbox: {rebuilt}", date(taken)))
            }
            Self::Replaced => Some(format!("The earlier sandbox is gone, so this was a new one: {rebuilt}")),
        }
    }
}

/// A time as the reader's own clock shows it; in UTC where Slack cannot.
fn date(at: Timestamp) -> String {
    format!("<!date^{}^{{date_short_pretty}} at {{time}}|{}>", at.0.div_euclid(1000), at.minute())
}
