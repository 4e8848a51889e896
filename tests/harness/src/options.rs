//! What a harness is started with.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::Router;
use longshore_emulators::{
    model::{Catalogue, Pace},
    slack::WorkspaceSetup,
};

use crate::paths::manifest_file;

/// The variables that make the demo use a real model, for messages.
pub const REAL_MODEL_VARIABLES: &str = "OPENAI_API_KEY or LONGSHORE_MODEL_BASE_URL";

const MODEL_LIST_LIMIT: Duration = Duration::from_secs(10);

/// Which model answers.
#[derive(Debug, Clone)]
pub enum ModelChoice {
    /// The emulator, which plays a script.
    Scripted { pace: Pace },
    /// A provider that speaks OpenAI's chat completions.
    Real {
        base_url: String,
        /// None: the provider wants none.
        api_key: Option<String>,
        agent: String,
        classifier: String,
    },
}

impl ModelChoice {
    /// A real model where the environment names one (`OPENAI_API_KEY`, `LONGSHORE_MODEL_BASE_URL`, `LONGSHORE_MODEL`, `LONGSHORE_CLASSIFIER_MODEL`).
    ///
    /// A server of one's own is asked for its models where none is named, and the first one is taken. Errors when it does not tell.
    pub async fn from_environment(scripted: Pace) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let (named_url, api_key) = (variable("LONGSHORE_MODEL_BASE_URL"), variable("OPENAI_API_KEY"));
        let (agent, classifier) = (variable("LONGSHORE_MODEL"), variable("LONGSHORE_CLASSIFIER_MODEL"));
        let Some(base_url) = named_url else {
            let Some(api_key) = api_key else { return Ok(Self::Scripted { pace: scripted }) };
            return Ok(Self::Real {
                base_url: "https://api.openai.com/v1".to_owned(),
                api_key: Some(api_key),
                agent: agent.unwrap_or_else(|| "gpt-5".to_owned()),
                // Quick, because it does not think first.
                classifier: classifier.unwrap_or_else(|| "gpt-4.1-mini".to_owned()),
            });
        };
        let agent = match agent {
            Some(agent) => agent,
            None => first_model(&base_url, api_key.as_deref())
                .await
                .with_context(|| format!("{base_url} does not say which models it has: name one in LONGSHORE_MODEL"))?,
        };
        Ok(Self::Real { base_url, api_key, classifier: classifier.unwrap_or_else(|| agent.clone()), agent })
    }
}

async fn first_model(base_url: &str, api_key: Option<&str>) -> Result<String> {
    // Where another provider was installed before, that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(MODEL_LIST_LIMIT).build()?;
    let mut request = client.get(format!("{}/models", base_url.trim_end_matches('/')));
    if let Some(key) = api_key {
        request = request.bearer_auth(key);
    }
    let listed: serde_json::Value = request.send().await?.error_for_status()?.json().await?;
    let first = listed["data"].as_array().and_then(|models| models.first()?["id"].as_str());
    Ok(first.context("its list of models is empty")?.to_owned())
}

/// What works out the repository of a request that does not name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranker {
    /// The fast model, with words behind it.
    Model,
    /// Words alone.
    Words,
}

/// Whether images that earlier runs built are taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageCache {
    Use,
    /// The service builds every image itself, as on a new machine.
    Ignore,
}

/// What `start` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The service takes mentions, and every repository has an image.
    Images,
    /// The service takes mentions.
    Ready,
    /// Nothing: the service is not started. (`harness.service.start()` does.)
    Nothing,
}

/// What a harness consists of; every field may be changed before it starts.
pub struct Options {
    /// Repositories of the catalogue (`acme/storefront`) that are there.
    pub samples: Vec<String>,
    pub workspace: WorkspaceSetup,
    pub model: ModelChoice,
    pub ranker: Ranker,
    /// Slack user ids of people whose own GitHub tokens open their pull requests. Everybody has an account and may write either way.
    pub linked: Vec<String>,
    /// Whole manifests by repository, in place of those in `manifests/repositories`, or beside them.
    pub manifests: BTreeMap<String, String>,
    /// How many sandboxes shall wait for a repository. No image differs for it; `configuration` must let there be any (`[pool] max`).
    pub pool: BTreeMap<String, u32>,
    /// Hosts that builds shall reach beside those of the manifests.
    pub egress: Vec<String>,
    /// TOML that is laid over the configuration: tables are merged, everything else is replaced.
    pub configuration: String,
    /// The socket of a Docker engine of the story's own, which knows no image yet: `images` and `wait` are about the machine's.
    pub engine: Option<PathBuf>,
    /// Variables of the service's process, on top of its secrets.
    pub environment: Vec<(String, String)>,
    pub images: ImageCache,
    pub wait: Wait,
    /// Another program than the service's, beside it.
    pub program: &'static str,
    /// Port 0 takes a free one.
    pub slack_listen: SocketAddr,
    pub github_listen: SocketAddr,
    /// Mounted at `/` of the Slack emulator.
    pub page: Option<Router>,
    /// Gets one JSON line per Slack API call.
    pub calls_log: Option<PathBuf>,
    /// Where the service's log goes; into the run's folder where it is not given.
    pub service_log: Option<PathBuf>,
    /// Told what start-up is busy with.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// All samples.
    pub fn all() -> Self {
        let catalogue = Catalogue::bundled().unwrap_or_else(|_| Catalogue::empty());
        let names: Vec<&str> = catalogue.repositories.keys().map(String::as_str).collect();
        Self::samples(&names)
    }

    /// Some samples: with one, a start is quickest.
    pub fn samples(names: &[&str]) -> Self {
        let workspace = WorkspaceSetup::demo();
        let linked = workspace.users.iter().filter(|user| user.kind == longshore_emulators::slack::UserKind::Member);
        Self {
            samples: names.iter().map(|name| (*name).to_owned()).collect(),
            linked: linked.map(|user| user.id.clone()).collect(),
            workspace,
            model: ModelChoice::Scripted { pace: Pace::default() },
            ranker: Ranker::Model,
            manifests: BTreeMap::new(),
            pool: BTreeMap::new(),
            egress: Vec::new(),
            configuration: String::new(),
            engine: None,
            environment: Vec::new(),
            images: ImageCache::Use,
            wait: Wait::Images,
            program: "longshore",
            slack_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            github_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            page: None,
            calls_log: None,
            service_log: None,
            progress: Arc::new(|_| {}),
        }
    }

    /// The manifest of a sample as it stands in `manifests/repositories`, to be changed and put into `manifests`.
    pub fn manifest_text(repository: &str) -> Result<String> {
        let catalogue = Catalogue::bundled()?;
        let sample = catalogue.repositories.get(repository).with_context(|| format!("the catalogue has no {repository}"))?;
        let file = manifest_file(&sample.folder);
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }
}
