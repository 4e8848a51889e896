//! What is asked of the Docker engine by its own command line: looking at what the service did from outside of it.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Pulls and builds take their time; everything else is quick.
const LIMIT: Duration = Duration::from_secs(120);

/// A finished command.
pub struct Finished {
    pub success: bool,
    /// What it wrote, stdout before stderr.
    pub output: String,
}

/// Runs `docker` with these arguments.
pub async fn docker(arguments: &[&str]) -> Result<Finished> {
    let mut command = Command::new("docker");
    command.args(arguments);
    // The command line may be newer than the engine.
    if std::env::var_os("DOCKER_API_VERSION").is_none() {
        command.env("DOCKER_API_VERSION", "1.41");
    }
    finish(command, LIMIT).await.with_context(|| format!("docker {}", arguments.first().unwrap_or(&"")))
}

/// Runs a command to its end, without input.
pub async fn finish(mut command: Command, limit: Duration) -> Result<Finished> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(limit, command.output()).await.with_context(|| format!("it took longer than {} s", limit.as_secs()))??;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(Finished { success: output.status.success(), output: text })
}

/// The id of an image that the engine has.
pub async fn image_id(reference: &str) -> Result<Option<String>> {
    let asked = docker(&["image", "inspect", "--format", "{{.Id}}", reference]).await?;
    Ok(asked.success.then(|| asked.output.trim().to_owned()))
}

/// Whether the engine has an image, or its registry does.
pub async fn is_there(reference: &str) -> Result<bool> {
    Ok(image_id(reference).await?.is_some() || docker(&["pull", "-q", reference]).await?.success)
}

/// Runs a shell line over a copy of `folder`, in a container of that image that has no network and is thrown away: whether it succeeded, and what it said.
pub async fn run_in_image(image: &str, folder: &Path, line: &str) -> Result<(bool, String)> {
    let mount = format!("{}:/check:ro", folder.display());
    // A copy, so that whatever the line writes goes away with the container.
    let script = format!("cp -r /check /tmp/check && cd /tmp/check && {line}");
    let run = ["run", "--rm", "--network", "none", "-v", &mount, "--entrypoint", "sh", image, "-c", &script];
    let done = docker(&run).await?;
    // 125 and up are docker's own failures, which look like a failed test otherwise.
    if !done.success && done.output.contains("docker: Error response") {
        bail!("no container of {image} could be run: {}", done.output.trim());
    }
    Ok((done.success, done.output))
}
