//! Requests to the app's own addresses, signed with the v0 scheme.

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::super::setup::{App, RequestUrls};
use super::dispatcher::{Envelope, EnvelopeKind};

/// `v0=` and the HMAC-SHA256 of `v0:timestamp:body`, in hex.
pub(in super::super) fn sign(secret: &str, timestamp: i64, body: &str) -> String {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().fold(String::from("v0="), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Why a request counts as failed, in Slack's words; `asks_no_retry` is set by the app's `X-Slack-No-Retry: 1`.
#[derive(Clone, Debug)]
pub(super) struct HttpFailure {
    pub(super) reason: &'static str,
    pub(super) asks_no_retry: bool,
}

pub(super) struct Retry<'a> {
    pub(super) number: usize,
    pub(super) reason: &'a str,
}

/// Posts an envelope and reads the answer that stands for the acknowledgement.
pub(super) async fn post(
    client: &reqwest::Client,
    app: &App,
    urls: &RequestUrls,
    envelope: &Envelope,
    signing: (i64, Option<Retry<'_>>),
) -> Result<Option<Value>, HttpFailure> {
    let (timestamp, retry) = signing;
    let form = |fields: &[(&str, &str)]| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        form.finish()
    };
    let (url, content_type, body) = match envelope.kind {
        EnvelopeKind::Event => (&urls.events, "application/json", envelope.payload.to_string()),
        EnvelopeKind::Interactive | EnvelopeKind::Suggestion => {
            let url = if envelope.kind == EnvelopeKind::Suggestion { &urls.options } else { &urls.interactivity };
            (url, "application/x-www-form-urlencoded", form(&[("payload", &envelope.payload.to_string())]))
        }
        EnvelopeKind::Slash => {
            let fields: Vec<(&str, &str)> = envelope
                .payload
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
                .collect();
            (&urls.slash, "application/x-www-form-urlencoded", form(&fields))
        }
    };
    let mut request = client
        .post(url)
        .header("content-type", content_type)
        .header("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
        .header("x-slack-request-timestamp", timestamp.to_string())
        .header("x-slack-signature", sign(&app.signing_secret, timestamp, &body));
    if let Some(retry) = retry {
        request = request.header("x-slack-retry-num", retry.number.to_string()).header("x-slack-retry-reason", retry.reason);
    }
    let failed = |reason| HttpFailure { reason, asks_no_retry: false };
    let response =
        request.body(body).send().await.map_err(|error| failed(if error.is_timeout() { "http_timeout" } else { "connection_failed" }))?;
    if !response.status().is_success() {
        let asks_no_retry = response.headers().get("x-slack-no-retry").is_some_and(|value| value == "1");
        return Err(HttpFailure { reason: "http_error", asks_no_retry });
    }
    let text = response.text().await.map_err(|_| failed("connection_failed"))?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let plain = || (envelope.kind == EnvelopeKind::Slash).then(|| serde_json::json!({ "text": text }));
    Ok(serde_json::from_str(&text).ok().filter(Value::is_object).or_else(plain))
}
