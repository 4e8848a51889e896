//! The forward proxy: `CONNECT` and absolute-form `http://`, to the hosts that the pass's egress names and to addresses that are checked.

mod egress;
mod tunnel;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::body::Body as _;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::Instrument;

#[cfg(any(test, fuzzing))]
pub(crate) use egress::fuzz;
pub use egress::{EgressRule, InvalidEgress};

use self::{
    egress::{Target, is_reachable},
    tunnel::{Record, Tunnel},
};
use crate::{
    Pass,
    body::{self, HeldBody},
    door::{Entry, Peer, Turned},
    gateway::Shared,
};

/// Headers that are between two neighbours on the way (RFC 9110, section 7.6.1), and the proxy's own.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `CONNECT host:port`: answered once the connection stands; then bytes both ways.
pub(crate) async fn connect(shared: Arc<Shared>, peer: Peer, request: Request<Body>) -> Response<Body> {
    let made = async {
        let Entry { pass, slot } = shared.enter(request.headers(), &header::PROXY_AUTHORIZATION, peer)?;
        let target = request.uri().authority().and_then(|authority| Target::parse(authority, None)).ok_or_else(Refusal::no_target)?;
        let upstream = shared.reach(&pass, &target).await?;
        let record = Record::open(pass.sandbox.clone(), &target);
        let tunnel = Tunnel { idle: shared.config.limits.tunnel_idle, end: shared.end.clone(), record };
        let carrying = async move {
            // The client's half is there once our answer has been written.
            match hyper::upgrade::on(request).await {
                Ok(client) => tunnel.run(TokioIo::new(client), upstream).await,
                Err(error) => tracing::debug!(%error, "a tunnel was given up before it began"),
            }
            drop(slot);
        };
        shared.tasks.spawn(carrying.in_current_span());
        Ok(Response::new(Body::empty()))
    };
    made.await.unwrap_or_else(Refusal::response)
}

/// `GET http://host/…`: sent on over a connection of its own.
pub(crate) async fn forward(shared: Arc<Shared>, peer: Peer, request: Request<Body>) -> Response<Body> {
    let made = async {
        let (mut parts, body) = request.into_parts();
        let Entry { pass, slot } = shared.enter(&parts.headers, &header::PROXY_AUTHORIZATION, peer)?;
        if parts.uri.scheme_str() != Some("http") {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "only http:// is forwarded: use CONNECT for everything else"));
        }
        let authority = parts.uri.authority().ok_or_else(Refusal::no_target)?;
        let target = Target::parse(authority, Some(80)).ok_or_else(Refusal::no_target)?;
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| Refusal::no_target())?;
        let stream = shared.reach(&pass, &target).await?;

        strip(&mut parts.headers);
        // Whatever `Host` the client sent: what was judged is what the server is told.
        parts.headers.insert(header::HOST, host);
        parts.uri = parts.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| path.clone().into());
        parts.version = http::Version::HTTP_11;
        let record = Arc::new(Record::open(pass.sandbox.clone(), &target));
        let limits = &shared.config.limits;
        // A request that came without a body goes on without one: some servers refuse a chunked GET.
        let outgoing =
            if body.is_end_stream() { Body::empty() } else { Body::from_stream(record.clone().sent(body::chunks(body, limits.stall))) };

        let unreachable = |error: &dyn std::fmt::Display| {
            tracing::debug!(%target, %error, "a forwarded request failed");
            Refusal::new(StatusCode::BAD_GATEWAY, format!("{target} broke the connection off"))
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        let end = shared.end.clone();
        shared.tasks.spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended { tracing::debug!(%error, "a forwarded connection ended early") },
                () = end.cancelled() => {}
            }
        });
        let answer = tokio::time::timeout(limits.stall, sender.send_request(Request::from_parts(parts, outgoing))).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| unreachable(&error))?,
            Err(_) => return Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, format!("{target} did not answer in time"))),
        };
        let (mut parts, body) = answer.into_parts();
        strip(&mut parts.headers);
        let body = Body::from_stream(record.received(body::chunks(Body::new(body), limits.stall)));
        Ok(Response::from_parts(parts, HeldBody::wrap(body, slot)))
    };
    made.await.unwrap_or_else(Refusal::response)
}

impl Shared {
    /// A connection to an address of `target`, where the pass names it and the address may be reached.
    async fn reach(&self, pass: &Pass, target: &Target) -> Result<TcpStream, Refusal> {
        if !pass.egress.iter().any(|rule| rule.matches(target)) {
            tracing::info!(target: "longshore::egress", sandbox = %pass.sandbox, host = %target.host, port = target.port, allowed = false, "not in the egress");
            self.parts.doorkeeper.not_let_out(pass, &target.host, target.port);
            return Err(Refusal::not_named(target));
        }
        let addresses = self.resolve(target).await?;
        let reachable: Vec<SocketAddr> =
            addresses.iter().copied().filter(|address| is_reachable(address.ip(), &self.config.proxy)).collect();
        if reachable.is_empty() {
            let address = addresses.first().map_or_else(|| "nothing".to_owned(), |address| address.ip().to_string());
            tracing::warn!(target: "longshore::egress", sandbox = %pass.sandbox, host = %target.host, port = target.port, allowed = false, %address, "not a public address");
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!(
                    "{} is {address}, which is no public address. The service's operator can allow its range with `allow_private` in the gateway's configuration.",
                    target.host
                ),
            ));
        }
        let mut last = None;
        for address in reachable {
            match tokio::time::timeout(self.config.limits.connect, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY could not be set");
                    }
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error.to_string()),
                Err(_) => last = Some("no answer in time".to_owned()),
            }
        }
        let why = last.unwrap_or_default();
        tracing::info!(target: "longshore::egress", sandbox = %pass.sandbox, host = %target.host, port = target.port, allowed = true, error = %why, "could not be reached");
        Err(Refusal::new(StatusCode::BAD_GATEWAY, format!("{target} cannot be reached: {why}")))
    }

    /// The target's addresses. What comes out of here is connected to as it is: a second look could get another answer.
    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, Refusal> {
        if let Ok(address) = target.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let looked_up =
            tokio::time::timeout(self.config.limits.connect, tokio::net::lookup_host((target.host.as_str(), target.port))).await;
        match looked_up {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(error)) => {
                tracing::debug!(%target, %error, "a name could not be resolved");
                Err(Refusal::new(StatusCode::BAD_GATEWAY, format!("there is no address for {}", target.host)))
            }
            Err(_) => Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, format!("no name server answered for {} in time", target.host))),
        }
    }
}

/// Takes off what is meant for the neighbour only, and what `Connection` names as such.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Why the proxy does not connect.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn no_target() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "name the target as host:port")
    }

    fn not_named(target: &Target) -> Self {
        let entry = if matches!(target.port, 80 | 443) { target.host.clone() } else { target.to_string() };
        let message = format!(
            "{target} may not be reached from this sandbox. To allow it, add \"{entry}\" to `egress` in the repository's manifest."
        );
        Self::new(StatusCode::FORBIDDEN, message)
    }

    fn response(self) -> Response<Body> {
        let message = format!("longshore: {}", self.message);
        let mut response = Response::new(Body::from(format!("{message}\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            headers.insert(header::PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"longshore\""));
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // Most clients show nothing of a refused CONNECT but its status line: the reason is put where they look.
        if let Ok(reason) = hyper::ext::ReasonPhrase::try_from(message) {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

impl From<Turned> for Refusal {
    fn from(turned: Turned) -> Self {
        let status = match turned {
            Turned::Unknown => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Turned::TooMany => StatusCode::TOO_MANY_REQUESTS,
        };
        Self::new(status, turned.message().trim_start_matches("longshore: "))
    }
}
