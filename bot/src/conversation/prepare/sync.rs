//! The session's branch, up to date, and the name that its commits carry.

use std::time::Duration;

use longshore_sandbox::Exec;
use longshore_session::{Person, RepositoryManifest, SandboxId, SessionRecord, TurnFailure};

use super::{failure, tail};
use crate::app::App;

const SYNC_TIMEOUT: Duration = Duration::from_secs(300);

/// Brings the session's branch up: the one that was pushed before, else a new one from the base. `BASE` and `BRANCH` are variables.
const SYNC: &str = r#"
set -e
git fetch --quiet --no-tags origin "+refs/heads/$BASE:refs/remotes/origin/$BASE"
start="origin/$BASE"
if git ls-remote --exit-code origin "refs/heads/$BRANCH" >/dev/null; then
  git fetch --quiet --no-tags origin "+refs/heads/$BRANCH:refs/remotes/origin/$BRANCH"
  start="origin/$BRANCH"
else
  status=$?
  [ "$status" = 2 ] || exit "$status"
fi
git checkout --quiet --force -B "$BRANCH" "$start"
"#;

const IDENTIFY: &str = r#"git config user.name "$AUTHOR_NAME" && git config user.email "$AUTHOR_EMAIL""#;

pub async fn sync(app: &App, record: &SessionRecord, manifest: &RepositoryManifest, sandbox: &SandboxId) -> Result<(), TurnFailure> {
    let exec = Exec::shell(SYNC)
        .variable("BASE", &manifest.base_branch)
        .variable("BRANCH", record.id.branch())
        .timeout(SYNC_TIMEOUT)
        .output_limit(8 << 10);
    let output = app.engine.exec(sandbox, exec).await.map_err(|error| failure(&error))?;
    if output.succeeded() {
        return Ok(());
    }
    let said = output.stderr_text();
    tracing::error!(%sandbox, end = ?output.end, "cannot sync with the base branch");
    let said = said.trim();
    if said.contains("not found") || said.contains("404") {
        return Err(TurnFailure::RepositoryGone);
    }
    if said.contains("No space left") {
        return Err(TurnFailure::DiskFull);
    }
    Err(TurnFailure::Sync { detail: tail(said, 400) })
}

pub async fn identify(app: &App, sandbox: &SandboxId, author: &Person) -> Result<(), TurnFailure> {
    let exec = Exec::shell(IDENTIFY).variable("AUTHOR_NAME", &author.name).variable("AUTHOR_EMAIL", &author.email);
    let output = app.engine.exec(sandbox, exec).await.map_err(|error| failure(&error))?;
    if output.succeeded() { Ok(()) } else { Err(TurnFailure::Sync { detail: tail(output.stderr_text().trim(), 400) }) }
}
