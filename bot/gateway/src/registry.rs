//! `/registry/<name>/…`: private package registries, read with a credential that the sandbox never sees.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, RawQuery, State},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use url::Url;

use crate::{
    GatewayError,
    body::{self, HeldBody},
    door::{Entry, Peer},
    gateway::{Shared, behind, client, only},
};

const REQUEST_HEADERS: [&str; 6] = ["accept", "accept-language", "if-modified-since", "if-none-match", "range", "user-agent"];
const RESPONSE_HEADERS: [&str; 9] = [
    "accept-ranges",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "location",
];
/// An index that is larger than this is passed on as it is.
const MOST_REWRITTEN: u64 = 64 * 1024 * 1024;

/// A package registry that a sandbox may read through the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRight {
    /// `/registry/<name>/`.
    pub name: String,
    /// What stands behind it, with a slash at its end.
    pub url: Url,
    /// The header that is added, and its value.
    pub header: HeaderName,
    pub value: HeaderSecret,
}

/// A header's value that nobody reads in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderSecret(HeaderValue);

impl HeaderSecret {
    /// None where the text cannot stand in a header.
    pub fn new(value: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl fmt::Debug for HeaderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderSecret(…)")
    }
}

/// The clients of registries that were asked so far.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<Url, reqwest::Client>>);

impl Shared {
    fn registry_client(&self, url: &Url) -> Result<reqwest::Client, GatewayError> {
        let mut clients = self.registries.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clients.get(url) {
            return Ok(known.clone());
        }
        let made = client(url, &self.config)?;
        clients.insert(url.clone(), made.clone());
        Ok(made)
    }
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    // HEAD as well: GET's handler answers it, and the method goes along.
    Router::new().route("/registry/{name}/{*path}", get(read)).route("/registry/{name}/", get(read_root))
}

async fn read_root(
    shared: State<Arc<Shared>>,
    peer: Extension<Peer>,
    Path(name): Path<String>,
    query: RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Response<Body> {
    read(shared, peer, Path((name, String::new())), query, method, headers).await
}

async fn read(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path((name, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Response<Body> {
    let Entry { pass, slot } = match shared.enter(&headers, &header::AUTHORIZATION, peer) {
        Ok(entry) => entry,
        Err(turned) => return refusal(StatusCode::UNAUTHORIZED, turned.message()),
    };
    let Some(right) = pass.registries.iter().find(|right| right.name == name) else {
        return refusal(StatusCode::NOT_FOUND, "longshore: this sandbox may read no registry of that name");
    };
    // The credential is for what stands behind the registry's own address.
    if path.split('/').any(|part| part == "..") {
        return refusal(StatusCode::BAD_REQUEST, "longshore: a path without `..`, please");
    }
    let Ok(client) = shared.registry_client(&right.url) else {
        return refusal(StatusCode::BAD_GATEWAY, "longshore: the registry's address is not usable");
    };
    let mut sent = only(&headers, &REQUEST_HEADERS);
    sent.insert(right.header.clone(), right.value.0.clone());
    let request = client.request(method, behind(&right.url, &path, query.as_deref())).headers(sent).send();
    let answer = match tokio::time::timeout(shared.config.limits.stall, request).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::warn!(registry = name, error = %error.without_url(), "a registry could not be asked");
            return refusal(StatusCode::BAD_GATEWAY, "longshore: the registry cannot be reached; try again");
        }
        Err(_) => return refusal(StatusCode::GATEWAY_TIMEOUT, "longshore: the registry did not answer in time; try again"),
    };
    let status = answer.status();
    if matches!(status.as_u16(), 401 | 403) {
        tracing::warn!(registry = name, status = status.as_u16(), "a registry does not take the service's credential");
        return refusal(
            StatusCode::BAD_GATEWAY,
            "longshore: the registry does not take the service's credential (`image.secrets` in the manifest)",
        );
    }
    let own = own_address(&shared, &headers, &name);
    let mut kept = only(answer.headers(), &RESPONSE_HEADERS);
    if let Some(place) = kept.get(header::LOCATION).and_then(|place| place.to_str().ok())
        && let Ok(place) = HeaderValue::from_str(&place.replace(right.url.as_str(), &own))
    {
        kept.insert(header::LOCATION, place);
    }
    let body = if is_index(&kept) {
        // Its links lead past the gateway otherwise, where nobody adds the credential.
        let chunks = body::with_stall(answer.bytes_stream(), shared.config.limits.stall);
        match body::gather(Body::from_stream(chunks), usize::try_from(MOST_REWRITTEN).unwrap_or(usize::MAX), shared.config.limits.stall)
            .await
        {
            Ok(text) => {
                kept.remove(header::CONTENT_LENGTH);
                Body::from(rewritten(&text, right.url.as_str(), &own))
            }
            Err(error) => {
                tracing::warn!(registry = name, %error, "a registry's answer broke off");
                return refusal(StatusCode::BAD_GATEWAY, "longshore: the registry's answer broke off; try again");
            }
        }
    } else {
        Body::from_stream(body::with_stall(answer.bytes_stream(), shared.config.limits.stall))
    };
    let mut response = Response::new(HeldBody::wrap(body, slot));
    *response.status_mut() = status;
    *response.headers_mut() = kept;
    response
}

/// The registry's address as the sandbox called it.
fn own_address(shared: &Shared, headers: &HeaderMap, name: &str) -> String {
    let own = shared.config.own_names.first().map(String::as_str).unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(own);
    format!("http://{host}/registry/{name}/")
}

/// Small, and made of links: as package managers' indexes are. Nothing was asked for in a transfer encoding.
fn is_index(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    let text = kind == "text/html" || kind == "application/json" || kind.ends_with("+json") || kind.ends_with("+html");
    text && length <= MOST_REWRITTEN && !headers.contains_key(header::CONTENT_ENCODING) && !headers.contains_key(header::CONTENT_RANGE)
}

fn rewritten(text: &[u8], there: &str, here: &str) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) => text.replace(there, here).into_bytes(),
        Err(_) => text.to_vec(),
    }
}

fn refusal(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{message}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"longshore\""));
    }
    response
}
