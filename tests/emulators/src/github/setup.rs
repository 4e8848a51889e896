//! What a GitHub emulator starts with.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// How far a person or a token may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Read,
    Write,
    Admin,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// Permissions of a GitHub App, by GitHub's names (`contents`, `pull_requests`, …).
pub type Permissions = BTreeMap<String, Level>;

/// Which of an owner's repositories an installation covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repositories {
    All,
    /// Names without the owner.
    Selected(Vec<String>),
}

/// Where an installed App's webhooks go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    pub url: String,
    pub secret: String,
}

/// What happens when a browser comes to `/login/oauth/authorize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// A page asks who one is and whether to allow it.
    Ask,
    /// This login is taken to have said yes already.
    ApprovedBy(String),
}

/// What may be read without any credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousRead {
    Refused,
    Allowed,
}

/// The GitHub App that the emulator knows.
#[derive(Debug, Clone)]
pub struct AppSetup {
    pub id: u64,
    pub slug: String,
    pub name: String,
    pub client_id: String,
    pub client_secret: String,
    /// RSA key in PEM (PKCS #1 or #8). Without one, a key is generated, once per process.
    pub private_key_pem: Option<String>,
    /// What installations grant unless they are told otherwise.
    pub permissions: Permissions,
}

impl Default for AppSetup {
    fn default() -> Self {
        let permissions = [
            ("metadata", Level::Read),
            ("contents", Level::Write),
            ("pull_requests", Level::Write),
            ("issues", Level::Write),
            ("checks", Level::Read),
            ("statuses", Level::Read),
        ];
        Self {
            id: 4711,
            slug: "longshore".to_owned(),
            name: "Longshore".to_owned(),
            client_id: "Iv23emulatedclient".to_owned(),
            client_secret: "emulated-client-secret".to_owned(),
            private_key_pem: None,
            permissions: permissions.into_iter().map(|(name, level)| (name.to_owned(), level)).collect(),
        }
    }
}

/// Everything that can be chosen; [`Default`] is what most tests want.
#[derive(Debug, Clone)]
pub struct GitHubSetup {
    /// Port 0 takes a free one.
    pub bind: SocketAddr,
    /// The address in links and payloads, without a trailing slash; that of the socket where none is given.
    pub public_url: Option<String>,
    /// Where the bare repositories go; a temporary folder where none is given.
    pub data: Option<PathBuf>,
    pub app: AppSetup,
    pub webhook: Option<WebhookTarget>,
    pub consent: Consent,
    pub anonymous_read: AnonymousRead,
    /// In whose name the web page's buttons act; the repository's first administrator where none is given.
    pub web_user: Option<String>,
}

impl Default for GitHubSetup {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            data: None,
            app: AppSetup::default(),
            webhook: None,
            consent: Consent::Ask,
            anonymous_read: AnonymousRead::Refused,
            web_user: None,
        }
    }
}

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    pub login: String,
    pub name: String,
    pub email: String,
}

impl NewUser {
    pub fn new(login: &str, name: &str, email: &str) -> Self {
        Self { login: login.to_owned(), name: name.to_owned(), email: email.to_owned() }
    }
}
