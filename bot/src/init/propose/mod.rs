//! From a survey to a draft. Nothing here asks anybody: the same files give the same proposal.

mod about;
mod c;
mod go;
mod hints;
mod java;
mod javascript;
mod python;
mod ruby;
mod rust;
mod services;

pub use services::{Recipe, Service, add_usual};

use super::{draft::Draft, survey::Survey};

/// The best guess from a repository's files.
pub fn propose(survey: &Survey) -> Draft {
    let mut draft = Draft::new(survey.repository.clone(), survey.branch.clone());
    let by_language = about::sources_by_language(survey);
    about::describe(survey, &by_language, &mut draft);
    // In the order of how much there is of each, so that the check begins with what matters most.
    let mut proposers: Vec<(usize, Proposer)> = PROPOSERS
        .iter()
        .map(|(language, proposer)| (by_language.iter().find(|(name, _)| name == language).map_or(0, |(_, count)| *count), *proposer))
        .collect();
    proposers.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let most = proposers.first().map_or(0, |(count, _)| *count);
    for (count, proposer) in proposers {
        // A few files of another language are tooling (documentation, a linter's configuration), which sessions rarely need.
        if count * 10 >= most {
            proposer(survey, &mut draft);
        }
    }
    hints::from_workflows(survey, &mut draft);
    services::find(survey, &mut draft);
    if draft.check.is_empty() {
        c::propose(survey, &mut draft);
    }
    let variables = services::variables(survey, &draft);
    if !variables.is_empty() {
        for line in &mut draft.check {
            line.command = format!("export {} && {}", variables.join(" "), line.command);
        }
    }
    if draft.check.is_empty() {
        draft.note(
            "No way to test this repository was found. Give `image.check` a command that says whether the work is sound: without one, nothing that a session does is verified.",
        );
    }
    draft
}

type Proposer = fn(&Survey, &mut Draft);

const PROPOSERS: [(&str, Proposer); 6] = [
    ("Python", python::propose),
    ("JavaScript", javascript::propose),
    ("Rust", rust::propose),
    ("Go", go::propose),
    ("Ruby", ruby::propose),
    ("Java", java::propose),
];

#[cfg(test)]
mod tests;
