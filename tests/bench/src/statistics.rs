//! What many samples come to.

use serde::Serialize;

/// Percentiles by nearest rank: each is a value that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub min: f64,
    pub max: f64,
    pub n: usize,
}

impl Summary {
    /// None without samples, or where one is no number.
    pub fn of(samples: &[f64]) -> Option<Self> {
        if samples.is_empty() || samples.iter().any(|sample| !sample.is_finite()) {
            return None;
        }
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: usize| rounded(sorted[rank(percent, sorted.len()) - 1]);
        Some(Self { p50: at(50), p95: at(95), p99: at(99), min: rounded(sorted[0]), max: at(100), n: sorted.len() })
    }
}

/// The nearest rank of a percentile, from 1: the smallest one that has at least so many per cent of all at or below it.
fn rank(percent: usize, n: usize) -> usize {
    (percent * n).div_ceil(100).clamp(1, n)
}

/// To a hundredth: nothing here is measured more finely.
pub fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        // The textbook's example: ranks 2, 3 and 5 of five.
        let five = Summary::of(&[50.0, 15.0, 40.0, 20.0, 35.0]).unwrap();
        assert_eq!((five.p50, five.p95, five.p99), (35.0, 50.0, 50.0));
        assert_eq!((five.min, five.max, five.n), (15.0, 50.0, 5));
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let hundred = Summary::of(&hundred).unwrap();
        assert_eq!((hundred.p50, hundred.p95, hundred.p99), (50.0, 95.0, 99.0));
        let four = Summary::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((four.p50, four.p95), (2.0, 4.0), "of an even number it is the lower one");
        let thousand: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(Summary::of(&thousand).unwrap().p99, 990.0);
    }

    #[test]
    fn one_sample_is_all_percentiles() {
        let one = Summary::of(&[7.126]).unwrap();
        assert_eq!((one.p50, one.p95, one.p99, one.n), (7.13, 7.13, 7.13, 1));
    }

    #[test]
    fn there_is_no_summary_of_nothing_or_of_what_is_no_number() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        assert_eq!(Summary::of(&[f64::INFINITY]), None);
    }
}
