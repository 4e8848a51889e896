//! The signed door with requests that Slack did not send.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use http::{Request, StatusCode};
use longshore_session::{Clock, SystemClock};
use sha2::{Digest, Sha256};

use super::{
    Delivery, Inbox, InboxFuture, Stored,
    http::{self as door, Way},
};
use crate::config::{SigningSecret, SlackHttpConfig};

const SECRET: &str = "a-signing-secret";
const LIMIT: usize = 3000;

/// The first byte says what is wrong with the request, the second by which way it comes; the third is for both.
pub const REQUESTS: &[&[u8]] = &[
    b"\0\0\0{\"event_id\":\"Ev1\",\"event\":{}}",
    b"\0\x01\0payload=%7B%22trigger_id%22%3A%22t%22%7D",
    b"\0\x02\0command=%2Fagent&text=a+b&trigger_id=t",
    b"\x01\0\x05{\"event_id\":\"Ev1\",\"event\":{}}",
    b"\x02\0\x05{\"event_id\":\"Ev1\",\"event\":{}}",
    b"\x03\0\x05{\"event_id\":\"Ev1\",\"event\":{}}",
    b"\x04\0\x05{\"type\":\"url_verification\",\"challenge\":\"c\"}",
];

#[derive(Debug, Default)]
struct Counted(AtomicUsize);

impl Inbox for Counted {
    fn store(&self, _: Delivery) -> InboxFuture<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(Stored::New)))
    }
}

/// What is signed as it should be is never taken for unsigned; what differs from what was signed by one byte of body, time or signature, or was
/// signed more than five minutes ago or hence, is neither stored nor answered with anything but 401.
pub fn request(bytes: &[u8]) {
    let [wrong, way, place, body @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(body) else { return };
    if text.len() >= LIMIT {
        return;
    }
    let now = SystemClock.now().0 / 1000;
    let place = usize::from(*place);
    let mut time = now;
    let mut body = body.to_vec();
    let mut signature = sign(&time.to_string(), &body);
    match wrong % 6 {
        0 => {}
        1 => {
            // Another byte, or one more.
            let at = place.min(body.len());
            if at < body.len() && body[at].is_ascii() { body[at] ^= 1 } else { body.push(b' ') }
        }
        2 => {
            time += 1 + i64::try_from(place).unwrap();
        }
        3 => {
            let at = 3 + place % 64;
            let other = if signature.as_bytes()[at] == b'0' { "1" } else { "0" };
            signature.replace_range(at..=at, other);
        }
        // Replayed later, or signed ahead.
        4 => {
            time -= 400 + i64::try_from(place).unwrap();
            signature = sign(&time.to_string(), &body);
        }
        _ => {
            time += 400 + i64::try_from(place).unwrap();
            signature = sign(&time.to_string(), &body);
        }
    }
    let request = Request::post("/")
        .header("x-slack-signature", &signature)
        .header("x-slack-request-timestamp", time.to_string())
        .body(Body::from(body))
        .unwrap();
    let inbox = Arc::new(Counted::default());
    let config = SlackHttpConfig { signing_secret: SigningSecret::parse(SECRET).unwrap(), body_limit: LIMIT };
    let way = [Way::Events, Way::Interactions, Way::Commands][usize::from(*way) % 3];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let status = runtime.block_on(door::answered(config, inbox.clone(), way, request));
    let stored = inbox.0.load(Ordering::Relaxed);
    if wrong % 6 == 0 {
        assert!(matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST), "{status}");
        assert!(stored <= 1 && (status == StatusCode::OK || stored == 0));
    } else {
        assert_eq!((status, stored), (StatusCode::UNAUTHORIZED, 0), "wrong in way {}", wrong % 6);
    }
}

/// HMAC-SHA-256 as in RFC 2104, written again here so that the door is not asked to check itself.
fn sign(time: &str, body: &[u8]) -> String {
    let padded = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(SECRET.bytes()) {
            *byte ^= key;
        }
        block
    };
    let inner =
        Sha256::new().chain_update(padded(0x36)).chain_update("v0:").chain_update(time).chain_update(":").chain_update(body).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer.iter().fold("v0=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
