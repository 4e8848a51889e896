//! The question which repository a prompt is about, and what becomes of it.

use super::{Example, ana, ben, prompt, repo, thread};
use crate::render::{Candidate, PickerDone, RepositoryPicker};

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
        ]
        .map(|(name, when, done)| thread(name, when, &done, PickerDone::render)),
    );
    list
}
