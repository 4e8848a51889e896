//! What the emulator remembers. Git data is not here but in the bare repositories.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use tokio::sync::watch;

use super::{
    clock::Millis,
    faults::{Fault, Route},
    git::BareRepository,
    setup::{Level, Permissions, Repositories, WebhookTarget},
    webhooks::Delivery,
};

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) name: String,
    pub(super) email: String,
}

/// Who did something: a person, or the App (`<slug>[bot]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    User(String),
    App,
}

#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) default_branch: String,
    pub(super) git: BareRepository,
    pub(super) created_at: Millis,
    pub(super) collaborators: BTreeMap<String, Level>,
    /// Branches as last seen: a difference to what git says is a push.
    pub(super) known_branches: BTreeMap<String, String>,
    pub(super) next_number: u64,
    pub(super) pulls: BTreeMap<u64, Pull>,
    pub(super) comments: Vec<Comment>,
    pub(super) checks: Vec<Check>,
}

impl Repository {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PullState {
    Open,
    Closed { at: Millis },
    Merged { at: Millis, by: Account, commit: String },
}

#[derive(Debug, Clone)]
pub(super) struct Pull {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) author: Account,
    pub(super) head: String,
    pub(super) head_sha: String,
    pub(super) base: String,
    pub(super) base_sha: String,
    pub(super) state: PullState,
    pub(super) draft: bool,
    pub(super) created_at: Millis,
    pub(super) updated_at: Millis,
    pub(super) requested_reviewers: Vec<String>,
    pub(super) labels: Vec<String>,
    pub(super) reviews: Vec<Review>,
}

#[derive(Debug, Clone)]
pub(super) struct Review {
    pub(super) id: u64,
    pub(super) author: Account,
    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`.
    pub(super) state: String,
    pub(super) body: String,
    pub(super) commit: String,
    pub(super) at: Millis,
}

#[derive(Debug, Clone)]
pub(super) struct Comment {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) author: Account,
    pub(super) body: String,
    pub(super) at: Millis,
}

/// A check run or a commit status.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) id: u64,
    pub(super) sha: String,
    pub(super) name: String,
    pub(super) is: CheckKind,
    pub(super) at: Millis,
}

#[derive(Debug, Clone)]
pub(super) enum CheckKind {
    Run { status: String, conclusion: Option<String> },
    Status { state: String, description: String },
}

#[derive(Debug, Clone)]
pub(super) struct Installation {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) repositories: Repositories,
    pub(super) permissions: Permissions,
    pub(super) created_at: Millis,
}

impl Installation {
    pub(super) fn covers(&self, repository: &Repository) -> bool {
        self.owner.eq_ignore_ascii_case(&repository.owner)
            && match &self.repositories {
                Repositories::All => true,
                Repositories::Selected(names) => names.iter().any(|name| name.eq_ignore_ascii_case(&repository.name)),
            }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) is: TokenKind,
    pub(super) expires: Option<Millis>,
}

#[derive(Debug, Clone)]
pub(super) enum TokenKind {
    /// Ids of the repositories it is limited to, and its permissions.
    Installation { installation: u64, repositories: Option<BTreeSet<u64>>, permissions: Permissions },
    /// A personal token: whatever the person may do.
    Personal { login: String },
    /// From the App's OAuth flow: what both the person and the App may do.
    ThroughApp { login: String },
}

/// A code or refresh token that waits to be exchanged.
#[derive(Debug, Clone)]
pub(super) struct OAuthCode {
    pub(super) login: String,
    pub(super) redirect_uri: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) expires: Millis,
}

#[derive(Debug, Clone)]
pub(super) struct RefreshToken {
    pub(super) login: String,
    pub(super) expires: Millis,
}

/// One line of the request log. Holds no token and no body.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LoggedRequest {
    /// Milliseconds since 1970 by the emulator's clock.
    pub at: i64,
    pub method: String,
    /// Path and query; values of `code`, tokens and secrets are left out.
    pub path: String,
    /// `anonymous`, `app`, `installation`, `user`, `user-through-app` or `invalid`.
    pub auth: &'static str,
    /// The answer's status; 0 where the answer was lost on purpose.
    pub status: u16,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) last_id: u64,
    pub(super) users: BTreeMap<String, User>,
    /// By lower-case `owner/name`.
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) installations: BTreeMap<u64, Installation>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) codes: HashMap<String, OAuthCode>,
    pub(super) refresh_tokens: HashMap<String, RefreshToken>,
    pub(super) webhook: Option<WebhookTarget>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) faults: VecDeque<(Route, Fault)>,
    /// Closed when the hold is dropped.
    pub(super) holds: Vec<(Route, watch::Receiver<()>)>,
    pub(super) outages: Vec<(Route, Fault, watch::Receiver<()>)>,
    pub(super) log: Vec<LoggedRequest>,
    /// Start of the hour and calls since then, per caller.
    pub(super) budgets: HashMap<String, (Millis, u64)>,
}

impl World {
    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn user(&self, login: &str) -> Option<&User> {
        self.users.get(&login.to_lowercase())
    }

    pub(super) fn repository(&self, key: &str) -> Option<&Repository> {
        self.repositories.get(&key.to_lowercase())
    }

    pub(super) fn repository_mut(&mut self, key: &str) -> Option<&mut Repository> {
        self.repositories.get_mut(&key.to_lowercase())
    }

    pub(super) fn installation_of(&self, repository: &Repository) -> Option<&Installation> {
        self.installations.values().find(|installation| installation.covers(repository))
    }

    /// How far a person may go: owners of their own repositories are administrators.
    pub(super) fn level_of(&self, login: &str, repository: &Repository) -> Option<Level> {
        if repository.owner.eq_ignore_ascii_case(login) {
            return Some(Level::Admin);
        }
        repository.collaborators.get(&login.to_lowercase()).copied()
    }
}
