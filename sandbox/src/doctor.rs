//! What an operator must have in place for sandboxes, looked at.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::{DockerConfig, DockerEngine, ImageConfig, RegistryConfig, docker, registry::Registry};

/// Below this, builds are about to fail.
const LITTLE_SPACE: u64 = 10 * 1024 * 1024 * 1024;
const NO_SPACE: u64 = 2 * 1024 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// Works, but will not for long, or not fully.
    Doubtful,
    Bad,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub subject: &'static str,
    pub verdict: Verdict,
    /// What is there, or what is wrong and what to do.
    pub words: String,
}

impl Finding {
    fn new(subject: &'static str, verdict: Verdict, words: impl Into<String>) -> Self {
        Self { subject, verdict, words: words.into() }
    }

    fn of<E: std::fmt::Display>(subject: &'static str, result: Result<String, E>) -> Self {
        match result {
            Ok(words) => Self::new(subject, Verdict::Good, words),
            Err(error) => Self::new(subject, Verdict::Bad, error.to_string()),
        }
    }
}

/// Looks at engine, firewall, network, base image, registry and disk. Makes the network where it is missing; changes nothing else.
pub async fn examine(config: &DockerConfig, images: &ImageConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let version = DockerEngine::version(config).await;
    let reachable = version.is_ok();
    findings.push(Finding::of("docker engine", version.map(|version| format!("version {version}"))));
    findings.push(Finding::of("iptables", docker::firewall_works().await.map(|()| "may be changed".to_owned())));
    if reachable {
        match DockerEngine::connect(config.clone()).await {
            Ok(engine) => {
                let gateway = crate::Engine::gateway_address(&engine);
                let words = format!("{} reaches {gateway}:{} and nothing else", config.namespace, config.gateway_port);
                findings.push(Finding::new("sandbox network", Verdict::Good, words));
                findings.push(base_image(&engine, images).await);
                if let Ok(folder) = engine.storage().await {
                    findings.push(disk(&folder).await);
                }
            }
            Err(error) => findings.push(Finding::new("sandbox network", Verdict::Bad, error.to_string())),
        }
    }
    findings.push(registry(&images.registry).await);
    findings
}

async fn base_image(engine: &DockerEngine, images: &ImageConfig) -> Finding {
    let subject = "base image";
    match engine.find_image(&images.base).await {
        Ok(Some(facts)) => Finding::new(subject, Verdict::Good, format!("{} ({} MB)", images.base, facts.bytes / 1_000_000)),
        Ok(None) => Finding::new(
            subject,
            Verdict::Bad,
            format!("{} is missing: `make setup` builds it, or `images.base` names another", images.base),
        ),
        Err(error) => Finding::new(subject, Verdict::Bad, error.to_string()),
    }
}

async fn registry(config: &RegistryConfig) -> Finding {
    let asked = match Registry::new(config.clone()) {
        Ok(registry) => registry.check().await,
        Err(error) => Err(error),
    };
    let as_whom = config.credentials.as_ref().map_or_else(String::new, |credentials| format!(" and takes the user {}", credentials.user));
    Finding::of("image registry", asked.map(|()| format!("{} answers{as_whom}", config.address)))
}

async fn disk(folder: &Path) -> Finding {
    let subject = "disk";
    let output = Command::new("df").arg("-Pk").arg(folder).stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(Ok(output)) = tokio::time::timeout(Duration::from_secs(10), output).await else {
        return Finding::new(subject, Verdict::Doubtful, "`df` did not answer");
    };
    let Some(free) = free_bytes(&String::from_utf8_lossy(&output.stdout)) else {
        // The engine may keep its files on another machine.
        return Finding::new(subject, Verdict::Doubtful, format!("cannot see how full {} is", folder.display()));
    };
    let words = format!("{} GB free at {}", free / 1_000_000_000, folder.display());
    match free {
        ..NO_SPACE => Finding::new(subject, Verdict::Bad, format!("{words}: builds will fail; `docker system df` shows what takes it")),
        NO_SPACE..LITTLE_SPACE => Finding::new(subject, Verdict::Doubtful, format!("{words}: free some soon")),
        LITTLE_SPACE.. => Finding::new(subject, Verdict::Good, words),
    }
}

/// The fourth column of `df -Pk`'s last line.
fn free_bytes(output: &str) -> Option<u64> {
    let kilobytes: u64 = output.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read() {
        let output = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 264000000 14000000 78000000 16% /\n";
        assert_eq!(free_bytes(output), Some(78_000_000 * 1024));
        assert_eq!(free_bytes("df: /nowhere: No such file\n"), None);
    }

    #[tokio::test]
    async fn a_registry_that_is_away_is_said() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let finding = registry(&RegistryConfig::at("127.0.0.1:1")).await;
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(finding.words.contains("images.registry"), "{}", finding.words);
    }
}
