//! The socket, what every request passes through, and the shared state.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::{
    auth::Caller,
    clock::EmulatorClock,
    error::ApiError,
    faults::{Fault, Route},
    key::AppKey,
    setup::GitHubSetup,
    state::{LoggedRequest, World},
};

const BUDGET_PER_HOUR: u64 = 5000;
const HOUR_MS: i64 = 3_600_000;

pub(super) struct Shared {
    pub(super) setup: GitHubSetup,
    pub(super) clock: EmulatorClock,
    pub(super) key: AppKey,
    /// Without a trailing slash.
    pub(super) web_url: String,
    pub(super) api_url: String,
    pub(super) deliveries: mpsc::UnboundedSender<u64>,
    /// Woken after each delivery's end.
    pub(super) delivered: Notify,
    /// One at a time compares branches with what was last seen.
    pub(super) pushes: tokio::sync::Mutex<()>,
    world: Mutex<World>,
}

impl Shared {
    pub(super) fn new(setup: GitHubSetup, key: AppKey, web_url: String, deliveries: mpsc::UnboundedSender<u64>) -> Self {
        let world = World { webhook: setup.webhook.clone(), last_id: 1000, ..World::default() };
        Self {
            api_url: format!("{web_url}/api/v3"),
            web_url,
            setup,
            clock: EmulatorClock::default(),
            key,
            deliveries,
            delivered: Notify::new(),
            pushes: tokio::sync::Mutex::new(()),
            world: Mutex::new(world),
        }
    }

    /// Never held across an await.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_fault(&self, request: &Request) -> Option<Fault> {
        let mut world = self.world();
        let is_of = |route: &Route| route.matches(request.method(), request.uri().path());
        if let Some(index) = world.faults.iter().position(|(route, _)| is_of(route)) {
            return world.faults.remove(index).map(|(_, fault)| fault);
        }
        world.outages.retain(|(_, _, lasts)| lasts.has_changed().is_ok());
        world.outages.iter().find(|(route, ..)| is_of(route)).map(|(_, fault, _)| fault.clone())
    }

    /// What a request of this kind waits for.
    fn holds(&self, request: &Request) -> Vec<watch::Receiver<()>> {
        let holds = &mut self.world().holds;
        holds.retain(|(_, waits)| waits.has_changed().is_ok());
        let of_kind = |(route, _): &&(Route, watch::Receiver<()>)| route.matches(request.method(), request.uri().path());
        holds.iter().filter(of_kind).map(|(_, waits)| waits.clone()).collect()
    }

    /// Counts a REST call. The remaining calls and when they are renewed (seconds since 1970).
    pub(super) fn spend(&self, caller: &Caller, cost: u64) -> (u64, i64) {
        let now = self.clock.now();
        let mut world = self.world();
        let budget = world.budgets.entry(caller.budget()).or_insert((now, 0));
        if now - budget.0 >= HOUR_MS {
            *budget = (now, 0);
        }
        budget.1 += cost;
        (BUDGET_PER_HOUR.saturating_sub(budget.1), (budget.0 + HOUR_MS) / 1000)
    }
}

/// Marks an answer that must not reach the caller.
#[derive(Clone)]
struct LostAnswer;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let api = super::rest::routes();
    Router::new()
        .nest("/api/v3", api.clone())
        .merge(api)
        .merge(super::oauth::routes())
        .merge(super::git_http::routes())
        .merge(super::web::routes())
        .fallback(|| async { ApiError::not_found() })
        .layer(axum::middleware::from_fn_with_state(shared.clone(), observe))
        .with_state(shared)
}

/// Says who calls, brings in the fault that was asked for, counts, and writes the log.
async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let caller = shared.caller(request.headers());
    let line = LoggedRequest {
        at: shared.clock.now(),
        method: request.method().to_string(),
        path: loggable(request.uri()),
        auth: caller.kind(),
        status: 0,
    };
    let is_web = is_web_page(request.uri().path());
    let fault = if is_web { None } else { shared.next_fault(&request) };
    for mut waits in shared.holds(&request) {
        while waits.changed().await.is_ok() {}
    }
    request.extensions_mut().insert(caller.clone());
    let mut response = match &fault {
        Some(Fault::Status(status)) => {
            ApiError::new(StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY), "Server Error").into_response()
        }
        Some(Fault::SecondaryRateLimit(seconds)) => ApiError::secondary_rate_limit(*seconds).into_response(),
        Some(Fault::Slow(span)) => {
            tokio::time::sleep(*span).await;
            next.run(request).await
        }
        Some(Fault::AnswerLost) | None => next.run(request).await,
    };
    if !is_web {
        budget_headers(&shared, &caller, &mut response);
    }
    let status = if fault == Some(Fault::AnswerLost) {
        response.extensions_mut().insert(LostAnswer);
        0
    } else {
        response.status().as_u16()
    };
    shared.world().log.push(LoggedRequest { status, ..line });
    response
}

fn budget_headers(shared: &Shared, caller: &Caller, response: &mut Response) {
    let (remaining, reset) = shared.spend(caller, 1);
    let headers = response.headers_mut();
    let fields = [
        ("x-ratelimit-limit", BUDGET_PER_HOUR.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-used", (BUDGET_PER_HOUR - remaining).to_string()),
        ("x-ratelimit-reset", reset.to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
        ("x-github-request-id", format!("{:032X}", rand::random::<u128>())),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Pages for people: no faults, no rate limit.
fn is_web_page(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let api = ["api", "repos", "app", "user", "users", "login", "installation", "installations", "rate_limit", "meta"];
    let git = matches!(parts.as_slice(), [_, _, "info", "refs"] | [_, _, "git-upload-pack" | "git-receive-pack"]);
    !git && !parts.first().is_some_and(|first| api.contains(first))
}

/// Path and query without the values that are secrets.
fn loggable(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let secret = ["code", "access_token", "refresh_token", "client_secret", "code_verifier", "state"];
    let fields: Vec<String> = query
        .split('&')
        .map(|field| {
            let name = field.split('=').next().unwrap_or_default();
            if secret.contains(&name) { format!("{name}=…") } else { field.to_owned() }
        })
        .collect();
    format!("{}?{}", uri.path(), fields.join("&"))
}

/// Answers connections until it is stopped. An answer that is to be lost closes its connection instead.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let router = router.clone();
                async move {
                    let response = router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never: Infallible| match never {});
                    if response.extensions().get::<LostAnswer>().is_some() {
                        return Err(std::io::Error::other("the answer is lost, as asked"));
                    }
                    Ok(response)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                result = connection => if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
        });
    }
    connections.close();
    connections.wait().await;
}

/// Sends webhooks one after the other, in the order of their events.
pub(super) async fn send_webhooks(shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<u64>, stop: CancellationToken) {
    let client = super::webhooks::client();
    while let Some(Some(id)) = stop.run_until_cancelled(queue.recv()).await {
        shared.deliver(&client, id).await;
    }
}

impl GitHubSetup {
    pub(super) fn oauth_client(&self, id: &str, secret: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        id == self.app.client_id && bool::from(secret.as_bytes().ct_eq(self.app.client_secret.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_holds_no_secret_of_a_query() {
        let uri: Uri = "/login/oauth/authorize?client_id=a&code=secret&state=s".parse().unwrap();
        assert_eq!(loggable(&uri), "/login/oauth/authorize?client_id=a&code=…&state=…");
    }

    #[test]
    fn pages_are_told_from_calls() {
        assert!(is_web_page("/") && is_web_page("/acme/shop/pull/3"));
        assert!(!is_web_page("/api/v3/app") && !is_web_page("/repos/a/b") && !is_web_page("/a/b.git/info/refs"));
    }

    #[test]
    fn routes_do_not_collide() {
        // Building the router panics on overlapping routes.
        let (sender, _receiver) = mpsc::unbounded_channel();
        let key = AppKey::of(&GitHubSetup::default()).unwrap();
        let _ = router(Arc::new(Shared::new(GitHubSetup::default(), key, "http://x".to_owned(), sender)));
    }
}
