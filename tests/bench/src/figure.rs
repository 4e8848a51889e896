//! What can be measured.

use std::fmt;

/// A figure's name. `BENCH_ONLY` takes these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Cold,
    SlackCalls,
    IdleRss,
    Ack,
    SnapshotSmall,
    SnapshotLarge,
    ImageNoop,
    ImageOneCommit,
    ImageFull,
    Warm,
    PoolRefill,
    Resume,
    Restore,
    ManyRss,
    ManyCpu,
    CrowdAck,
    CrowdRss,
}

impl Name {
    pub const ALL: [Name; 17] = [
        Self::Cold,
        Self::SlackCalls,
        Self::IdleRss,
        Self::Ack,
        Self::SnapshotSmall,
        Self::SnapshotLarge,
        Self::ImageNoop,
        Self::ImageOneCommit,
        Self::ImageFull,
        Self::Warm,
        Self::PoolRefill,
        Self::Resume,
        Self::Restore,
        Self::ManyRss,
        Self::ManyCpu,
        Self::CrowdAck,
        Self::CrowdRss,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold_mention_to_model_request_ms",
            Self::SlackCalls => "slack_calls_per_turn",
            Self::IdleRss => "idle_rss_mb",
            Self::Ack => "ack_ms",
            Self::SnapshotSmall => "snapshot_10mb_ms",
            Self::SnapshotLarge => "snapshot_500mb_ms",
            Self::ImageNoop => "image_noop_ms",
            Self::ImageOneCommit => "image_one_commit_ms",
            Self::ImageFull => "image_full_ms",
            Self::Warm => "warm_mention_to_model_request_ms",
            Self::PoolRefill => "pool_refill_ms",
            Self::Resume => "resume_paused_ms",
            Self::Restore => "restore_to_model_request_ms",
            Self::ManyRss => "sessions_200",
            Self::ManyCpu => "sessions_200_cpu_percent",
            Self::CrowdAck => "crowd_100_ack_ms",
            Self::CrowdRss => "crowd_100_rss_mb",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text.trim())
    }

    fn unit(self) -> Unit {
        match self {
            Self::Cold
            | Self::Ack
            | Self::SnapshotSmall
            | Self::SnapshotLarge
            | Self::ImageNoop
            | Self::ImageOneCommit
            | Self::ImageFull
            | Self::Warm
            | Self::PoolRefill
            | Self::Resume
            | Self::CrowdAck
            | Self::Restore => Unit::Milliseconds,
            Self::IdleRss | Self::ManyRss | Self::CrowdRss => Unit::Megabytes,
            Self::SlackCalls => Unit::Calls,
            Self::ManyCpu => Unit::Percent,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    /// Millions of bytes.
    Megabytes,
    Calls,
    /// Of one processor.
    Percent,
}

impl Unit {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Megabytes => "MB",
            Self::Calls => "calls",
            Self::Percent => "%",
        }
    }
}

/// One figure, as it was measured.
#[derive(Debug, Clone)]
pub struct Figure {
    pub name: Name,
    pub unit: Unit,
    /// In words.
    pub what: String,
    pub samples: Vec<f64>,
    /// The same by hand, in words, with its samples.
    pub floor: Option<(String, Vec<f64>)>,
    /// Samples of the parts that it consists of, in their order.
    pub parts: Vec<(String, Vec<f64>)>,
    pub notes: Vec<String>,
}

impl Figure {
    pub fn new(name: Name, what: impl Into<String>) -> Self {
        Self { name, unit: name.unit(), what: what.into(), samples: Vec::new(), floor: None, parts: Vec::new(), notes: Vec::new() }
    }

    /// Adds a sample to a part, which is made where it is new.
    pub fn part(&mut self, name: &str, sample: f64) {
        match self.parts.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(sample),
            None => self.parts.push((name.to_owned(), vec![sample])),
        }
    }
}

/// Which figures are wanted.
#[derive(Debug, Clone)]
pub struct Selection(Vec<Name>);

impl Selection {
    /// All where nothing is named; `names` are separated by commas. Errors with what is unknown.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let names = names.into_iter().flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty());
        let chosen = names.map(|name| Name::parse(name).ok_or_else(|| name.to_owned())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(if chosen.is_empty() { Name::ALL.to_vec() } else { chosen }))
    }

    pub fn has(&self, name: Name) -> bool {
        self.0.contains(&name)
    }

    pub fn has_any(&self, names: &[Name]) -> bool {
        names.iter().any(|name| self.has(*name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_selected_by_name() {
        let all = Selection::parse([""]).unwrap();
        assert!(Name::ALL.into_iter().all(|name| all.has(name)));
        let two = Selection::parse(["ack_ms, image_noop_ms", ""]).unwrap();
        assert!(two.has(Name::Ack) && two.has(Name::ImageNoop) && !two.has(Name::Cold));
        assert_eq!(Selection::parse(["ack_ms", "speed"]).unwrap_err(), "speed");
    }

    #[test]
    fn parts_keep_their_order() {
        let mut figure = Figure::new(Name::Cold, "x");
        for (part, sample) in [("b", 1.0), ("a", 2.0), ("b", 3.0)] {
            figure.part(part, sample);
        }
        assert_eq!(figure.parts, [("b".to_owned(), vec![1.0, 3.0]), ("a".to_owned(), vec![2.0])]);
    }
}
