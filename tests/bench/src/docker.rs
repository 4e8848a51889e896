//! The Docker engine by its own command line: the floor of what is asked of it.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(300);

/// Runs `docker` with these arguments; what it printed.
pub async fn docker(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("docker");
    command.args(arguments).env("DOCKER_BUILDKIT", "0");
    // The command line may be newer than the engine.
    if std::env::var_os("DOCKER_API_VERSION").is_none() {
        command.env("DOCKER_API_VERSION", "1.41");
    }
    run(command).await
}

/// Runs a command to its end; what it printed. Errors where it fails.
pub async fn run(mut command: Command) -> Result<String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let name = format!("{:?}", command.as_std());
    let output = tokio::time::timeout(LIMIT, command.output()).await.with_context(|| format!("{name} takes too long"))??;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
