#![doc = include_str!("../README.md")]

mod case;
mod checks;
mod deeds;
mod docker;
mod plan;
mod run;
mod scenarios;
mod stage;
mod thread;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};

use self::{
    case::Case,
    scenarios::{Ground, Scenario},
};

/// Kills the service at every point along its way, starts it again, and checks from outside that nothing was lost and nothing happened twice.
#[derive(Debug, Parser)]
struct Cli {
    /// Cases whose line holds this text
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// So many cases, chosen by the seed
    #[arg(long, value_name = "N")]
    select: Option<usize>,
    /// Repeats a selection
    #[arg(long, requires = "select")]
    seed: Option<u64>,
    /// Play the cases that must fail where a protection is switched off, beside what else is asked for
    #[arg(long)]
    self_test: bool,
    /// What an earlier run printed: cases that are `ok` in there are left out
    #[arg(long, value_name = "FILE", conflicts_with = "select")]
    resume: Option<PathBuf>,
    /// Say which cases there are, and play none
    #[arg(long)]
    list: bool,
    /// Cases that are played at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    lanes: usize,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(std::io::stderr).init();
    let cli = Cli::parse();
    let cases = match chosen(&cli) {
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("faults: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if cli.list {
        cases.iter().for_each(|case| println!("{case}"));
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("faults: {error}");
            return ExitCode::FAILURE;
        }
    };
    let tally = runtime.block_on(async {
        let mut tally = Box::pin(run::all(cases, cli.lanes.max(1))).await;
        if cli.self_test {
            tally += Box::pin(run::self_tests(plan::self_tests())).await;
        }
        tally
    });
    println!("{tally}");
    if tally.failed == 0 && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(cli: &Cli) -> Result<Vec<Case>> {
    if let Some(count) = cli.select {
        let seed = cli.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
        println!("a selection by seed {seed} (--select {count} --seed {seed} repeats it)");
        return Ok(select(count, seed));
    }
    let mut cases = plan::all();
    cases.retain(|case| cli.only.is_empty() || cli.only.iter().any(|text| case.to_string().contains(text)));
    if let Some(file) = &cli.resume {
        let printed = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let passed: Vec<&str> =
            printed.lines().filter_map(|line| line.strip_prefix("ok ")?.split_once("s ")).map(|(_, case)| case).collect();
        cases.retain(|case| !passed.contains(&&*case.to_string()));
    }
    Ok(cases)
}

/// One of the stories that want a ground of their own, and the rest of the others. Being away for a minute takes too long for this.
fn select(count: usize, seed: u64) -> Vec<Case> {
    let mut chance = StdRng::seed_from_u64(seed);
    let cases = plan::all().into_iter().filter(|case| case.scenario != Scenario::Outage { seconds: 60 });
    let (plain, others): (Vec<Case>, Vec<Case>) = cases.partition(|case| case.scenario.ground() == Ground::Plain);
    let mut chosen: Vec<Case> = plain.choose_multiple(&mut chance, count.saturating_sub(1)).copied().collect();
    chosen.extend(others.choose_multiple(&mut chance, count - chosen.len()));
    chosen.sort_by_key(|case| case.scenario);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_repeated_by_its_seed() {
        let one = select(5, 7);
        assert_eq!((one.len(), select(5, 7)), (5, one.clone()));
        assert!((8..40).any(|seed| select(5, seed) != one));
        assert_eq!(select(1, 7).len(), 1);
    }
}
