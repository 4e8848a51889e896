//! A registry's HTTP API: is it there, what does it hold, and take this away.

use std::{collections::HashMap, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, HeaderMap, LINK, WWW_AUTHENTICATE},
};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{RegistryConfig, Transport};
use crate::EngineError;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
/// Engines push the first kind; other builders the second.
const MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
/// Tags that one repository is asked for at the most.
const MOST_TAGS: usize = 10_000;

/// What became of a manifest that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion {
    Deleted,
    /// It was gone.
    Missing,
    /// The registry deletes nothing, or nothing for us.
    Disabled,
}

/// What a tag stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// `sha256:…`
    pub digest: String,
    /// Digest of its configuration.
    pub config: String,
    /// Digests and sizes of what it is made of, its configuration among them.
    pub blobs: Vec<(String, u64)>,
}

/// What a registry says of an image's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Configuration {
    /// As in RFC 3339.
    #[serde(default)]
    pub created: String,
    #[serde(default)]
    config: Labelled,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Labelled {
    #[serde(default, rename = "Labels")]
    labels: Option<HashMap<String, String>>,
}

impl Configuration {
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(key).map(String::as_str)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Registry {
    config: RegistryConfig,
    client: Client,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct ManifestBody {
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct TagList {
    /// Null where all of them were deleted.
    tags: Option<Vec<String>>,
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

    /// The tags of one repository (with its registry's address); none where there is no such repository.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, EngineError> {
        let mut tags = Vec::new();
        let mut path = format!("{}/tags/list", self.path_of(repository));
        while tags.len() < MOST_TAGS {
            let answer = self.ask(Method::GET, &path).await?;
            match answer.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => break,
                status => return Err(self.strange(status)),
            }
            let next = next_page(answer.headers());
            let list: TagList = answer.json().await.map_err(|error| unreachable(&self.config, &error))?;
            tags.extend(list.tags.unwrap_or_default());
            match next {
                Some(next) => path = next,
                None => break,
            }
        }
        Ok(tags)
    }

    /// None where it is gone, or is no single image: nothing that an engine of ours pushed.
    pub async fn manifest(&self, repository: &str, tag_or_digest: &str) -> Result<Option<Manifest>, EngineError> {
        let answer = self.ask(Method::GET, &format!("{}/manifests/{tag_or_digest}", self.path_of(repository))).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(self.strange(status)),
        }
        let digest = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(|error| unreachable(&self.config, &error))?;
        let (Some(digest), Ok(ManifestBody { config, layers })) = (digest, serde_json::from_slice(&body)) else { return Ok(None) };
        let named = config.digest.clone();
        let blobs = layers.into_iter().chain([config]).map(|blob| (blob.digest, blob.size)).collect();
        Ok(Some(Manifest { digest, config: named, blobs }))
    }

    /// An image's configuration; none where it is gone.
    pub async fn configuration(&self, repository: &str, digest: &str) -> Result<Option<Configuration>, EngineError> {
        let answer = self.ask(Method::GET, &format!("{}/blobs/{digest}", self.path_of(repository))).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.json().await.ok()),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(self.strange(status)),
        }
    }

    /// Takes a manifest away, with every tag of it. Its blobs stay until the registry's own collection.
    pub async fn delete(&self, repository: &str, digest: &str) -> Result<Deletion, EngineError> {
        let answer = match self.ask(Method::DELETE, &format!("{}/manifests/{digest}", self.path_of(repository))).await {
            Err(EngineError::RegistryRefused { .. }) => return Ok(Deletion::Disabled),
            answer => answer?,
        };
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::OK => Ok(Deletion::Deleted),
            StatusCode::NOT_FOUND => Ok(Deletion::Missing),
            // Some say that what they do not do is a bad request.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => Ok(Deletion::Disabled),
            status => Err(self.strange(status)),
        }
    }

    /// `host/team/name` as the API names it: `team/name`.
    fn path_of<'a>(&self, repository: &'a str) -> &'a str {
        repository.strip_prefix(self.config.host()).map_or(repository, |path| path.trim_start_matches('/'))
    }

    /// Asks once, and once more with what the registry wants to see.
    async fn ask(&self, method: Method, path: &str) -> Result<Response, EngineError> {
        let scheme = match self.config.transport {
            Transport::Tls => "https",
            Transport::Plain => "http",
        };
        let url = format!("{scheme}://{}/v2/{path}", self.config.host());
        let request = || self.client.request(method.clone(), &url).header(ACCEPT, MANIFESTS);
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

/// The path after `/v2/` of a list's next page.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, _) = link.strip_prefix('<')?.split_once('>')?;
    let (_, path) = target.split_once("/v2/")?;
    Some(path.to_owned())
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
    #[test]
    fn a_list_goes_on_where_the_registry_says() {
        let link = with(LINK, "</v2/team/shop/tags/list?last=b&n=2>; rel=\"next\"");
        assert_eq!(next_page(&link).as_deref(), Some("team/shop/tags/list?last=b&n=2"));
        assert_eq!(next_page(&HeaderMap::new()), None);
    }

    #[test]
    fn a_configuration_may_have_no_labels() {
        let read = |text: &str| serde_json::from_str::<Configuration>(text).unwrap();
        assert_eq!(read(r#"{"config": {"Labels": {"a": "b"}}, "created": "x"}"#).label("a"), Some("b"));
        for bare in ["{}", r#"{"config": {}}"#, r#"{"config": {"Labels": null}}"#] {
            assert_eq!(read(bare).label("a"), None, "{bare}");
        }
    }
}
