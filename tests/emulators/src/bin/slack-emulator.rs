//! The Slack emulator as a program: prints one line of JSON with its addresses and secrets, then runs until it is interrupted.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use longshore_emulators::slack::{Delivery, Limits, RequestUrls, SlackEmulator, WorkspaceSetup};

#[derive(Parser)]
#[command(about = "A Slack workspace in memory that speaks Slack's protocols")]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// Write each API call to this file, one line of JSON per call.
    #[arg(long)]
    calls_log: Option<PathBuf>,
    /// How events reach the app.
    #[arg(long, value_enum, default_value_t = Mode::Socket)]
    mode: Mode,
    /// In HTTP mode: where events, interactions, option requests and slash commands are posted.
    #[arg(long, required_if_eq("mode", "http"))]
    request_url: Option<String>,
    /// Whether Slack's rate limits hold.
    #[arg(long, value_enum, default_value_t = LimitMode::Documented)]
    limits: LimitMode,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Socket,
    Http,
}

#[derive(Clone, Copy, ValueEnum)]
enum LimitMode {
    Documented,
    Off,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let mut setup = WorkspaceSetup::demo();
    if let (Mode::Http, Some(url)) = (arguments.mode, &arguments.request_url) {
        setup.app.delivery = Delivery::Http(RequestUrls::all(url));
    }
    setup.limits = match arguments.limits {
        LimitMode::Documented => Limits::documented(),
        LimitMode::Off => Limits::off(),
    };
    let mut builder = SlackEmulator::builder(setup).listen(arguments.listen);
    if let Some(path) = arguments.calls_log {
        builder = builder.calls_log(path);
    }
    let slack = builder.start().await?;
    let ready = serde_json::json!({
        "base_url": slack.base_url(), "api_url": slack.api_url(), "bot_token": slack.bot_token(), "app_token": slack.app_token(),
        "signing_secret": slack.signing_secret(), "bot_user_id": slack.bot_user_id(),
    });
    println!("{ready}");
    tokio::signal::ctrl_c().await?;
    slack.shutdown().await;
    Ok(())
}
