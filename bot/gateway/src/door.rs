//! Who may come in: the token on a request, and how many requests one sandbox has open.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use longshore_session::SandboxId;

use crate::{Pass, SandboxToken, gateway::Shared};

/// The address that a request came from, put into its extensions by the listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub IpAddr);

/// An admitted request: what its sandbox may do, and its place among the sandbox's open requests.
pub(crate) struct Entry {
    pub pass: Arc<Pass>,
    pub slot: Slot<SandboxId>,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// No token, or none that is valid from this address. Both read the same outside.
    Unknown,
    TooMany,
}

impl Turned {
    /// The proxy has a status of its own for the first.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Unknown => "longshore: this request carries no token that is valid for this sandbox",
            Self::TooMany => "longshore: this sandbox has too many requests open at once; try again when some have ended",
        }
    }
}

impl Shared {
    /// Lets a request in by the token in `header`: `Authorization` or `Proxy-Authorization`, and `x-api-key` beside the former.
    pub(crate) fn enter(&self, headers: &HeaderMap, header: &header::HeaderName, Peer(peer): Peer) -> Result<Entry, Turned> {
        let token = headers
            .get(header)
            .and_then(token_of)
            .or_else(|| (header == header::AUTHORIZATION).then(|| headers.get("x-api-key")).flatten().and_then(plain))
            .ok_or(Turned::Unknown)?;
        let pass = self.parts.doorkeeper.admit(&token, peer).ok_or(Turned::Unknown)?;
        let span = tracing::Span::current();
        span.record("sandbox", tracing::field::display(&pass.sandbox));
        if let Some(session) = &pass.session {
            span.record("session", tracing::field::display(session));
        }
        let slot = self.open.take(pass.sandbox.clone()).ok_or(Turned::TooMany)?;
        Ok(Entry { pass, slot })
    }
}

/// `Bearer token`, or `Basic user:token`. Where Basic has an empty password, the user's name is the token.
fn token_of(value: &HeaderValue) -> Option<SandboxToken> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(SandboxToken::from_text(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(SandboxToken::from_text(if password.is_empty() { user } else { password }))
}

fn plain(value: &HeaderValue) -> Option<SandboxToken> {
    value.to_str().ok().map(SandboxToken::from_text)
}

/// Counts what is open per key, up to a limit. Keeps nothing for a key with nothing open.
pub(crate) struct Slots<K> {
    counts: Mutex<HashMap<K, usize>>,
    limit: usize,
}

/// One place; given back on drop.
pub(crate) struct Slot<K: Eq + Hash> {
    key: K,
    slots: Arc<Slots<K>>,
}

impl<K: Eq + Hash> Slots<K> {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { counts: Mutex::new(HashMap::new()), limit })
    }

    /// None when the key has as many open as it may.
    pub fn take(self: &Arc<Self>, key: K) -> Option<Slot<K>>
    where
        K: Clone,
    {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Slot { key, slots: self.clone() })
    }
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut counts = self.slots.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Option<String> {
        token_of(&HeaderValue::from_str(text).unwrap()).map(|token| token.expose().to_owned())
    }

    #[test]
    fn a_token_is_read_from_bearer_and_basic() {
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(token(&format!("Basic {}", STANDARD.encode("x-access-token:abc"))).as_deref(), Some("abc"));
        assert_eq!(token(&format!("basic {}", STANDARD.encode("abc:"))).as_deref(), Some("abc"));
        for bad in ["", "abc", "Digest abc", "Basic ???", &format!("Basic {}", STANDARD.encode("abc"))] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }

    #[test]
    fn places_are_given_back() {
        let slots = Slots::new(2);
        let (one, _two) = (slots.take("a").unwrap(), slots.take("a").unwrap());
        assert!(slots.take("a").is_none());
        assert!(slots.take("b").is_some());
        drop(one);
        assert!(slots.take("a").is_some());
        drop(_two);
        assert!(slots.counts.lock().unwrap().is_empty());
    }
}
