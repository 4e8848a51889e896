//! The model emulator as a program: prints one JSON line with its address, runs until it is told to stop.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use longshore_emulators::model::{Catalogue, DEMO_API_KEY, ModelEmulator, ModelSetup, Pace};

/// Stands in for a model provider: OpenAI's chat completions and Anthropic's messages, answered by a script.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A key to accept; may be given several times.
    #[arg(long = "api-key", default_value = DEMO_API_KEY)]
    api_keys: Vec<String>,
    /// The defect catalogue; the samples' own where it is not given.
    #[arg(long)]
    catalogue: Option<PathBuf>,
    /// Gets one JSON line per request.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Milliseconds before the first token of an answer.
    #[arg(long, default_value_t = 0)]
    first_token_ms: u64,
    /// Milliseconds between two tokens.
    #[arg(long, default_value_t = 0)]
    per_token_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let catalogue = match &arguments.catalogue {
        Some(path) => Catalogue::read(path)?,
        None => Catalogue::bundled()?,
    };
    let mut setup = ModelSetup::with_catalogue(catalogue);
    setup.listen = arguments.listen;
    setup.api_keys = arguments.api_keys;
    setup.log_file = arguments.log;
    setup.pace =
        Pace { first_token: Duration::from_millis(arguments.first_token_ms), per_token: Duration::from_millis(arguments.per_token_ms) };
    let handle = ModelEmulator::start(setup).await?;
    println!("{}", serde_json::json!({ "base_url": handle.base_url, "api_key": handle.api_key() }));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("cannot listen for SIGINT")?,
        _ = terminate.recv() => {}
    }
    handle.shutdown().await;
    Ok(())
}
