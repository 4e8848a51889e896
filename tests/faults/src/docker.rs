//! The Docker engine by its own command line.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// Runs `docker` with these arguments; what it printed.
pub async fn docker(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    // The command line may be newer than the engine.
    if std::env::var_os("DOCKER_API_VERSION").is_none() {
        command.env("DOCKER_API_VERSION", "1.41");
    }
    let name = format!("docker {}", arguments.join(" "));
    let output = tokio::time::timeout(LIMIT, command.output()).await.with_context(|| format!("{name} takes too long"))??;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
