//! The session's branch, up to date, and the name that its commits carry. The agent reads meanwhile; its writes wait (see [`crate::gate`]).

use std::time::Duration;

use longshore_sandbox::Exec;
use longshore_session::{Checkout, Person, SandboxId, SessionRecord, TurnFailure, fault_point};

use super::{failure, no_manifest, tail};
use crate::{app::App, conversation::again};

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

/// Of a sandbox that was killed, a lock may be left. Nobody works in there now.
const IDENTIFY: &str = r#"
rm -f .git/index.lock
git config user.name "$AUTHOR_NAME"
git config user.email "$AUTHOR_EMAIL"
"#;

/// Brings the session's branch up: the one that was pushed before, else a new one from the base. `BASE` and `BRANCH` are variables.
const BRING_UP: &str = r#"
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

/// Takes in the base branch, into which the session's work was merged. Where that conflicts the branch stays as it is, and a person sees it in the
/// next pull request. A branch that was deleted with the merge is made anew when there is something to push.
const TAKE_IN: &str = r#"
git fetch --quiet --no-tags origin "+refs/heads/$BASE:refs/remotes/origin/$BASE"
git merge --quiet --no-edit "origin/$BASE" >&2 || git merge --abort || true
git ls-remote --exit-code origin "refs/heads/$BRANCH" >/dev/null || {
  status=$?
  [ "$status" = 2 ] || exit "$status"
  git update-ref -d "refs/remotes/origin/$BRANCH"
}
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
    let said = match run(app, sandbox, &exec).await? {
        Ok(()) => return Ok(()),
        Err(said) => said,
    };
    if again::is_passing(&said) {
        return Err(TurnFailure::GitHubAway { detail: again::reason(&said) });
    }
    Err(TurnFailure::Sync { detail: tail(said.trim(), 400) })
}

/// What becomes of the base branch's newest commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    Left,
    /// They come into the session's branch, whose pull request was merged: what follows is about them.
    TakenIn,
}

/// Can be done again as long as nothing was written.
pub async fn sync(
    app: &App,
    record: &SessionRecord,
    author: &Person,
    sandbox: &SandboxId,
    (checkout, base): (Checkout, Base),
) -> Result<(), TurnFailure> {
    let Some(manifest) = app.manifest(&record.repo) else { return Err(no_manifest(record)) };
    let bring_up = match checkout {
        Checkout::BringUp => BRING_UP,
        Checkout::Keep => "",
    };
    let take_in = match base {
        Base::Left => "",
        Base::TakenIn => TAKE_IN,
    };
    let script = format!("{ALONE}{IDENTIFY}{bring_up}{take_in}");
    let exec = Exec::shell(script)
        .variable("ATTEMPT", format!("{:016x}", rand::random::<u64>()))
        .variable("AUTHOR_NAME", &author.name)
        .variable("AUTHOR_EMAIL", &author.email)
        .variable("BASE", &manifest.base_branch)
        .variable("BRANCH", record.id.branch())
        .timeout(SYNC_TIMEOUT)
        .output_limit(8 << 10);
    fault_point!("sync.run.before");
    let said = match run(app, sandbox, &exec).await? {
        Ok(()) => {
            fault_point!("sync.run.after");
            return Ok(());
        }
        Err(said) => said,
    };
    tracing::error!(%sandbox, "cannot sync with the base branch");
    let said = said.trim();
    if again::is_passing(said) {
        return Err(TurnFailure::GitHubAway { detail: again::reason(said) });
    }
    if said.contains("not found") || said.contains("404") {
        return Err(TurnFailure::RepositoryGone);
    }
    if again::tells_of_full_disk(said) {
        return Err(TurnFailure::DiskFull);
    }
    Err(TurnFailure::Sync { detail: tail(said, 400) })
}

/// Runs what may be run twice, and runs it again where it failed for a reason that passes. What it said at last where it failed for good.
async fn run(app: &App, sandbox: &SandboxId, exec: &Exec) -> Result<Result<(), String>, TurnFailure> {
    let mut failures = 0;
    loop {
        let attempt = async || app.engine.exec(sandbox, exec.clone()).await.map_err(|error| failure(&error));
        let output = again::past_engine_restart(attempt).await?;
        if output.succeeded() {
            return Ok(Ok(()));
        }
        let said = output.stderr_text().into_owned();
        failures += 1;
        let Some(pause) = again::pause(&said, failures) else { return Ok(Err(said)) };
        tracing::warn!(%sandbox, end = ?output.end, "cannot fetch; trying again in {} s", pause.as_secs());
        tokio::time::sleep(pause).await;
    }
}
