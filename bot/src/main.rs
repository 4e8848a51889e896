//! `longshore`: the service, and what an operator needs around it.

mod app;
mod backup;
mod catch_up;
mod config;
mod conversation;
mod dispatch;
mod doctor;
mod gate;
mod health;
mod home;
mod images;
mod init;
mod intake;
mod ledger;
mod metrics;
mod outbox;
mod overview;
mod pool;
mod prices;
mod room;
mod routing;
mod sandboxes;
mod serve;
mod snapshots;
mod storage;
mod story;
mod thread;
mod tools;
mod warmup;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use images::command::ImagesArgs;
use ledger::command::LedgerArgs;
use longshore_classifier::{EvaluateOptions, Field, evaluate, lessons};
use longshore_session::Store;
use story::SessionArgs;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// A hosted coding agent that lives in Slack.
///
/// Mention it in a channel; it works out the repository, works in a sandbox, shows its progress in the thread and ends with a pull request.
#[derive(Parser)]
#[command(version, after_help = "Start here: docs/quickstart.md. Without any account: `make demo`.")]
struct Cli {
    /// How to write the log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "LONGSHORE_LOG_FORMAT", global = true)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the service
    Serve(ConfigArg),
    /// Check a configuration against the real services, and say what is missing and how to get it
    Doctor(ConfigArg),
    /// Propose a repository's manifest, prove it by a build, and write it
    Init(init::InitArgs),
    /// Show the running service's images and their builds, or have one built
    Images(ImagesVerb),
    /// List the prompts that were accepted, and how far the final message of each is
    Ledger(LedgerVerb),
    /// Show what happened in a session
    Session(SessionVerb),
    /// Copy the data folder into a new folder, also while the service runs
    Backup(BackupArgs),
    /// Make the data folder of a backup, where there is none
    Restore(RestoreArgs),
    /// Measure how well repositories are worked out, over labelled requests; or show what was learnt
    Classify(ClassifyArgs),
}

/// What threads get to end by themselves when all else is over.
const LAST_MOMENT: Duration = Duration::from_millis(500);

#[derive(Args)]
struct ConfigArg {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "longshore.toml", env = "LONGSHORE_CONFIG", global = true)]
    config: PathBuf,
}

#[derive(Args)]
struct ImagesVerb {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    images: ImagesArgs,
}

#[derive(Args)]
struct LedgerVerb {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Args)]
struct SessionVerb {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Args)]
struct BackupArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A folder that is not there yet, or empty
    folder: PathBuf,
}

#[derive(Args)]
struct RestoreArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// The folder that `longshore backup` made
    backup: PathBuf,
}

#[derive(Args)]
struct ClassifyArgs {
    /// A folder of repository manifests (*.toml), or a file with one JSON profile a line
    #[arg(long, value_name = "PATH", required_unless_present = "learned")]
    manifests: Option<PathBuf>,
    /// Labelled requests: a file with one JSON object a line (`repo`, `title`, `body`)
    #[arg(long, value_name = "FILE", required_unless_present = "learned")]
    data: Option<PathBuf>,
    /// Show what routing has learnt from people (of the configuration's service), and measure nothing
    #[arg(long, conflicts_with_all = ["data", "offline", "field", "folds", "learn", "holdout"])]
    learned: bool,
    /// Without a model: by words alone
    #[arg(long)]
    offline: bool,
    /// What of each line is read
    #[arg(long, default_value = "title+body", value_parser = ["title", "title+body"])]
    field: String,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Also report over this many folds, each judged by what the others gave (with --offline)
    #[arg(long, value_name = "N")]
    folds: Option<usize>,
    /// Labelled requests that are learnt from first, as if people had picked their repositories
    #[arg(long, value_name = "FILE")]
    learn: Option<PathBuf>,
    /// Also report over this many random halves, before and after learning from the other half (with --offline)
    #[arg(long, value_name = "N")]
    holdout: Option<usize>,
    /// The configuration whose model is asked (needed without --offline), or whose service has learnt
    #[arg(long, value_name = "FILE", default_value = "longshore.toml", env = "LONGSHORE_CONFIG")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Whoever runs `init` looks at what it prints; the service's own log is for the service.
    let usual = if matches!(cli.command, Verb::Init(_)) { "warn" } else { "info" };
    start_log(cli.log_format, usual);
    // Two crypto providers would be linked otherwise, and TLS would not know which one to take.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::warn!("another crypto provider was installed first");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    let ended = runtime.block_on(run(cli.command));
    // Not dropped, which would wait for whatever a thread is still busy with: a host name that nobody resolves, a disk that hangs.
    runtime.shutdown_timeout(LAST_MOMENT);
    match ended {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn run(command: Verb) -> Result<ExitCode> {
    match command {
        Verb::Serve(ConfigArg { config }) => serve::serve(&config).await.map(|()| ExitCode::SUCCESS),
        Verb::Doctor(ConfigArg { config }) => Ok(if doctor::doctor(&config).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Verb::Init(args) => init::init(args).await,
        Verb::Images(ImagesVerb { config, images }) => {
            images::command::images(&config::Config::read(&config.config)?, images).await.map(|()| ExitCode::SUCCESS)
        }
        Verb::Ledger(LedgerVerb { config, ledger }) => {
            ledger::command::ledger(&config::Config::read(&config.config)?, &ledger).map(|()| ExitCode::SUCCESS)
        }
        Verb::Session(SessionVerb { config, session }) => {
            story::session(&config::Config::read(&config.config)?, session).map(|()| ExitCode::SUCCESS)
        }
        Verb::Backup(BackupArgs { config, folder }) => {
            backup::back_up(&config::Config::read(&config.config)?.data, &folder).map(|()| ExitCode::SUCCESS)
        }
        Verb::Restore(RestoreArgs { config, backup }) => {
            backup::restore::restore(&backup, &config::Config::read(&config.config)?.data).map(|()| ExitCode::SUCCESS)
        }
        Verb::Classify(args) => classify(args).await.map(|()| ExitCode::SUCCESS),
    }
}

/// Picks that are shown: as many as routing learns from.
const SHOWN_PICKS: u32 = 2_000;

fn learned(args: &ClassifyArgs) -> Result<()> {
    let config = config::Config::read(&args.config).context("a configuration is needed, for its data folder")?;
    let picks = Store::picks_in(&config.data, SHOWN_PICKS)?;
    let lessons = lessons(args.manifests.as_ref().unwrap_or(&config.manifests), &picks)?;
    if args.json {
        println!("{}", lessons.to_json())
    } else {
        println!("{lessons}")
    }
    Ok(())
}

async fn classify(args: ClassifyArgs) -> Result<()> {
    if args.learned {
        return learned(&args);
    }
    let (Some(manifests), Some(data)) = (args.manifests, args.data) else { anyhow::bail!("give --manifests and --data, or --learned") };
    let classifier = if args.offline {
        longshore_classifier::Config::default()
    } else {
        let config = config::Config::read(&args.config).context("without --offline a configuration is needed, for its model")?;
        serve::classifier_config(&config, serve::model_key(&config).as_deref())
    };
    let field: Field = args.field.parse().map_err(anyhow::Error::msg)?;
    let options = EvaluateOptions { manifests, data, field, classifier, folds: args.folds, learn: args.learn, holdout: args.holdout };
    let report = evaluate(options).await?;
    if args.json {
        println!("{}", report.to_json())
    } else {
        println!("{report}")
    }
    Ok(())
}

fn start_log(format: LogFormat, usual: &str) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    // They log socket addresses, which hold a credential, and what people wrote; octocrab logs failures that are then logged where they end.
    for quiet in ["slack_morphism=off", "tungstenite=off", "tokio_tungstenite=off", "octocrab=off"] {
        if let Ok(directive) = quiet.parse() {
            filter = filter.add_directive(directive);
        }
    }
    let registry = tracing_subscriber::registry().with(filter).with(metrics::LogCounter);
    match format {
        LogFormat::Text => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init(),
        LogFormat::Json => registry.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).init(),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("longshore: {error:#}");
    ExitCode::FAILURE
}
