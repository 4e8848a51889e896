//! What tests and the demo hold in their hands.

use std::{path::Path, sync::Arc, time::Duration};

use rand::Rng as _;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    changes::MergeRefusal,
    clock::rfc3339,
    faults::{Fault, Hold, Outage, Route},
    git::{BareRepository, Commit, FileChange, GitError, MergeMethod},
    key::AppKey,
    server::{self, Shared},
    setup::{GitHubSetup, Level, NewUser, Permissions, Repositories, WebhookTarget},
    state::{Account, CheckKind, Installation, LoggedRequest, Pull, PullState, Repository, Token, TokenKind, User},
    webhooks::{Delivery, DeliveryOutcome},
};

/// Why the emulator, or a call on its handle, failed.
#[derive(Debug, thiserror::Error)]
pub enum GitHubEmulatorError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: std::net::SocketAddr, source: std::io::Error },
    #[error("cannot use the folder for repositories: {0}")]
    Data(std::io::Error),
    #[error("{0}")]
    Key(String),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("there is no {0}")]
    Unknown(String),
    #[error("{0} exists already")]
    Exists(String),
    #[error("pull request {number} of {repository} cannot be merged: {reason}")]
    NotMergeable { repository: String, number: u64, reason: &'static str },
}

type Outcome<T> = Result<T, GitHubEmulatorError>;

/// A pull request as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestView {
    pub number: u64,
    pub title: String,
    pub body: String,
    /// Login; `<slug>[bot]` for the App.
    pub author: String,
    /// `open`, `closed` or `merged`.
    pub state: &'static str,
    pub draft: bool,
    pub head: String,
    pub head_sha: String,
    pub base: String,
    pub url: String,
    pub labels: Vec<String>,
    pub requested_reviewers: Vec<String>,
    pub created_at: String,
}

/// A running GitHub. It ends when this is dropped; [`GitHubEmulator::stop`] also waits for the end.
pub struct GitHubEmulator {
    /// Pages and git: `http://127.0.0.1:PORT`.
    pub web_url: String,
    /// REST: `<web_url>/api/v3`. The same calls are answered without that prefix.
    pub api_url: String,
    /// Prefix of clone addresses: `<git_url>/<owner>/<name>.git`.
    pub git_url: String,
    shared: Arc<Shared>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
    tasks: Vec<JoinHandle<()>>,
    data: std::path::PathBuf,
    /// Removed with the emulator.
    _temporary: Option<tempfile::TempDir>,
}

/// Letters and digits, from the thread's random source.
pub(super) fn random_text(length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect()
}

impl GitHubEmulator {
    /// Listens and answers at once. Must be called within a tokio runtime.
    pub async fn start(setup: GitHubSetup) -> Outcome<Self> {
        let key = AppKey::of(&setup).map_err(GitHubEmulatorError::Key)?;
        let (data, temporary) = match &setup.data {
            Some(data) => {
                std::fs::create_dir_all(data).map_err(GitHubEmulatorError::Data)?;
                (data.clone(), None)
            }
            None => {
                let folder = tempfile::Builder::new().prefix("github-emulator-").tempdir().map_err(GitHubEmulatorError::Data)?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let bind = |source| GitHubEmulatorError::Bind { address: setup.bind, source };
        let listener = TcpListener::bind(setup.bind).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let web_url = setup.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let web_url = web_url.trim_end_matches('/').to_owned();
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(setup, key, web_url.clone(), sender));
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(server::serve(listener, server::router(shared.clone()), stop.clone())),
            tokio::spawn(server::send_webhooks(shared.clone(), receiver, stop.clone())),
        ];
        Ok(Self {
            api_url: shared.api_url.clone(),
            git_url: web_url.clone(),
            web_url,
            shared,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            tasks,
            data,
            _temporary: temporary,
        })
    }

    /// Ends it and waits until the socket is closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
    }

    pub fn app_id(&self) -> u64 {
        self.shared.setup.app.id
    }

    /// The App's private key, in PEM (PKCS #1 where it was generated).
    pub fn private_key_pem(&self) -> &str {
        &self.shared.key.pem
    }

    pub fn client_id(&self) -> &str {
        &self.shared.setup.app.client_id
    }

    pub fn client_secret(&self) -> &str {
        &self.shared.setup.app.client_secret
    }

    /// Moves the emulator's clock forward: tokens and codes expire by it.
    pub fn advance(&self, span: Duration) {
        self.shared.clock.advance(span);
    }

    /// Adds a person. Answers a personal token of theirs, good for whatever they may do.
    pub fn add_user(&self, user: NewUser) -> String {
        let mut world = self.shared.world();
        let id = world.new_id();
        let token = format!("ghp_{}", random_text(36));
        let is = TokenKind::Personal { login: user.login.clone() };
        world.tokens.insert(token.clone(), Token { is, expires: None });
        world.users.insert(user.login.to_lowercase(), User { id, login: user.login, name: user.name, email: user.email });
        token
    }

    /// A token as the OAuth flow gives it (8 hours): what both the person and the App may do.
    pub fn user_token_through_app(&self, login: &str) -> Outcome<String> {
        let expires = self.shared.clock.now() + 28_800_000;
        let mut world = self.shared.world();
        let login = world.user(login).ok_or_else(|| unknown("user", login))?.login.clone();
        let token = format!("ghu_{}", random_text(36));
        world.tokens.insert(token.clone(), Token { is: TokenKind::ThroughApp { login }, expires: Some(expires) });
        Ok(token)
    }

    /// Every token that was ever given out and not taken back, of Apps, people and installations alike: for looking where none may be.
    pub fn tokens(&self) -> Vec<String> {
        self.shared.world().tokens.keys().cloned().collect()
    }

    /// Makes any token unknown.
    pub fn revoke_token(&self, token: &str) {
        self.shared.world().tokens.remove(token);
    }

    /// A bare repository whose `main` holds one commit of what lies in the folder (`.gitignore` is honoured). The same folder gives the
    /// same commit. A bare repository that an earlier run left in `data` is taken up as it is.
    pub async fn create_repository(&self, owner: &str, name: &str, from_folder: &Path) -> Outcome<()> {
        self.create(owner, name, Some(from_folder)).await
    }

    /// A repository without a commit.
    pub async fn create_empty_repository(&self, owner: &str, name: &str) -> Outcome<()> {
        self.create(owner, name, None).await
    }

    async fn create(&self, owner: &str, name: &str, folder: Option<&Path>) -> Outcome<()> {
        let key = format!("{owner}/{name}").to_lowercase();
        if self.shared.world().repository(&key).is_some() {
            return Err(GitHubEmulatorError::Exists(key));
        }
        let path = self.data.join(owner.to_lowercase()).join(format!("{}.git", name.to_lowercase()));
        let git = if path.join("HEAD").exists() { BareRepository::at(path) } else { BareRepository::create(path, folder).await? };
        let known_branches = git.refs("refs/heads/").await?;
        let created_at = self.shared.clock.now();
        let mut world = self.shared.world();
        let repository = Repository {
            id: world.new_id(),
            owner: owner.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            default_branch: "main".to_owned(),
            git,
            created_at,
            collaborators: std::collections::BTreeMap::new(),
            known_branches,
            next_number: 0,
            pulls: std::collections::BTreeMap::new(),
            comments: Vec::new(),
            checks: Vec::new(),
        };
        world.repositories.insert(key, repository);
        Ok(())
    }

    /// The line below a repository's name.
    pub fn describe(&self, repository: &str, description: &str) -> Outcome<()> {
        self.with_repository(repository, |found| found.description = description.to_owned())
    }

    /// Gives a person access. `repository` is `owner/name`, here and below.
    pub fn grant(&self, repository: &str, login: &str, level: Level) -> Outcome<()> {
        self.with_repository(repository, |found| {
            found.collaborators.insert(login.to_lowercase(), level);
        })
    }

    /// Takes a person's access away.
    pub fn revoke(&self, repository: &str, login: &str) -> Outcome<()> {
        self.with_repository(repository, |found| {
            found.collaborators.remove(&login.to_lowercase());
        })
    }

    fn with_repository(&self, name: &str, change: impl FnOnce(&mut Repository)) -> Outcome<()> {
        let mut world = self.shared.world();
        change(world.repository_mut(name).ok_or_else(|| unknown("repository", name))?);
        Ok(())
    }

    /// Installs the App for an owner with the setup's permissions. The installation's id.
    pub fn install_app(&self, owner: &str, repositories: Repositories) -> u64 {
        self.install_app_with(owner, repositories, self.shared.setup.app.permissions.clone())
    }

    /// Installs the App with other permissions. An owner has one installation: an earlier one is replaced.
    pub fn install_app_with(&self, owner: &str, repositories: Repositories, permissions: Permissions) -> u64 {
        let created_at = self.shared.clock.now();
        let mut world = self.shared.world();
        let id = world.new_id();
        world.installations.retain(|_, known| !known.owner.eq_ignore_ascii_case(owner));
        world.installations.insert(id, Installation { id, owner: owner.to_owned(), repositories, permissions, created_at });
        id
    }

    /// `http://x-access-token:<token>@host/owner/name.git`, for tests that clone by themselves.
    pub fn clone_url(&self, repository: &str, token: &str) -> String {
        format!("{}/{repository}.git", self.git_url.replacen("://", &format!("://x-access-token:{token}@"), 1))
    }

    /// The address without a credential.
    pub fn plain_clone_url(&self, repository: &str) -> String {
        format!("{}/{repository}.git", self.git_url)
    }

    /// The bare repository's folder.
    pub fn bare_path(&self, repository: &str) -> Outcome<std::path::PathBuf> {
        Ok(self.git(repository)?.path().to_owned())
    }

    fn git(&self, repository: &str) -> Outcome<BareRepository> {
        self.shared.world().repository(repository).map(|found| found.git.clone()).ok_or_else(|| unknown("repository", repository))
    }

    /// A branch's commit, if there is such a branch.
    pub async fn branch_head(&self, repository: &str, branch: &str) -> Outcome<Option<String>> {
        Ok(self.git(repository)?.branch(branch).await?)
    }

    /// All pull requests, oldest first.
    pub fn pull_requests(&self, repository: &str) -> Vec<PullRequestView> {
        let world = self.shared.world();
        world.repository(repository).into_iter().flat_map(|found| found.pulls.values().map(|pull| self.view(found, pull))).collect()
    }

    fn view(&self, repository: &Repository, pull: &Pull) -> PullRequestView {
        PullRequestView {
            number: pull.number,
            title: pull.title.clone(),
            body: pull.body.clone(),
            author: match &pull.author {
                Account::User(login) => login.clone(),
                Account::App => format!("{}[bot]", self.shared.setup.app.slug),
            },
            state: match pull.state {
                PullState::Open => "open",
                PullState::Closed { .. } => "closed",
                PullState::Merged { .. } => "merged",
            },
            draft: pull.draft,
            head: pull.head.clone(),
            head_sha: pull.head_sha.clone(),
            base: pull.base.clone(),
            url: format!("{}/{}/pull/{}", self.web_url, repository.full_name(), pull.number),
            labels: pull.labels.clone(),
            requested_reviewers: pull.requested_reviewers.clone(),
            created_at: rfc3339(pull.created_at),
        }
    }

    fn pull(&self, repository: &str, number: u64) -> Outcome<(BareRepository, Pull)> {
        let world = self.shared.world();
        let found = world.repository(repository).ok_or_else(|| unknown("repository", repository))?;
        let pull = found.pulls.get(&number).cloned().ok_or_else(|| unknown("pull request", &number.to_string()))?;
        Ok((found.git.clone(), pull))
    }

    /// A pull request's commits, oldest first.
    pub async fn pull_request_commits(&self, repository: &str, number: u64) -> Outcome<Vec<Commit>> {
        let (git, pull) = self.pull(repository, number)?;
        let mut commits = git.log(&format!("{}..{}", pull.base_sha, pull.head_sha), 1000).await?;
        commits.reverse();
        Ok(commits)
    }

    /// A pull request's changes, file by file.
    pub async fn pull_request_files(&self, repository: &str, number: u64) -> Outcome<Vec<FileChange>> {
        let (git, pull) = self.pull(repository, number)?;
        Ok(git.diff(&pull.base_sha, &pull.head_sha).await?)
    }

    /// Merges as the person, as the page's button does. The merge commit.
    pub async fn merge_pull_request(&self, repository: &str, number: u64, login: &str) -> Outcome<String> {
        let by = Account::User(login.to_owned());
        let merged = self.shared.merge_pull(&repository.to_lowercase(), number, &by, MergeMethod::Merge, None).await;
        let refused = |reason| GitHubEmulatorError::NotMergeable { repository: repository.to_owned(), number, reason };
        merged.map_err(|refusal| match refusal {
            MergeRefusal::NotOpen => refused("it is not open"),
            MergeRefusal::Conflict => refused("it conflicts with its base"),
            MergeRefusal::HeadMoved => refused("its head has moved"),
            MergeRefusal::Failed(_) => refused("git failed"),
        })
    }

    /// Closes as the person, without merging.
    pub fn close_pull_request(&self, repository: &str, number: u64, login: &str) {
        self.shared.close_pull(&repository.to_lowercase(), number, &Account::User(login.to_owned()));
    }

    /// Comments on a pull request: author's login and text.
    pub fn comments(&self, repository: &str, number: u64) -> Vec<(String, String)> {
        let world = self.shared.world();
        let comments = world.repository(repository).into_iter().flat_map(|found| &found.comments);
        let author = |account: &Account| match account {
            Account::User(login) => login.clone(),
            Account::App => format!("{}[bot]", self.shared.setup.app.slug),
        };
        comments.filter(|comment| comment.number == number).map(|comment| (author(&comment.author), comment.body.clone())).collect()
    }

    /// Names and results of a commit's check runs and statuses.
    pub fn checks(&self, repository: &str, sha: &str) -> Vec<(String, String)> {
        let world = self.shared.world();
        let checks = world.repository(repository).into_iter().flat_map(|found| &found.checks).filter(|check| check.sha == sha);
        checks
            .map(|check| match &check.is {
                CheckKind::Run { status, conclusion } => (check.name.clone(), conclusion.clone().unwrap_or_else(|| status.clone())),
                CheckKind::Status { state, .. } => (check.name.clone(), state.clone()),
            })
            .collect()
    }

    /// The next request of that kind meets this fault, once. Several wait in order.
    pub fn fail_next(&self, route: Route, fault: Fault) {
        self.shared.world().faults.push_back((route, fault));
    }

    /// Every request of that kind meets this fault until what is given is dropped.
    pub fn fail_all(&self, route: Route, fault: Fault) -> Outage {
        let (outage, lasts) = Outage::new();
        self.shared.world().outages.push((route, fault, lasts));
        outage
    }

    /// Requests of that kind stand still until what is given is dropped.
    pub fn hold(&self, route: Route) -> Hold {
        let (hold, waits) = Hold::new();
        self.shared.world().holds.push((route, waits));
        hold
    }

    /// Where webhooks go from now on.
    pub fn set_webhook(&self, target: Option<WebhookTarget>) {
        self.shared.world().webhook = target;
    }

    /// All deliveries, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.world().deliveries.clone()
    }

    /// Waits until no delivery waits any more.
    pub async fn deliveries_settled(&self) {
        loop {
            let woken = self.shared.delivered.notified();
            if self.shared.world().deliveries.iter().all(|delivery| delivery.outcome != DeliveryOutcome::Waiting) {
                return;
            }
            woken.await;
        }
    }

    /// Sends a delivery once more, under its GUID.
    pub fn redeliver(&self, id: u64) -> Outcome<()> {
        let known = self.shared.redeliver(&mut self.shared.world(), id);
        if known { Ok(()) } else { Err(unknown("delivery", &id.to_string())) }
    }

    /// Every request so far, web pages included, oldest first. No token, no body.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.world().log.clone()
    }
}

fn unknown(what: &str, name: &str) -> GitHubEmulatorError {
    GitHubEmulatorError::Unknown(format!("{what} {name}"))
}
