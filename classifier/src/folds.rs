//! How the words do on requests that their weights were not fitted to.

use longshore_session::{RepoName, RepositoryProfile};

use crate::{
    Config, Query,
    classifier::TIE,
    evaluate::{Labelled, Outcome},
    explicit,
    lexical::{LexicalRanker, Weights},
    small_talk,
};

/// The outcomes of all lines, each by weights and a threshold that were fitted to the other folds' lines. Line `i` is of fold `i % folds`.
///
/// Weights are chosen from a small grid by the mean reciprocal rank of the right repository, the threshold by the harmonic mean of precision and recall of
/// "unknown".
pub(crate) fn held_out(lines: &[Labelled], profiles: &[RepositoryProfile], folds: usize) -> Vec<Outcome> {
    let trials: Vec<Vec<Trial>> = grid().into_iter().map(|weights| try_all(lines, profiles, weights)).collect();
    let mut outcomes = Vec::with_capacity(lines.len());
    for fold in 0..folds {
        let seen = |index: usize| index % folds != fold;
        let best = trials
            .iter()
            .map(|trials| mean_reciprocal_rank(trials, seen))
            .enumerate()
            .fold((0, f64::MIN), |best, (index, value)| if value > best.1 { (index, value) } else { best });
        let trials = &trials[best.0];
        let threshold = best_threshold(trials, seen);
        outcomes.extend(trials.iter().enumerate().filter(|(index, _)| !seen(*index)).map(|(_, trial)| trial.outcome(threshold)));
    }
    outcomes
}

/// The weights that the data had a say in, with the chosen ones first so that they win where others are only as good.
fn grid() -> Vec<Weights> {
    let mut grid = vec![Weights::CHOSEN];
    for keywords in [1.0, 2.0, 3.0] {
        for ecosystem in [0.25, 0.5, 1.0] {
            for context in [0.25, 0.5, 1.0] {
                for name in [1.0, 2.0, 4.0] {
                    grid.push(Weights { keywords, ecosystem, context, name, ..Weights::CHOSEN });
                }
            }
        }
    }
    grid
}

struct Trial {
    expected: Option<RepoName>,
    rank: Option<usize>,
    best: Option<RepoName>,
    /// Below the threshold the line is called unknown; infinite where the message names the repository.
    familiarity: f64,
}

impl Trial {
    fn outcome(&self, threshold: f64) -> Outcome {
        let chosen = if self.familiarity >= threshold { self.best.clone() } else { None };
        Outcome { expected: self.expected.clone(), chosen, rank: self.rank }
    }
}

fn try_all(lines: &[Labelled], profiles: &[RepositoryProfile], weights: Weights) -> Vec<Trial> {
    let ranker = LexicalRanker::with_weights(profiles, weights);
    lines.iter().map(|line| try_one(line, profiles, &ranker)).collect()
}

fn try_one(line: &Labelled, profiles: &[RepositoryProfile], ranker: &LexicalRanker) -> Trial {
    let thread = line.request.thread.join("\n");
    let ranking = ranker.rank(&Query { message: &line.request.message, context: &thread, channel: line.request.channel.as_deref() });
    let mut order: Vec<RepoName> = ranking.candidates.iter().map(|candidate| candidate.repo.clone()).collect();
    let tie = ranking.candidates.len() > 1 && ranking.candidates[0].score - ranking.candidates[1].score < TIE;
    let mut familiarity = if tie || small_talk::needs_no_repository(&line.request) { f64::NEG_INFINITY } else { ranking.familiarity };
    if let Some(named) = explicit::named_repository(&line.request.message, profiles) {
        order.retain(|repo| *repo != named);
        order.insert(0, named);
        familiarity = f64::INFINITY;
    }
    let rank = line.expected.as_ref().and_then(|expected| order.iter().position(|repo| repo == expected));
    Trial { expected: line.expected.clone(), rank, best: order.into_iter().next(), familiarity }
}

fn mean_reciprocal_rank(trials: &[Trial], seen: impl Fn(usize) -> bool) -> f64 {
    let ranks = trials.iter().enumerate().filter(|(index, trial)| seen(*index) && trial.expected.is_some()).map(|(_, trial)| trial.rank);
    let values: Vec<f64> = ranks.map(|rank| rank.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0))).collect();
    values.iter().sum::<f64>() / (values.len() as f64).max(1.0)
}

/// The middle of the best thresholds, so that it does not hang on the edge of one line; the service's own where no line is unknown.
fn best_threshold(trials: &[Trial], seen: impl Fn(usize) -> bool) -> f64 {
    let balance = |threshold: f64| {
        let seen = || trials.iter().enumerate().filter(|(index, _)| seen(*index)).map(|(_, trial)| trial);
        let both = seen().filter(|trial| trial.expected.is_none() && trial.familiarity < threshold).count();
        let either = seen().filter(|trial| trial.expected.is_none()).count() + seen().filter(|trial| trial.familiarity < threshold).count();
        2.0 * both as f64 / (either as f64).max(1.0)
    };
    let tried: Vec<(f64, f64)> =
        (30..=90).map(|percent| f64::from(percent) / 100.0).map(|threshold| (threshold, balance(threshold))).collect();
    let most = tried.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if most == 0.0 {
        return Config::default().familiarity_threshold;
    }
    let best: Vec<f64> = tried.into_iter().filter(|(_, value)| *value >= most).map(|(threshold, _)| threshold).collect();
    best[best.len() / 2]
}
