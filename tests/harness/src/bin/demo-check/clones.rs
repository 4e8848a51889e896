//! Clones outside of any sandbox, and what is tried in them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use longshore_emulators::github::PullRequestView;
use longshore_harness::{Harness, run_in_image};
use tokio::process::Command;

use crate::choice::Choice;

/// The one pull request of the repository that was asked about.
pub fn pull_request(harness: &Harness, choice: &Choice) -> Result<PullRequestView> {
    let mut all = harness.github.pull_requests(&choice.defect.repository);
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => bail!("there is no pull request on {}", choice.defect.repository),
        (Some(_), more) => bail!("there are {} pull requests on {}, not one", more + 1, choice.defect.repository),
    }
}

/// Fresh clones from the git server, each removed with this.
pub struct Clones {
    url: String,
    image: String,
    folder: tempfile::TempDir,
}

/// What a shell line did in a clone.
#[derive(Debug)]
pub struct Tried {
    pub passed: bool,
    pub output: String,
}

impl Clones {
    /// `image` has what the repository's tests need; they run in a container of it that has no network and nothing of the service's.
    pub async fn new(harness: &Harness, choice: &Choice) -> Result<Self> {
        let repository = &choice.defect.repository;
        let token = harness.people.tokens.get(&choice.asker.id).context("the asker has no token")?;
        Ok(Self { url: harness.github.clone_url(repository, token), image: harness.image(repository).await?, folder: tempfile::tempdir()? })
    }

    /// Clones, checks out `revision` and runs the line there.
    pub async fn run(&self, revision: &str, line: &str) -> Result<Tried> {
        let clone = tempfile::tempdir_in(self.folder.path())?;
        let path = clone.path().join("clone");
        git(self.folder.path(), &["clone", "--quiet", &self.url, &path.to_string_lossy()]).await?;
        git(&path, &["checkout", "--quiet", revision]).await?;
        // What is under test belongs to nobody in particular in the container.
        let (passed, output) = run_in_image(&self.image, &readable(path)?, line).await?;
        Ok(Tried { passed, output })
    }
}

/// Temporary folders are closed to others, and the container's user is another.
fn readable(path: PathBuf) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let closed = path.ancestors().skip(1).take(2);
    for folder in closed.chain([path.as_path()]) {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

async fn git(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("git");
    // Nobody's settings, and no question at a terminal.
    command
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("no_proxy", "127.0.0.1")
        .kill_on_drop(true);
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), command.output()).await.context("git takes too long")??;
    if !output.status.success() {
        bail!("git {} failed: {}", arguments.first().unwrap_or(&""), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
