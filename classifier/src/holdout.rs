//! How much learning helps: some lines are learnt from, the others are judged.

use std::fmt;

use longshore_session::RepositoryProfile;
use serde_json::{Value, json};

use crate::{
    Classifier, Config, Correction, Request,
    evaluate::{Figures, Labelled, Outcome, figures, outcome},
};

/// A figure over several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// Standard deviation between the rounds.
    pub deviation: f64,
}

/// Figures over random halves of the lines, the other half learnt from or not. A figure that some round does not have is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Holdout {
    pub rounds: usize,
    /// Each judged without having learnt from the other half.
    pub before: Vec<Figures>,
    /// The same lines, having learnt from it.
    pub after: Vec<Figures>,
}

type Figure = fn(&Figures) -> Option<f64>;

const FIGURES: [(&str, &str, Figure); 4] = [
    ("top1", "top-1 accuracy", |figures| figures.top1),
    ("top3", "top-3 recall", |figures| figures.top3),
    ("unknown_precision", "unknown precision", |figures| figures.unknown_precision),
    ("unknown_recall", "unknown recall", |figures| figures.unknown_recall),
];

impl Holdout {
    /// One figure before and after learning, by its name in `--json`.
    pub fn figure(&self, name: &str) -> Option<(Spread, Spread)> {
        let (_, _, figure) = FIGURES.iter().find(|(key, _, _)| *key == name)?;
        Some((spread(&self.before, *figure)?, spread(&self.after, *figure)?))
    }

    pub(crate) fn to_json(&self) -> Value {
        let rounded = |value: f64| (value * 10_000.0).round() / 10_000.0;
        let mut json = json!({ "rounds": self.rounds });
        for (name, _, _) in FIGURES {
            json[name] = self.figure(name).map_or(Value::Null, |(before, after)| {
                json!({ "before": rounded(before.mean), "after": rounded(after.mean), "deviation": rounded(after.deviation) })
            });
        }
        json
    }
}

impl fmt::Display for Holdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nHalf of the lines judged, before and after learning from the other half ({} random halves)\n", self.rounds)?;
        for (name, shown, _) in FIGURES {
            match self.figure(name) {
                Some((before, after)) => writeln!(f, "  {shown:<18} {:.3} → {:.3} (± {:.3})", before.mean, after.mean, after.deviation)?,
                None => writeln!(f, "  {shown:<18}    –")?,
            }
        }
        Ok(())
    }
}

fn spread(rounds: &[Figures], figure: Figure) -> Option<Spread> {
    let values: Vec<f64> = rounds.iter().map(figure).collect::<Option<_>>()?;
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (count > 0.0).then(|| Spread { mean, deviation: square.sqrt() })
}

/// A labelled line as if somebody had picked its repository for it.
pub(crate) fn as_picked(line: &Labelled) -> Correction {
    let parts = std::iter::once(&line.request.message).chain(&line.request.thread);
    Correction { text: parts.map(String::as_str).collect::<Vec<_>>().join("\n"), repo: line.expected.clone() }
}

/// Judges random halves, each before and after learning from the other. The same halves for the same number of lines.
pub(crate) async fn halves(lines: &[Labelled], profiles: &[RepositoryProfile], rounds: usize) -> Holdout {
    let all: Vec<usize> = (0..lines.len()).collect();
    let before = judged(lines, profiles, &[], &all).await;
    let mut holdout = Holdout { rounds, before: Vec::new(), after: Vec::new() };
    for round in 0..rounds {
        let order = shuffled(lines.len(), round as u64);
        let (learnt, judge) = order.split_at(lines.len() / 2);
        let half: Vec<Outcome> = judge.iter().map(|&index| before[index].clone()).collect();
        holdout.before.push(figures(&half));
        holdout.after.push(figures(&judged(lines, profiles, learnt, judge).await));
    }
    holdout
}

/// All lines, each judged having learnt from the other folds' lines. Line `i` is of fold `i % folds`.
pub(crate) async fn folds(lines: &[Labelled], profiles: &[RepositoryProfile], folds: usize) -> Figures {
    let mut outcomes = Vec::with_capacity(lines.len());
    for fold in 0..folds {
        let (judge, learnt): (Vec<usize>, Vec<usize>) = (0..lines.len()).partition(|index| index % folds == fold);
        outcomes.extend(judged(lines, profiles, &learnt, &judge).await);
    }
    figures(&outcomes)
}

async fn judged(lines: &[Labelled], profiles: &[RepositoryProfile], learnt: &[usize], judge: &[usize]) -> Vec<Outcome> {
    let classifier = Classifier::new(Config::default());
    let corrections: Vec<Correction> = learnt.iter().map(|&index| as_picked(&lines[index])).collect();
    let mut outcomes = Vec::with_capacity(judge.len());
    for &index in judge {
        let line = &lines[index];
        let request = Request { corrections: corrections.clone(), ..line.request.clone() };
        outcomes.push(outcome(line.expected.clone(), classifier.classify(&request, profiles).await));
    }
    outcomes
}

/// A random order that depends on the round alone (Fisher and Yates, with SplitMix64).
fn shuffled(count: usize, round: u64) -> Vec<usize> {
    let mut state = round;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, (next() % (last as u64 + 1)) as usize);
    }
    order
}
