//! Requests on the wire: slack-morphism for the Web API, plain HTTP for what it cannot do (headers, files, response addresses).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient as VendorClient, hyper_tokio::SlackClientHyperConnector};
use url::Url;

use super::error::{Repeatable, SlackError, SlackSetupError};
use crate::config::AppToken;

pub(crate) type Connector = SlackClientHyperConnector<HttpsConnector<HttpConnector>>;
type PlainClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

fn https() -> Result<HttpsConnector<HttpConnector>, SlackSetupError> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(rustls::crypto::ring::default_provider())?;
    Ok(builder.https_or_http().enable_http1().enable_http2().wrap_connector(tcp))
}

pub(crate) fn connector(api_url: &Url) -> Result<Connector, SlackSetupError> {
    Ok(SlackClientHyperConnector::with_connector(https()?).with_slack_api_url(api_url.as_str().trim_end_matches('/')))
}

/// Asks for a socket's address, to see whether Slack would give one. The address is dropped: it is a credential, and used once.
pub(crate) async fn open_connection(client: &Arc<VendorClient<Connector>>, token: &AppToken, timeout: Duration) -> Result<(), SlackError> {
    const METHOD: &str = "apps.connections.open";
    let token = SlackApiToken::new(SlackApiTokenValue(token.expose().to_owned()));
    let session = client.open_session(&token);
    match tokio::time::timeout(timeout, session.http_session_api.http_post::<Value, Value>(METHOD, &json!({}), None)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(SlackError::from_vendor(METHOD, Repeatable::Yes, &error)),
        Err(_) => Err(SlackError::Transient { method: METHOD, reason: "no answer in time".to_owned() }),
    }
}

/// HTTP without Slack's conventions.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    client: PlainClient,
    timeout: Duration,
}

/// An answer, with at most the asked number of bytes.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Plain {
    pub(crate) fn new(timeout: Duration) -> Result<Self, SlackSetupError> {
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(https()?), timeout })
    }

    /// Sends and reads up to `limit` bytes. `what` names the call in errors; the address may be secret and is not shown.
    pub(crate) async fn send(
        &self,
        what: &'static str,
        repeatable: Repeatable,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, SlackError> {
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| {
                if error.is_connect() {
                    SlackError::Transient { method: what, reason: "no connection".to_owned() }
                } else {
                    SlackError::unanswered(what, repeatable, "the connection broke".to_owned())
                }
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, limit).collect().await.map_err(|error| {
                if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() {
                    SlackError::Refused { method: what, code: "too_large".to_owned(), hint: Some(format!("more than {limit} bytes")) }
                } else {
                    SlackError::unanswered(what, repeatable, "the answer broke off".to_owned())
                }
            })?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(SlackError::unanswered(what, repeatable, "no answer in time".to_owned())),
        }
    }
}
