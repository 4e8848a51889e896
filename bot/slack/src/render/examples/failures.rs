//! The final reply of each way in which a turn can fail.

use longshore_session::{ModelHindrance, TurnFailure};

use super::{Example, Shape, replies, source};
use crate::render::{FinalReply, Outcome};

pub(super) fn all() -> Vec<Example> {
    let detail = str::to_owned;
    [
        ("failed-no-image", "There is no image to start from.", TurnFailure::NoImage { detail: detail("the registry does not have it") }),
        ("failed-engine", "Docker does not answer.", TurnFailure::EngineUnavailable),
        ("failed-disk", "The disk is full.", TurnFailure::DiskFull),
        ("failed-record", "The session's database was damaged while the turn ran.", TurnFailure::RecordLost),
        ("failed-start", "The sandbox did not start.", TurnFailure::SandboxStart { detail: detail("no address is free in its network") }),
        ("failed-sync", "The base branch could not be fetched.", TurnFailure::Sync { detail: detail("there is no branch main") }),
        (
            "failed-github",
            "GitHub did not answer for longer than is waited for.",
            TurnFailure::GitHubAway { detail: detail("the repositories' host failed (502); try again") },
        ),
        ("failed-repository", "The repository was removed, or access to it.", TurnFailure::RepositoryGone),
        ("failed-memory", "The sandbox took more memory than it may.", TurnFailure::SandboxOutOfMemory { limit_mb: 2_048 }),
        ("failed-sandbox", "The sandbox was ended from outside.", TurnFailure::SandboxKilled { detail: detail("exit status 137") }),
        ("failed-agent", "The agent's process ended.", TurnFailure::AgentCrashed { detail: detail("exit status 1") }),
        ("failed-silence", "Nothing came from the agent for too long.", TurnFailure::AgentSilent { seconds: 600 }),
        (
            "failed-too-long",
            "The conversation is longer than the model takes.",
            TurnFailure::ConversationTooLong { detail: detail("Conversation history too large to compact - exceeds model context limit") },
        ),
        (
            "failed-model-away",
            "The model answered nothing for too long, and it is known why.",
            TurnFailure::ModelAway { hindrance: ModelHindrance::OverLimit, seconds: 600 },
        ),
        ("failed-time", "The turn took longer than it may.", TurnFailure::TurnTimeout { seconds: 3_600 }),
        ("failed-model", "The model's provider refused.", TurnFailure::ModelRefused { detail: detail("the key's quota is used up") }),
        ("failed-push", "GitHub did not take the branch.", TurnFailure::Push { detail: detail("the branch is protected") }),
        ("failed-inside", "A fault of the service's own.", TurnFailure::Internal),
    ]
    .map(|(name, when, failure)| {
        let reply = replies::ended(Outcome::failed(&failure, "s-7k2m9q4dxw turn 1".to_owned()));
        let reply = FinalReply { diff: None, ..reply };
        Example { name, when, from: format!("{} {}", source(&failure), source(&reply)), shape: Shape::Thread(reply.render()) }
    })
    .to_vec()
}
