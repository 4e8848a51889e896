//! What the figures should come to, on two processors.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{figure::Name, report::Measured};

/// A bound on one number of a figure.
#[derive(Debug, Clone, Copy)]
struct Aim {
    figure: Name,
    bound: Bound,
    most: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    P50,
    P99,
    Max,
    /// p50 over the floor's p50.
    Ratio,
}

const AIMS: [Aim; 8] = [
    Aim { figure: Name::Warm, bound: Bound::Ratio, most: 1.5 },
    Aim { figure: Name::Warm, bound: Bound::P50, most: 300.0 },
    Aim { figure: Name::Cold, bound: Bound::Ratio, most: 1.3 },
    Aim { figure: Name::Resume, bound: Bound::P50, most: 100.0 },
    Aim { figure: Name::ImageNoop, bound: Bound::P50, most: 1000.0 },
    Aim { figure: Name::ManyRss, bound: Bound::Max, most: 150.0 },
    Aim { figure: Name::Ack, bound: Bound::P99, most: 50.0 },
    Aim { figure: Name::CrowdAck, bound: Bound::Max, most: 1000.0 },
];

/// Whether an aim was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Met,
    Missed,
    /// There is no such figure in this run.
    NotMeasured,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Met => "yes",
            Self::Missed => "no",
            Self::NotMeasured => "not measured",
        }
    }
}

/// An aim, held against what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    pub figure: &'static str,
    /// In words.
    pub aim: String,
    /// In words.
    pub measured: String,
    pub outcome: Outcome,
    /// The parts that took longest, where it was missed and they are known.
    pub limited_by: Option<String>,
}

/// One verdict for each aim.
pub fn verdicts(figures: &BTreeMap<String, Measured>) -> Vec<Verdict> {
    AIMS.iter().map(|aim| verdict(aim, figures.get(aim.figure.as_str()))).collect()
}

fn verdict(aim: &Aim, figure: Option<&Measured>) -> Verdict {
    let value = figure.and_then(|figure| match aim.bound {
        Bound::P50 => Some(figure.summary.p50),
        Bound::P99 => Some(figure.summary.p99),
        Bound::Max => Some(figure.summary.max),
        Bound::Ratio => figure.ratio,
    });
    let unit = figure.map_or("", |figure| figure.unit);
    let (number, suffix) = match aim.bound {
        Bound::P50 => ("p50", unit),
        Bound::P99 => ("p99", unit),
        Bound::Max => ("most", unit),
        Bound::Ratio => ("p50", "× its floor"),
    };
    let words = |value: f64| format!("{value} {suffix}").trim_end().to_owned();
    let outcome = match value {
        Some(value) if value <= aim.most => Outcome::Met,
        Some(_) => Outcome::Missed,
        None => Outcome::NotMeasured,
    };
    Verdict {
        figure: aim.figure.as_str(),
        aim: format!("`{}`: {number} at most {}", aim.figure, words(aim.most)),
        measured: value.map_or_else(|| "–".to_owned(), words),
        outcome,
        limited_by: figure.filter(|_| outcome == Outcome::Missed).and_then(longest),
    }
}

/// The three longest parts with their shares.
fn longest(figure: &Measured) -> Option<String> {
    let whole: f64 = figure.parts.iter().map(|part| part.p50).sum();
    if whole <= 0.0 {
        return None;
    }
    let mut parts = figure.parts.clone();
    parts.sort_by(|one, other| other.p50.total_cmp(&one.p50));
    let told = parts.iter().take(3).map(|part| format!("{} {} {} ({:.0} %)", part.name, part.p50, figure.unit, 100.0 * part.p50 / whole));
    Some(told.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figure::Figure, report::Report};

    fn told(figure: Figure) -> serde_json::Value {
        let mut report = Report::default();
        report.add(figure).unwrap();
        report.to_json()["aims"].clone()
    }

    #[test]
    fn a_missed_aim_says_by_what_it_was_missed() {
        let mut cold = Figure::new(Name::Cold, "x");
        cold.samples = vec![1400.0];
        cold.floor = Some(("by hand".to_owned(), vec![1000.0]));
        cold.part("start", 900.0);
        cold.part("sync", 400.0);
        cold.part("rest", 100.0);
        let aims = told(cold);
        assert_eq!(aims[2]["outcome"], "missed");
        assert_eq!(aims[2]["measured"], "1.4 × its floor");
        assert_eq!(aims[2]["limited_by"], "start 900 ms (64 %), sync 400 ms (29 %), rest 100 ms (7 %)");
        assert_eq!(aims[0]["outcome"], "not_measured");
    }

    #[test]
    fn a_bound_itself_is_met() {
        let mut ack = Figure::new(Name::Ack, "x");
        ack.samples = vec![50.0];
        let aims = told(ack);
        let aim = aims.as_array().unwrap().iter().find(|aim| aim["figure"] == "ack_ms").unwrap();
        assert_eq!((&aim["outcome"], &aim["limited_by"]), (&"met".into(), &().into()));
        assert_eq!(aim["aim"], "`ack_ms`: p99 at most 50 ms");
    }
}
