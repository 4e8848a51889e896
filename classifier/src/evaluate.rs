//! Measures routing over labelled requests: what `longshore classify` prints.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use longshore_session::{ManifestError, RepoName, RepositoryManifest, RepositoryProfile};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Classifier, Config, Correction, DecidedBy, Decision, Holdout, Request, Verdict, folds, holdout};

/// How many requests a model is asked about at the same time.
const AT_ONCE: usize = 8;

/// Which part of a labelled line is taken as the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Field {
    Title,
    /// The title as the message, the body as what stands around it.
    #[default]
    TitleAndBody,
}

impl std::str::FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "title" => Ok(Self::Title),
            "title+body" => Ok(Self::TitleAndBody),
            other => Err(format!("`{other}` is no field: take `title` or `title+body`")),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Title => "title",
            Self::TitleAndBody => "title+body",
        })
    }
}

#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// A folder of TOML manifests, one such manifest, or a JSONL file with one profile a line.
    pub manifests: PathBuf,
    /// JSONL: `repo` (a repository, or `unknown`), `title`, `body`.
    pub data: PathBuf,
    pub field: Field,
    /// Without a model: offline.
    pub classifier: Config,
    /// Also report what is fitted over so many folds (at least 2), each judged by what the others gave. Offline only.
    pub folds: Option<usize>,
    /// Labelled lines as in `data`, learnt from first as if people had picked their repositories.
    pub learn: Option<PathBuf>,
    /// Also report over so many random halves of the data, before and after learning from the other half. Offline only.
    pub holdout: Option<usize>,
}

/// Each message names the file, the line and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}: {message}", path.display())]
    Line { path: PathBuf, line: usize, message: String },
    #[error("{}: there is nothing in it, expected {expected}", path.display())]
    Empty { path: PathBuf, expected: &'static str },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(
        "folds tell how the words' fitted weights do on lines they have not seen: give at least 2, no more than there are lines, and no model (offline)"
    )]
    Folds,
    #[error("halves tell how much learning helps the words: give at least 1, at least two lines, and no model (offline)")]
    Holdout,
    #[error("a request's classification ended early: {0}")]
    Interrupted(String),
}

/// What `--json` prints. A figure over nothing (such as precision where nothing was called unknown) is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Of the lines with a known repository: how many have it as the first candidate, whatever the threshold says.
    pub top1: Option<f64>,
    /// The same, among the first three.
    pub top3: Option<f64>,
    /// Of the lines that the classifier called unknown (no repository chosen): how many are.
    pub unknown_precision: Option<f64>,
    /// Of the lines that are unknown: how many were called so.
    pub unknown_recall: Option<f64>,
    /// All lines.
    pub n: usize,
    /// Those with a known repository.
    pub n_known: usize,
}

/// Figures over lines that the fitted values have not seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Folds {
    pub folds: usize,
    pub figures: Figures,
    /// The weights as shipped, having learnt from the other folds as if people had picked.
    pub learned: Figures,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub field: Field,
    pub figures: Figures,
    pub folds: Option<Folds>,
    pub holdout: Option<Holdout>,
    /// Lines learnt from first.
    pub learned: usize,
    /// Lines of the data that were also learnt from: they say nothing about others.
    pub seen: usize,
    /// (expected, chosen) and how often; none is unknown.
    confusion: BTreeMap<(Option<RepoName>, Option<RepoName>), usize>,
    decided_by: BTreeMap<&'static str, usize>,
    /// Labels that no manifest has; their lines count as unknown.
    unlisted: BTreeSet<String>,
}

/// One labelled request.
#[derive(Debug, Clone)]
pub(crate) struct Labelled {
    pub(crate) request: Request,
    /// None: unknown.
    pub(crate) expected: Option<RepoName>,
}

/// What became of one labelled request.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) expected: Option<RepoName>,
    pub(crate) chosen: Option<RepoName>,
    /// Rank of the expected repository, from 0.
    pub(crate) rank: Option<usize>,
}

/// Reads manifests and data, classifies each line and counts.
pub async fn evaluate(options: EvaluateOptions) -> Result<Report, EvaluateError> {
    let profiles: Arc<[RepositoryProfile]> = read_profiles(&options.manifests)?.into();
    let (mut lines, mut unlisted) = read_lines(&options.data, options.field, &profiles)?;
    let folds = match options.folds {
        Some(folds) if folds < 2 || folds > lines.len() || options.classifier.model.is_some() => return Err(EvaluateError::Folds),
        Some(folds) => {
            let figures = figures(&folds::held_out(&lines, &profiles, folds));
            Some(Folds { folds, figures, learned: holdout::folds(&lines, &profiles, folds).await })
        }
        None => None,
    };
    let holdout = match options.holdout {
        Some(rounds) if rounds == 0 || lines.len() < 2 || options.classifier.model.is_some() => return Err(EvaluateError::Holdout),
        Some(rounds) => Some(holdout::halves(&lines, &profiles, rounds).await),
        None => None,
    };
    let corrections: Vec<Correction> = match &options.learn {
        Some(path) => {
            let (learnt, others) = read_lines(path, options.field, &profiles)?;
            unlisted.extend(others);
            learnt.iter().map(holdout::as_picked).collect()
        }
        None => Vec::new(),
    };
    let texts: HashSet<&str> = corrections.iter().map(|correction| correction.text.as_str()).collect();
    let seen = lines.iter().filter(|line| texts.contains(holdout::as_picked(line).text.as_str())).count();
    let learned = corrections.len();
    for line in &mut lines {
        line.request.corrections.clone_from(&corrections);
    }
    let classifier = Arc::new(Classifier::new(options.classifier));
    let mut running: JoinSet<(usize, Decision)> = JoinSet::new();
    let mut decisions: BTreeMap<usize, Decision> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        if running.len() >= AT_ONCE {
            collect(&mut running, &mut decisions).await?;
        }
        let (classifier, profiles, request) = (classifier.clone(), profiles.clone(), line.request.clone());
        running.spawn(async move { (index, classifier.classify(&request, &profiles).await) });
    }
    while !running.is_empty() {
        collect(&mut running, &mut decisions).await?;
    }
    let mut outcomes = Vec::with_capacity(lines.len());
    let mut confusion = BTreeMap::new();
    let mut decided_by = BTreeMap::new();
    for (line, decision) in lines.into_iter().zip(decisions.into_values()) {
        *decided_by.entry(decider(decision.decided_by)).or_insert(0) += 1;
        let outcome = outcome(line.expected, decision);
        *confusion.entry((outcome.expected.clone(), outcome.chosen.clone())).or_insert(0) += 1;
        outcomes.push(outcome);
    }
    Ok(Report { field: options.field, figures: figures(&outcomes), folds, holdout, learned, seen, confusion, decided_by, unlisted })
}

async fn collect(running: &mut JoinSet<(usize, Decision)>, decisions: &mut BTreeMap<usize, Decision>) -> Result<(), EvaluateError> {
    match running.join_next().await {
        Some(Ok((index, decision))) => {
            decisions.insert(index, decision);
            Ok(())
        }
        Some(Err(error)) => Err(EvaluateError::Interrupted(error.to_string())),
        None => Ok(()),
    }
}

fn decider(decided_by: DecidedBy) -> &'static str {
    match decided_by {
        DecidedBy::Explicit => "explicit",
        DecidedBy::Rule => "rule",
        DecidedBy::ChannelDefault => "channel default",
        DecidedBy::Model => "model",
        DecidedBy::Lexical { .. } => "lexical",
    }
}

pub(crate) fn outcome(expected: Option<RepoName>, decision: Decision) -> Outcome {
    let rank = expected.as_ref().and_then(|repo| decision.candidates.iter().position(|candidate| candidate.repo == *repo));
    let chosen = match decision.verdict {
        Verdict::Repository { repo, .. } => Some(repo),
        Verdict::Unknown | Verdict::NoRepositoryNeeded => None,
    };
    Outcome { expected, chosen, rank }
}

pub(crate) fn figures(outcomes: &[Outcome]) -> Figures {
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let count = |test: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| test(outcome)).count();
    let n_known = count(&|outcome| outcome.expected.is_some());
    let both = count(&|outcome| outcome.expected.is_none() && outcome.chosen.is_none());
    Figures {
        top1: share(count(&|outcome| outcome.rank == Some(0)), n_known),
        top3: share(count(&|outcome| outcome.rank.is_some_and(|rank| rank < 3)), n_known),
        unknown_precision: share(both, count(&|outcome| outcome.chosen.is_none())),
        unknown_recall: share(both, outcomes.len() - n_known),
        n: outcomes.len(),
        n_known,
    }
}

fn read(path: &Path) -> Result<String, EvaluateError> {
    std::fs::read_to_string(path).map_err(|source| EvaluateError::Unreadable { path: path.to_owned(), source })
}

pub(crate) fn read_profiles(path: &Path) -> Result<Vec<RepositoryProfile>, EvaluateError> {
    if path.is_dir() {
        return Ok(RepositoryManifest::read_folder(path)?.into_values().map(|manifest| manifest.profile(Vec::new())).collect());
    }
    let text = read(path)?;
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(vec![RepositoryManifest::parse(path, &text)?.profile(Vec::new())]);
    }
    let mut profiles: Vec<RepositoryProfile> = Vec::new();
    for (line, profile) in json_lines::<RepositoryProfile>(path, &text)? {
        if profiles.iter().any(|other| other.repo == profile.repo) {
            let message = format!("{} is described a second time: keep one of the lines", profile.repo);
            return Err(EvaluateError::Line { path: path.to_owned(), line, message });
        }
        profiles.push(profile);
    }
    if profiles.is_empty() {
        return Err(EvaluateError::Empty { path: path.to_owned(), expected: "one repository a line" });
    }
    Ok(profiles)
}

#[derive(Deserialize)]
struct DataLine {
    repo: String,
    title: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    channel: Option<String>,
}

type Lines = (Vec<Labelled>, BTreeSet<String>);

fn read_lines(path: &Path, field: Field, profiles: &[RepositoryProfile]) -> Result<Lines, EvaluateError> {
    let text = read(path)?;
    let mut lines = Vec::new();
    let mut unlisted = BTreeSet::new();
    for (_, line) in json_lines::<DataLine>(path, &text)? {
        let expected = profiles.iter().map(|profile| &profile.repo).find(|repo| repo.as_str().eq_ignore_ascii_case(&line.repo)).cloned();
        if expected.is_none() && line.repo != "unknown" {
            unlisted.insert(line.repo);
        }
        let thread = match field {
            Field::Title => Vec::new(),
            Field::TitleAndBody => line.body.into_iter().collect(),
        };
        let request = Request { message: line.title, thread, channel: line.channel, corrections: Vec::new() };
        lines.push(Labelled { request, expected });
    }
    if lines.is_empty() {
        return Err(EvaluateError::Empty { path: path.to_owned(), expected: "one labelled request a line" });
    }
    Ok((lines, unlisted))
}

/// The documents of a JSONL file with their line numbers, from 1. Empty lines are skipped.
fn json_lines<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<Vec<(usize, T)>, EvaluateError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let parsed = serde_json::from_str(line.trim_start_matches('\u{feff}'));
            let parsed = parsed.map_err(|error| EvaluateError::Line { path: path.to_owned(), line: index + 1, message: error.to_string() });
            Ok((index + 1, parsed?))
        })
        .collect()
}

impl Report {
    /// `{"top1":…,"top3":…,"unknown_precision":…,"unknown_recall":…,"n":…}` and what belongs to it.
    pub fn to_json(&self) -> Value {
        let mut json = self.figures.to_json();
        json["field"] = json!(self.field.to_string());
        if let Some(folds) = &self.folds {
            json["folds"] = folds.figures.to_json();
            json["folds"]["folds"] = json!(folds.folds);
            json["folds"]["learned"] = folds.learned.to_json();
        }
        if let Some(holdout) = &self.holdout {
            json["holdout"] = holdout.to_json();
        }
        if self.learned > 0 {
            json["learned"] = json!(self.learned);
            json["seen"] = json!(self.seen);
        }
        json
    }
}

impl Figures {
    fn to_json(self) -> Value {
        let rounded = |share: Option<f64>| share.map(|share| (share * 10_000.0).round() / 10_000.0);
        json!({
            "top1": rounded(self.top1),
            "top3": rounded(self.top3),
            "unknown_precision": rounded(self.unknown_precision),
            "unknown_recall": rounded(self.unknown_recall),
            "n": self.n,
            "n_known": self.n_known,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |share: Option<f64>| share.map_or("   –".to_owned(), |share| format!("{share:.2}"));
        writeln!(f, "  top-1 accuracy     {}  of {} lines with a known repository", shown(self.top1), self.n_known)?;
        writeln!(f, "  top-3 recall       {}", shown(self.top3))?;
        writeln!(f, "  unknown precision  {}  of all {} lines", shown(self.unknown_precision), self.n)?;
        writeln!(f, "  unknown recall     {}", shown(self.unknown_recall))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deciders: Vec<String> = self.decided_by.iter().map(|(who, count)| format!("{who} {count}")).collect();
        writeln!(f, "Routing by {} (decided by: {})\n", self.field, deciders.join(", "))?;
        write!(f, "{}", self.figures)?;
        if self.learned > 0 {
            writeln!(f, "\n  learnt from {} labelled lines first", self.learned)?;
        }
        if self.seen > 0 {
            writeln!(f, "  {} lines of the data are among them: what they show holds for no others", self.seen)?;
        }
        if let Some(folds) = &self.folds {
            writeln!(f, "\nFitted anew in {} folds, each judged on lines it has not seen\n", folds.folds)?;
            write!(f, "{}", folds.figures)?;
            writeln!(f, "\nAs shipped, having learnt from the other folds\n")?;
            write!(f, "{}", folds.learned)?;
        }
        if let Some(holdout) = &self.holdout {
            write!(f, "{holdout}")?;
        }
        for repo in &self.unlisted {
            writeln!(f, "\n  {repo} has no manifest here: its lines count as unknown")?;
        }
        self.write_confusion(f)
    }
}

impl Report {
    /// A row for what was expected, a column for what was chosen.
    fn write_confusion(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&Option<RepoName>> = self.confusion.keys().flat_map(|(expected, chosen)| [expected, chosen]).collect();
        // Unknown comes last.
        names.sort_by_key(|name| (name.is_none(), name.as_ref()));
        names.dedup();
        let shown = |name: &Option<RepoName>| name.as_ref().map_or("unknown".to_owned(), RepoName::to_string);
        let width = names.iter().map(|name| shown(name).chars().count()).max().unwrap_or(0);
        writeln!(f, "\nExpected (rows) and chosen (columns, by the rows' numbers)\n")?;
        write!(f, "  {:>3} {:width$} ", "", "")?;
        for column in 1..=names.len() {
            write!(f, "{column:>4}")?;
        }
        writeln!(f)?;
        for (row, expected) in names.iter().enumerate() {
            write!(f, "  {:>3} {:width$} ", row + 1, shown(expected))?;
            for chosen in &names {
                match self.confusion.get(&((*expected).clone(), (*chosen).clone())) {
                    Some(count) => write!(f, "{count:>4}")?,
                    None => write!(f, "{:>4}", "·")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
