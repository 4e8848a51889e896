//! What holds whatever is posted as a webhook. Each target takes any bytes and panics where something does not hold; the tests here and `fuzz/`
//! drive them. See `docs/fuzzing.md`.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use sha2::Sha256;

use crate::webhook::{PullRequestAction, WebhookError, WebhookEvent, verify_and_parse};

const SECRET: &str = "a webhook secret";

/// The first byte says which event it is, the second where a byte is changed after it was signed.
pub const WEBHOOKS: &[&[u8]] = &[
    br#"00{"action":"closed","pull_request":{"number":7,"html_url":"https://g/7","merged_at":"2026-11-22T13:40:05Z","head":{"ref":"longshore/s-1","sha":"c0ffee"}},"repository":{"full_name":"acme/shop"},"sender":{"login":"ana"}}"#,
    br#"05{"action":"synchronize","pull_request":{"number":7,"html_url":"https://g/7","head":{"ref":"x","sha":"c0ffee"}},"repository":{"full_name":"acme/shop"},"sender":{"login":"ana"}}"#,
    br#"19{"action":"submitted","review":{"state":"changes_requested","html_url":"https://g/7#r"},"pull_request":{"number":7,"html_url":"https://g/7","head":{"ref":"x","sha":"c"}},"repository":{"full_name":"acme/shop"},"sender":{"login":"ana"}}"#,
    b"20{}",
    b"30{}",
];

/// What was signed is read, the same each time; what differs from it by one byte, or carries another signature, is refused as such before
/// anything of it is looked at.
pub fn webhook(bytes: &[u8]) {
    let [which, place, body @ ..] = bytes else { return };
    let event = ["pull_request", "pull_request_review", "ping", "check_suite"][usize::from(*which) % 4];
    let secret = SecretString::from(SECRET);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    let signature = mac.finalize().into_bytes().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    let headers = |signature: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature-256", HeaderValue::from_str(signature).unwrap());
        headers.insert("x-github-delivery", HeaderValue::from_static("guid"));
        headers.insert("x-github-event", HeaderValue::from_static(event));
        headers
    };
    let taken = verify_and_parse(&headers(&signature), body, &secret);
    assert_ne!(taken, Err(WebhookError::Signature), "what was signed is taken");
    assert_eq!(taken, verify_and_parse(&headers(&signature), body, &secret));
    if let Ok(webhook) = &taken
        && let WebhookEvent::PullRequest(pull) = &webhook.event
        // Of what is passed over not even the letters are looked at.
        && let Ok(told) = serde_json::from_slice::<serde_json::Value>(body)
    {
        assert_eq!(told["repository"]["full_name"].as_str(), Some(pull.repo.as_str()));
        if pull.action == PullRequestAction::Merged {
            assert!(told["pull_request"]["merged_at"].is_string(), "merged without a time");
        }
    }

    let refused = |signature: &str, body: &[u8]| {
        assert_eq!(verify_and_parse(&headers(signature), body, &secret), Err(WebhookError::Signature), "{signature}");
    };
    let mut other = body.to_vec();
    match other.get_mut(usize::from(*place)) {
        Some(byte) => *byte ^= 1,
        None => other.push(b' '),
    }
    refused(&signature, &other);
    refused(&signature[..signature.len() - 1 - usize::from(*place) % 64], body);
    refused(&signature["sha256=".len()..], body);
    refused(&format!("{signature}00"), body);
    let at = "sha256=".len() + usize::from(*place) % 64;
    let digit = if signature.as_bytes()[at] == b'0' { "1" } else { "0" };
    let mut forged = signature.clone();
    forged.replace_range(at..=at, digit);
    refused(&forged, body);
}

#[cfg(test)]
mod tests {
    use longshore_hostile::throw;

    #[test]
    fn webhook() {
        throw(super::WEBHOOKS, super::webhook);
    }
}
