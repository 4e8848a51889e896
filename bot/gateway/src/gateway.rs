//! The listener: connections, the split between proxy and own routes, and the way to the end.

use std::{convert::Infallible, io, net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing};
use http::{Method, Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_session::SandboxId;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::Instrument;
use url::Host;

use crate::{
    Doorkeeper, GatewayConfig, GitCredentials, LlmBudget, LlmObserver, ToolGate, Tools,
    door::{Peer, Slots},
    git, hooks, llm, mcp, proxy, registry,
};

/// What the service puts into the gateway.
#[derive(Clone)]
pub struct GatewayParts {
    pub doorkeeper: Arc<dyn Doorkeeper>,
    pub credentials: Arc<dyn GitCredentials>,
    pub tools: Arc<dyn Tools>,
    pub gate: Arc<dyn ToolGate>,
    pub observer: Arc<dyn LlmObserver>,
    pub budget: Arc<dyn LlmBudget>,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("cannot set up the client for {url}: {source}")]
    Client { url: url::Url, source: reqwest::Error },
    #[error("{0} is no address to put a path behind: give an http or https URL without query")]
    BaseUrl(url::Url),
}

/// A sandbox's only door.
pub struct Gateway {
    shared: Arc<Shared>,
    router: Router,
}

/// What all requests share.
pub(crate) struct Shared {
    pub config: GatewayConfig,
    pub parts: GatewayParts,
    pub llm: llm::Upstreams,
    pub git: git::Upstream,
    pub registries: registry::Clients,
    pub open: Arc<Slots<SandboxId>>,
    /// Tunnels and tool calls: what may outlive its request.
    pub tasks: TaskTracker,
    /// Cancelled when whatever is still open must end.
    pub end: CancellationToken,
}

impl Gateway {
    /// `rustls`' process-wide crypto provider must be installed before (an https upstream panics without one).
    pub fn new(config: GatewayConfig, parts: GatewayParts) -> Result<Self, GatewayError> {
        let shared = Arc::new(Shared {
            llm: llm::Upstreams::new(&config)?,
            git: git::Upstream::new(&config)?,
            registries: registry::Clients::default(),
            open: Slots::new(config.limits.open_per_sandbox),
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
            config,
            parts,
        });
        let router = Router::new()
            .route("/healthz", routing::get(|| async { "ok\n" }))
            .merge(llm::routes())
            .merge(git::routes())
            .merge(mcp::routes())
            .merge(registry::routes())
            .merge(hooks::routes())
            .with_state(shared.clone());
        Ok(Self { shared, router })
    }

    /// Serves until `shutdown`, then lets open requests end for as long as the configuration's `drain`. Returns once nothing of it runs any more.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let limits = self.shared.config.limits.clone();
        let per_address = Slots::<IpAddr>::new(limits.connections_per_address);
        let connections = TaskTracker::new();
        let end = self.shared.end.clone();
        let _ending = end.clone().drop_guard();
        loop {
            let (stream, peer) = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, or a connection that was gone at once: the next one may do.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let peer = Peer(peer.ip().to_canonical());
            let Some(slot) = per_address.take(peer.0) else {
                tracing::warn!(peer = %peer.0, "an address has too many connections open");
                continue;
            };
            let connection = Connection { stream, peer, router: self.router.clone(), shared: self.shared.clone(), header: limits.header };
            let (shutdown, end) = (shutdown.clone(), end.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = connection.run(shutdown) => {}
                    () = end.cancelled() => {}
                }
                drop(slot);
            });
        }
        drop(listener);
        connections.close();
        self.shared.tasks.close();
        let idle = async {
            connections.wait().await;
            self.shared.tasks.wait().await;
        };
        if tokio::time::timeout(limits.drain, idle).await.is_err() {
            tracing::info!("open requests are ended for the shutdown");
            end.cancel();
            connections.wait().await;
            self.shared.tasks.wait().await;
        }
        Ok(())
    }
}

struct Connection {
    stream: TcpStream,
    peer: Peer,
    router: Router,
    shared: Arc<Shared>,
    header: Duration,
}

impl Connection {
    async fn run(self, shutdown: CancellationToken) {
        let Self { stream, peer, router, shared, header } = self;
        // Tokens are small packets: they must not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let (router, shared) = (router.clone(), shared.clone());
            // Who it is shows at the door.
            let span = tracing::info_span!("gateway", session = tracing::field::Empty, sandbox = tracing::field::Empty);
            async move { Ok::<_, Infallible>(answer(router, shared, peer, request.map(Body::new)).await) }.instrument(span)
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(header).half_close(false);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.0, %error, "a connection ended early");
        }
    }
}

async fn answer(router: Router, shared: Arc<Shared>, peer: Peer, mut request: Request<Body>) -> Response<Body> {
    if request.method() == Method::CONNECT {
        return proxy::connect(shared, peer, request).await;
    }
    if request.uri().authority().is_some() {
        if !is_own(&shared.config, request.uri()) {
            return proxy::forward(shared, peer, request).await;
        }
        // Asked for by its own name through itself: the same as asked directly.
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
        *request.uri_mut() = path.into();
    }
    request.extensions_mut().insert(peer);
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn is_own(config: &GatewayConfig, uri: &http::Uri) -> bool {
    uri.host().is_some_and(|host| config.own_names.iter().any(|own| own.eq_ignore_ascii_case(host)))
}

/// A client for one upstream. An upstream on this machine is reached directly, whatever proxy the service's own environment names.
pub(crate) fn client(url: &url::Url, config: &GatewayConfig) -> Result<reqwest::Client, GatewayError> {
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(GatewayError::BaseUrl(url.clone()));
    }
    let mut builder = reqwest::Client::builder()
        .connect_timeout(config.limits.connect)
        // A redirect would take the credential to wherever it points.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Bodies pass through as they are, whatever features of reqwest the rest of the service is built with.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate();
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if local {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|source| GatewayError::Client { url: url.clone(), source })
}

/// `path` behind `base`, with the request's query.
pub(crate) fn behind(base: &url::Url, path: &str, query: Option<&str>) -> url::Url {
    let mut url = base.clone();
    let path = format!("{}/{path}", base.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(query);
    url
}

/// The headers of `from` that are in `names`; all others stay behind.
pub(crate) fn only(from: &http::HeaderMap, names: &[&str]) -> http::HeaderMap {
    let mut kept = http::HeaderMap::new();
    for (name, value) in from {
        if names.contains(&name.as_str()) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}
