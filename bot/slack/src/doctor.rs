//! Does the configuration hold against the real Slack, and if not, what is to be done.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use http_body_util::Full;
use serde_json::Value;
use slack_morphism::SlackClient as VendorClient;

use crate::{
    client::{Plain, Repeatable, SlackError, connector, open_connection},
    config::SlackConfig,
};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Such as `Slack bot token`.
    pub what: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good {
        note: String,
    },
    /// The service runs, and something will be missing.
    Lacking {
        why: String,
        remedy: String,
    },
    /// The service cannot run like this.
    Broken {
        why: String,
        remedy: String,
    },
}

/// Each scope that the bot needs and what fails without it. `manifests/slack-app.yaml` asks for the same; a test compares them.
pub(crate) const SCOPES: [(&str, Need, &str); 21] = [
    ("app_mentions:read", Need::Must, "hears no mention"),
    ("chat:write", Need::Must, "cannot answer"),
    ("commands", Need::Must, "has no `/agent`"),
    ("users:read", Need::Must, "does not know who asks"),
    ("channels:history", Need::Must, "hears no replies in public channels"),
    ("channels:read", Need::Should, "does not know channel names, which help routing"),
    ("groups:history", Need::Should, "hears no replies in private channels"),
    ("groups:read", Need::Should, "does not know private channels' names"),
    ("im:history", Need::Should, "hears no direct messages"),
    ("im:read", Need::Should, "does not know direct messages"),
    ("im:write", Need::Should, "cannot write first in a direct message"),
    ("mpim:history", Need::Should, "hears no group messages"),
    ("mpim:read", Need::Should, "does not know group messages"),
    ("users:read.email", Need::Should, "signs commits with a no-reply address"),
    ("files:read", Need::Should, "cannot read files that come with a prompt"),
    ("files:write", Need::Should, "cannot share files"),
    ("reactions:read", Need::Should, "does not see reactions"),
    ("reactions:write", Need::Should, "cannot react to a message"),
    ("assistant:write", Need::Should, "offers no prompts in a new thread with the assistant"),
    ("channels:join", Need::Should, "has to be invited before it can be asked about a message in a public channel"),
    ("metadata.message:read", Need::Should, "may not find its own posts again after a broken connection"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Must,
    Should,
}

const ADD_SCOPES: &str = "add it under \"OAuth & Permissions › Bot Token Scopes\" (or paste manifests/slack-app.yaml under \"App Manifest\") and \
                          install the app again";

/// Asks Slack: is the bot token valid, which scopes were granted, does the app token open a connection. Posts nothing.
pub async fn check(config: &SlackConfig) -> Vec<Finding> {
    let mut findings = bot_token(config).await;
    if let Some(app_token) = &config.app_token {
        let opened = match connector(&config.api_url) {
            Ok(connector) => open_connection(&Arc::new(VendorClient::new(connector)), app_token, config.request_timeout).await,
            Err(error) => {
                let remedy = "install the system's CA certificates (Debian: `ca-certificates`)".to_owned();
                findings.push(Finding { what: "TLS certificates".to_owned(), verdict: Verdict::Broken { why: error.to_string(), remedy } });
                return findings;
            }
        };
        findings.push(Finding { what: "Slack app token (Socket Mode)".to_owned(), verdict: app_token_verdict(opened) });
    }
    findings
}

async fn bot_token(config: &SlackConfig) -> Vec<Finding> {
    const METHOD: &str = "auth.test";
    let finding = |verdict| vec![Finding { what: "Slack bot token".to_owned(), verdict }];
    let broken = |why: String, remedy: &str| finding(Verdict::Broken { why, remedy: remedy.to_owned() });
    let address = format!("{}/{METHOD}", config.api_url.as_str().trim_end_matches('/'));
    let request =
        Request::post(address).header(AUTHORIZATION, format!("Bearer {}", config.bot_token.expose())).body(Full::<Bytes>::default());
    let Ok(request) = request else {
        return broken("the address of Slack's API cannot be used".to_owned(), "correct `slack.api_url` in the configuration");
    };
    let plain = match Plain::new(config.request_timeout) {
        Ok(plain) => plain,
        Err(error) => return broken(error.to_string(), "install the system's CA certificates (Debian: `ca-certificates`)"),
    };
    let answer = match plain.send(METHOD, Repeatable::Yes, request, 256 * 1024).await {
        Ok(answer) => answer,
        Err(error) => return broken(error.to_string(), "see that this machine reaches https://slack.com"),
    };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if body.get("ok").and_then(Value::as_bool) != Some(true) {
        let code = body.get("error").and_then(Value::as_str).map_or(format!("HTTP status {}", answer.status.as_u16()), str::to_owned);
        let remedy = "install the app to the workspace and copy the \"Bot User OAuth Token\" from \"OAuth & Permissions\"";
        return broken(format!("Slack says {code}"), remedy);
    }
    let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
    let mut findings = finding(Verdict::Good { note: format!("{} in the workspace {} ({})", text("user"), text("team"), text("team_id")) });
    match answer.headers.get("x-oauth-scopes").and_then(|value| value.to_str().ok()) {
        Some(granted) => findings.extend(scope_findings(granted)),
        None => findings.push(Finding {
            what: "Slack scopes".to_owned(),
            verdict: Verdict::Lacking { why: "Slack did not say which scopes were granted".to_owned(), remedy: ADD_SCOPES.to_owned() },
        }),
    }
    findings
}

fn scope_findings(granted: &str) -> Vec<Finding> {
    let granted: Vec<&str> = granted.split(',').map(str::trim).collect();
    let missing = SCOPES.iter().filter(|(scope, ..)| !granted.contains(scope));
    let mut findings: Vec<Finding> = missing
        .map(|(scope, need, without)| {
            let why = format!("not granted: without it Longshore {without}");
            let verdict = match need {
                Need::Must => Verdict::Broken { why, remedy: ADD_SCOPES.to_owned() },
                Need::Should => Verdict::Lacking { why, remedy: ADD_SCOPES.to_owned() },
            };
            Finding { what: format!("Slack scope {scope}"), verdict }
        })
        .collect();
    if findings.is_empty() {
        let note = format!("all {} are granted", SCOPES.len());
        findings.push(Finding { what: "Slack scopes".to_owned(), verdict: Verdict::Good { note } });
    }
    findings
}

fn app_token_verdict(opened: Result<(), SlackError>) -> Verdict {
    match opened {
        Ok(()) => Verdict::Good { note: "opens a connection".to_owned() },
        Err(error @ SlackError::Refused { .. }) => Verdict::Broken {
            why: error.to_string(),
            remedy: "switch on \"Socket Mode\", and make an app-level token with the scope `connections:write` under \"Basic Information\""
                .to_owned(),
        },
        Err(error) => Verdict::Broken { why: error.to_string(), remedy: "see that this machine reaches https://slack.com".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_says_what_fails_and_where_to_add_it() {
        let all: Vec<&str> = SCOPES.iter().map(|(scope, ..)| *scope).collect();
        assert!(matches!(scope_findings(&all.join(","))[0].verdict, Verdict::Good { .. }));
        let without: Vec<&str> = all.into_iter().filter(|scope| !["chat:write", "files:read"].contains(scope)).collect();
        let findings = scope_findings(&without.join(", "));
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].what, "Slack scope chat:write");
        assert!(
            matches!(&findings[0].verdict, Verdict::Broken { why, remedy } if why.contains("cannot answer") && remedy.contains("Bot Token Scopes"))
        );
        assert!(matches!(findings[1].verdict, Verdict::Lacking { .. }));
    }

    #[test]
    fn the_app_manifest_asks_for_the_same_scopes() {
        let manifest = include_str!("../../../manifests/slack-app.yaml");
        let asked: Vec<&str> = manifest
            .lines()
            .skip_while(|line| line.trim() != "bot:")
            .skip(1)
            .map_while(|line| line.trim().strip_prefix("- "))
            .map(|scope| scope.split('#').next().unwrap_or(scope).trim())
            .collect();
        let mut needed: Vec<&str> = SCOPES.iter().map(|(scope, ..)| *scope).collect();
        let mut asked = asked;
        needed.sort_unstable();
        asked.sort_unstable();
        assert_eq!(asked, needed);
    }
}
