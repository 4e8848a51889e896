//! The question which repository a prompt is about, and what becomes of it.

use super::{Example, Shape, ana, ben, prompt, repo, session, source, thread};
use crate::render::{Candidate, Leftover, MovedNotice, PickerDone, RepositoryPicker, WrongRepository};

pub(super) fn all() -> Vec<Example> {
    let candidate = |name, reason: &str| Candidate { repo: repo(name), reason: reason.to_owned() };
    let picker = RepositoryPicker {
        prompt: prompt(),
        asker: ana(),
        asked: "the totals are <wrong> & late".to_owned(),
        candidates: vec![candidate("acme/storefront", "it computes totals"), candidate("acme/courier", "the channel is mostly about it")],
        others: ["acme/dashboard", "acme/website"].map(repo).to_vec(),
    };
    let unsure = RepositoryPicker { candidates: Vec::new(), ..picker.clone() };
    let many = RepositoryPicker { others: (0..250).map(|n| repo(&format!("acme/service-{n:03}"))).collect(), ..unsure.clone() };
    let mut list = vec![
        thread("picker", "Routing is unsure: the likeliest with their reasons, and a list of the rest.", &picker, RepositoryPicker::render),
        thread("picker-no-candidate", "Routing has no idea at all.", &unsure, RepositoryPicker::render),
        thread("picker-many", "The same with more repositories than one list of Slack's holds.", &many, RepositoryPicker::render),
    ];
    list.extend(
        [
            ("picker-picked", "Somebody picked.", PickerDone::Picked { repo: repo("acme/courier"), by: ben() }),
            ("picker-withdrawn", "The prompt was withdrawn.", PickerDone::Withdrawn { by: ana() }),
            ("picker-expired", "Nobody answered in time.", PickerDone::Expired),
            ("picker-closed", "In the place of a picker whose prompt is over.", PickerDone::Closed),
        ]
        .map(|(name, when, done)| thread(name, when, &done, PickerDone::render)),
    );
    list.extend(wrong_repository());
    list
}

fn wrong_repository() -> Vec<Example> {
    let candidate = |name, reason: &str| Candidate { repo: repo(name), reason: reason.to_owned() };
    let question = WrongRepository {
        session: session(),
        repo: repo("acme/storefront"),
        by: ben(),
        asked: "the totals are <wrong> & late".to_owned(),
        candidates: vec![candidate("acme/courier", "mentions totals")],
        others: ["acme/courier", "acme/dashboard", "acme/storefront", "acme/website"].map(repo).to_vec(),
    };
    let modal = Example {
        name: "wrong-repository",
        when: "Somebody pressed Wrong repository.",
        from: source(&question),
        shape: Shape::Modal(question.modal()),
    };
    let late = "The same, where Slack would open no window any more.";
    let moved = MovedNotice { from: repo("acme/storefront"), to: repo("acme/courier"), by: ben() };
    let mut list = vec![
        modal,
        thread("wrong-repository-in-thread", late, &question, WrongRepository::message),
        thread("moved", "The prompt went to another repository: the last word on it in the first one.", &moved, MovedNotice::render),
    ];
    let (url, branch) = ("https://github.com/acme/storefront/pull/3".to_owned(), "longshore/s-7k2m9q4dxw".to_owned());
    let here = || repo("acme/storefront");
    list.extend(
        [
            (
                "leftover-closed",
                "The pull request in the wrong repository is closed.",
                Leftover::PullRequestClosed { repo: here(), number: 3, url: url.clone() },
            ),
            ("leftover-kept", "People have said something there.", Leftover::PullRequestKept { repo: here(), number: 3, url }),
            ("leftover-branch", "Others may have pushed to the branch.", Leftover::BranchKept { repo: here(), branch: branch.clone() }),
            ("leftover-not-looked-at", "GitHub did not answer.", Leftover::NotLookedAt { repo: here(), branch }),
        ]
        .map(|(name, when, leftover)| thread(name, when, &leftover, Leftover::render)),
    );
    list
}
