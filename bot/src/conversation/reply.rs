//! What a turn's end is told with.

use std::time::Duration;

use longshore_session::{
    CheckEnd, CheckRecord, Inserted, Memory, OutboxDraft, Phase, Prompt, SandboxOrigin, SessionRecord, SessionState, TurnFailure, TurnId,
    TurnOutcome, final_key,
};
use longshore_slack::{
    CheckResult, Continuation, Covers, DiffStat, FinalReply, Outcome, PullRequestLink, PullRequestStanding, ReceiptPhase, Told,
    Verification, fall_back_words,
};

use super::view::{Fate, TurnView, View};
use crate::outbox::{Content, FileToSend, Owed, OwedFile};

/// The messages of the final reply, with keys that no other message of the thread has.
pub fn final_reply(
    record: &SessionRecord,
    state: &SessionState,
    view: &View,
    ended: &Ended<'_>,
) -> Result<Vec<OutboxDraft>, serde_json::Error> {
    let seen = view.turn(ended.turn);
    let outcome = match ended.outcome {
        TurnOutcome::Done if view.question_of(ended.turn) == Some(&Fate::Open) => Outcome::Asked { summary: seen.answer.trim().to_owned() },
        TurnOutcome::Done => Outcome::Done { summary: seen.answer.trim().to_owned() },
        TurnOutcome::Stopped { by } => Outcome::Stopped { by: Some(by.clone()) },
        TurnOutcome::Failed { failure } => Outcome::failed(failure, format!("{} turn {}", record.id, ended.turn)),
    };
    let diff = seen.saved.as_ref().filter(|saved| saved.ahead > 0).map(|saved| DiffStat {
        files: saved.files as usize,
        added: saved.insertions as usize,
        removed: saved.deletions as usize,
    });
    let reply = FinalReply {
        session: record.id.clone(),
        repo: Some(record.repo.clone()),
        asker: ended.prompt.author.slack_user.clone(),
        joined: ended.inserted.iter().map(|inserted| inserted.prompt.author.slack_user.clone()).collect(),
        outcome,
        diff,
        pull_request: state.pull_request.as_ref().map(|pull| PullRequestLink {
            url: pull.url.clone(),
            number: pull.number,
            title: pull.title.clone(),
            standing: ended.standing,
            covers: match ended.standing {
                PullRequestStanding::Merged | PullRequestStanding::Closed if view.has_changed(ended.turn) => Covers::Earlier,
                PullRequestStanding::Merged
                | PullRequestStanding::Closed
                | PullRequestStanding::Open
                | PullRequestStanding::Draft
                | PullRequestStanding::Unknown => Covers::All,
            },
            follows: view.pull_requests.iter().rev().nth(1).copied(),
        }),
        verified: verified(ended, view, &seen),
        spent: seen.spent,
        session_url: Some(ended.session_url.clone()),
        receipt: receipt(ended.prompt, &seen),
        continuation: ended.continuation,
        note: seen.fell_back.as_ref().map(fall_back_words),
    };
    let thread = &record.thread;
    let asker = &ended.prompt.author.slack_user;
    let messages = reply.render().into_iter().enumerate().map(|(index, message)| {
        let part = if index == 0 { String::new() } else { format!(":{}", index + 1) };
        let key = format!("{}{part}", final_key(&record.id, ended.turn));
        let (channel, thread) = (thread.channel.clone(), Some(thread.thread.clone()));
        Owed { channel, thread, message, asker: Some(asker.clone()) }.draft("final", key)
    });
    let mut drafts = messages.collect::<Result<Vec<_>, _>>()?;
    if let Some(answer) = reply.whole_answer() {
        let file = FileToSend {
            name: "answer.md".to_owned(),
            title: format!("The whole answer of turn {}", ended.turn),
            comment: None,
            content: Content::Here { text: answer.to_owned() },
        };
        let (channel, thread) = (thread.channel.clone(), thread.thread.clone());
        let owed = OwedFile { channel, thread, file, asker: Some(asker.clone()), upload: None };
        drafts.push(owed.draft(format!("{}:whole", final_key(&record.id, ended.turn)))?);
    }
    Ok(drafts)
}

/// A turn that ended.
pub struct Ended<'a> {
    pub turn: TurnId,
    pub prompt: &'a Prompt,
    pub inserted: &'a [Inserted],
    pub outcome: &'a TurnOutcome,
    /// Of the session's pull request, if there is one.
    pub standing: PullRequestStanding,
    /// What verifies work in this repository.
    pub check_command: Option<&'a str>,
    pub continuation: Continuation,
    pub session_url: String,
}

/// How a turn came to what the turns before it had.
pub fn continuation(view: &View, turn: TurnId) -> Continuation {
    let seen = view.turn(turn);
    let told = view.unknown_from(turn);
    match (seen.origin, told) {
        (SandboxOrigin::Restored { taken, memory, .. }, told) => {
            let told = match (memory, told) {
                (_, None) => Told::Nothing,
                (Memory::Whole, Some(_)) => Told::Later,
                (Memory::Lost, Some(_)) => Told::All,
            };
            Continuation::Restored { taken, told }
        }
        (SandboxOrigin::Rebuilt { taken }, _) => Continuation::SnapshotLost { taken },
        // A turn that got no sandbox lost none either.
        (SandboxOrigin::Claimed | SandboxOrigin::Started, Some(_)) if seen.sandbox.is_some() => Continuation::Replaced,
        (SandboxOrigin::Kept | SandboxOrigin::Claimed | SandboxOrigin::Started, _) => Continuation::Seamless,
    }
}

/// What the service can say about the work by itself.
fn verified(ended: &Ended<'_>, view: &View, seen: &TurnView) -> Verification {
    match (&seen.check, ended.outcome) {
        (Some(check), _) => Verification::Ran(result(check)),
        (None, TurnOutcome::Done) if view.has_changed(ended.turn) && ended.check_command.is_none() => Verification::NoCheck,
        (None, TurnOutcome::Done | TurnOutcome::Stopped { .. } | TurnOutcome::Failed { .. }) => Verification::Nothing,
    }
}

fn result(check: &CheckRecord) -> CheckResult {
    CheckResult {
        command: check.command.clone(),
        commit: check.commit.clone(),
        end: match &check.end {
            CheckEnd::Exited { code } => longshore_slack::CheckEnd::Exited(*code),
            CheckEnd::TimedOut { seconds } => longshore_slack::CheckEnd::TimedOut(Duration::from_secs(*seconds)),
            CheckEnd::OutOfMemory => longshore_slack::CheckEnd::OutOfMemory,
            CheckEnd::NotRun { why } => longshore_slack::CheckEnd::NotRun(why.trim_end_matches('.').to_owned()),
        },
        took: Duration::from_millis(check.took_ms),
        tail: check.tail.clone(),
    }
}

/// How long each part of the way took.
fn receipt(prompt: &Prompt, seen: &TurnView) -> Vec<ReceiptPhase> {
    let mut parts = Vec::new();
    let mut part = |name: &str, from: Option<longshore_session::Timestamp>, to: Option<longshore_session::Timestamp>| {
        if let (Some(from), Some(to)) = (from, to) {
            parts.push(ReceiptPhase { name: name.to_owned(), took: to.since(from) });
        }
    };
    part("classified", Some(prompt.received), seen.at(Phase::Classified));
    part("sandbox", seen.started, seen.at(Phase::SandboxReady));
    part("sync", seen.at(Phase::SandboxReady), seen.at(Phase::Synced));
    part("first token", seen.at(Phase::Synced), seen.at(Phase::FirstToken));
    part("turn", seen.started, seen.at(Phase::TurnEnded));
    parts
}

/// A failure's name, for logs.
pub fn kind(failure: &TurnFailure) -> String {
    let value = serde_json::to_value(failure).unwrap_or_default();
    value.get("kind").and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_a_name_for_logs() {
        assert_eq!(kind(&TurnFailure::Internal), "internal");
        assert_eq!(kind(&TurnFailure::SandboxOutOfMemory { limit_mb: 5 }), "sandbox_out_of_memory");
    }
}
