//! What a person reads of a turn that failed.

use longshore_session::{ModelHindrance, TurnFailure};

use super::Outcome;

impl Outcome {
    /// `reference` is what an operator finds in the log.
    pub fn failed(failure: &TurnFailure, reference: String) -> Self {
        let (what, next) = failure_words(failure);
        Self::Failed { what, next, reference }
    }
}

/// What happened and what to do, for the person who asked.
pub fn failure_words(failure: &TurnFailure) -> (String, String) {
    let (what, next) = match failure {
        TurnFailure::NoImage { detail } => (
            format!("There is no image to start from: {detail}"),
            "`/agent repos` shows the image's state. Reply here once it is mended, I go on from this request.".to_owned(),
        ),
        TurnFailure::EngineUnavailable => (
            "The sandbox engine (Docker) does not answer.".to_owned(),
            "Whoever runs Longshore must start it. Reply here then, nothing is lost.".to_owned(),
        ),
        TurnFailure::DiskFull => {
            ("The disk is full.".to_owned(), "Whoever runs Longshore must make room. Reply here then, nothing is lost.".to_owned())
        }
        TurnFailure::SandboxStart { detail } => {
            (format!("The sandbox could not be started: {detail}"), "Reply here to try again.".to_owned())
        }
        TurnFailure::Sync { detail } => (
            format!("The sandbox could not be brought up to date with the base branch: {detail}"),
            "See that the base branch in the manifest exists, then reply here to try again.".to_owned(),
        ),
        TurnFailure::GitHubAway { detail } => (
            format!("GitHub cannot be worked with at the moment: {detail}"),
            "Nothing is lost. Reply here in some minutes, I go on from this request.".to_owned(),
        ),
        TurnFailure::RepositoryGone => (
            "I cannot reach the repository any more: it was removed, or the GitHub App lost its access.".to_owned(),
            "See that the App is installed on it, then reply here to try again.".to_owned(),
        ),
        TurnFailure::SandboxOutOfMemory { limit_mb } => (
            format!("The sandbox used up its {limit_mb} MiB of memory and was ended."),
            "Ask for less at once, or raise `limits.memory_mb` in the repository's manifest; reply here to go on in a new sandbox."
                .to_owned(),
        ),
        TurnFailure::SandboxKilled { detail } => (
            format!("The sandbox ended before the work was done: {detail}"),
            "Reply here to go on in a new sandbox, from what was last kept.".to_owned(),
        ),
        TurnFailure::AgentCrashed { detail } => {
            (format!("The agent broke off: {detail}"), "Reply here to go on in a new sandbox, from what was last kept.".to_owned())
        }
        TurnFailure::AgentSilent { seconds } => (
            format!("The agent said nothing for {}, so I ended the turn.", span(*seconds)),
            "Reply here to go on; a smaller step may help.".to_owned(),
        ),
        TurnFailure::ConversationTooLong { detail } => (
            format!("The conversation has become longer than the model takes, and the agent could not shorten it: {detail}"),
            "Reply here to go on: the files are as they are, and the agent begins a new conversation with an account of this one.".to_owned(),
        ),
        TurnFailure::ModelAway { hindrance, seconds } => (
            format!("The model gave no answer for {}, so I ended the turn: {}.", span(*seconds), hindrance_words(*hindrance)),
            "What was done is kept. Reply here to go on; if it lasts, whoever runs Longshore should look at the provider's limits and state."
                .to_owned(),
        ),
        TurnFailure::TurnTimeout { seconds } => {
            (format!("The turn reached its limit of {}.", span(*seconds)), "What was done is saved. Reply here to go on.".to_owned())
        }
        TurnFailure::ModelRefused { detail } => (
            format!("The model's provider refused: {detail}"),
            "Put the request in other words, or have whoever runs Longshore check the model's key and limits; then reply here.".to_owned(),
        ),
        TurnFailure::Push { detail } => (
            format!("The work is done, but could not be pushed: {detail}"),
            "It is kept in the sandbox. Reply here to try again.".to_owned(),
        ),
        TurnFailure::RecordLost => (
            "My record of this session was damaged, so I cannot say how far I came with this.".to_owned(),
            "What was in the sandbox is pushed as far as possible. Reply here to go on: I know the thread, and what was kept before."
                .to_owned(),
        ),
        TurnFailure::Internal => (
            "Something went wrong on my side.".to_owned(),
            "Reply here to try again. If it happens again, give the reference to whoever runs Longshore.".to_owned(),
        ),
    };
    (what, next)
}

/// What is the matter with the model, as a sentence's part.
pub(super) fn hindrance_words(hindrance: ModelHindrance) -> String {
    match hindrance {
        ModelHindrance::OverLimit => "its provider is over its limit (429)".to_owned(),
        ModelHindrance::Failing { status } => format!("its provider fails ({status})"),
        ModelHindrance::BrokeOff => "its answers break off".to_owned(),
    }
}

/// As an operator would write it: `90 s`, `10 min`.
fn span(seconds: u64) -> String {
    if seconds.is_multiple_of(60) { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

#[cfg(test)]
mod tests {
    use crate::render::examples::{Shape, examples};

    #[test]
    fn every_failure_says_what_to_do() {
        let failed: Vec<_> = examples().into_iter().filter(|example| example.from.starts_with("TurnFailure ")).collect();
        assert!(failed.len() >= 14, "{}", failed.len());
        for example in failed {
            let Shape::Thread(messages) = example.shape else { panic!("{} is not in the thread", example.name) };
            let text = messages[0].text.to_lowercase();
            assert!(text.contains("reply here"), "{}: {text}", example.name);
        }
    }
}
