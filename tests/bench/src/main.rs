#![doc = include_str!("../README.md")]

mod acts;
mod aims;
mod by_hand;
mod docker;
mod figure;
mod process;
mod report;
mod stage;
mod statistics;

use std::{process::ExitCode, time::Instant};

use longshore_harness::target_folder;
use longshore_session::{Clock, SystemClock};

use self::{
    figure::{Name, Selection},
    report::{Circumstances, Report},
};

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let named: Vec<String> = std::env::var("BENCH_ONLY").into_iter().chain(std::env::args().skip(1)).collect();
    let selection = match Selection::parse(named.iter().map(String::as_str)) {
        Ok(selection) => selection,
        Err(unknown) => {
            let known: Vec<&str> = Name::ALL.iter().map(|name| name.as_str()).collect();
            eprintln!("bench: there is no figure `{unknown}`; there are {}", known.join(", "));
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = runtime.block_on(run(&selection));
    let folder = target_folder().join("bench");
    if let Err(error) = report.write(&folder) {
        eprintln!("bench: {error:#}");
        return ExitCode::FAILURE;
    }
    println!("\n{}", report.to_markdown());
    println!("written to {}", folder.join("report.json").display());
    for (what, why) in report.failures() {
        eprintln!("bench: {what} could not be measured: {why}");
    }
    if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(selection: &Selection) -> Report {
    let begun = Instant::now();
    let circumstances = Circumstances {
        taken: SystemClock.now().minute(),
        // Cargo builds both alike.
        profile: if cfg!(debug_assertions) { "dev" } else { "release" },
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        load_before: process::load(),
        ..Circumstances::default()
    };
    let mut report = Report::new(circumstances);
    acts::play(selection, &mut report).await;
    for name in Name::ALL {
        if !selection.has(name) {
            report.left_out(name);
        } else if !report.has(name) && !report.failures().contains_key(name.as_str()) {
            report.failed(name.as_str(), &anyhow::anyhow!("what it is a part of broke off before"));
        }
    }
    report.circumstances.load_after = process::load();
    report.circumstances.took_s = begun.elapsed().as_secs();
    report
}
