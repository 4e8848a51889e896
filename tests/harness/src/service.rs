//! The service under test: a process of its own, with a configuration, a data folder and a log that outlive it.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    sync::Mutex,
    time::{Instant, sleep},
};

/// From the start of the process until it takes mentions. A machine that builds images at the same time is slow.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// The service itself leaves within 10 s of being told to.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at something that nobody tells of.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// `longshore serve`.
pub struct Service {
    pub(crate) binary: PathBuf,
    /// Holds `longshore.toml` and `data`.
    pub(crate) folder: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) http: SocketAddr,
    pub(crate) api_token: String,
    pub(crate) log_file: PathBuf,
    pub(crate) client: reqwest::Client,
    pub(crate) child: Mutex<Option<Child>>,
}

impl Service {
    /// Starts the process, and returns when it takes mentions.
    pub async fn start(&self) -> Result<()> {
        self.spawn().await?;
        self.wait_until_ready().await
    }

    /// Starts the process.
    pub async fn spawn(&self) -> Result<()> {
        let mut running = self.child.lock().await;
        if running.is_some() {
            bail!("the service runs already");
        }
        let log = std::fs::File::options().create(true).append(true).open(&self.log_file).context("cannot open the service's log")?;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--config"])
            .arg(self.config_file())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Whatever becomes of a story, its service does not outlive it.
            .kill_on_drop(true)
            // Ctrl-C is for the one who started it; the service is told by `terminate`.
            .process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        if let Some(pid) = child.id() {
            std::fs::write(self.folder.join(SERVICE_PID), pid.to_string())?;
        }
        *running = Some(child);
        Ok(())
    }

    /// Returns when `/readyz` says so. Errors when the process ended before, with the end of its log.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        let mut said = String::new();
        loop {
            if let Some(status) = self.exit_status().await? {
                bail!("the service ended ({status}) before it was ready. Its log ends with\n{}", self.log_tail(20));
            }
            match self.client.get(format!("http://{}/readyz", self.http)).timeout(ANSWER_LIMIT).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => said = answer.text().await.unwrap_or_default(),
                Err(_) => {}
            }
            if Instant::now() > deadline {
                bail!("the service is not ready after {} s ({said}). Its log ends with\n{}", READY_LIMIT.as_secs(), self.log_tail(20));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until the process has ended by itself. From then on it can be started again.
    pub async fn ended(&self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exit_status().await? {
                *self.child.lock().await = None;
                return Ok(status);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends the process as a crash would.
    pub async fn kill(&self) -> Result<()> {
        let Some(mut child) = self.child.lock().await.take() else { bail!("the service does not run") };
        child.kill().await.context("cannot kill the service")
    }

    /// Tells the process to stop, and waits for its end. Errors when it does not leave in time, or in disorder.
    pub async fn terminate(&self) -> Result<()> {
        let Some(mut child) = self.child.lock().await.take() else { bail!("the service does not run") };
        let pid = child.id().context("the service ended by itself")?;
        signal(pid, "TERM").await?;
        match tokio::time::timeout(LEAVE_LIMIT, child.wait()).await {
            Ok(status) => {
                let status = status?;
                if !status.success() {
                    bail!("the service was told to stop and ended with {}", describe(status));
                }
                Ok(())
            }
            Err(_) => {
                child.kill().await?;
                bail!("the service did not leave within {} s of being told to", LEAVE_LIMIT.as_secs())
            }
        }
    }

    /// The process's id, for looking at it from outside.
    pub async fn pid(&self) -> Option<u32> {
        self.child.lock().await.as_ref().and_then(Child::id)
    }

    /// None while it runs.
    pub async fn exit_status(&self) -> Result<Option<ExitStatus>> {
        match self.child.lock().await.as_mut() {
            Some(child) => Ok(child.try_wait()?),
            None => bail!("the service was not started"),
        }
    }

    /// Everything that the service logged, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log_file).unwrap_or_default()).into_owned()
    }

    /// The log's last lines.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.join("longshore.toml")
    }

    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The service's own environment: names, and values that are secrets.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Asks the service's API (`/v1/sessions`) with the API token.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("http://{}{path}", self.http)).bearer_auth(&self.api_token).timeout(ANSWER_LIMIT);
        let answer = request.send().await.with_context(|| format!("GET {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("GET {path} answers {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("GET {path} answers what is no JSON"))
    }

    /// What `/metrics` says to whoever shows the API token.
    pub async fn metrics(&self) -> Result<String> {
        let request = self.client.get(format!("http://{}/metrics", self.http)).bearer_auth(&self.api_token).timeout(ANSWER_LIMIT);
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// Status and text of `/healthz` or `/readyz`, which are for everybody.
    pub async fn told(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.client.get(format!("http://{}{path}", self.http)).timeout(ANSWER_LIMIT).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Tells the service's API something, with the API token.
    pub async fn post(&self, path: &str, body: &Value) -> Result<()> {
        let request = self.client.post(format!("http://{}{path}", self.http)).bearer_auth(&self.api_token).timeout(ANSWER_LIMIT);
        let answer = request.body(body.to_string()).send().await.with_context(|| format!("POST {path}"))?;
        let status = answer.status();
        if !status.is_success() {
            bail!("POST {path} answers {status}: {}", answer.text().await?);
        }
        Ok(())
    }
}

/// The file in a run's folder that holds the service's process id.
pub(crate) const SERVICE_PID: &str = "service.pid";

/// Sends a signal by its name without `SIG`.
pub(crate) async fn signal(pid: u32, name: &str) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("kill -{name} {pid}")]);
    let sent = crate::docker::finish(command, ANSWER_LIMIT).await?;
    if !sent.success {
        bail!("cannot signal process {pid}: {}", sent.output.trim());
    }
    Ok(())
}

fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}
