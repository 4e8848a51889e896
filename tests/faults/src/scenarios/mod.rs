//! The stories in which the service dies.

mod asking;
mod building;
mod conversing;
mod moving;
mod outliving;
mod resting;

use std::fmt;

use anyhow::Result;
use longshore_emulators::slack::{Limits, RetryTimes, WorkspaceSetup};
use longshore_harness::{ImageCache, Options, Ranker, Wait};
use std::time::Duration;

use crate::{case::Case, stage::Stage};

pub const SHOP: &str = "acme/storefront";
pub const COURIER: &str = "acme/courier";

/// A story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scenario {
    /// From a mention to a pull request.
    Mention,
    /// A second prompt that waits for the first one's turn.
    FollowUp,
    /// A second prompt that joins the running turn.
    Joining,
    /// Somebody stops the running turn.
    Stop,
    /// The agent asks, and somebody answers.
    Question,
    /// A file comes with the prompt, and another one comes back.
    Files,
    /// The prompt moves to another repository.
    Move,
    /// The service dies, and dies again while it starts.
    Recovery,
    /// The service is away for a while in the middle of a turn.
    Outage { seconds: u64 },
    /// The sandbox is paused, and wakes with the next prompt.
    Pause,
    /// The sandbox is removed, and restored with the next prompt.
    Restore,
    /// A sandbox of the warm pool is claimed, and another one takes its place.
    Pool,
    /// The image is built while a prompt waits for it.
    Build,
}

/// What a story is told on. Cases on the same kind of stage are played on the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    Plain,
    Pausing,
    Sleeping,
    Pooled,
    /// For one case.
    Bare,
}

impl Scenario {
    pub fn ground(self) -> Ground {
        match self {
            Self::Mention
            | Self::FollowUp
            | Self::Joining
            | Self::Stop
            | Self::Question
            | Self::Files
            | Self::Move
            | Self::Recovery
            | Self::Outage { .. } => Ground::Plain,
            Self::Pause => Ground::Pausing,
            Self::Restore => Ground::Sleeping,
            Self::Pool => Ground::Pooled,
            Self::Build => Ground::Bare,
        }
    }

    /// Plays one case, and checks what came of it.
    pub async fn play(self, stage: &Stage, case: &Case) -> Result<()> {
        match self {
            Self::Mention => conversing::mention(stage, case).await,
            Self::FollowUp => conversing::follow_up(stage, case).await,
            Self::Joining => conversing::joining(stage, case).await,
            Self::Stop => conversing::stop(stage, case).await,
            Self::Question => asking::question(stage, case).await,
            Self::Files => asking::files(stage, case).await,
            Self::Move => moving::moving(stage, case).await,
            Self::Recovery => outliving::recovery(stage, case).await,
            Self::Outage { seconds } => outliving::outage(stage, Duration::from_secs(seconds)).await,
            Self::Pause => resting::pause(stage, case).await,
            Self::Restore => resting::restore(stage, case).await,
            Self::Pool => resting::pool(stage, case).await,
            Self::Build => building::build(stage, case).await,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mention => f.write_str("mention"),
            Self::FollowUp => f.write_str("follow-up"),
            Self::Joining => f.write_str("joining"),
            Self::Stop => f.write_str("stop"),
            Self::Question => f.write_str("question"),
            Self::Files => f.write_str("files"),
            Self::Move => f.write_str("move"),
            Self::Recovery => f.write_str("recovery"),
            Self::Outage { seconds } => write!(f, "outage of {seconds} s"),
            Self::Pause => f.write_str("pause"),
            Self::Restore => f.write_str("restore"),
            Self::Pool => f.write_str("pool"),
            Self::Build => f.write_str("image build"),
        }
    }
}

impl Ground {
    /// A service of this kind, with everything round it.
    pub async fn stage(self, without: &str) -> Result<Stage> {
        let mut options = match self {
            Self::Plain => Options::samples(&[SHOP, COURIER]),
            Self::Pausing | Self::Sleeping | Self::Pooled | Self::Bare => Options::samples(&[SHOP]),
        };
        options.workspace = workspace();
        options.ranker = Ranker::Words;
        options.configuration = match self {
            Self::Plain | Self::Bare => "[sandboxes]\npause_minutes = 600\nidle_minutes = 600\n",
            Self::Pausing => "[sandboxes]\npause_minutes = 0.02\nidle_minutes = 600\n",
            Self::Sleeping => "[sandboxes]\npause_minutes = 600\nidle_minutes = 0.03\n",
            Self::Pooled => "[sandboxes]\npause_minutes = 600\nidle_minutes = 600\n[pool]\nmax = 1\nmemory_mb = 4000\n",
        }
        .to_owned();
        match self {
            Self::Plain | Self::Pausing | Self::Sleeping => {}
            Self::Pooled => {
                options.pool.insert(SHOP.to_owned(), 1);
            }
            Self::Bare => {
                options.images = ImageCache::Ignore;
                options.wait = Wait::Nothing;
                options.manifests.insert(SHOP.to_owned(), building::MANIFEST.to_owned());
            }
        }
        Stage::start(options, without).await
    }
}

/// The demo's. Slack comes again soon where it got no acknowledgement, and how much it takes in a minute is not what this is about.
fn workspace() -> WorkspaceSetup {
    let mut setup = WorkspaceSetup::demo();
    setup.limits = Limits::off();
    // Tries enough that a service which is away for a minute gets every event.
    let pauses = [0, 5, 10, 20, 40, 80, 160].map(Duration::from_secs).to_vec();
    setup.retries = RetryTimes { acknowledge_within: Duration::from_secs(3), pauses };
    setup
}
