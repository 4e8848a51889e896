#![doc = include_str!("../README.md")]

mod classifier;
mod evaluate;
mod explicit;
mod features;
mod folds;
mod holdout;
mod knowledge;
mod learn;
mod lessons;
mod lexical;
mod model;
mod rules;
mod small_talk;
#[cfg(test)]
mod testing;
mod words;

pub use classifier::{Classifier, Config, Correction, DecidedBy, Decision, ModelConfig, Request, Verdict, WhyLexical};
pub use evaluate::{EvaluateError, EvaluateOptions, Field, Figures, Folds, Report, evaluate};
pub use explicit::{Addressed, Named, named_in_thread, names_outright, unknown_repository};
pub use holdout::{Holdout, Spread};
pub use learn::{Learned, Learner};
pub use lessons::{LearntRepository, LearntRequest, Lessons, lessons};
pub use lexical::{Candidate, LexicalRanker, Query, Ranking};
pub use rules::RoutingRules;
