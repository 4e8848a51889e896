//! The report: what was measured, against which floors, and whether the aims were met.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    aims::{Verdict, verdicts},
    figure::{Figure, Name},
    statistics::{Summary, rounded},
};

/// Everything that a run found out.
#[derive(Debug, Default)]
pub struct Report {
    pub circumstances: Circumstances,
    figures: BTreeMap<String, Measured>,
    /// By what was to be measured: why it could not be.
    failures: BTreeMap<String, String>,
    /// Figures that nobody asked for this time.
    left_out: Vec<String>,
}

/// Where and how it was measured.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Circumstances {
    pub taken: String,
    /// What the service and this program were built with.
    pub profile: &'static str,
    pub processors: usize,
    /// The load of the last minute before anything began: above the number of processors, others were at work.
    pub load_before: f64,
    pub load_after: f64,
    pub took_s: u64,
}

/// A figure in the report.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    #[serde(flatten)]
    pub summary: Summary,
    pub unit: &'static str,
    pub what: String,
    /// Null for what is counted rather than timed.
    pub floor: Option<Floor>,
    /// The figure's p50 over its floor's.
    pub ratio: Option<f64>,
    /// Where the time goes: the p50 of each part, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    #[serde(flatten)]
    pub summary: Summary,
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub name: String,
    pub p50: f64,
}

impl Report {
    pub fn new(circumstances: Circumstances) -> Self {
        Self { circumstances, ..Self::default() }
    }

    /// Takes up a figure. Errors where it has no samples: that is a failure, and no figure.
    pub fn add(&mut self, figure: Figure) -> Result<()> {
        let name = figure.name.to_string();
        let summary = Summary::of(&figure.samples).with_context(|| format!("{name} has no samples"))?;
        let floor = match figure.floor {
            Some((what, samples)) => {
                let summary = Summary::of(&samples).with_context(|| format!("the floor of {name} has no samples"))?;
                Some(Floor { summary, what })
            }
            None => None,
        };
        let ratio = floor.as_ref().filter(|floor| floor.summary.p50 > 0.0).map(|floor| rounded(summary.p50 / floor.summary.p50));
        let parts = figure.parts.into_iter().filter_map(|(name, samples)| Some(Part { name, p50: Summary::of(&samples)?.p50 }));
        let measured =
            Measured { summary, unit: figure.unit.symbol(), what: figure.what, floor, ratio, parts: parts.collect(), notes: figure.notes };
        self.figures.insert(name, measured);
        Ok(())
    }

    /// A figure that was wanted and could not be measured.
    pub fn failed(&mut self, what: impl Into<String>, error: &anyhow::Error) {
        self.failures.insert(what.into(), format!("{error:#}"));
    }

    pub fn left_out(&mut self, name: Name) {
        self.left_out.push(name.to_string());
    }

    pub fn has(&self, name: Name) -> bool {
        self.figures.contains_key(&name.to_string())
    }

    pub fn failures(&self) -> &BTreeMap<String, String> {
        &self.failures
    }

    fn verdicts(&self) -> Vec<Verdict> {
        verdicts(&self.figures)
    }

    /// Writes `report.json` and `report.md` into the folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(&self.to_json())?;
        std::fs::write(folder.join("report.json"), format!("{json}\n")).context("cannot write report.json")?;
        std::fs::write(folder.join("report.md"), self.to_markdown()).context("cannot write report.md")
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "circumstances": self.circumstances,
            "figures": self.figures,
            "aims": self.verdicts(),
            "failures": self.failures,
            "left_out": self.left_out,
        })
    }

    pub fn to_markdown(&self) -> String {
        let told = &self.circumstances;
        let mut text = format!(
            "# What was measured\n\n{}; profile {}; {} processors; load {} before and {} after; {} s in all.\n\n",
            told.taken, told.profile, told.processors, told.load_before, told.load_after, told.took_s
        );
        text.push_str("| figure | p50 | p95 | p99 | n | unit | floor p50 | ratio |\n|---|--:|--:|--:|--:|---|--:|--:|\n");
        for (name, measured) in &self.figures {
            let Summary { p50, p95, p99, n, .. } = measured.summary;
            let floor = measured.floor.as_ref().map_or_else(|| "–".to_owned(), |floor| floor.summary.p50.to_string());
            let ratio = measured.ratio.map_or_else(|| "–".to_owned(), |ratio| ratio.to_string());
            let _ = writeln!(text, "| `{name}` | {p50} | {p95} | {p99} | {n} | {} | {floor} | {ratio} |", measured.unit);
        }
        text.push_str("\n## Aims\n\n| aim | measured | met | what takes the time |\n|---|--:|---|---|\n");
        for verdict in self.verdicts() {
            let limits = verdict.limited_by.as_deref().unwrap_or("");
            let _ = writeln!(text, "| {} | {} | {} | {limits} |", verdict.aim, verdict.measured, verdict.outcome.word());
        }
        text.push_str("\n## What each figure is\n\n");
        for (name, measured) in &self.figures {
            let _ = writeln!(text, "* `{name}`: {}", measured.what);
            if let Some(floor) = &measured.floor {
                let _ = writeln!(text, "  Floor: {}", floor.what);
            }
            if !measured.parts.is_empty() {
                let parts: Vec<String> = measured.parts.iter().map(|part| format!("{} {}", part.name, part.p50)).collect();
                let _ = writeln!(text, "  Parts (p50, {}): {}.", measured.unit, parts.join(" · "));
            }
            for note in &measured.notes {
                let _ = writeln!(text, "  {note}");
            }
        }
        if !self.failures.is_empty() {
            text.push_str("\n## What could not be measured\n\n");
            for (what, why) in &self.failures {
                let _ = writeln!(text, "* `{what}`: {why}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: Name, samples: &[f64]) -> Figure {
        Figure { samples: samples.to_vec(), ..Figure::new(name, "something") }
    }

    #[test]
    fn the_report_has_the_shape_that_others_read() {
        let mut report = Report::default();
        let mut warm = figure(Name::Warm, &[200.0, 220.0, 240.0]);
        warm.floor = Some(("by hand".to_owned(), vec![150.0, 160.0]));
        warm.parts = vec![("acknowledged".to_owned(), vec![5.0, 7.0]), ("nothing".to_owned(), vec![])];
        report.add(warm).unwrap();
        report.add(figure(Name::SlackCalls, &[4.0])).unwrap();
        let json = report.to_json();
        let warm = &json["figures"]["warm_mention_to_model_request_ms"];
        assert_eq!((&warm["p50"], &warm["p95"], &warm["p99"]), (&220.0.into(), &240.0.into(), &240.0.into()));
        assert_eq!((&warm["n"], &warm["unit"]), (&3.into(), &"ms".into()));
        assert_eq!(warm["floor"]["p50"], 150.0);
        assert_eq!(warm["ratio"], 1.47);
        assert_eq!(warm["parts"], serde_json::json!([{ "name": "acknowledged", "p50": 5.0 }]));
        let calls = &json["figures"]["slack_calls_per_turn"];
        assert_eq!((&calls["unit"], &calls["floor"], &calls["ratio"]), (&"calls".into(), &().into(), &().into()));
        let aim = json["aims"].as_array().unwrap().iter().find(|aim| aim["figure"] == "warm_mention_to_model_request_ms").unwrap();
        assert_eq!(aim["outcome"], "met");
        let table = report.to_markdown();
        assert!(table.contains("| `warm_mention_to_model_request_ms` | 220 | 240 | 240 | 3 | ms | 150 | 1.47 |"), "{table}");
    }

    #[test]
    fn a_figure_without_samples_is_refused() {
        let mut report = Report::default();
        assert!(report.add(figure(Name::Ack, &[])).is_err());
        let mut without_floor = figure(Name::Ack, &[1.0]);
        without_floor.floor = Some(("by hand".to_owned(), vec![]));
        assert!(report.add(without_floor).is_err());
        assert!(!report.has(Name::Ack));
        report.failed("ack_ms", &anyhow::anyhow!("the machine is gone"));
        assert_eq!(report.to_json()["failures"]["ack_ms"], "the machine is gone");
        assert!(report.to_markdown().contains("`ack_ms`: the machine is gone"));
    }
}
