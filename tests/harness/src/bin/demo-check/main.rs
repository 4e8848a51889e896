//! The demo without a browser: one mention becomes one pull request, a reply in the thread goes on with the same session, and every claim is checked
//! from outside. `SEED=<n>` repeats a run. What it saw is left under `target/demo`.

mod choice;
mod clones;
mod verdicts;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use longshore_emulators::model::Pace;
use longshore_harness::{Growth, Harness, ModelChoice, Options, TurnReport, target_folder};
use longshore_session::Phase;
use tokio::sync::watch;

use self::{choice::Choice, verdicts::Verdicts};

/// A scripted model is done in a minute; a real one may think for long.
const SCRIPTED_LIMIT: Duration = Duration::from_secs(240);
const REAL_LIMIT: Duration = Duration::from_secs(20 * 60);
/// The phases of `timings.json`.
const PHASES: [(&str, Phase); 10] = [
    ("acknowledged", Phase::Acknowledged),
    ("classified", Phase::Classified),
    ("sandbox_ready", Phase::SandboxReady),
    ("synced", Phase::Synced),
    ("prompt_accepted", Phase::PromptAccepted),
    ("first_model_request", Phase::FirstModelRequest),
    ("first_token", Phase::FirstToken),
    ("turn_ended", Phase::TurnEnded),
    ("pr_opened", Phase::PrOpened),
    ("final_reply", Phase::FinalReply),
];

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo-check: {error}");
            return ExitCode::FAILURE;
        }
    };
    let seed = match choice::seed() {
        Ok(seed) => seed,
        Err(error) => {
            eprintln!("demo-check: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    println!("seed {seed} (SEED={seed} repeats this run)");
    let mut verdicts = Verdicts::default();
    if let Err(error) = runtime.block_on(run(seed, &mut verdicts)) {
        verdicts.broken(&error);
    }
    println!("\n{} passed, {} failed", verdicts.passed(), verdicts.failed());
    if verdicts.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        println!("seed {seed} (SEED={seed} repeats this run)");
        ExitCode::FAILURE
    }
}

fn folder() -> PathBuf {
    target_folder().join("demo")
}

async fn run(seed: u64, verdicts: &mut Verdicts) -> Result<()> {
    std::fs::create_dir_all(folder())?;
    for left in ["thread.txt", "slack-calls.jsonl", "timings.json", "service.log"] {
        // What an earlier run left must not be taken for this one's.
        let _ = std::fs::remove_file(folder().join(left));
    }
    let choice = Choice::of(seed)?;
    println!("{} asks in #{} about {} ({})", choice.asker.real_name, choice.channel_name, choice.defect.repository, choice.defect.id);

    let mut options = Options::all();
    // As fast as a quick model: the phases are to be told apart.
    options.model =
        ModelChoice::from_environment(Pace { first_token: Duration::from_millis(120), per_token: Duration::from_millis(2) }).await?;
    options.calls_log = Some(folder().join("slack-calls.jsonl"));
    options.service_log = Some(folder().join("service.log"));
    options.progress = Arc::new(|line| println!("· {line}"));
    match &options.model {
        ModelChoice::Scripted { .. } => println!("· a scripted model answers"),
        ModelChoice::Real { base_url, agent, .. } => println!("· {agent} at {base_url} answers"),
    }
    let scripted = matches!(options.model, ModelChoice::Scripted { .. });
    let harness = Harness::start(options).await?;
    let limit = if scripted { SCRIPTED_LIMIT } else { REAL_LIMIT };
    let story = tell(&harness, &choice, limit, verdicts).await;
    if let Err(error) = &story {
        verdicts.broken(error);
    }
    verdicts.check("nothing happened that nobody expected", harness.finish().await);
    if verdicts.failed() > 0 {
        let log = std::fs::read_to_string(folder().join("service.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        println!("\nThe service's log ends with");
        println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
    }
    Ok(())
}

/// Posts, waits, and looks at everything that came of it.
async fn tell(harness: &Harness, choice: &Choice, limit: Duration, verdicts: &mut Verdicts) -> Result<()> {
    let asker = harness.slack.person(&choice.asker.id);
    let thread = asker.post(&choice.channel, &format!("@longshore {}", choice.wording))?;
    println!("\n{:-<100}", "");
    let (stop, stopped) = watch::channel(());
    let story = async {
        let first = harness.wait_for_turn(&choice.channel, &thread, 1, limit).await?;
        let opened = clones::pull_request(harness, choice)?;
        asker.reply(&choice.channel, &thread, &choice.follow_up)?;
        let second = harness.wait_for_turn(&choice.channel, &thread, 2, limit).await?;
        drop(stop);
        anyhow::Ok((first, opened, second))
    };
    let (story, ()) = tokio::join!(story, print_growth(harness, choice, &thread, stopped));
    println!("{:-<100}\n", "");
    let text = harness.slack.render_thread_text(&choice.channel, &thread);
    std::fs::write(folder().join("thread.txt"), &text)?;
    let (first, opened, second) = story?;

    let timings = write_timings(&first)?;
    println!("{timings}\n");
    verdicts.story(harness, choice, &verdicts::Seen { thread: &thread, text: &text, first: &first, opened: &opened, second: &second }).await
}

/// Prints the thread as it grows, until everything was told.
async fn print_growth(harness: &Harness, choice: &Choice, thread: &str, mut stopped: watch::Receiver<()>) {
    let mut growth = Growth::default();
    let mut changes = harness.slack.changes();
    loop {
        for line in growth.new_lines(&harness.slack.render_thread_text(&choice.channel, thread)) {
            println!("  {line}");
        }
        tokio::select! {
            // Its sender is dropped when the story has ended, well or not.
            _ = stopped.changed() => break,
            change = changes.recv() => if matches!(change, Err(tokio::sync::broadcast::error::RecvError::Closed)) { break },
        }
    }
    for line in growth.new_lines(&harness.slack.render_thread_text(&choice.channel, thread)) {
        println!("  {line}");
    }
}

/// Milliseconds from the event's receipt to each phase of the first turn.
fn write_timings(turn: &TurnReport) -> Result<String> {
    let times = PHASES.iter().filter_map(|(name, phase)| Some(((*name).to_owned(), turn.took(*phase)?.into())));
    let times: serde_json::Map<String, serde_json::Value> = times.collect();
    let text = serde_json::to_string_pretty(&times)?;
    std::fs::write(folder().join("timings.json"), format!("{text}\n")).context("cannot write timings.json")?;
    let line: Vec<String> = times.iter().map(|(name, ms)| format!("{name} {ms}")).collect();
    Ok(format!("ms from the event's receipt: {}", line.join(" · ")))
}
