//! Whether the App is set up as the service needs it, for `longshore doctor`.

use longshore_session::RepoName;
use serde::Deserialize;
use serde_json::json;

use crate::{GitHub, GitHubError};
use std::collections::BTreeMap;

/// Permissions that the service lives by, by GitHub's names, and what for.
const NEEDED: [(&str, &str, &str); 3] = [
    ("contents", "write", "to clone repositories and push sessions' branches"),
    ("pull_requests", "write", "to open pull requests"),
    ("metadata", "read", "to see repositories and who may use them"),
];

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found, in a sentence.
    pub what: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// The service does not work like this; the text says what to do.
    Wrong {
        remedy: String,
    },
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Good }
    }

    fn wrong(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Wrong { remedy: remedy.into() } }
    }

    pub fn is_good(&self) -> bool {
        self.verdict == Verdict::Good
    }
}

#[derive(Deserialize)]
struct App {
    slug: String,
    name: String,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
    account: Account,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    suspended_at: Option<String>,
    html_url: String,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

/// Lacking permissions as `contents: write (to …)`.
fn lacking(granted: &BTreeMap<String, String>) -> Vec<String> {
    let rank = |level: &str| match level {
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => 0,
    };
    let has = |name: &str| granted.get(name).map_or(0, |level| rank(level));
    let missing = NEEDED.iter().filter(|(name, level, _)| has(name) < rank(level));
    missing.map(|(name, level, purpose)| format!("{name}: {level} ({purpose})")).collect()
}

impl GitHub {
    /// Looks at the App, its permissions and its installations, and whether each of `repositories` (those with a manifest) is covered.
    /// Never fails: what goes wrong is a finding.
    pub async fn check(&self, repositories: &[RepoName]) -> Vec<Finding> {
        let web = self.inner.config.web_url.as_str().trim_end_matches('/');
        let app: App = match self.get(&self.inner.app, "/app").await {
            Ok(app) => app,
            Err(error) => return vec![unreachable(&error, self)],
        };
        let mut findings = vec![Finding::good(format!("GitHub App \"{}\" answers with this App ID and private key", app.name))];
        let missing = lacking(&app.permissions);
        findings.push(if missing.is_empty() {
            Finding::good("the App asks for the permissions that are needed")
        } else {
            Finding::wrong(
                format!("the App lacks {}", missing.join(", ")),
                format!("add them under {web}/settings/apps/{}/permissions and save; installations then have to accept them", app.slug),
            )
        });
        let install = format!("{web}/apps/{}/installations/new", app.slug);
        match self.list::<Vec<Installation>, _>(&self.inner.app, "/app/installations", |page| page).await {
            Err(error) => {
                findings.push(Finding::wrong(format!("the App's installations cannot be read: {error}"), "try again in a minute"))
            }
            Ok(found) if found.is_empty() => {
                findings.push(Finding::wrong("the App is installed nowhere", format!("install it at {install}")));
            }
            Ok(found) => {
                let mut covered = Vec::new();
                for installation in &found {
                    covered.extend(self.check_installation(installation, &mut findings).await);
                }
                for repo in repositories {
                    let known = covered.iter().any(|known| known.eq_ignore_ascii_case(repo.as_str()));
                    findings.push(if known {
                        Finding::good(format!("{repo} is within the App's reach"))
                    } else {
                        Finding::wrong(
                            format!("{repo} has a manifest, but the App is not installed on it"),
                            format!("add the repository to the installation at {install}, or remove its manifest"),
                        )
                    });
                }
            }
        }
        findings
    }

    /// The full names of the installation's repositories.
    async fn check_installation(&self, installation: &Installation, findings: &mut Vec<Finding>) -> Vec<String> {
        #[derive(Deserialize)]
        struct Page {
            repositories: Vec<Repository>,
        }
        #[derive(Deserialize)]
        struct Repository {
            full_name: String,
        }
        let account = &installation.account.login;
        if installation.suspended_at.is_some() {
            let remedy = format!("unsuspend it at {}", installation.html_url);
            findings.push(Finding::wrong(format!("the installation for {account} is suspended"), remedy));
            return Vec::new();
        }
        let missing = lacking(&installation.permissions);
        if !missing.is_empty() {
            findings.push(Finding::wrong(
                format!("the installation for {account} does not grant {}", missing.join(", ")),
                format!("an owner of {account} has to accept the App's new permissions at {}", installation.html_url),
            ));
        }
        let listed = async {
            let token = self.create_token(installation.id, &json!({"permissions": {"metadata": "read"}})).await?;
            let by = self.with_token(token.expose())?;
            self.list::<Page, _>(&by, "/installation/repositories", |page| page.repositories).await
        };
        match listed.await {
            Ok(found) => {
                findings.push(Finding::good(format!("installed for {account}, on {} repositories", found.len())));
                found.into_iter().map(|repository| repository.full_name).collect()
            }
            Err(error) => {
                findings.push(Finding::wrong(format!("the repositories of {account} cannot be listed: {error}"), "try again in a minute"));
                Vec::new()
            }
        }
    }
}

fn unreachable(error: &GitHubError, github: &GitHub) -> Finding {
    let (api, id) = (&github.inner.config.api_url, github.inner.config.app_id);
    match error {
        GitHubError::Unauthenticated { message } => Finding::wrong(
            format!("GitHub refuses the App: {message}"),
            format!(
                "check that github.app_id ({id}) is the App's ID, that the private key belongs to it and was not deleted, and that this machine's \
                 clock is right"
            ),
        ),
        GitHubError::NotFound { .. } => Finding::wrong(
            format!("there is no GitHub API with Apps at {api}"),
            "set github.api_url to https://api.github.com, or to https://HOST/api/v3 for an Enterprise server",
        ),
        other => Finding::wrong(
            format!("GitHub cannot be reached at {api}: {other}"),
            "check github.api_url, and that this machine may reach it (proxy, firewall)",
        ),
    }
}
