//! A service that dies where it is told to, and whoever starts it again.

use std::{
    collections::VecDeque,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use longshore_harness::{Harness, Options, target_folder};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{case::Case, docker::docker};

/// A point that is reached at all is reached by then: all that the story waits for has happened.
const REACHED_BY: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const SIGKILL: i32 = 9;

/// How the service is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    /// By itself, at a point: what was written into `armed`.
    AtPoint(String),
    /// By a signal from outside.
    FromOutside,
}

/// The service with everything round it, and the folder by which it is told where to die.
pub struct Stage {
    pub harness: Harness,
    folder: PathBuf,
    /// One after the other.
    endings: Mutex<VecDeque<Ending>>,
    /// How long it stays away.
    outage: Mutex<Duration>,
    deaths: watch::Sender<u32>,
}

impl Stage {
    /// Starts everything; nothing is armed.
    pub async fn start(mut options: Options, without: &str) -> Result<Self> {
        let folder = target_folder().join(format!("faults/{:08x}", rand::random::<u32>()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        options.program = "longshore-faults";
        options.environment.push(("LONGSHORE_FAULTS".to_owned(), folder.display().to_string()));
        if !without.is_empty() {
            options.environment.push(("LONGSHORE_FAULTS_WITHOUT".to_owned(), without.to_owned()));
        }
        match Harness::start(options).await {
            Ok(harness) => Ok(Self { harness, folder, endings: Mutex::default(), outage: Mutex::default(), deaths: watch::Sender::new(0) }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    /// Forgets what was before.
    pub fn begin(&self) -> Result<()> {
        for name in ["armed", "died", "reached", "unlisted"] {
            if let Err(error) = std::fs::remove_file(self.folder.join(name)) {
                ensure!(error.kind() == std::io::ErrorKind::NotFound, "cannot forget `{name}`: {error}");
            }
        }
        lock(&self.endings).clear();
        *lock(&self.outage) = Duration::ZERO;
        self.deaths.send_replace(0);
        Ok(())
    }

    /// From now on the service dies when it comes to the case's point.
    pub fn arm(&self, case: &Case) -> Result<()> {
        let order = case.order();
        // Whole or not at all: the service may look at any time.
        let scratch = self.folder.join("arming");
        std::fs::write(&scratch, &order)?;
        lock(&self.endings).push_back(Ending::AtPoint(order));
        std::fs::rename(scratch, self.folder.join("armed")).context("cannot arm the point")
    }

    /// Ends the service now, before it comes to what is armed.
    pub async fn kill(&self) -> Result<()> {
        lock(&self.endings).push_front(Ending::FromOutside);
        let pid = self.harness.service.pid().await.context("the service does not run")?;
        let killed = std::process::Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status()?;
        ensure!(killed.success(), "process {pid} cannot be killed");
        Ok(())
    }

    /// The service is started again only after so long.
    pub fn stay_away(&self, outage: Duration) {
        *lock(&self.outage) = outage;
    }

    /// Has the story go on while the service dies and is started again.
    pub async fn keep<T>(&self, story: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            told = story => told,
            error = self.start_again() => Err(error),
        }
    }

    async fn start_again(&self) -> anyhow::Error {
        loop {
            if let Err(error) = self.start_again_once().await {
                return error;
            }
        }
    }

    async fn start_again_once(&self) -> Result<()> {
        let status = self.harness.service.ended().await?;
        let expected = lock(&self.endings).pop_front();
        let died = std::fs::read_to_string(self.folder.join("died")).ok();
        match (expected, status.signal(), died) {
            (Some(Ending::AtPoint(order)), Some(SIGKILL), Some(died)) if died == order => {}
            (Some(Ending::FromOutside), Some(SIGKILL), None) => {}
            (expected, _, died) => {
                let log = self.harness.service.log_tail(20);
                bail!("the service ended ({status}; it was to end {expected:?}, and noted {died:?}). Its log ends with\n{log}")
            }
        }
        let _ = std::fs::remove_file(self.folder.join("died"));
        let outage = *lock(&self.outage);
        sleep(outage).await;
        self.harness.service.spawn().await?;
        self.deaths.send_modify(|deaths| *deaths += 1);
        Ok(())
    }

    /// Waits until the service has died as often as it was to, and is there again.
    pub async fn survived(&self) -> Result<()> {
        let mut deaths = self.deaths.subscribe();
        let died = tokio::time::timeout(REACHED_BY, deaths.wait_for(|_| lock(&self.endings).is_empty())).await;
        ensure!(died.is_ok_and(|died| died.is_ok()), "the point was never reached");
        self.harness.service.wait_until_ready().await
    }

    /// The sandboxes that wait in the pool and can be claimed.
    pub async fn pooled(&self) -> Result<Vec<String>> {
        let pool = self.harness.service.get("/v1/pool").await?;
        let entries = pool["entries"].as_array().cloned().unwrap_or_default();
        let ready = entries.iter().filter(|entry| !entry["ready"].is_null());
        Ok(ready.filter_map(|entry| entry["sandbox"].as_str().map(str::to_owned)).collect())
    }

    /// Points that the service came to and that nobody has listed.
    pub fn unlisted(&self) -> String {
        std::fs::read_to_string(self.folder.join("unlisted")).unwrap_or_default()
    }

    /// The sandboxes of this service in the engine, whatever state they are in, by their own names.
    pub async fn sandboxes(&self) -> Result<Vec<String>> {
        let (namespace, filter) = (self.harness.namespace(), "label=dev.longshore.sandbox.namespace=");
        let listed = docker(&["ps", "--all", "--filter", &format!("{filter}{namespace}"), "--format", "{{.Names}}"]).await?;
        let prefix = format!("{namespace}-");
        let mut names: Vec<String> = listed.lines().map(|name| name.strip_prefix(&prefix).unwrap_or(name).to_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// The carriers of this service's sandboxes, by the sandboxes' names.
    pub fn carriers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.harness.service.data_folder().join("carriers")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Takes all sandboxes but the pool's away behind the service's back, so that the next case has the machine's memory.
    pub async fn clear(&self) -> Result<()> {
        let pooled = self.pooled().await?;
        for name in self.sandboxes().await?.into_iter().filter(|name| !pooled.contains(name)) {
            // One that the service removes meanwhile is as good.
            let _ = docker(&["rm", "--force", &format!("{}-{name}", self.harness.namespace())]).await;
        }
        until("the service has noticed that its sandboxes are gone", REACHED_BY, async || {
            Ok(self.carriers().iter().all(|name| pooled.contains(name)))
        })
        .await
    }

    /// Ends everything. Errors name what nobody expected.
    pub async fn finish(self) -> Result<()> {
        let folder = self.folder.clone();
        let finished = self.harness.finish().await;
        let _ = std::fs::remove_dir_all(folder);
        finished
    }

    /// Ends everything, whatever state it is in.
    pub async fn give_up(self) {
        let folder = self.folder.clone();
        self.harness.give_up().await;
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Looks until it holds: nobody tells of what engine and service do.
pub async fn until(what: &str, limit: Duration, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let held = holds().await;
        if matches!(held, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            held.with_context(|| format!("it never came to this: {what}"))?;
            bail!("it never came to this: {what}");
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
