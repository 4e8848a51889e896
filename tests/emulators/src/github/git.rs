//! The bare repositories, driven through the `git` program.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git could not be run: {0}")]
    Start(#[from] std::io::Error),
    #[error("git {command} failed: {stderr}")]
    Failed { command: String, stderr: String },
    #[error("git {command} took longer than a minute")]
    Timeout { command: String },
}

/// Who made a commit, and when (ISO 8601).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    pub email: String,
    pub date: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub sha: String,
    pub tree: String,
    pub parents: Vec<String>,
    pub author: Signature,
    pub committer: Signature,
    pub message: String,
}

/// One file of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    pub path: String,
    /// The old path of a renamed file.
    pub previous: Option<String>,
    /// GitHub's word: `added`, `modified`, `removed`, `renamed`.
    pub status: &'static str,
    pub additions: u64,
    pub deletions: u64,
    /// The hunks; none for binary files.
    pub patch: Option<String>,
}

/// What lies at a path of a commit.
#[derive(Debug, Clone)]
pub(super) enum Content {
    File { sha: String, bytes: Vec<u8> },
    Folder(Vec<FolderEntry>),
}

#[derive(Debug, Clone)]
pub(super) struct FolderEntry {
    pub(super) path: String,
    pub(super) sha: String,
    pub(super) is: EntryKind,
    pub(super) size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Folder,
}

pub(super) enum MergeOutcome {
    Merged(String),
    Conflict,
}

#[derive(Debug, Clone)]
pub(super) struct BareRepository {
    path: PathBuf,
}

fn command(path: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_DIR", path)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl BareRepository {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    async fn output(&self, args: &[&str], env: &[(&str, &str)]) -> Result<std::process::Output, GitError> {
        let name = || args.first().copied().unwrap_or_default().to_owned();
        let run = command(&self.path).args(args).envs(env.iter().copied()).output();
        Ok(tokio::time::timeout(TIMEOUT, run).await.map_err(|_| GitError::Timeout { command: name() })??)
    }

    async fn bytes(&self, args: &[&str]) -> Result<Vec<u8>, GitError> {
        self.with_env(args, &[]).await
    }

    async fn with_env(&self, args: &[&str], env: &[(&str, &str)]) -> Result<Vec<u8>, GitError> {
        let output = self.output(args, env).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(GitError::Failed {
            command: args.first().copied().unwrap_or_default().to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    async fn text(&self, args: &[&str]) -> Result<String, GitError> {
        Ok(String::from_utf8_lossy(&self.bytes(args).await?).trim_end_matches('\n').to_owned())
    }

    /// An empty bare repository with `main` as its default branch, or one with what `folder` holds as its first commit, dated in the past so
    /// that the same folder always gives the same commit.
    pub(super) async fn create(path: PathBuf, folder: Option<&Path>) -> Result<Self, GitError> {
        std::fs::create_dir_all(&path)?;
        let repository = Self { path };
        repository.text(&["init", "--quiet", "--bare", "--initial-branch=main"]).await?;
        for (key, value) in [
            ("http.receivepack", "true"),
            ("receive.hideRefs", "refs/pull"),
            ("uploadpack.allowFilter", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("core.logAllRefUpdates", "false"),
            ("gc.auto", "0"),
        ] {
            repository.text(&["config", key, value]).await?;
        }
        if let Some(folder) = folder {
            let index = repository.path.join("import-index");
            let folder = folder.canonicalize()?;
            let (folder, index_text) = (folder.to_string_lossy(), index.to_string_lossy());
            let env = [("GIT_WORK_TREE", folder.as_ref()), ("GIT_INDEX_FILE", index_text.as_ref())];
            repository.with_env(&["-C", folder.as_ref(), "-c", "core.bare=false", "add", "--all", "."], &env).await?;
            let tree = repository.with_env(&["write-tree"], &env).await?;
            let tree = String::from_utf8_lossy(&tree).trim().to_owned();
            std::fs::remove_file(&index)?;
            let who = Signature {
                name: "Sample Author".to_owned(),
                email: "author@example.com".to_owned(),
                date: "2026-01-05T09:00:00Z".to_owned(),
            };
            let sha = repository.commit_tree(&tree, &[], &who, "Initial commit").await?;
            repository.update_ref("refs/heads/main", &sha).await?;
        }
        Ok(repository)
    }

    pub(super) async fn commit_tree(&self, tree: &str, parents: &[&str], who: &Signature, message: &str) -> Result<String, GitError> {
        let mut args = vec!["commit-tree", tree, "-m", message];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        let env = [
            ("GIT_AUTHOR_NAME", who.name.as_str()),
            ("GIT_AUTHOR_EMAIL", who.email.as_str()),
            ("GIT_AUTHOR_DATE", who.date.as_str()),
            ("GIT_COMMITTER_NAME", who.name.as_str()),
            ("GIT_COMMITTER_EMAIL", who.email.as_str()),
            ("GIT_COMMITTER_DATE", who.date.as_str()),
        ];
        Ok(String::from_utf8_lossy(&self.with_env(&args, &env).await?).trim().to_owned())
    }

    pub(super) async fn update_ref(&self, name: &str, sha: &str) -> Result<(), GitError> {
        self.text(&["update-ref", name, sha]).await.map(drop)
    }

    pub(super) async fn delete_ref(&self, name: &str) -> Result<(), GitError> {
        self.text(&["update-ref", "-d", name]).await.map(drop)
    }

    /// Every ref below `prefix` (such as `refs/heads/`), by its full name.
    pub(super) async fn refs(&self, prefix: &str) -> Result<BTreeMap<String, String>, GitError> {
        let text = self.text(&["for-each-ref", "--format=%(objectname) %(refname)", prefix]).await?;
        Ok(text.lines().filter_map(|line| line.split_once(' ')).map(|(sha, name)| (name.to_owned(), sha.to_owned())).collect())
    }

    /// The commit that a branch, tag, full ref or commit id names.
    pub(super) async fn resolve(&self, name: &str) -> Result<Option<String>, GitError> {
        if name.is_empty() || name.starts_with('-') {
            return Ok(None);
        }
        for candidate in [format!("refs/heads/{name}"), format!("refs/tags/{name}"), name.to_owned()] {
            let spec = format!("{candidate}^{{commit}}");
            let output = self.output(&["rev-parse", "--verify", "--quiet", "--end-of-options", &spec], &[]).await?;
            if output.status.success() {
                return Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
            }
        }
        Ok(None)
    }

    pub(super) async fn branch(&self, branch: &str) -> Result<Option<String>, GitError> {
        let name = format!("refs/heads/{branch}");
        let output = self.output(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name], &[]).await?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    /// Commits of a range (`base..head`) or up to a commit, newest first.
    pub(super) async fn log(&self, range: &str, limit: usize) -> Result<Vec<Commit>, GitError> {
        let format = "--format=tformat:%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x00%x1e";
        let limit = format!("--max-count={limit}");
        let text = self.text(&["log", format, &limit, "--end-of-options", range, "--"]).await?;
        Ok(text.split("\0\x1e").filter_map(parse_commit).collect())
    }

    pub(super) async fn commit(&self, sha: &str) -> Result<Option<Commit>, GitError> {
        Ok(self.log(sha, 1).await?.pop())
    }

    pub(super) async fn merge_base(&self, a: &str, b: &str) -> Result<Option<String>, GitError> {
        let output = self.output(&["merge-base", "--end-of-options", a, b], &[]).await?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    pub(super) async fn count(&self, range: &str) -> Result<u64, GitError> {
        Ok(self.text(&["rev-list", "--count", "--end-of-options", range, "--"]).await?.trim().parse().unwrap_or(0))
    }

    /// What changed from `base` to `head`, file by file. Callers give the merge base for a pull request's view.
    pub(super) async fn diff(&self, base: &str, head: &str) -> Result<Vec<FileChange>, GitError> {
        let names = self.text(&["diff", "--name-status", "-z", "-M", base, head, "--"]).await?;
        let numbers = self.text(&["diff", "--numstat", "-z", "-M", base, head, "--"]).await?;
        let patches = self.patch(base, head).await?;
        let mut changes = parse_names(&names);
        for (change, (additions, deletions)) in changes.iter_mut().zip(parse_numbers(&numbers)) {
            (change.additions, change.deletions) = (additions, deletions);
        }
        for (change, patch) in changes.iter_mut().zip(split_patches(&patches)) {
            change.patch = patch;
        }
        Ok(changes)
    }

    pub(super) async fn patch(&self, base: &str, head: &str) -> Result<String, GitError> {
        self.text(&["diff", "--no-color", "-M", base, head, "--"]).await
    }

    pub(super) async fn content(&self, commit: &str, path: &str) -> Result<Option<Content>, GitError> {
        let spec = format!("{commit}:{path}");
        let kind = self.output(&["cat-file", "-t", &spec], &[]).await?;
        if !kind.status.success() {
            return Ok(None);
        }
        let sha = self.text(&["rev-parse", "--verify", "--end-of-options", &spec]).await?;
        if String::from_utf8_lossy(&kind.stdout).trim() == "blob" {
            return Ok(Some(Content::File { sha, bytes: self.bytes(&["cat-file", "blob", &spec]).await? }));
        }
        let listing = self.text(&["ls-tree", "-z", "--long", &spec]).await?;
        let entries = listing.split('\0').filter_map(|line| {
            let (head, name) = line.split_once('\t')?;
            let mut parts = head.split_whitespace();
            let (_, kind, sha, size) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            Some(FolderEntry {
                path: if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") },
                sha: sha.to_owned(),
                is: if kind == "tree" { EntryKind::Folder } else { EntryKind::File },
                size: size.parse().unwrap_or(0),
            })
        });
        Ok(Some(Content::Folder(entries.collect())))
    }

    /// The tree that merging gives; `None` where the two conflict.
    pub(super) async fn merged_tree(&self, base: &str, head: &str) -> Result<Option<String>, GitError> {
        let output = self.output(&["merge-tree", "--write-tree", "--name-only", "--no-messages", base, head], &[]).await?;
        match output.status.code() {
            Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
            Some(1) => Ok(None),
            _ => Err(GitError::Failed {
                command: "merge-tree".to_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            }),
        }
    }

    /// Merges `head` into the branch with a commit by `who`. `parents` says whether that is a merge commit or a squash.
    pub(super) async fn merge(
        &self,
        branch: &str,
        head: &str,
        method: MergeMethod,
        who: &Signature,
        message: &str,
    ) -> Result<MergeOutcome, GitError> {
        let Some(base) = self.branch(branch).await? else {
            return Ok(MergeOutcome::Conflict);
        };
        let Some(tree) = self.merged_tree(&base, head).await? else {
            return Ok(MergeOutcome::Conflict);
        };
        let parents: &[&str] = match method {
            MergeMethod::Merge => &[&base, head],
            MergeMethod::Squash => &[&base],
        };
        let sha = self.commit_tree(&tree, parents, who, message).await?;
        self.update_ref(&format!("refs/heads/{branch}"), &sha).await?;
        Ok(MergeOutcome::Merged(sha))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeMethod {
    Merge,
    Squash,
}

fn parse_commit(record: &str) -> Option<Commit> {
    let mut fields = record.trim_start_matches('\n').split('\0').map(str::to_owned);
    let mut next = || fields.next();
    let (sha, tree, parents) = (next()?, next()?, next()?);
    let author = Signature { name: next()?, email: next()?, date: next()? };
    let committer = Signature { name: next()?, email: next()?, date: next()? };
    let message = next()?.trim_end_matches('\n').to_owned();
    let parents = parents.split_whitespace().map(str::to_owned).collect();
    (!sha.is_empty()).then_some(Commit { sha, tree, parents, author, committer, message })
}

fn parse_names(text: &str) -> Vec<FileChange> {
    let mut fields = text.split('\0').filter(|field| !field.is_empty());
    let mut changes = Vec::new();
    while let Some(code) = fields.next() {
        let (status, previous) = match code.as_bytes().first() {
            Some(b'A') => ("added", None),
            Some(b'D') => ("removed", None),
            Some(b'R' | b'C') => ("renamed", fields.next().map(str::to_owned)),
            _ => ("modified", None),
        };
        let Some(path) = fields.next() else { break };
        changes.push(FileChange { path: path.to_owned(), previous, status, additions: 0, deletions: 0, patch: None });
    }
    changes
}

/// Added and deleted lines per file; a binary file counts none.
fn parse_numbers(text: &str) -> Vec<(u64, u64)> {
    let mut fields = text.split('\0');
    let mut numbers = Vec::new();
    while let Some(field) = fields.next() {
        let mut parts = field.splitn(3, '\t');
        let (Some(added), Some(deleted), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        numbers.push((added.parse().unwrap_or(0), deleted.parse().unwrap_or(0)));
        if path.is_empty() {
            // A rename: old and new path follow as fields of their own.
            fields.next();
            fields.next();
        }
    }
    numbers
}

/// A file's hunks, from the first `@@` on.
fn split_patches(text: &str) -> Vec<Option<String>> {
    let mut patches: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        if line.starts_with("diff --git ") {
            patches.push(Vec::new());
        } else if let Some(lines) = patches.last_mut()
            && (!lines.is_empty() || line.starts_with("@@ "))
        {
            lines.push(line);
        }
    }
    patches.into_iter().map(|lines| (!lines.is_empty()).then(|| lines.join("\n"))).collect()
}
