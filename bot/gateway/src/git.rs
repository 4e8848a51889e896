//! `/git/…`: smart HTTP in front of the repositories' host.
//!
//! Source: gitprotocol-http(5). Refusals are plain text, which git prints line by line behind `remote:`.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod pktline;
mod push;
mod receive;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, RawQuery, State},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use longshore_session::RepoName;
use secrecy::ExposeSecret;

use crate::{
    Access, CredentialError, GatewayConfig, GatewayError, Pass,
    body::{self, BodyError, HeldBody},
    door::{Entry, Peer, Turned},
    gateway::{Shared, behind, client, only},
};

/// The repositories' host.
pub(crate) struct Upstream {
    client: reqwest::Client,
    base_url: url::Url,
}

impl Upstream {
    pub fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let base_url = config.git.base_url.clone();
        Ok(Self { client: client(&base_url, config)?, base_url })
    }
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let git = Router::new()
        .route("/{owner}/{name}/info/refs", get(info_refs))
        .route("/{owner}/{name}/git-upload-pack", post(upload_pack))
        .route("/{owner}/{name}/git-receive-pack", post(receive::receive_pack))
        .fallback(not_smart);
    Router::new().nest("/git", git)
}

/// What a client sends that an upstream may see.
const REQUEST_HEADERS: [&str; 6] = ["accept", "accept-encoding", "accept-language", "content-type", "git-protocol", "user-agent"];
/// Before what failed is asked again.
const SECOND_TRY: Duration = Duration::from_secs(1);
/// GitHub's advice where a limit comes without a time.
const UNTOLD_WAIT: Duration = Duration::from_secs(60);
const RESPONSE_HEADERS: [&str; 6] = ["cache-control", "content-encoding", "content-length", "content-type", "expires", "pragma"];

/// An answer that is not the upstream's: a status and why, in words for the agent.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("longshore: {}\n", self.message)));
        *response.status_mut() = self.status;
        // git prints a body of exactly this type.
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"longshore\""));
        }
        response
    }
}

impl From<Turned> for Refusal {
    fn from(turned: Turned) -> Self {
        Self::new(turned.status(), turned.message().trim_start_matches("longshore: "))
    }
}

impl From<CredentialError> for Refusal {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Denied(message) => Self::new(StatusCode::FORBIDDEN, message),
            CredentialError::Unavailable(message) => Self::new(StatusCode::SERVICE_UNAVAILABLE, message),
        }
    }
}

/// The two services of smart HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    UploadPack,
    ReceivePack,
}

impl Service {
    fn access(self) -> Access {
        match self {
            Self::UploadPack => Access::Read,
            Self::ReceivePack => Access::Write,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// The repository that a request names, where the pass allows the service on it.
fn allowed(pass: &Pass, service: Service, owner: &str, name: &str) -> Result<RepoName, Refusal> {
    let name = name.strip_suffix(".git").unwrap_or(name);
    match service {
        Service::UploadPack => pass.may_fetch(owner, name).cloned().ok_or_else(|| {
            let mut known: Vec<String> = pass.fetch.iter().map(ToString::to_string).collect();
            known.sort();
            let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            Refusal::new(StatusCode::NOT_FOUND, format!("this sandbox may not fetch {owner}/{name}; it may fetch {known}"))
        }),
        Service::ReceivePack => pass.may_push(owner, name).map(|rule| rule.repo.clone()).ok_or_else(|| {
            let known = pass.push.as_ref().map_or("nothing".to_owned(), |rule| format!("the branch {} of {}", rule.branch, rule.repo));
            Refusal::new(StatusCode::FORBIDDEN, format!("this sandbox may not push to {owner}/{name}; it may push {known}"))
        }),
    }
}

/// One request to the upstream.
struct Ask<'a> {
    repo: &'a RepoName,
    access: Access,
    method: Method,
    path: &'a str,
    query: Option<&'a str>,
    headers: HeaderMap,
}

impl Shared {
    /// Asks the upstream with a fresh credential, and takes from its answer what a sandbox may see.
    ///
    /// What has no body is asked once more where that may help: with another token where the first was not taken, and after a moment where the
    /// upstream failed. What has one is the client's to repeat.
    async fn ask_git<S>(&self, ask: Ask<'_>, body: Option<S>) -> Result<Response<Body>, Refusal>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    {
        if let Some(body) = body {
            let answer = self.ask_git_once(&ask, Some(reqwest::Body::wrap_stream(body))).await?;
            return self.git_answer(ask.repo, ask.access, answer).await;
        }
        let first = match self.ask_git_once(&ask, None).await {
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => self.git_answer(ask.repo, ask.access, answer).await,
            Ok(answer) if answer.status().is_server_error() => {
                let refused = self.git_answer(ask.repo, ask.access, answer).await;
                tokio::time::sleep(SECOND_TRY).await;
                refused
            }
            Ok(answer) => return self.git_answer(ask.repo, ask.access, answer).await,
            // What did not answer in time would not the second time either, while the client waits.
            Err(refusal) => return Err(refusal),
        };
        match self.ask_git_once(&ask, None).await {
            Ok(answer) => self.git_answer(ask.repo, ask.access, answer).await,
            Err(_) => first,
        }
    }

    async fn ask_git_once(&self, ask: &Ask<'_>, body: Option<reqwest::Body>) -> Result<reqwest::Response, Refusal> {
        let Ask { repo, access, method, path, query, headers } = ask;
        let token = tokio::time::timeout(self.config.limits.connect * 3, self.parts.credentials.token(repo, *access))
            .await
            .unwrap_or_else(|_| Err(CredentialError::Unavailable("no credential came in time; try again".to_owned())))?;
        let basic = STANDARD.encode(format!("x-access-token:{}", token.expose_secret()));
        let unusable = |_| Refusal::new(StatusCode::BAD_GATEWAY, "the credential that the service got is not usable");
        let mut authorization = HeaderValue::try_from(format!("Basic {basic}")).map_err(unusable)?;
        authorization.set_sensitive(true);
        let mut headers = headers.clone();
        headers.insert(header::AUTHORIZATION, authorization);
        let url = behind(&self.git.base_url, &format!("{repo}.git/{path}"), *query);
        let mut request = self.git.client.request(method.clone(), url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        match tokio::time::timeout(self.config.limits.git_answer, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::warn!(%repo, error = %error.without_url(), "the repositories' host could not be asked");
                Err(Refusal::new(StatusCode::BAD_GATEWAY, "the repositories' host cannot be reached; try again"))
            }
            Err(_) => Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "the repositories' host did not answer in time; try again")),
        }
    }

    async fn git_answer(&self, repo: &RepoName, access: Access, answer: reqwest::Response) -> Result<Response<Body>, Refusal> {
        let status = answer.status();
        if status.is_success() {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            *response.headers_mut() = only(answer.headers(), &RESPONSE_HEADERS);
            *response.body_mut() = Body::from_stream(body::with_stall(answer.bytes_stream(), self.config.limits.stall));
            return Ok(response);
        }
        tracing::warn!(%repo, ?access, status = status.as_u16(), "the repositories' host refused a request");
        if let Some(pause) = asks_to_wait(status, answer.headers()) {
            let message = format!("the repositories' host asks to slow down; try again in {} s", pause.as_secs());
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, message));
        }
        if matches!(status.as_u16(), 401 | 403 | 404) {
            self.parts.credentials.refused(repo, access);
        }
        // The upstream's own words stay behind: they are about the service's credential, not about the sandbox.
        let verb = match access {
            Access::Read => "fetched from",
            Access::Write => "pushed to",
        };
        Err(match status.as_u16() {
            301 | 302 | 307 | 308 => {
                Refusal::new(StatusCode::NOT_FOUND, format!("{repo} has moved or was renamed: its manifest must name where it is now"))
            }
            401 => Refusal::new(
                StatusCode::BAD_GATEWAY,
                format!("the repositories' host did not take the service's credential for {repo}; try again"),
            ),
            403 => Refusal::new(StatusCode::FORBIDDEN, format!("{repo} cannot be {verb} with the rights that the service has there")),
            404 => Refusal::new(StatusCode::NOT_FOUND, format!("{repo} is not there, or the service has no access to it")),
            500.. => Refusal::new(StatusCode::BAD_GATEWAY, format!("the repositories' host failed ({}); try again", status.as_u16())),
            code => Refusal::new(StatusCode::BAD_GATEWAY, format!("the repositories' host refused the request ({code})")),
        })
    }
}

/// How long the upstream wants to be left alone. GitHub says its limits with 429, or with 403 and `Retry-After`.
fn asks_to_wait(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let told = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(told.unwrap_or(UNTOLD_WAIT)),
        StatusCode::FORBIDDEN => told,
        _ => None,
    }
}

async fn info_refs(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path((owner, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let refused = async {
        let Entry { pass, slot } = shared.enter(&headers, &header::AUTHORIZATION, peer)?;
        let service = match query.as_deref() {
            Some("service=git-upload-pack") => Service::UploadPack,
            Some("service=git-receive-pack") => Service::ReceivePack,
            _ => return Err(Refusal::new(StatusCode::FORBIDDEN, "only git's smart protocol is served: use a current git")),
        };
        let repo = allowed(&pass, service, &owner, &name)?;
        let query = format!("service={}", service.name());
        let ask = Ask {
            repo: &repo,
            access: service.access(),
            method: Method::GET,
            path: "info/refs",
            query: Some(&query),
            headers: only(&headers, &REQUEST_HEADERS),
        };
        let response = shared.ask_git(ask, None::<body::Chunks>).await?;
        Ok(response.map(|body| HeldBody::wrap(body, slot)))
    };
    refused.await.unwrap_or_else(Refusal::response)
}

async fn upload_pack(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path((owner, name)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let refused = async {
        let (parts, body) = request.into_parts();
        let Entry { pass, slot } = shared.enter(&parts.headers, &header::AUTHORIZATION, peer)?;
        let repo = allowed(&pass, Service::UploadPack, &owner, &name)?;
        let limits = &shared.config.limits;
        let body = body::with_limit(body::chunks(body, limits.stall), limits.fetch_request);
        // Nothing is read of a fetch's negotiation, so its encoding is the upstream's affair.
        let mut headers = only(&parts.headers, &REQUEST_HEADERS);
        headers.extend(only(&parts.headers, &["content-encoding"]));
        let ask = Ask { repo: &repo, access: Access::Read, method: Method::POST, path: Service::UploadPack.name(), query: None, headers };
        let response = shared.ask_git(ask, Some(body)).await?;
        Ok(response.map(|body| HeldBody::wrap(body, slot)))
    };
    refused.await.unwrap_or_else(Refusal::response)
}

/// git's dumb protocol, LFS, and whatever else a git host serves.
async fn not_smart(State(shared): State<Arc<Shared>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response<Body> {
    match shared.enter(&headers, &header::AUTHORIZATION, peer) {
        Err(turned) => Refusal::from(turned).response(),
        Ok(_) => Refusal::new(StatusCode::NOT_FOUND, "only git's smart protocol is served here (no LFS, no dumb protocol)").response(),
    }
}
