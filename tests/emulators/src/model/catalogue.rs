//! The defect catalogue of the sample repositories: all that the scripted model "knows".

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::words::{Weights, words};

/// Below this, a message is not taken for a report of that defect.
const RECOGNISED: f64 = 0.5;

/// The sample repositories and their defects, as in `tests/samples/defects.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// By `owner/name`.
    pub repositories: BTreeMap<String, SampleRepository>,
    pub defects: Vec<Defect>,
    #[serde(skip)]
    weights: Weights,
}

/// One sample repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRepository {
    /// Folder under `tests/samples`, and the stem of its manifest's file name.
    pub folder: String,
    /// The program that runs its tests.
    pub interpreter: String,
}

/// One real defect of a sample.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defect {
    pub id: String,
    /// `owner/name`.
    pub repository: String,
    /// Imperative, fit for a commit's subject.
    pub title: String,
    /// How people report it, each on its own sufficient.
    pub wordings: Vec<String>,
    /// Path within the repository.
    pub file: String,
    /// Stands exactly once in `file` on the base branch.
    pub before: String,
    pub after: String,
    /// Shell line for the repository's root: fails before the mending, passes after it.
    pub test_command: String,
    /// One sentence: what was wrong and what is done about it.
    pub explanation: String,
    pub follow_up: FollowUp,
}

/// What somebody asks next in the thread.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowUp {
    pub wordings: Vec<String>,
    /// In order, on top of the mended defect.
    pub edits: Vec<FileEdit>,
    /// Shell line: fails before the edits, passes after them.
    pub check: String,
    pub explanation: String,
}

/// One change of one file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum FileEdit {
    /// `before` stands exactly once in `file`.
    Replace { file: String, before: String, after: String },
    /// `file` is not there yet.
    Create { file: String, content: String },
}

impl FileEdit {
    /// Path within the repository.
    pub fn file(&self) -> &str {
        match self {
            Self::Replace { file, .. } | Self::Create { file, .. } => file,
        }
    }

    /// Makes the change in a checkout. Errors when the code is not as described.
    pub fn apply(&self, checkout: &Path) -> std::io::Result<()> {
        let path = checkout.join(self.file());
        match self {
            Self::Create { content, .. } => std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)
                .and_then(|mut f| std::io::Write::write_all(&mut f, content.as_bytes())),
            Self::Replace { before, after, .. } => {
                let text = std::fs::read_to_string(&path)?;
                let found = text.matches(before.as_str()).count();
                if found != 1 {
                    let message = format!("{}: the code to replace stands there {found} times, not once", self.file());
                    return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
                }
                std::fs::write(&path, text.replace(before.as_str(), after))
            }
        }
    }
}

/// Why a catalogue could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the defect catalogue is not valid: {0}")]
    Invalid(#[from] toml::de::Error),
    #[error("defect {id}: there is no repository {repository} in the catalogue")]
    UnknownRepository { id: String, repository: String },
}

impl Catalogue {
    /// The catalogue of `tests/samples`, as it was when this was compiled.
    pub fn bundled() -> Result<Self, CatalogueError> {
        Self::parse(include_str!("../../../samples/defects.toml"))
    }

    /// Knows nothing: every request is answered with what the model does not know.
    pub fn empty() -> Self {
        Self { repositories: BTreeMap::new(), defects: Vec::new(), weights: Weights::default() }
    }

    pub fn read(path: &Path) -> Result<Self, CatalogueError> {
        let text = std::fs::read_to_string(path).map_err(|source| CatalogueError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let mut catalogue: Self = toml::from_str(text)?;
        for defect in &catalogue.defects {
            if !catalogue.repositories.contains_key(&defect.repository) {
                return Err(CatalogueError::UnknownRepository { id: defect.id.clone(), repository: defect.repository.clone() });
            }
        }
        catalogue.weights =
            Weights::of(catalogue.defects.iter().flat_map(|defect| defect.wordings.iter().chain(&defect.follow_up.wordings)));
        Ok(catalogue)
    }

    pub fn defect(&self, id: &str) -> Option<&Defect> {
        self.defects.iter().find(|defect| defect.id == id)
    }

    /// How well a message reads as a report of that defect: 1 is one of its wordings, whatever else the message says.
    pub(super) fn report_score(&self, message: &str, defect: &Defect) -> f64 {
        self.score(message, &defect.wordings, &[&defect.title, &defect.explanation])
    }

    pub(super) fn follow_up_score(&self, message: &str, defect: &Defect) -> f64 {
        self.score(message, &defect.follow_up.wordings, &[])
    }

    fn score(&self, message: &str, wordings: &[String], more: &[&String]) -> f64 {
        let said = words(message);
        // A longer message may hold a wording whole; a freely worded one is made mostly of words that belong to the defect.
        let holds_wording = wordings.iter().map(|wording| {
            let wanted = words(wording);
            let common = wanted.intersection(&said).count();
            if common < wanted.len().min(2) { 0.0 } else { self.weights.share(&wanted, &said) }
        });
        let vocabulary = wordings.iter().chain(more.iter().copied()).flat_map(|text| words(text)).collect();
        let belongs = if said.intersection(&vocabulary).count() < 3 { 0.0 } else { 0.95 * self.weights.share(&said, &vocabulary) };
        holds_wording.fold(belongs, f64::max)
    }

    /// The best of those that `among` lets through, where there is one that the message is recognisably about.
    pub(super) fn reported(&self, message: &str, among: impl Fn(&Defect) -> bool) -> Option<(&Defect, f64)> {
        self.best(among, |defect| self.report_score(message, defect))
    }

    pub(super) fn followed_up(&self, message: &str, among: impl Fn(&Defect) -> bool) -> Option<(&Defect, f64)> {
        self.best(among, |defect| self.follow_up_score(message, defect))
    }

    fn best(&self, among: impl Fn(&Defect) -> bool, score: impl Fn(&Defect) -> f64) -> Option<(&Defect, f64)> {
        let scored = self.defects.iter().filter(|defect| among(defect)).map(|defect| (defect, score(defect)));
        // The first of equals, so that the answer does not depend on the order of evaluation.
        let best = scored.fold(None, |best: Option<(&Defect, f64)>, next| match best {
            Some(best) if best.1 >= next.1 => Some(best),
            _ => Some(next),
        });
        best.filter(|(_, score)| *score >= RECOGNISED)
    }
}
