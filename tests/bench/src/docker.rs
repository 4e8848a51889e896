//! The Docker engine by its own command line: the floor of what is asked of it.

use std::{os::unix::fs::PermissionsExt, process::Stdio, time::Duration};

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

/// Makes the base image with this script in the agent's place.
pub async fn image_with_agent(tag: &str, script: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("Dockerfile"), "FROM longshore/base:latest\nCOPY opencode /usr/local/bin/opencode\n")?;
    let agent = folder.path().join("opencode");
    std::fs::write(&agent, script)?;
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755))?;
    docker(&["build", "--quiet", "--tag", tag, &folder.path().to_string_lossy()]).await.map(drop)
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
