//! The service's own gateway, with as little behind it as will do.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use longshore_gateway::{
    Access, CredentialError, Gateway, GatewayConfig, GatewayParts, GitCredentials, GitUpstream, LlmEvent, LlmObserver, LlmUpstream, Open,
    Pass, Passes, SecretString, ToolResult, ToolSpec, Tools, Unlimited,
};
use longshore_harness::Harness;
use longshore_session::RepoName;
use serde_json::{Value, json};

use crate::stage;

/// Leads to the harness's emulators, with the service's own permission to reach private addresses.
pub fn beside(harness: &Harness, passes: &Passes) -> Result<Gateway> {
    let mut config = GatewayConfig::new(GitUpstream { base_url: harness.github.web_url.parse()? });
    let model = harness.model();
    config.openai = Some(LlmUpstream { base_url: model.base_url.parse()?, api_key: Some(model.api_key().to_owned().into()) });
    let service = stage::configuration(harness)?;
    let ranges = service["sandboxes"].get("allow_private").and_then(toml::Value::as_array).into_iter().flatten();
    for range in ranges.filter_map(toml::Value::as_str) {
        config.proxy.allow_private.push(range.parse().map_err(|error| anyhow::anyhow!("{range}: {error}"))?);
    }
    let token = harness.people.tokens.values().next().context("nobody has a GitHub account")?.clone();
    let parts = GatewayParts {
        doorkeeper: Arc::new(passes.clone()),
        credentials: Arc::new(OneToken(token)),
        tools: Arc::new(OneTool),
        gate: Arc::new(Open),
        observer: Arc::new(Nobody),
        budget: Arc::new(Unlimited),
    };
    Ok(Gateway::new(config, parts)?)
}

struct OneToken(String);

impl GitCredentials for OneToken {
    fn token<'a>(&'a self, _: &'a RepoName, _: Access) -> BoxFuture<'a, Result<SecretString, CredentialError>> {
        Box::pin(async { Ok(self.0.clone().into()) })
    }
}

/// The agent asks for the tools before its first request, so there is one.
struct OneTool;

impl Tools for OneTool {
    fn list(&self, _: &Pass) -> Vec<ToolSpec> {
        vec![ToolSpec {
            name: "post_update".to_owned(),
            description: "Tells people something.".to_owned(),
            input_schema: json!({ "type": "object", "properties": { "text": { "type": "string" } } }),
        }]
    }

    fn call<'a>(&'a self, _: &'a Pass, _: &'a str, _: Value) -> BoxFuture<'a, ToolResult> {
        Box::pin(async { ToolResult::done("told") })
    }
}

struct Nobody;

impl LlmObserver for Nobody {
    fn observe(&self, _: LlmEvent) {}
}
