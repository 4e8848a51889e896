//! What the service does in Slack: one method per thing, within Slack's limits, each with a named outcome.

mod error;
mod files;
mod pace;
mod read;
mod tail;
mod transport;
mod write;

pub use error::{SlackError, SlackSetupError};
pub use files::FileUpload;
pub use pace::Priority;
pub use read::{Bot, Membership, Profile, Reply, ReplyPage};
pub use tail::{ThreadEnd, ThreadTail};
pub use write::{EphemeralTo, Metadata, PostTo, Posted};

pub(crate) use error::Repeatable;
pub(crate) use transport::{Connector, Plain, connector, open_connection};

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient as VendorClient};
use tokio::time::Instant;
use url::Url;

use crate::config::{BotToken, SlackConfig};
use pace::{Lane, Pace};

/// Progress that is not through after this long is stale anyway.
const PROGRESS_PATIENCE: Duration = Duration::from_secs(10);

/// The Web API with the bot's token. Cheap to clone; clones share the limits.
#[derive(Clone)]
pub struct SlackClient {
    inner: Arc<Inner>,
}

struct Inner {
    vendor: VendorClient<Connector>,
    token: SlackApiToken,
    bot_token: BotToken,
    plain: Plain,
    pace: Pace,
    api_url: Url,
    request_timeout: Duration,
    patience: Duration,
}

impl Inner {
    /// Whether the bot's token may be sent there: the API's own host, or Slack's file hosts over TLS.
    fn is_slack_address(&self, address: &str) -> bool {
        let Ok(address) = Url::parse(address) else { return false };
        let of_slack = |host: &str| ["slack.com", "slack-files.com"].iter().any(|own| host == *own || host.ends_with(&format!(".{own}")));
        address.origin() == self.api_url.origin() || (address.scheme() == "https" && address.host_str().is_some_and(of_slack))
    }
}

impl std::fmt::Debug for SlackClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlackClient")
    }
}

/// A call of the Web API, ready to be sent (and, after a 429, sent again).
struct Call<'a> {
    method: &'static str,
    body: Body<'a>,
    repeatable: Repeatable,
    priority: Priority,
    /// The channel whose posting pace counts.
    channel: Option<&'a str>,
}

enum Body<'a> {
    Json(&'a Value),
    /// Reading methods take no JSON.
    Query(&'a [(&'a str, String)]),
}

impl SlackClient {
    /// Errors only where the system has no usable TLS certificates; Slack is not contacted.
    pub fn new(config: &SlackConfig) -> Result<Self, SlackSetupError> {
        let vendor = VendorClient::new(connector(&config.api_url)?);
        let token = SlackApiToken::new(SlackApiTokenValue(config.bot_token.expose().to_owned()));
        let inner = Inner {
            vendor,
            token,
            bot_token: config.bot_token.clone(),
            plain: Plain::new(config.request_timeout)?,
            pace: Pace::default(),
            api_url: config.api_url.clone(),
            request_timeout: config.request_timeout,
            patience: config.patience,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends within the limits. A 429 is waited out and repeated (nothing was done) as long as the patience lasts.
    async fn call(&self, call: Call<'_>) -> Result<Value, SlackError> {
        let inner = &self.inner;
        let patience = match call.priority {
            Priority::Final => inner.patience,
            Priority::Progress => inner.patience.min(PROGRESS_PATIENCE),
        };
        let deadline = Instant::now() + patience;
        let method = Lane::Method(call.method);
        let channel = call.channel.map(|channel| Lane::Channel(channel.to_owned()));
        let lanes: Vec<Lane> = channel.iter().cloned().chain([method.clone()]).collect();
        loop {
            let turn = inner.pace.turn(&lanes, call.priority, deadline).await;
            turn.map_err(|retry_after| SlackError::RateLimited { method: call.method, retry_after })?;
            match self.send_once(&call).await {
                Err(SlackError::RateLimited { retry_after, .. }) => {
                    // Slack limits posts by channel, everything else by method.
                    inner.pace.close(channel.as_ref().unwrap_or(&method), retry_after);
                    tracing::warn!(
                        method = call.method,
                        channel = call.channel,
                        retry_after_s = retry_after.as_secs(),
                        "Slack answered 429"
                    );
                }
                result => return result,
            }
        }
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Value, SlackError> {
        let inner = &self.inner;
        let session = inner.vendor.open_session(&inner.token);
        let request = async {
            match call.body {
                Body::Json(body) => session.http_session_api.http_post::<Value, Value>(call.method, body, None).await,
                Body::Query(fields) => {
                    let fields: Vec<(&str, Option<&String>)> = fields.iter().map(|(name, value)| (*name, Some(value))).collect();
                    session.http_session_api.http_get::<Value, _, _>(call.method, &fields, None).await
                }
            }
        };
        match tokio::time::timeout(inner.request_timeout, request).await {
            Ok(Ok(answer)) if answer.get("ok").and_then(Value::as_bool) == Some(true) => Ok(answer),
            // An answer that is not Slack's JSON, such as a proxy's page.
            Ok(Ok(_)) => Err(SlackError::unanswered(call.method, call.repeatable, "the answer is not Slack's".to_owned())),
            Ok(Err(error)) => Err(SlackError::from_vendor(call.method, call.repeatable, &error)),
            Err(_) => Err(SlackError::unanswered(call.method, call.repeatable, "no answer in time".to_owned())),
        }
    }

    async fn read(&self, method: &'static str, fields: &[(&str, String)]) -> Result<Value, SlackError> {
        self.call(Call { method, body: Body::Query(fields), repeatable: Repeatable::Yes, priority: Priority::Final, channel: None }).await
    }
}

/// A field that Slack always sends.
fn required<'a>(method: &'static str, answer: &'a Value, pointer: &str) -> Result<&'a str, SlackError> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| SlackError::Transient { method, reason: format!("the answer has no `{pointer}`") })
}
