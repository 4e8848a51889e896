//! What a session leaves in a repository that was the wrong one, taken back as far as it is ours alone.

use std::time::Duration;

use longshore_github::{GitHubError, Touched};
use longshore_sandbox::Exec;
use longshore_session::{RepositoryManifest, SandboxId, SessionRecord, fault_point};
use longshore_slack::Leftover;

use super::prepare;
use crate::{app::App, snapshots};

const LOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// What the session pushed last, as far as its sandbox knows.
const PUSHED: &str = r#"git rev-parse --quiet --verify "refs/remotes/origin/$BRANCH""#;
/// What the pull request is told.
const WHY: &str = "This was the wrong repository, so I close it: the work goes on elsewhere.";

/// Removes the session's sandboxes and what it pushed. `saved` is the commit that the service pushed last. Can be done again after a crash.
pub async fn leave(app: &App, record: &SessionRecord, saved: Option<String>) -> Option<Leftover> {
    let sandboxes = match app.store.sandboxes().await {
        Ok(rows) => rows.into_iter().filter(|row| row.session == record.id).map(|row| row.id).collect(),
        Err(error) => {
            tracing::warn!(%error, "cannot look for the session's sandboxes; the next start sweeps them");
            Vec::new()
        }
    };
    // From here on nothing more is pushed.
    sandboxes.iter().for_each(|sandbox| app.sandboxes.release(sandbox));
    let mut pushed = saved;
    for sandbox in &sandboxes {
        if let Some(head) = pushed_from(app, record, sandbox).await {
            pushed = Some(head);
        }
    }
    let leftover = match app.manifest(&record.repo) {
        Some(manifest) => take_back(app, record, manifest, pushed.as_deref()).await.unwrap_or_else(|error| {
            tracing::warn!(repo = %record.repo, %error, "cannot clean up on GitHub");
            Some(Leftover::NotLookedAt { repo: record.repo.clone(), branch: record.id.branch() })
        }),
        None => None,
    };
    for sandbox in &sandboxes {
        prepare::discard(app, sandbox).await;
    }
    if let Err(error) = snapshots::forget(app, &record.id).await {
        tracing::warn!(error = format!("{error:#}"), "cannot remove the session's snapshots; they go when they are old");
    }
    leftover
}

async fn pushed_from(app: &App, record: &SessionRecord, sandbox: &SandboxId) -> Option<String> {
    let exec = Exec::shell(PUSHED).variable("BRANCH", record.id.branch()).timeout(LOOK_TIMEOUT).output_limit(1 << 10);
    let output = app.engine.exec(sandbox, exec).await.ok()?;
    let head = output.stdout_text().trim().to_owned();
    (output.succeeded() && !head.is_empty()).then_some(head)
}

/// The branch goes if all of it is what this session pushed; its pull request is closed if nobody has said anything about it.
async fn take_back(
    app: &App,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    pushed: Option<&str>,
) -> Result<Option<Leftover>, GitHubError> {
    let (repo, branch) = (&record.repo, record.id.branch());
    let Some(head) = app.github.branch_head(repo, &branch).await? else { return Ok(None) };
    let ours = pushed == Some(head.as_str());
    let pull = app.github.open_pull_request_of(repo, &branch, &manifest.base_branch).await?;
    let leftover = match pull {
        Some(pull) if ours && app.github.touched(repo, pull.number).await? == Touched::ByNobody => {
            app.github.close_pull_request(repo, pull.number, WHY).await?;
            Some(Leftover::PullRequestClosed { repo: repo.clone(), number: pull.number, url: pull.url })
        }
        Some(pull) => return Ok(Some(Leftover::PullRequestKept { repo: repo.clone(), number: pull.number, url: pull.url })),
        None if ours => None,
        None => return Ok(Some(Leftover::BranchKept { repo: repo.clone(), branch })),
    };
    fault_point!("leave.removed.before");
    app.github.delete_branch(repo, &branch, &head).await?;
    fault_point!("leave.removed.after");
    Ok(leftover)
}
