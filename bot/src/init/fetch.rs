//! Reading a repository from GitHub: a shallow clone into a folder that goes away again.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use longshore_github::{Access, GitHub, GitHubError, Repository};
use longshore_sandbox::CommitSha;
use longshore_session::RepoName;
use tokio::process::Command;

use crate::config::Config;

const CLONE_LIMIT: Duration = Duration::from_secs(600);

/// What GitHub says of the repository; the error says what to do where it says nothing.
pub async fn look_up(github: &GitHub, repo: &RepoName) -> Result<Repository> {
    match github.repository(repo).await {
        Ok(found) => Ok(found),
        Err(GitHubError::NotFound { .. }) => bail!(
            "the GitHub App does not see {repo}: see that the name is right, and that the App is installed on the repository (docs/github.md)"
        ),
        Err(error) => Err(anyhow::Error::new(error).context("cannot ask GitHub (`longshore doctor` says more)")),
    }
}

/// Clones the default branch's newest commit into `folder`, and says which it is.
pub async fn clone(config: &Config, github: &GitHub, repository: &Repository, folder: &Path) -> Result<CommitSha> {
    let token = github.installation_token(&repository.name, Access::Read).await.context("GitHub gives no token to read the repository")?;
    let base = config.github.web_url.trim_end_matches('/');
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{}", token.expose()));
    let mut clone = git(folder);
    clone
        .args(["clone", "--quiet", "--depth", "1", "--single-branch", "--no-tags", "--branch", &repository.default_branch])
        .arg(format!("{base}/{}.git", repository.name))
        .arg(".")
        // In the environment, where no list of processes shows it to others.
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", format!("http.{base}/.extraHeader"))
        .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"))
        .env("GIT_CONFIG_KEY_1", "core.hooksPath")
        .env("GIT_CONFIG_VALUE_1", "/dev/null");
    run(clone).await.with_context(|| format!("cannot clone {} (branch {})", repository.name, repository.default_branch))?;
    let mut head = git(folder);
    head.args(["rev-parse", "HEAD"]);
    let commit = run(head).await?;
    CommitSha::parse(commit.trim()).context("git names a commit that is none")
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_TERMINAL_PROMPT", "0").env("GIT_LFS_SKIP_SMUDGE", "1").env("LC_ALL", "C");
    // These would write the credential to where somebody reads it.
    for telling in ["GIT_TRACE", "GIT_TRACE_CURL", "GIT_CURL_VERBOSE", "GIT_TRACE_PACKET", "GIT_TRACE2", "GIT_TRACE2_EVENT"] {
        command.env_remove(telling);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> Result<String> {
    let output = tokio::time::timeout(CLONE_LIMIT, command.output())
        .await
        .with_context(|| format!("git did not end within {} s", CLONE_LIMIT.as_secs()))?
        .context("cannot start git: is it installed?")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
