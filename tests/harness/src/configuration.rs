//! The configuration and manifests that the service is started with.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::options::{ModelChoice, Ranker};

/// What the file is made of.
pub struct Parts<'a> {
    pub namespace: &'a str,
    pub http_port: u16,
    pub slack_api: String,
    pub team: String,
    pub github_app: u64,
    pub github_api: &'a str,
    pub github_web: &'a str,
    pub model_base_url: &'a str,
    pub model: &'a ModelChoice,
    pub ranker: Ranker,
    /// Slack user ids with the variables that hold their GitHub tokens.
    pub people: &'a [(String, String)],
    pub allow_private: Vec<String>,
    pub registry: &'a str,
    pub base_image: &'a str,
    pub overlay: &'a str,
    /// The Docker engine's socket, where it is not the usual one.
    pub engine: Option<&'a Path>,
}

/// The text of `longshore.toml`, for a folder that holds `repositories`, `app.pem` and `data`.
pub fn text(parts: &Parts<'_>) -> Result<String> {
    let (agent, classifier) = match parts.model {
        ModelChoice::Scripted { .. } => ("longshore-scripted", "longshore-scripted-fast"),
        ModelChoice::Real { agent, classifier, .. } => (agent.as_str(), classifier.as_str()),
    };
    let quoted = |text: &str| Value::from(text).to_string();
    let classifier = match parts.ranker {
        Ranker::Model => format!("classifier = {}", quoted(classifier)),
        Ranker::Words => String::new(),
    };
    let ranges: Vec<String> = parts.allow_private.iter().map(|range| quoted(range)).collect();
    let mut text = format!(
        r#"data = "data"
manifests = "repositories"

[slack]
mode = "socket"
api_url = {slack_api}

[access]
workspaces = [{team}]
channels = ["*"]
users = ["*"]

[github]
app_id = {github_app}
private_key_file = "app.pem"
api_url = {github_api}
web_url = {github_web}

[model]
base_url = {model_base_url}
agent = {agent}
{classifier}

[sandboxes]
namespace = {namespace}
# Stories that are about the ceiling name one.
max = 300
{engine}
allow_private = [{ranges}]

[images]
base = {base_image}
registry = {registry}

# Whoever is not told about it does without.
[pool]
max = 0

[http]
listen = "127.0.0.1:{http_port}"
api_token_env = "LONGSHORE_API_TOKEN"
"#,
        slack_api = quoted(&parts.slack_api),
        team = quoted(&parts.team),
        github_app = parts.github_app,
        github_api = quoted(parts.github_api),
        github_web = quoted(parts.github_web),
        model_base_url = quoted(parts.model_base_url),
        agent = quoted(agent),
        namespace = quoted(parts.namespace),
        engine = parts.engine.map(|socket| format!("docker_socket = {}", quoted(&socket.to_string_lossy()))).unwrap_or_default(),
        ranges = ranges.join(", "),
        base_image = quoted(parts.base_image),
        registry = quoted(parts.registry),
        http_port = parts.http_port,
    );
    for (user, variable) in parts.people {
        let _ = write!(text, "\n[people.{user}]\ngithub_token_env = {}\n", quoted(variable));
    }
    if parts.overlay.trim().is_empty() {
        return Ok(text);
    }
    let mut whole: Table = text.parse().context("the harness's own configuration")?;
    lay_over(&mut whole, parts.overlay.parse().context("Options::configuration is no TOML")?);
    Ok(toml::to_string(&whole)?)
}

fn lay_over(whole: &mut Table, over: Table) {
    for (key, value) in over {
        match (whole.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

/// The addresses of hosts in the manifests' `egress`, and of `more`, that are not public here, each as a range of one: behind a mirror or in a closed network, package
/// registries have such addresses, and the gateway lets nobody reach those unless it is told to.
pub async fn private_egress(manifests: &Path, more: &[String]) -> Result<Vec<String>> {
    let mut hosts: BTreeSet<String> = more.iter().cloned().collect();
    for entry in std::fs::read_dir(manifests)? {
        let path = entry?.path();
        let manifest: Table = std::fs::read_to_string(&path)?.parse().unwrap_or_default();
        let egress = manifest.get("egress").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        // A host that stands for its sub-domains has no address of its own.
        hosts.extend(egress.filter(|rule| !rule.starts_with("*.")).map(|rule| rule.split(':').next().unwrap_or(rule).to_owned()));
    }
    let mut ranges = BTreeSet::new();
    for host in hosts {
        // A host that cannot be found is the build's to report.
        let Ok(addresses) = tokio::net::lookup_host((host.as_str(), 80)).await else { continue };
        ranges.extend(addresses.map(|address| address.ip()).filter(|ip| !is_public(*ip)).map(|ip| match ip {
            IpAddr::V4(ip) => format!("{ip}/32"),
            IpAddr::V6(ip) => format!("{ip}/128"),
        }));
    }
    Ok(ranges.into_iter().collect())
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmarks = a == 198 && (18..20).contains(&b);
            !(a == 0
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || shared
                || benchmarks
                || a >= 224)
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public(IpAddr::V4(ip)),
            // Global unicast is 2000::/3, of which 2001:db8::/32 is for documents.
            None => ip.segments()[0] & 0xe000 == 0x2000 && !(ip.segments()[0] == 0x2001 && ip.segments()[1] == 0xdb8),
        },
    }
}

/// A port of the loopback address that is free now.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_changes_what_it_names_and_nothing_else() {
        let mut whole: Table = "a = 1\n[limits]\nx = 1\ny = 2\n".parse().unwrap();
        lay_over(&mut whole, "[limits]\ny = 3\n[http]\nz = 4\n".parse().unwrap());
        assert_eq!(whole, "a = 1\n[limits]\nx = 1\ny = 3\n[http]\nz = 4\n".parse().unwrap());
    }

    #[test]
    fn addresses_are_told_apart() {
        for private in [
            "10.0.0.1",
            "127.0.0.1",
            "192.0.2.7",
            "198.51.100.1",
            "203.0.113.9",
            "100.64.0.1",
            "169.254.0.1",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["151.101.2.132", "8.8.8.8", "100.128.0.1", "2a04:4e42::644"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
