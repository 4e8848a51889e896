//! The final reply, in each way in which a prompt can end.

use std::time::Duration;

use longshore_session::{FallBack, Timestamp};

use super::{Example, Shape, ana, ben, for_one, repo, session, source};
use crate::render::{
    CheckEnd, CheckResult, Continuation, Covers, Detour, DiffStat, FinalReply, Outcome, PullRequestLink, PullRequestStanding, ReceiptPhase,
    Spent, Told, Verification, fall_back_words,
};

pub(super) fn all() -> Vec<Example> {
    let summary = "The payment was sent **again** on each retry.\n\n- `charge()` now takes the order's key, so that a repeat is recognised\n- \
                   a new test pays twice and counts the charges";
    let pull_request = PullRequestLink {
        url: "https://github.com/acme/storefront/pull/12".to_owned(),
        number: 12,
        title: "Charge once per order".to_owned(),
        standing: PullRequestStanding::Open,
        covers: Covers::All,
        follows: None,
    };
    let replies_to = |pull_request| FinalReply { pull_request: Some(pull_request), ..done(summary) };
    let with_pull = |standing| replies_to(PullRequestLink { standing, ..pull_request.clone() });
    let checked = |end, tail: &str| {
        let took = Duration::from_millis(12_400);
        let (command, commit) = ("make test".to_owned(), "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned());
        let result = CheckResult { command, commit, end, took, tail: tail.to_owned() };
        FinalReply { verified: Verification::Ran(result), ..with_pull(PullRequestStanding::Open) }
    };
    let failing = "FAILED tests/test_retry.py::test_one_charge - assert 2 == 1\n1 failed, 11 passed in 9.81s";
    let failed = Outcome::Failed {
        what: "The sandbox ran out of memory (2048 MiB) while the tests ran.".to_owned(),
        next: "Raise `limits.memory_mb` in the repository's manifest, then reply in this thread.".to_owned(),
        reference: "s-7k2m9q4dxw/1".to_owned(),
    };
    let unchanged = FinalReply { diff: None, ..done("The page is built by `make site` and lies under `dist/`.") };
    let code = "assert charge(order) == charge(order)  # one line of many\n".repeat(260);
    let long = done(&format!("# Every case that is tested now\n\n```python\n{code}```\n\nThese are all."));
    let note = Some("Answered by a scripted model.".to_owned());
    let rolled_back = fall_back_words(&FallBack::RolledBack {
        commit: Some("1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned()),
        detail: "the agent's process ended (it failed with exit status 127)".to_owned(),
    });
    let taken = Timestamp(1_795_354_812_123);
    let continued = |continuation| FinalReply { continuation, ..unchanged.clone() };
    let restored = |told| continued(Continuation::Restored { taken, told });
    let detour = Detour {
        message: done(summary).render().remove(0),
        why: "I am not in its channel any more: `/invite @longshore` there brings me back".to_owned(),
        channel: "C0CHECKOUT".to_owned(),
    };
    let detour = for_one("reply-detour", "The thread takes nothing any more: the final reply goes to its asker.", &detour, Detour::render);
    let mut replies = [
        (
            "reply-pull-request",
            "The work is done, the repository's check passes on it, and its pull request is open.",
            checked(CheckEnd::Exited(0), ""),
        ),
        (
            "reply-check-failed",
            "The check fails on what the agent left, with the last lines that it printed.",
            checked(CheckEnd::Exited(1), failing),
        ),
        (
            "reply-check-too-long",
            "The check was ended at its time limit.",
            checked(CheckEnd::TimedOut(Duration::from_secs(600)), "collecting ..."),
        ),
        ("reply-check-memory", "The check ran out of memory.", checked(CheckEnd::OutOfMemory, "")),
        (
            "reply-check-not-run",
            "The check could not be run.",
            checked(CheckEnd::NotRun("files changed after the work was pushed".to_owned()), ""),
        ),
        (
            "reply-no-check",
            "The repository names no check.",
            FinalReply { verified: Verification::NoCheck, ..with_pull(PullRequestStanding::Draft) },
        ),
        ("reply-merged", "A question about work that was merged meanwhile.", with_pull(PullRequestStanding::Merged)),
        ("reply-closed", "The same where the pull request was closed.", with_pull(PullRequestStanding::Closed)),
        (
            "reply-merged-and-more",
            "The work went on after its pull request was merged.",
            replies_to(PullRequestLink { standing: PullRequestStanding::Merged, covers: Covers::Earlier, ..pull_request.clone() }),
        ),
        (
            "reply-follows",
            "A second pull request, since the first was merged.",
            replies_to(PullRequestLink { number: 15, follows: Some(12), ..pull_request.clone() }),
        ),
        ("reply-state-unknown", "GitHub could not be asked for the pull request's state.", with_pull(PullRequestStanding::Unknown)),
        ("reply-changes", "The work is done; a pull request was not asked for yet.", done(summary)),
        ("reply-unchanged", "A question that needed a sandbox, but no change.", unchanged.clone()),
        ("reply-joined", "A prompt of somebody else joined the turn on the way.", FinalReply { joined: vec![ben()], ..done(summary) }),
        ("reply-no-summary", "The agent ended without a word.", FinalReply { diff: None, ..done("") }),
        (
            "reply-rolled-back",
            "No session could start from the newest image: the turn ran on the one before.",
            FinalReply { note: Some(rolled_back), ..unchanged.clone() },
        ),
        ("reply-note", "In the demo: a remark that a script answered, not a model.", FinalReply { note, ..unchanged.clone() }),
        (
            "reply-restored",
            "The session was asleep, and went on from its snapshot: same files, same conversation.",
            restored(Told::Nothing),
        ),
        (
            "reply-restored-later",
            "The sandbox was lost after the snapshot was taken: the agent was told what it missed.",
            restored(Told::Later),
        ),
        ("reply-restored-told", "The agent did not take its conversation up again: the files are the snapshot's.", restored(Told::All)),
        (
            "reply-snapshot-lost",
            "The snapshot could not be used: the sandbox is a new one.",
            continued(Continuation::SnapshotLost { taken }),
        ),
        ("reply-replaced", "The sandbox was lost before there was any snapshot.", continued(Continuation::Replaced)),
        ("reply-long", "An answer too long for one message goes on in the next; a cut block of code is closed and opened again.", long),
        (
            "reply-asked",
            "The agent asked something in a message of its own and ended its turn; the answer begins the next.",
            FinalReply { diff: None, ..ended(Outcome::Asked { summary: "Both ways are easy; nothing is changed yet.".to_owned() }) },
        ),
        ("reply-failed", "Something went wrong: what, what to do now, and what an operator looks for.", ended(failed)),
        ("reply-stopped", "Somebody stopped the turn.", ended(Outcome::Stopped { by: Some(ben()) })),
        (
            "reply-stopped-unchanged",
            "The turn was stopped before anything was changed.",
            FinalReply { diff: None, ..ended(Outcome::Stopped { by: None }) },
        ),
    ]
    .map(|(name, when, reply)| Example { name, when, from: source(&reply), shape: Shape::Thread(reply.render()) })
    .to_vec();
    replies.push(detour);
    replies
}

pub(in crate::render) fn done(summary: &str) -> FinalReply {
    FinalReply {
        session: session(),
        repo: Some(repo("acme/storefront")),
        asker: ana(),
        joined: Vec::new(),
        outcome: Outcome::Done { summary: summary.to_owned() },
        diff: Some(DiffStat { files: 2, added: 14, removed: 1 }),
        pull_request: None,
        verified: Verification::Nothing,
        spent: Spent { micros: 131_000, unpriced_tokens: 0 },
        session_url: Some("https://longshore.example.com/sessions/s-7k2m9q4dxw?key=k".to_owned()),
        receipt: [("classified", 310), ("sandbox", 40), ("sync", 900), ("first token", 2_140)]
            .map(|(name, ms)| ReceiptPhase { name: name.to_owned(), took: Duration::from_millis(ms) })
            .to_vec(),
        continuation: Continuation::Seamless,
        note: None,
    }
}

pub(super) fn ended(outcome: Outcome) -> FinalReply {
    FinalReply { outcome, receipt: Vec::new(), ..done("") }
}
