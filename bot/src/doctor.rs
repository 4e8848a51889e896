//! `longshore doctor`: looks at everything that the service needs, and says what is missing and how to get it.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use longshore_session::{RepoName, SystemClock};

use crate::{config::Config, serve};

/// One line of the report.
struct Line {
    mark: Mark,
    what: String,
    /// What to do, where something is to be done.
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Good,
    Doubtful,
    Bad,
}

impl Line {
    fn good(what: impl Into<String>) -> Self {
        Self { mark: Mark::Good, what: what.into(), remedy: None }
    }

    fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { mark: Mark::Bad, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn of(what: &str, result: Result<String>) -> Self {
        match result {
            Ok(note) => Self::good(format!("{what}: {note}")),
            Err(error) => Self { mark: Mark::Bad, what: format!("{what}: {error:#}"), remedy: None },
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.mark {
            Mark::Good => "ok     ",
            Mark::Doubtful => "doubt  ",
            Mark::Bad => "MISSING",
        };
        write!(f, "{mark}  {}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n         → {remedy}"),
            None => Ok(()),
        }
    }
}

/// Prints the report. True when nothing is missing.
pub async fn doctor(file: &Path) -> Result<bool> {
    let config = Config::read(file)?;
    println!("ok       configuration: {}", file.display());
    let mut sound = true;
    let mut say = |lines: Vec<Line>| {
        for line in lines {
            sound &= line.mark != Mark::Bad;
            println!("{line}");
        }
    };
    let (manifests, lines) = manifests(&config);
    say(lines);
    say(slack(&config).await);
    say(github(&config, &manifests).await);
    say(sandboxes(&config).await);
    say(vec![model(&config).await]);
    println!(
        "{}",
        if sound { "\nNothing is missing: `longshore serve` can start." } else { "\nSomething is missing: see the lines above." }
    );
    Ok(sound)
}

fn manifests(config: &Config) -> (Vec<RepoName>, Vec<Line>) {
    match serve::manifests(config) {
        Ok(manifests) => {
            let line = Line::good(format!("repository manifests: {} in {}", manifests.len(), config.manifests.display()));
            (manifests.into_keys().collect(), vec![line])
        }
        Err(error) => (Vec::new(), vec![Line::bad(format!("{error:#}"), "docs/manifests.md describes each key")]),
    }
}

async fn slack(config: &Config) -> Vec<Line> {
    let slack = match serve::slack_config(config) {
        Ok(slack) => slack,
        Err(error) => return vec![Line::bad(format!("{error:#}"), "docs/slack.md shows where Slack gives the tokens")],
    };
    let findings = longshore_slack::check(&slack).await;
    findings
        .into_iter()
        .map(|finding| match finding.verdict {
            longshore_slack::Verdict::Good { note } => Line::good(format!("{}: {note}", finding.what)),
            longshore_slack::Verdict::Lacking { why, remedy } => {
                Line { mark: Mark::Doubtful, what: format!("{}: {why}", finding.what), remedy: Some(remedy) }
            }
            longshore_slack::Verdict::Broken { why, remedy } => Line::bad(format!("{}: {why}", finding.what), remedy),
        })
        .collect()
}

async fn github(config: &Config, manifests: &[RepoName]) -> Vec<Line> {
    let github = match serve::github(config, Arc::new(SystemClock)) {
        Ok(github) => github,
        Err(error) => return vec![Line::bad(format!("{error:#}"), "docs/github.md shows how to make the App and its key")],
    };
    let findings = github.check(manifests).await;
    findings
        .into_iter()
        .map(|finding| match finding.verdict {
            longshore_github::Verdict::Good => Line::good(finding.what),
            longshore_github::Verdict::Wrong { remedy } => Line::bad(finding.what, remedy),
        })
        .collect()
}

async fn sandboxes(config: &Config) -> Vec<Line> {
    let configs = serve::docker_config(config).and_then(|docker| Ok((docker, serve::image_config(config)?)));
    let (docker, images) = match configs {
        Ok(configs) => configs,
        Err(error) => return vec![Line::bad(format!("{error:#}"), "correct the configuration")],
    };
    let findings = longshore_sandbox::examine(&docker, &images).await;
    findings
        .into_iter()
        .map(|finding| Line {
            mark: match finding.verdict {
                longshore_sandbox::Verdict::Good => Mark::Good,
                longshore_sandbox::Verdict::Doubtful => Mark::Doubtful,
                longshore_sandbox::Verdict::Bad => Mark::Bad,
            },
            what: format!("{}: {}", finding.subject, finding.words),
            remedy: None,
        })
        .collect()
}

/// Lists the models: costs nothing, and shows whether the key counts and the models are there.
async fn model(config: &Config) -> Line {
    let section = &config.model;
    let asked = async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let mut request = client.get(format!("{}/models", section.base_url.trim_end_matches('/')));
        if let Some(key) = serve::model_key(config) {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await?;
        anyhow::ensure!(
            answer.status().is_success(),
            "{} answers {}: see that {} holds a key that is good there",
            section.base_url,
            answer.status(),
            section.api_key_env
        );
        let listed: serde_json::Value = answer.json().await?;
        let names: Vec<&str> = listed["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str()).collect();
        for wanted in [Some(&section.agent), section.classifier.as_ref()].into_iter().flatten() {
            anyhow::ensure!(
                names.is_empty() || names.contains(&wanted.as_str()),
                "{} has no model `{wanted}`: correct `model` in {}",
                section.base_url,
                config.file.display()
            );
        }
        Ok(format!("{} answers", section.base_url))
    };
    Line::of("model", asked.await)
}
