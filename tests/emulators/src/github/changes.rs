//! What happens when branches move and pull requests are merged or closed: state, webhooks.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    error::ApiError,
    git::{MergeMethod, MergeOutcome, Signature},
    server::Shared,
    state::{Account, Pull, PullState, World},
};

const ZERO: &str = "0000000000000000000000000000000000000000";

/// Why a merge was refused.
pub(super) enum MergeRefusal {
    NotOpen,
    Conflict,
    HeadMoved,
    Failed(ApiError),
}

impl Shared {
    pub(super) fn fire_pull(&self, world: &mut World, key: &str, number: u64, action: &str, sender: &Account, extra: Value) {
        let Some(repository) = world.repository(key) else { return };
        let Some(pull) = repository.pulls.get(&number) else { return };
        let mut shape = self.pull_json(world, repository, pull);
        merged_fields(self, world, pull, &mut shape);
        let mut payload = json!({"action": action, "number": number, "pull_request": shape});
        if let Value::Object(extra) = extra {
            for (name, value) in extra {
                payload[name] = value;
            }
        }
        self.fire(world, key, "pull_request", sender, payload);
    }

    /// Compares the repository's branches with what was last seen, and does what GitHub does on a push: heads of open pull requests move,
    /// those whose branch is gone are closed, those whose head is now in the base are merged; webhooks for each.
    pub(super) async fn branches_moved(self: &Arc<Self>, key: &str, sender: &Account) -> Result<(), ApiError> {
        let _one_at_a_time = self.pushes.lock().await;
        let Some((git, known)) = self.world().repository(key).map(|repository| (repository.git.clone(), repository.known_branches.clone()))
        else {
            return Ok(());
        };
        let seen = git.refs("refs/heads/").await?;
        let mut names: Vec<&String> = known.keys().chain(seen.keys()).collect();
        names.sort();
        names.dedup();
        let moved: Vec<(String, Option<String>, Option<String>)> = names
            .into_iter()
            .filter(|name| known.get(*name) != seen.get(*name))
            .map(|name| (name.trim_start_matches("refs/heads/").to_owned(), known.get(name).cloned(), seen.get(name).cloned()))
            .collect();
        if let Some(repository) = self.world().repository_mut(key) {
            repository.known_branches = seen;
        }
        for (branch, before, after) in moved {
            self.branch_moved(key, &branch, before.as_deref(), after.as_deref(), sender).await?;
        }
        Ok(())
    }

    async fn branch_moved(
        self: &Arc<Self>,
        key: &str,
        branch: &str,
        before: Option<&str>,
        after: Option<&str>,
        sender: &Account,
    ) -> Result<(), ApiError> {
        let now = self.clock.now();
        let (git, open): (_, Vec<Pull>) = {
            let mut world = self.world();
            let payload = json!({
                "ref": format!("refs/heads/{branch}"), "before": before.unwrap_or(ZERO), "after": after.unwrap_or(ZERO),
                "created": before.is_none(), "deleted": after.is_none(), "forced": false, "commits": [],
            });
            self.fire(&mut world, key, "push", sender, payload);
            let Some(repository) = world.repository(key) else { return Ok(()) };
            let open = repository.pulls.values().filter(|pull| pull.state == PullState::Open).cloned().collect();
            (repository.git.clone(), open)
        };
        for pull in open {
            let number = pull.number;
            if pull.head == branch {
                let Some(sha) = after else {
                    self.close_pull(key, number, sender);
                    continue;
                };
                git.update_ref(&format!("refs/pull/{number}/head"), sha).await?;
                let mut world = self.world();
                if let Some(pull) = world.repository_mut(key).and_then(|repository| repository.pulls.get_mut(&number)) {
                    pull.head_sha = sha.to_owned();
                    pull.updated_at = now;
                }
                self.fire_pull(&mut world, key, number, "synchronize", sender, json!({"before": before, "after": sha}));
            } else if pull.base == branch
                && let Some(sha) = after
                && git.merge_base(sha, &pull.head_sha).await?.as_deref() == Some(pull.head_sha.as_str())
            {
                self.mark_merged(key, number, sha, sender);
            }
        }
        Ok(())
    }

    fn mark_merged(&self, key: &str, number: u64, commit: &str, by: &Account) {
        let now = self.clock.now();
        let mut world = self.world();
        let Some(pull) = world.repository_mut(key).and_then(|repository| repository.pulls.get_mut(&number)) else { return };
        if pull.state != PullState::Open {
            return;
        }
        pull.state = PullState::Merged { at: now, by: by.clone(), commit: commit.to_owned() };
        pull.updated_at = now;
        self.fire_pull(&mut world, key, number, "closed", by, Value::Null);
    }

    /// Closes without merging. Nothing happens to one that is not open.
    pub(super) fn close_pull(&self, key: &str, number: u64, by: &Account) {
        let now = self.clock.now();
        let mut world = self.world();
        let Some(pull) = world.repository_mut(key).and_then(|repository| repository.pulls.get_mut(&number)) else { return };
        if pull.state == PullState::Open {
            pull.state = PullState::Closed { at: now };
            pull.updated_at = now;
            self.fire_pull(&mut world, key, number, "closed", by, Value::Null);
        }
    }

    /// Merges with a commit in the base branch. The commit's id.
    pub(super) async fn merge_pull(
        self: &Arc<Self>,
        key: &str,
        number: u64,
        by: &Account,
        method: MergeMethod,
        expected_head: Option<&str>,
    ) -> Result<String, MergeRefusal> {
        let (git, pull, who, label) = {
            let world = self.world();
            let repository = world.repository(key).ok_or(MergeRefusal::NotOpen)?;
            let pull = repository.pulls.get(&number).filter(|pull| pull.state == PullState::Open).cloned().ok_or(MergeRefusal::NotOpen)?;
            (repository.git.clone(), pull, self.signature(&world, by), format!("{}/", repository.owner))
        };
        if expected_head.is_some_and(|sha| sha != pull.head_sha) {
            return Err(MergeRefusal::HeadMoved);
        }
        let message = match method {
            MergeMethod::Merge => format!("Merge pull request #{number} from {label}{}\n\n{}", pull.head, pull.title),
            MergeMethod::Squash => format!("{} (#{number})", pull.title),
        };
        let outcome = git
            .merge(&pull.base, &pull.head_sha, method, &who, &message)
            .await
            .map_err(|error| MergeRefusal::Failed(ApiError::from(error)))?;
        let MergeOutcome::Merged(sha) = outcome else { return Err(MergeRefusal::Conflict) };
        self.mark_merged(key, number, &sha, by);
        self.branches_moved(key, by).await.map_err(MergeRefusal::Failed)?;
        Ok(sha)
    }

    fn signature(&self, world: &World, account: &Account) -> Signature {
        let date = self.clock.now_text();
        match account {
            Account::User(login) => match world.user(login) {
                Some(user) => Signature { name: user.name.clone(), email: user.email.clone(), date },
                None => Signature { name: login.clone(), email: format!("{login}@users.noreply.github.com"), date },
            },
            Account::App => {
                let name = format!("{}[bot]", self.setup.app.slug);
                Signature { email: format!("{}+{name}@users.noreply.github.com", self.setup.app.id), name, date }
            }
        }
    }
}

/// What only a single pull request's answer says.
pub(super) fn merged_fields(shared: &Shared, world: &World, pull: &Pull, shape: &mut Value) {
    let by = match &pull.state {
        PullState::Merged { by, .. } => shared.account_json(world, by),
        PullState::Open | PullState::Closed { .. } => Value::Null,
    };
    shape["merged"] = json!(!by.is_null());
    shape["merged_by"] = by;
}
