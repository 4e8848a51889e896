#![doc = include_str!("../README.md")]

mod builds;
mod disk;
mod page;

use std::{pin::Pin, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use longshore_session::{ChannelId, Event, RepoName, SessionId, SessionRecord, SlackUserId, Store, StoreError, Work};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

pub use builds::{Asked, Builds};
pub use disk::{Collect, Disk};
pub use page::PageKeys;

/// Sessions in one list.
const LISTED: u32 = 100;
/// Events in one answer.
const EVENTS: u32 = 1_000;

/// What the API reads.
#[derive(Debug, Clone)]
pub struct Api {
    pub store: Store,
    /// None: sessions are not served.
    pub token: Option<ApiToken>,
    /// Make the links to sessions' pages.
    pub pages: PageKeys,
    /// Whoever shows it reads the metrics, and nothing else.
    pub metrics_token: Option<ApiToken>,
    /// What keeps the service from its work, looked at when it is asked for; empty when nothing does.
    pub not_ready: Asking<Vec<String>>,
    /// The text of the metrics, or why there is none.
    pub metrics: Asking<Result<String, String>>,
    /// The latest warm-up signals, newest first.
    pub warmups: Reported,
    /// What the warm pool is about, as an object.
    pub pool: Reported,
    /// Hears that somebody is about to ask.
    pub typing: Told,
    pub builds: Builds,
    pub disk: Disk,
}

/// What somebody else keeps, told as it stands when it is asked for.
#[derive(Clone)]
pub struct Reported(Arc<dyn Fn() -> Value + Send + Sync>);

impl Reported {
    pub fn new(read: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl std::fmt::Debug for Reported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reported(…)")
    }
}

/// What somebody else finds out when it is asked for.
pub struct Asking<T>(Arc<dyn Fn() -> Pin<Box<dyn Future<Output = T> + Send>> + Send + Sync>);

impl<T> Asking<T> {
    pub fn new<F: Future<Output = T> + Send + 'static>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::pin(ask())))
    }
}

impl<T> Clone for Asking<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> std::fmt::Debug for Asking<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asking(…)")
    }
}

/// Somebody is writing a prompt in some client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// Whose prompt it will be.
    pub user: SlackUserId,
    pub channel: Option<ChannelId>,
    /// What it is about, where the client knows.
    pub repository: Option<RepoName>,
    /// What stands there so far. Neither stored nor logged.
    pub text: Option<String>,
}

/// Whoever is told of something; the error is for whoever told it.
#[derive(Clone)]
pub struct Told(Arc<dyn Fn(Typing) -> Result<(), String> + Send + Sync>);

impl Told {
    pub fn new(hear: impl Fn(Typing) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told(…)")
    }
}

/// What scripts show as a Bearer token.
#[derive(Clone)]
pub struct ApiToken(Arc<str>);

impl ApiToken {
    pub fn new(token: impl Into<Arc<str>>) -> Self {
        Self(token.into())
    }
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiToken(…)")
    }
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/sessions/{id}", get(page::page))
        .route("/sessions.css", get(page::style))
        .route("/v1/images", get(images))
        .route("/v1/images/collect", post(disk::collect))
        .route("/v1/pool", get(pool))
        .route("/v1/images/{owner}/{name}/builds", get(builds::history))
        .route("/v1/images/{owner}/{name}/builds/{id}/log", get(builds::log))
        .route("/v1/images/{owner}/{name}/rebuild", post(builds::rebuild))
        .route("/v1/sessions", get(sessions))
        .route("/v1/warmups", get(warmups).post(warm))
        .route("/v1/sessions/{id}", get(session))
        .route("/v1/sessions/{id}/events", get(events))
        .with_state(api)
}

/// An answer that is no success.
enum Refusal {
    /// No token, or not ours.
    Unauthorized,
    NotFound,
    /// What was sent makes no sense, in words.
    Unusable(String),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, what) = match self {
            Self::Unusable(why) => return (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response(),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "show the API token as `Authorization: Bearer …` (`http.api_token_env`)"),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is nothing of that name"),
            Self::Store(error) => {
                tracing::error!(%error, "cannot read for the API");
                (StatusCode::SERVICE_UNAVAILABLE, "the session cannot be read now; the log says why")
            }
        };
        (status, Json(json!({ "error": what }))).into_response()
    }
}

impl Api {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if shows(headers, self.token.as_ref()) { Ok(()) } else { Err(Refusal::Unauthorized) }
    }
}

fn shows(headers: &HeaderMap, token: Option<&ApiToken>) -> bool {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    token.zip(shown).is_some_and(|(token, shown)| bool::from(token.0.as_bytes().ct_eq(shown.as_bytes())))
}

async fn readyz(State(api): State<Api>) -> Response {
    let reasons = (api.not_ready.0)().await;
    if reasons.is_empty() {
        return (StatusCode::OK, "ready").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n")).into_response()
}

/// For Prometheus. The figures tell how much work there is, so they are not for everybody who reaches the listener.
async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Refusal> {
    if !shows(&headers, api.metrics_token.as_ref()) {
        api.admit(&headers)?;
    }
    match (api.metrics.0)().await {
        Ok(text) => Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()),
        Err(error) => {
            tracing::error!(error, "the metrics cannot be gathered");
            Ok((StatusCode::SERVICE_UNAVAILABLE, "the metrics cannot be gathered now; the log says why").into_response())
        }
    }
}

/// What is known of each repository's image, and what images take: what `/agent repos` shows, for scripts.
async fn images(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    api.admit(&headers)?;
    let images = api.store.images().await?;
    let listed: Vec<Value> = images.into_iter().map(|(repo, record)| json!({ "repository": repo, "image": record })).collect();
    Ok(Json(json!({ "images": listed, "disk": api.disk.latest() })))
}

/// Which repositories were likely to be needed, and why: what a pool of sandboxes would be told.
async fn warmups(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    api.admit(&headers)?;
    Ok(Json(json!({ "warmups": (api.warmups.0)() })))
}

/// A client tells that somebody is about to ask. Answered at once; what is made of it shows in the list.
async fn warm(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    api.admit(&headers)?;
    let typing = serde_json::from_slice(&body).map_err(|error| Refusal::Unusable(format!("the body is no warm-up: {error}")))?;
    (api.typing.0)(typing).map_err(Refusal::Unusable)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// The sandboxes of the warm pool, oldest first, and how many each repository shall have.
async fn pool(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    api.admit(&headers)?;
    let entries = api.store.pooled().await?;
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            let ready = entry.ready.map(|ready| json!({ "since": ready.at, "models": ready.models }));
            json!({ "sandbox": entry.sandbox, "repository": entry.repo, "image": entry.image, "created": entry.created, "ready": ready })
        })
        .collect();
    let mut answer = (api.pool.0)();
    answer["entries"] = Value::Array(entries);
    Ok(Json(answer))
}

async fn sessions(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    api.admit(&headers)?;
    let sessions = api.store.recent_sessions(LISTED).await?;
    Ok(Json(json!({ "sessions": sessions.iter().map(summary).collect::<Vec<_>>() })))
}

async fn session(State(api): State<Api>, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    api.admit(&headers)?;
    let id = SessionId::parse(id).map_err(|_| Refusal::NotFound)?;
    let record = api.store.session(id.clone()).await?.ok_or(Refusal::NotFound)?;
    let mut phases = Vec::new();
    let mut after = 0;
    loop {
        let page = api.store.events(&id, after, EVENTS).await?;
        // A session that works may get more while this reads: a page that is not full is the end, or there would be none.
        let is_last = page.len() < EVENTS as usize;
        after = page.last().map_or(after, |last| last.seq);
        for stored in page {
            if let Event::PhaseReached { turn, phase, at } = stored.event {
                phases.push(json!({ "turn": turn, "phase": phase, "at": at }));
            }
        }
        if is_last {
            break;
        }
    }
    let mut answer = summary(&record);
    answer["phases"] = Value::Array(phases);
    answer["last_event"] = json!(after);
    Ok(Json(answer))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn events(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    api.admit(&headers)?;
    let id = SessionId::parse(id).map_err(|_| Refusal::NotFound)?;
    api.store.session(id.clone()).await?.ok_or(Refusal::NotFound)?;
    let page = api.store.events(&id, after, EVENTS).await?;
    let events: Vec<Value> = page.into_iter().map(|stored| json!({ "seq": stored.seq, "at": stored.at, "event": stored.event })).collect();
    Ok(Json(json!({ "events": events })))
}

fn summary(record: &SessionRecord) -> Value {
    json!({
        "id": record.id,
        "repository": record.repo,
        "thread": record.thread,
        "owner": record.owner,
        "title": record.title,
        "why": record.why,
        "phase": record.phase,
        "has_work": record.has_work == Work::Some,
        "branch": record.id.branch(),
        "created": record.created,
        "touched": record.touched,
    })
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use longshore_session::{ManualClock, Timestamp};
    use tower::ServiceExt;

    use super::*;

    fn disk() -> Disk {
        Disk::new(Reported::new(|| json!({ "limit": 1 })), async |how| match how {
            Collect::Remove => Err("no engine".to_owned()),
            Collect::DryRun => Ok(json!({ "dry_run": true })),
        })
    }

    /// An API that has nothing to tell.
    fn api(store: Store) -> Api {
        Api {
            store,
            token: None,
            metrics_token: Some(ApiToken::new("m")),
            pages: PageKeys::new(|session| format!("key of {session}")),
            not_ready: Asking::new(|| std::future::ready(Vec::new())),
            metrics: Asking::new(|| std::future::ready(Ok("longshore_up 1\n".to_owned()))),
            warmups: Reported::new(|| json!([])),
            pool: Reported::new(|| json!({})),
            typing: Told::new(|_| Ok(())),
            disk: disk(),
            builds: Builds::new(std::path::PathBuf::from("builds"), |_| Asked::Unknown),
        }
    }

    async fn status(token: Option<&str>, path: &str, shown: Option<&str>, not_ready: &[&str]) -> StatusCode {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1)))).unwrap();
        let reasons: Vec<String> = not_ready.iter().map(|reason| (*reason).to_owned()).collect();
        let pages = PageKeys::new(|session| format!("key of {session}"));
        let warmups = Reported::new(|| json!([]));
        let pool = Reported::new(|| json!({}));
        let typing = Told::new(|typing| if typing.text.is_some() { Ok(()) } else { Err("say something".to_owned()) });
        let builds = Builds::new(folder.path().join("builds"), |_| Asked::Unknown);
        let not_ready = Asking::new(move || std::future::ready(reasons.clone()));
        let api = Api { token: token.map(ApiToken::new), pages, not_ready, warmups, pool, typing, builds, ..api(store) };
        let (mut request, body) = match path.split_once(' ') {
            Some((path, body)) => (Request::post(path), Body::from(body.to_owned())),
            None => (Request::get(path), Body::empty()),
        };
        if let Some(shown) = shown {
            request = request.header(AUTHORIZATION, format!("Bearer {shown}"));
        }
        router(api).oneshot(request.body(body).unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_client_tells_who_is_writing() {
        let typing = "/v1/warmups {\"user\": \"U1\", \"text\": \"the cart\"}";
        assert_eq!(status(Some("t"), typing, Some("t"), &[]).await, StatusCode::ACCEPTED);
        assert_eq!(status(Some("t"), typing, Some("x"), &[]).await, StatusCode::UNAUTHORIZED);
        for unusable in ["{\"user\": \"U1\"}", "{\"user\": \"not one\"}", "{\"user\": \"U1\", \"word\": 1}", "no"] {
            assert_eq!(status(Some("t"), &format!("/v1/warmups {unusable}"), Some("t"), &[]).await, StatusCode::BAD_REQUEST, "{unusable}");
        }
    }

    #[tokio::test]
    async fn sessions_are_for_whoever_shows_the_token() {
        assert_eq!(status(Some("t"), "/v1/sessions", Some("t"), &[]).await, StatusCode::OK);
        assert_eq!(status(Some("t"), "/v1/sessions", Some("x"), &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("t"), "/v1/sessions", None, &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(None, "/v1/sessions", Some(""), &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("t"), "/v1/images", Some("t"), &[]).await, StatusCode::OK);
        assert_eq!(status(Some("t"), "/v1/images", None, &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("t"), "/v1/warmups", Some("t"), &[]).await, StatusCode::OK);
        assert_eq!(status(Some("t"), "/v1/warmups", None, &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("t"), "/v1/pool", Some("t"), &[]).await, StatusCode::OK);
        assert_eq!(status(Some("t"), "/v1/pool", None, &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("t"), "/v1/sessions/s-none", Some("t"), &[]).await, StatusCode::NOT_FOUND);
        assert_eq!(status(Some("t"), "/v1/sessions/..%2f", Some("t"), &[]).await, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn metrics_are_for_whoever_shows_a_token_and_theirs_opens_nothing_else() {
        assert_eq!(status(Some("t"), "/metrics", Some("t"), &[]).await, StatusCode::OK);
        assert_eq!(status(Some("t"), "/metrics", Some("m"), &[]).await, StatusCode::OK);
        assert_eq!(status(None, "/metrics", Some("m"), &[]).await, StatusCode::OK);
        assert_eq!(status(Some("t"), "/metrics", Some("x"), &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("t"), "/metrics", None, &[]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(Some("t"), "/v1/sessions", Some("m"), &[]).await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_builds_log_is_served_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1)))).unwrap();
        let repo = longshore_session::RepoName::parse("acme/shop").unwrap();
        let record = store.begin_build(repo, |id| format!("acme-shop-{id}.log")).await.unwrap();
        std::fs::create_dir(folder.path().join("builds")).unwrap();
        std::fs::write(folder.path().join("builds").join(&record.report.log), "== setup: make\n").unwrap();
        let builds =
            Builds::new(folder.path().join("builds"), |repo| if repo.as_str() == "acme/shop" { Asked::Running } else { Asked::Unknown });
        let pages = PageKeys::new(|session| format!("key of {session}"));
        let token = Some(ApiToken::new("t"));
        let (nothing, typing) = (Reported::new(|| json!([])), Told::new(|_| Ok(())));
        let router = router(Api { token, pages, warmups: nothing.clone(), pool: nothing, typing, builds, ..api(store) });
        let ask = async |method: &str, path: &str, token: &str| {
            let request = Request::builder().method(method).uri(path).header(AUTHORIZATION, format!("Bearer {token}"));
            let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let status = answer.status();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        let (status, text) = ask("GET", "/v1/images/acme/shop/builds", "t").await;
        assert!(
            status == StatusCode::OK && text.contains("\"outcome\":\"running\"") && text.contains("\"repository\":\"acme/shop\""),
            "{text}"
        );
        let log = format!("/v1/images/acme/shop/builds/{}/log", record.id);
        assert_eq!(ask("GET", &log, "t").await, (StatusCode::OK, "== setup: make\n".to_owned()));
        assert_eq!(ask("GET", &log, "x").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(ask("GET", &log.replace("shop", "other"), "t").await.0, StatusCode::NOT_FOUND, "another repository's");
        assert_eq!(ask("POST", "/v1/images/acme/shop/rebuild", "x").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(ask("POST", "/v1/images/acme/shop/rebuild", "t").await.0, StatusCode::CONFLICT);
        assert_eq!(ask("POST", "/v1/images/acme/other/rebuild", "t").await.0, StatusCode::NOT_FOUND);

        assert!(ask("GET", "/v1/images", "t").await.1.contains("\"disk\":{\"limit\":1}"));
        assert_eq!(ask("POST", "/v1/images/collect?dry_run=true", "x").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(ask("POST", "/v1/images/collect?dry_run=true", "t").await, (StatusCode::OK, "{\"dry_run\":true}".to_owned()));
        let refused = (StatusCode::SERVICE_UNAVAILABLE, "{\"error\":\"no engine\"}".to_owned());
        assert_eq!(ask("POST", "/v1/images/collect", "t").await, refused);
        assert_eq!(ask("POST", "/v1/images/collect?dry=true", "t").await.0, StatusCode::BAD_REQUEST, "a typing error removes nothing");
    }

    #[tokio::test]
    async fn a_page_wants_its_key_and_has_no_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1)))).unwrap();
        let pages = PageKeys::new(|session| format!("key-of-{session}"));
        let nothing = Reported::new(|| json!([]));
        let typing = Told::new(|_| Ok(()));
        let builds = Builds::new(folder.path().join("builds"), |_| Asked::Unknown);
        let router = router(Api { pages, warmups: nothing.clone(), pool: nothing, typing, builds, ..api(store) });
        for path in
            ["/sessions/s-none", "/sessions/s-none?key=", "/sessions/s-none?key=key-of-s-other", "/sessions/s-none?key=key-of-s-none"]
        {
            let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            let policy = answer.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
            assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
        }
    }

    #[tokio::test]
    async fn readiness_says_what_is_missing() {
        assert_eq!(status(None, "/readyz", None, &[]).await, StatusCode::OK);
        assert_eq!(status(None, "/readyz", None, &["no socket"]).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(None, "/healthz", None, &["no socket"]).await, StatusCode::OK);
    }
}
