//! A registry's HTTP API.

use std::time::Duration;

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{HeaderMap, WWW_AUTHENTICATE},
};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{RegistryConfig, Transport};
use crate::EngineError;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct Registry {
    config: RegistryConfig,
    client: Client,
}

/// A token server's answer: the one name or the other.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What a registry wants to see before it answers.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    /// A token of another server's, with what to ask it for.
    Bearer {
        realm: String,
        parameters: Vec<(String, String)>,
    },
}

impl Registry {
    pub fn new(config: RegistryConfig) -> Result<Self, EngineError> {
        let client = Client::builder().connect_timeout(CONNECT).timeout(ANSWER).build().map_err(|error| unreachable(&config, &error))?;
        Ok(Self { config, client })
    }

    /// Whether it is there, and takes our credentials.
    pub async fn check(&self) -> Result<(), EngineError> {
        let answer = self.ask(Method::GET, "").await?;
        let is_registry = answer.headers().contains_key("docker-distribution-api-version");
        match answer.status() {
            StatusCode::OK => Ok(()),
            status if is_registry => Err(self.strange(status)),
            _ => Err(self.no_registry()),
        }
    }

    /// Asks once, and once more with what the registry wants to see.
    async fn ask(&self, method: Method, path: &str) -> Result<Response, EngineError> {
        let scheme = match self.config.transport {
            Transport::Tls => "https",
            Transport::Plain => "http",
        };
        let url = format!("{scheme}://{}/v2/{path}", self.config.host());
        let request = || self.client.request(method.clone(), &url);
        let answer = self.send(request()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let (Some(credentials), Some(challenge)) = (&self.config.credentials, challenge(answer.headers())) else {
            return Err(self.unwelcome());
        };
        let password = credentials.password.expose_secret();
        let answer = match challenge {
            Challenge::Basic => self.send(request().basic_auth(&credentials.user, Some(password))).await?,
            Challenge::Bearer { realm, parameters } => {
                let asked = self.client.get(&realm).query(&parameters).basic_auth(&credentials.user, Some(password));
                let answer = self.send(asked).await?;
                if !answer.status().is_success() {
                    return Err(self.unwelcome());
                }
                let token: Token = answer.json().await.map_err(|error| unreachable(&self.config, &error))?;
                let token = token.token.or(token.access_token).ok_or_else(|| self.unwelcome())?;
                self.send(request().bearer_auth(token)).await?
            }
        };
        if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(self.unwelcome());
        }
        Ok(answer)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, EngineError> {
        let answer = request.send().await.map_err(|error| unreachable(&self.config, &error))?;
        if answer.status().is_server_error() {
            return Err(self.strange(answer.status()));
        }
        Ok(answer)
    }

    fn unwelcome(&self) -> EngineError {
        let reason = match &self.config.credentials {
            Some(credentials) => format!("it does not take the user {} with the password that is set", credentials.user),
            None => "it wants credentials, and none are set".to_owned(),
        };
        EngineError::RegistryRefused { registry: self.config.host().to_owned(), reason }
    }

    fn strange(&self, status: StatusCode) -> EngineError {
        EngineError::RegistryUnreachable { registry: self.config.host().to_owned(), reason: format!("it answers {status}") }
    }

    fn no_registry(&self) -> EngineError {
        let reason = "what listens there is no registry".to_owned();
        EngineError::RegistryUnreachable { registry: self.config.host().to_owned(), reason }
    }
}

/// The error without its address, which may name a token server's parameters, and with what caused it.
fn unreachable(config: &RegistryConfig, error: &reqwest::Error) -> EngineError {
    use std::error::Error as _;
    let mut cause = error.source();
    let mut reason = if error.is_timeout() { "no answer in time".to_owned() } else { "the request failed".to_owned() };
    while let Some(inner) = cause {
        reason = inner.to_string();
        cause = inner.source();
    }
    EngineError::RegistryUnreachable { registry: config.host().to_owned(), reason }
}

fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let text = headers.get(WWW_AUTHENTICATE)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut realm = None;
    let mut parameters = Vec::new();
    let mut rest = rest.trim();
    // `key="value"`, separated by commas; a value may hold commas itself.
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"')?;
        match key.trim_start_matches([',', ' ']) {
            "realm" => realm = Some(value.to_owned()),
            key => parameters.push((key.to_owned(), value.to_owned())),
        }
        rest = after;
    }
    Some(Challenge::Bearer { realm: realm?, parameters })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn with(name: reqwest::header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn challenges_are_understood() {
        assert_eq!(challenge(&with(WWW_AUTHENTICATE, "Basic realm=\"Registry\"")), Some(Challenge::Basic));
        let bearer = "Bearer realm=\"https://auth.example/token\",service=\"registry\",scope=\"repository:team/shop:pull,push\"";
        let parameters = [("service", "registry"), ("scope", "repository:team/shop:pull,push")];
        assert_eq!(
            challenge(&with(WWW_AUTHENTICATE, bearer)),
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".to_owned(),
                parameters: parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            })
        );
        assert_eq!(challenge(&with(WWW_AUTHENTICATE, "Negotiate")), None);
        assert_eq!(challenge(&HeaderMap::new()), None);
    }
}
