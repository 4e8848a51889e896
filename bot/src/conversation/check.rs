//! What was verified: the repository's check, run by the service on the pushed commit in the session's own sandbox.

use std::time::Duration;

use longshore_sandbox::{Exec, ExecEnd, ExecOutput};
use longshore_session::{CheckEnd, CheckRecord, RepositoryManifest, SandboxId, SessionRecord, TurnFailure, fault_point};

use super::{prepare::failure, work::lines_at_end};
use crate::app::App;

/// What a reader of a thread looks at; the whole output is of no use there.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: usize = 1_500;
/// For looking at the tree and for putting it back.
const BRIEF: Duration = Duration::from_secs(60);

/// Succeeds where nothing but the pushed commit lies about.
const IS_CLEAN: &str = r#"[ "$(git rev-parse HEAD)" = "$COMMIT" ] && [ -z "$(git status --porcelain)" ]"#;

/// The process group is noted, so that whoever cleans up after a restart of the service can end what still runs of it.
const RUN: &str = r#"
cut -d' ' -f5 /proc/$$/stat >/tmp/.longshore-check.group
exec bash -c "$CHECK" >/tmp/.longshore-check.log 2>&1 </dev/null
"#;

/// Ends what is left of the check, puts the tree back to the pushed commit, and prints the end of what the check printed.
const RESTORE: &str = r#"
group=$(cat /tmp/.longshore-check.group 2>/dev/null)
case $group in
  ''|*[!0-9]*|0|1) ;;
  *) kill -9 -- "-$group" 2>/dev/null ;;
esac
tail -c 6000 /tmp/.longshore-check.log 2>/dev/null
rm -f /tmp/.longshore-check.group /tmp/.longshore-check.log .git/index.lock
git checkout --quiet --force -B "$BRANCH" "$COMMIT" >&2 && git clean --quiet -d --force >&2
"#;

/// What is said where nothing could be found out.
pub fn not_run(command: &str, commit: &str, why: &str) -> CheckRecord {
    let end = CheckEnd::NotRun { why: why.to_owned() };
    CheckRecord { command: command.to_owned(), commit: commit.to_owned(), end, took_ms: 0, tail: String::new() }
}

/// Runs the check. Never fails: that nothing could be found out is an answer as well.
pub async fn run(
    app: &App,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    sandbox: &SandboxId,
    (command, commit): (&str, &str),
) -> CheckRecord {
    let not_run = |why: &str| not_run(command, commit, why);
    let look = Exec::shell(IS_CLEAN).variable("COMMIT", commit).timeout(BRIEF);
    match app.engine.exec(sandbox, look).await {
        Ok(output) if output.succeeded() => {}
        Ok(_) => return not_run("files changed after the work was pushed"),
        Err(error) => return not_run(&longshore_slack::failure_words(&failure(&error)).0),
    }
    let line = Exec::shell(RUN).variable("CHECK", command).timeout(manifest.check.timeout());
    fault_point!("check.run.before");
    let ran = app.engine.exec(sandbox, line).await;
    fault_point!("check.run.after");
    let tail = restore(app, record, sandbox, commit).await;
    fault_point!("check.restored.after");
    let output = match ran {
        Ok(output) => output,
        Err(error) => {
            tracing::warn!(%sandbox, %error, "the check cannot be run");
            return not_run(&longshore_slack::failure_words(&failure(&error)).0);
        }
    };
    tracing::info!(%sandbox, end = ?output.end, took_ms = output.took.as_millis(), "ran the repository's check");
    let end = match output.end {
        ExecEnd::Exited(code) => CheckEnd::Exited { code },
        ExecEnd::TimedOut => CheckEnd::TimedOut { seconds: manifest.check.timeout_s },
        ExecEnd::OutOfMemory => CheckEnd::OutOfMemory,
    };
    // What a check that passed printed is worth nothing.
    let tail = if output.succeeded() { String::new() } else { tail.unwrap_or_default() };
    let took_ms = output.took.as_millis().try_into().unwrap_or(u64::MAX);
    CheckRecord { command: command.to_owned(), commit: commit.to_owned(), end, took_ms, tail }
}

/// Puts the tree back to the pushed commit: what a check writes is never committed. Gives the end of the check's output.
pub async fn restore(app: &App, record: &SessionRecord, sandbox: &SandboxId, commit: &str) -> Result<String, TurnFailure> {
    let exec = Exec::shell(RESTORE).variable("BRANCH", record.id.branch()).variable("COMMIT", commit).timeout(BRIEF);
    let output: ExecOutput = app.engine.exec(sandbox, exec).await.map_err(|error| failure(&error))?;
    if !output.succeeded() {
        tracing::warn!(%sandbox, end = ?output.end, "the files that the check left cannot be removed");
        return Err(TurnFailure::Internal);
    }
    let printed: String = output.stdout_text().chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let printed = app.sandboxes.without_token(sandbox, &printed);
    Ok(lines_at_end(&printed, TAIL_LINES, TAIL_BYTES))
}
