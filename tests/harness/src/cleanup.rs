//! Taking away what a run made in the Docker engine: sandboxes, images that are not kept, network, firewall.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use longshore_sandbox::{DockerConfig, DockerEngine, Engine, Namespace};

use crate::{
    docker::docker,
    images,
    paths::target_folder,
    service::{SERVICE_PID, signal},
};

/// The file in a run's folder that holds the process id of whoever runs it.
const OWNER_PID: &str = "owner.pid";

/// The folder that holds a folder for each run.
fn runs() -> PathBuf {
    target_folder().join("harness/run")
}

/// Makes a run's folder, which says who owns it.
pub fn make_folder(namespace: &str) -> Result<PathBuf> {
    let folder = runs().join(namespace);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(folder.join(OWNER_PID), std::process::id().to_string())?;
    Ok(folder)
}

/// Takes away everything of a namespace, on the engine at this socket or on the machine's. The service must not run any more.
pub async fn take_away(namespace: &str, folder: &Path, engine: Option<&Path>) -> Result<()> {
    // `longshore init` has a namespace of its own, and takes it away itself unless it was killed.
    if folder.join("data/init/carriers").exists() {
        empty(&format!("{namespace}-init"), &folder.join("data/init/carriers"), engine).await?;
    }
    empty(namespace, &folder.join("data/carriers"), engine).await?;
    std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

async fn empty(namespace: &str, carriers: &Path, own: Option<&Path>) -> Result<()> {
    // Its own network and port suffice: nothing is started any more.
    let config = DockerConfig {
        socket: own.map(Path::to_owned),
        namespace: Namespace::parse(namespace)?,
        gateway_port: 7353,
        registry: None,
        carriers: carriers.to_owned(),
    };
    let engine = DockerEngine::connect(config).await.context("cannot clean up")?;
    engine.sweep(&HashSet::new()).await.context("cannot remove sandboxes")?;
    if own.is_some() {
        // Its images end with it.
        return engine.remove_network().await.context("cannot remove the network");
    }
    let filter = format!("label=dev.longshore.image.namespace={namespace}");
    let listed = docker(&["image", "ls", "-q", "--no-trunc", "--filter", &filter]).await?;
    let mut kept = BTreeSet::new();
    for reference in images::kept_references() {
        kept.extend(crate::docker::image_id(&reference).await?);
    }
    let unwanted: BTreeSet<&str> = listed.output.split_whitespace().filter(|id| !kept.contains(*id)).collect();
    // Newest last is not known here, and an image with children cannot go before them: a second round gets those.
    for _ in 0..2 {
        for id in &unwanted {
            docker(&["image", "rm", "--force", id]).await?;
        }
    }
    engine.remove_network().await.context("cannot remove the network")
}

/// Takes away what runs left whose process was killed.
pub async fn sweep_dead_runs() -> Result<()> {
    let Ok(entries) = std::fs::read_dir(runs()) else { return Ok(()) };
    // Runs that start side by side find the same dead one: the first takes it away.
    let lock = std::fs::File::create(runs().join("lock")).context("cannot lock the folder of runs")?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    for entry in entries.flatten() {
        let folder = entry.path();
        let Some(namespace) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let Some(owner) = pid_in(&folder.join(OWNER_PID)) else { continue };
        if Path::new("/proc").join(owner.to_string()).exists() {
            continue;
        }
        if let Some(pid) = pid_in(&folder.join(SERVICE_PID))
            && command_line(pid).contains(&*folder.to_string_lossy())
        {
            signal(pid, "KILL").await?;
        }
        tracing::info!(namespace, "taking away what a run left");
        if let Err(error) = take_away(&namespace, &folder, None).await {
            tracing::warn!(namespace, error = format!("{error:#}"), "cannot take away what a run left; the next start tries again");
        }
    }
    Ok(())
}

fn pid_in(file: &Path) -> Option<u32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}
