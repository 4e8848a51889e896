//! Takes the pictures of `docs/messages.md`.

use anyhow::Result;
use clap::Parser;
use longshore_harness::{Album, take};
use longshore_slack::examples::{Example, examples};

/// Take a picture of every message whose example changed since its picture was taken, and write `docs/messages.md`
#[derive(Parser)]
struct Cli {
    /// Take all of them anew, for instance after a change of the page
    #[arg(long)]
    all: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let mut album = Album::open()?;
    let all = examples();
    let mut wanted: Vec<Example> = Vec::new();
    for example in &all {
        if cli.all || album.is_stale(example)? {
            wanted.push(example.clone());
        }
    }
    let taken = take(&wanted, album.folder()).await?;
    album.keep(&wanted, &all)?;
    let bytes: usize = taken.iter().map(|picture| picture.bytes).sum();
    println!("{} of {} pictures taken, {} kB", taken.len(), all.len(), bytes / 1_000);
    Ok(())
}
