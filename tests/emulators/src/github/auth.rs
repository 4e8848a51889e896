//! Who calls, and what they may do.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::ApiError,
    git::BareRepository,
    server::Shared,
    setup::{AnonymousRead, Level, Permissions},
    state::{Account, Repository, TokenKind, World},
};

/// A caller, as its credential shows it.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    Anonymous,
    /// A credential that is unknown, expired or malformed, with what GitHub says to it.
    Invalid(String),
    /// The App itself, by a signed JWT.
    App,
    Installation {
        id: u64,
        repositories: Option<BTreeSet<u64>>,
        permissions: Permissions,
    },
    User {
        login: String,
        token: UserToken,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserToken {
    Personal,
    ThroughApp,
}

impl Caller {
    /// The log's word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Invalid(_) => "invalid",
            Self::App => "app",
            Self::Installation { .. } => "installation",
            Self::User { token: UserToken::Personal, .. } => "user",
            Self::User { token: UserToken::ThroughApp, .. } => "user-through-app",
        }
    }

    /// Whom what they make is attributed to.
    pub(super) fn account(&self) -> Account {
        match self {
            Self::User { login, .. } => Account::User(login.clone()),
            _ => Account::App,
        }
    }

    /// Whose rate limit it counts on.
    pub(super) fn budget(&self) -> String {
        match self {
            Self::Anonymous | Self::Invalid(_) => "anonymous".to_owned(),
            Self::App => "app".to_owned(),
            Self::Installation { id, .. } => format!("installation {id}"),
            Self::User { login, .. } => format!("user {login}"),
        }
    }

    pub(super) fn user(&self) -> Result<&str, ApiError> {
        match self {
            Self::User { login, .. } => Ok(login),
            Self::Invalid(message) => Err(ApiError::new(http::StatusCode::UNAUTHORIZED, message.as_str())),
            Self::Anonymous => Err(ApiError::requires_authentication()),
            Self::App | Self::Installation { .. } => Err(ApiError::not_accessible("integration")),
        }
    }

    pub(super) fn app(&self) -> Result<(), ApiError> {
        match self {
            Self::App => Ok(()),
            Self::Invalid(message) => Err(ApiError::new(http::StatusCode::UNAUTHORIZED, message.as_str())),
            _ => Err(ApiError::new(http::StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded")),
        }
    }
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(ApiError::requires_authentication)
    }
}

/// What an action asks of its caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// GitHub's name of the permission. `metadata: read` comes with every token.
    pub(super) resource: &'static str,
    pub(super) level: Level,
}

impl Need {
    pub(super) const METADATA: Self = Self { resource: "metadata", level: Level::Read };

    pub(super) const fn read(resource: &'static str) -> Self {
        Self { resource, level: Level::Read }
    }

    pub(super) const fn write(resource: &'static str) -> Self {
        Self { resource, level: Level::Write }
    }
}

/// A repository that the caller may use for what it asked.
#[derive(Debug, Clone)]
pub(super) struct Permitted {
    /// The key in [`World::repositories`].
    pub(super) key: String,
    pub(super) git: BareRepository,
}

fn covers(permissions: &Permissions, need: Need) -> bool {
    need.resource == "metadata" || permissions.get(need.resource).is_some_and(|level| *level >= need.level)
}

/// Decides. Where the repository may not even be known to the caller, it is not found.
pub(super) fn permit(world: &World, anonymous: AnonymousRead, caller: &Caller, key: &str, need: Need) -> Result<Permitted, ApiError> {
    let found = world.repository(key);
    let permitted = |repository: &Repository| Permitted { key: key.to_lowercase(), git: repository.git.clone() };
    match caller {
        Caller::Invalid(message) => Err(ApiError::new(http::StatusCode::UNAUTHORIZED, message.as_str())),
        Caller::Anonymous => {
            let repository = found.filter(|_| anonymous == AnonymousRead::Allowed).ok_or_else(ApiError::not_found)?;
            if need.level > Level::Read { Err(ApiError::requires_authentication()) } else { Ok(permitted(repository)) }
        }
        Caller::App => {
            found.ok_or_else(ApiError::not_found)?;
            Err(ApiError::not_accessible("integration"))
        }
        Caller::Installation { id, repositories, permissions } => {
            let repository = found
                .filter(|repository| world.installations.get(id).is_some_and(|installation| installation.covers(repository)))
                .filter(|repository| repositories.as_ref().is_none_or(|limited| limited.contains(&repository.id)))
                .ok_or_else(ApiError::not_found)?;
            if covers(permissions, need) { Ok(permitted(repository)) } else { Err(ApiError::not_accessible("integration")) }
        }
        Caller::User { login, token } => {
            let (repository, level) = found
                .and_then(|repository| world.level_of(login, repository).map(|level| (repository, level)))
                .ok_or_else(ApiError::not_found)?;
            if *token == UserToken::ThroughApp {
                let installation = world.installation_of(repository).ok_or_else(ApiError::not_found)?;
                if !covers(&installation.permissions, need) {
                    return Err(ApiError::not_accessible("integration"));
                }
            }
            if level >= need.level {
                return Ok(permitted(repository));
            }
            Err(ApiError::not_accessible(match token {
                UserToken::Personal => "personal access token",
                UserToken::ThroughApp => "integration",
            }))
        }
    }
}

impl Shared {
    pub(super) fn permit(&self, caller: &Caller, owner: &str, name: &str, need: Need) -> Result<Permitted, ApiError> {
        permit(&self.world(), self.setup.anonymous_read, caller, &format!("{owner}/{name}"), need)
    }

    /// Reads `Authorization` in all the forms that GitHub takes.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Caller {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Caller::Anonymous };
        let (scheme, rest) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
        let credential = match scheme.to_ascii_lowercase().as_str() {
            "bearer" | "token" => rest.trim().to_owned(),
            "basic" => match basic_secret(rest.trim()) {
                Some(secret) => secret,
                None => return Caller::Invalid("Bad credentials".to_owned()),
            },
            _ => return Caller::Invalid("Bad credentials".to_owned()),
        };
        if credential.starts_with("ey") && credential.matches('.').count() == 2 {
            return match self.check_jwt(&credential) {
                Ok(()) => Caller::App,
                Err(message) => Caller::Invalid(message),
            };
        }
        self.token_owner(&credential)
    }

    fn token_owner(&self, credential: &str) -> Caller {
        let now = self.clock.now();
        let world = self.world();
        let token = world.tokens.get(credential).filter(|token| token.expires.is_none_or(|expires| expires > now));
        match token.map(|token| token.is.clone()) {
            None => Caller::Invalid("Bad credentials".to_owned()),
            Some(TokenKind::Installation { installation, repositories, permissions }) => {
                Caller::Installation { id: installation, repositories, permissions }
            }
            Some(TokenKind::Personal { login }) => Caller::User { login, token: UserToken::Personal },
            Some(TokenKind::ThroughApp { login }) => Caller::User { login, token: UserToken::ThroughApp },
        }
    }

    /// Signature, issuer and times of an App's JWT, with GitHub's own messages.
    fn check_jwt(&self, jwt: &str) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Claims {
            iss: Value,
            iat: Option<f64>,
            exp: Option<f64>,
        }
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(jwt, &self.key.verifying, &rules)
            .map_err(|_| "A JSON web token could not be decoded".to_owned())?
            .claims;
        let issuer = claims.iss.as_str().map_or_else(|| claims.iss.to_string(), str::to_owned);
        if issuer != self.setup.app.id.to_string() && issuer != self.setup.app.client_id {
            return Err("'Issuer' claim ('iss') must be an Integer".to_owned());
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
        let now = self.clock.now() as f64 / 1000.0;
        let (Some(iat), Some(exp)) = (claims.iat, claims.exp) else {
            return Err(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
                    .to_owned(),
            );
        };
        if exp <= now {
            return Err(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
                    .to_owned(),
            );
        }
        if exp - now > 600.0 {
            return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
        }
        if iat > now + 60.0 {
            return Err("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued".to_owned());
        }
        Ok(())
    }
}

/// The token of Basic credentials: the password, or the user name where the password is empty or `x-oauth-basic`.
fn basic_secret(encoded: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(if password.is_empty() || password == "x-oauth-basic" { user } else { password }.to_owned())
}
