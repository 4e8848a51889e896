//! The session's branch, up to date, and the name that its commits carry. The agent reads meanwhile; its writes wait (see [`crate::gate`]).

use std::{sync::Arc, time::Duration};

use longshore_sandbox::Exec;
use longshore_session::{Checkout, Person, SandboxId, SessionRecord, TurnFailure, fault_point};

use super::{failure, no_manifest, tail};
use crate::app::App;

const SYNC_TIMEOUT: Duration = Duration::from_secs(300);

/// One after the other: a sync that the end of the service left behind may still be at it. Whoever waited and is not the newest any more does nothing,
/// since the newest one's end is what opens the gate. `ATTEMPT` names this one.
const ALONE: &str = r#"
set -e
mark=/tmp/.longshore-sync
printf '%s' "$ATTEMPT" >"$mark.newest"
exec 9>"$mark.lock"
flock 9
[ "$(cat "$mark.newest")" = "$ATTEMPT" ] || exit 75
git() { command git "$@" 9>&-; }
"#;

const IDENTIFY: &str = r#"
git config user.name "$AUTHOR_NAME"
git config user.email "$AUTHOR_EMAIL"
"#;

/// Brings the session's branch up: the one that was pushed before, else a new one from the base. `BASE` and `BRANCH` are variables.
const BRING_UP: &str = r#"
rm -f .git/index.lock
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

/// Takes in what was pushed to the session's branch after the checkout was kept. What lies about uncommitted stays, or it fails.
const CATCH_UP: &str = r#"
set -e
rm -f .git/index.lock
if git ls-remote --exit-code origin "refs/heads/$BRANCH" >/dev/null; then
  git fetch --quiet --no-tags origin "+refs/heads/$BRANCH:refs/remotes/origin/$BRANCH"
  git merge --quiet --ff-only "origin/$BRANCH"
else
  status=$?
  [ "$status" = 2 ] || exit "$status"
fi
"#;

/// For a checkout that was restored, before an agent gets to see it.
pub async fn catch_up(app: &App, record: &SessionRecord, sandbox: &SandboxId) -> Result<(), TurnFailure> {
    let exec = Exec::shell(CATCH_UP).variable("BRANCH", record.id.branch()).timeout(SYNC_TIMEOUT).output_limit(8 << 10);
    let output = app.engine.exec(sandbox, exec).await.map_err(|error| failure(&error))?;
    if output.succeeded() { Ok(()) } else { Err(TurnFailure::Sync { detail: tail(output.stderr_text().trim(), 400) }) }
}

/// Can be done again as long as nothing was written.
pub async fn sync(app: Arc<App>, record: SessionRecord, author: Person, sandbox: SandboxId, checkout: Checkout) -> Result<(), TurnFailure> {
    let Some(manifest) = app.manifest(&record.repo) else { return Err(no_manifest(&record)) };
    let script = match checkout {
        Checkout::BringUp => format!("{ALONE}{IDENTIFY}{BRING_UP}"),
        Checkout::Keep => format!("{ALONE}{IDENTIFY}"),
    };
    let exec = Exec::shell(script)
        .variable("ATTEMPT", format!("{:016x}", rand::random::<u64>()))
        .variable("AUTHOR_NAME", &author.name)
        .variable("AUTHOR_EMAIL", &author.email)
        .variable("BASE", &manifest.base_branch)
        .variable("BRANCH", record.id.branch())
        .timeout(SYNC_TIMEOUT)
        .output_limit(8 << 10);
    fault_point!("sync.run.before");
    let output = app.engine.exec(&sandbox, exec).await.map_err(|error| failure(&error))?;
    if output.succeeded() {
        fault_point!("sync.run.after");
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
