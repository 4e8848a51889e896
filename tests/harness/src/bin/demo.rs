//! Longshore without any account: the emulators, the service, and a page that shows the workspace as Slack would.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{Json, routing::get};
use clap::Parser;
use longshore_emulators::{
    model::{Catalogue, Pace},
    page,
};
use longshore_harness::{Harness, ModelChoice, Options, REAL_MODEL_VARIABLES, target_folder};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// Run Longshore without any account: a workspace like Slack's in the browser, sample repositories, real sandboxes.
#[derive(Parser)]
#[command(after_help = "With OPENAI_API_KEY or LONGSHORE_MODEL_BASE_URL set, a real model answers (LONGSHORE_MODEL and \
    LONGSHORE_CLASSIFIER_MODEL name it); without, a scripted one that knows the samples' defects.")]
struct Cli {
    /// Where the page is served; another port is taken where this one is busy
    #[arg(long, default_value = "127.0.0.1:7400", env = "LONGSHORE_DEMO_LISTEN")]
    listen: SocketAddr,
    /// Where the pages of repositories and pull requests are served; another port is taken where this one is busy
    #[arg(long, default_value = "127.0.0.1:7401", env = "LONGSHORE_DEMO_GITHUB_LISTEN")]
    github_listen: SocketAddr,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let run = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime");
    match run.and_then(|runtime| runtime.block_on(run_demo(&cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_demo(cli: &Cli) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A person watches: nobody can follow answers that come all at once.
    let model =
        ModelChoice::from_environment(Pace { first_token: Duration::from_millis(350), per_token: Duration::from_millis(12) }).await?;
    let answering = match &model {
        ModelChoice::Scripted { .. } => format!("a scripted model answers (a real one does with {REAL_MODEL_VARIABLES} set)"),
        ModelChoice::Real { base_url, agent, classifier, .. } => format!("{agent} answers, {classifier} classifies, both at {base_url}"),
    };
    println!("· {answering}");

    let catalogue = Catalogue::bundled()?;
    let mut options = Options::all();
    let hints = hints(&catalogue, &model);
    options.page = Some(page::router().route("/demo/hints", get(move || std::future::ready(Json(hints)))));
    options.model = model;
    options.slack_listen = free_or_other(cli.listen).await;
    options.github_listen = free_or_other(cli.github_listen).await;
    options.calls_log = Some(target_folder().join("demo/slack-calls.jsonl"));
    options.service_log = Some(target_folder().join("demo/service.log"));
    options.progress = Arc::new(|line| println!("· {line}"));

    let started = tokio::select! {
        started = Box::pin(Harness::start(options)) => Some(started?),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let Some(harness) = started else {
        println!("· stopped before it was ready; the next start takes away what is left");
        return Ok(());
    };
    println!("\n  Open  {}\n", harness.slack.base_url());
    println!("  Repositories and pull requests: {}", harness.github.web_url);
    println!("  The service's log: {}", harness.service.log_file().display());
    println!("  Ctrl-C stops everything.\n");

    let died = loop {
        tokio::select! {
            _ = interrupt.recv() => break None,
            _ = terminate.recv() => break None,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                if let Some(status) = harness.service.exit_status().await? {
                    break Some(format!("the service ended ({status}). Its log ends with\n{}", harness.service.log_tail(20)));
                }
            }
        }
    };
    println!("\n· stopping");
    match died {
        Some(why) => {
            harness.give_up().await;
            anyhow::bail!(why)
        }
        // What people tried may have met errors; that is theirs to see in the log, not a reason to fail now.
        None => harness.stop().await,
    }
}

/// The same address where its port is free, else a free one.
async fn free_or_other(wanted: SocketAddr) -> SocketAddr {
    match tokio::net::TcpListener::bind(wanted).await {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}

/// What the page suggests: a few defects of each sample.
fn hints(catalogue: &Catalogue, model: &ModelChoice) -> Value {
    let mut suggestions: Vec<String> = Vec::new();
    for repository in catalogue.repositories.keys() {
        let of_it = catalogue.defects.iter().filter(|defect| defect.repository == *repository);
        suggestions.extend(of_it.take(2).filter_map(|defect| Some(format!("@longshore {}", defect.wordings.first()?))));
    }
    let text = match model {
        ModelChoice::Scripted { .. } => {
            "Pick a report, or write one in your own words, and send it. A scripted model answers: it knows the defects of the sample \
             repositories and nothing else; agent, sandbox, tests and pull request are real. Reply in the thread to go on."
        }
        ModelChoice::Real { .. } => {
            "Pick a report, or ask for anything in the sample repositories, and send it. Reply in the thread to go on."
        }
    };
    json!({ "title": "Try it:", "text": text, "suggestions": suggestions })
}
