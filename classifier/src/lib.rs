#![doc = include_str!("../README.md")]

mod classifier;
mod evaluate;
mod explicit;
mod folds;
mod knowledge;
mod lexical;
mod model;
mod small_talk;
#[cfg(test)]
mod testing;
mod words;

pub use classifier::{Classifier, Config, Correction, DecidedBy, Decision, ModelConfig, Request, Verdict, WhyLexical};
pub use evaluate::{EvaluateError, EvaluateOptions, Field, Figures, Folds, Report, evaluate};
pub use lexical::{Candidate, LexicalRanker, Query, Ranking};
