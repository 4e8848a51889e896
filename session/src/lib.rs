#![doc = include_str!("../README.md")]

mod clock;
mod ids;
mod repository;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use ids::{
    ChannelId, InvalidId, MessageTs, Person, PromptId, RepoName, SandboxId, SessionId, SlackEventId, SlackUserId, TeamId, ThreadKey, TurnId,
};
pub use repository::{ImageRecipe, ManifestError, RepositoryManifest, RepositoryProfile, SandboxLimits};
