//! A second Docker engine on this machine, with folders of its own.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{PATIENCE, await_answer};

/// An engine that knows no image and no container of the machine's usual one. It ends with the value, and what it holds too.
///
/// It touches no firewall, and its bridge leads nowhere. (Without any bridge of its own, an engine takes the usual one's away.)
#[derive(Debug)]
pub struct OwnEngine {
    folder: TempDir,
    bridge: String,
    running: Option<Child>,
}

impl OwnEngine {
    /// Starts one, and waits until it answers.
    pub fn start() -> Self {
        // On the disk of the usual engine: a folder in memory cannot hold its layers.
        let folder = tempfile::Builder::new().prefix("longshore-engine-").tempdir_in("/var/lib").or_else(|_| tempfile::tempdir()).unwrap();
        let bridge = format!("lse{}", std::process::id());
        ip(&["link", "add", &bridge, "type", "bridge"]);
        ip(&["address", "add", "192.168.213.1/24", "dev", &bridge]);
        let mut engine = Self { folder, bridge, running: None };
        engine.start_again();
        engine
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Nobody answers any more; images stay.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // Asked nicely, it ends its own containerd and gives its mounts back.
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let deadline = Instant::now() + PATIENCE;
            while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(50));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// At the same socket, with what it held.
    pub fn start_again(&mut self) {
        self.stop();
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let log = self.folder.path().join("log");
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("docker.sock"))])
            .args(["--bridge", &self.bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false"])
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .expect("these tests need dockerd, as root: run `make setup`");
        await_answer(&mut child, &log, || self.docker(&["version"]).0);
        self.running = Some(child);
    }

    /// The docker CLI with this engine: whether it succeeded, and what it said.
    pub fn docker(&self, arguments: &[&str]) -> (bool, String) {
        let host = format!("unix://{}", self.socket().display());
        let output = Command::new("docker")
            .args(arguments)
            .env("DOCKER_HOST", host)
            .env("DOCKER_API_VERSION", "1.41")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        self.stop();
        ip(&["link", "delete", &self.bridge]);
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("these tests need `ip`, as root: run `make setup`");
    // A panic while another one is on its way would hide that.
    assert!(output.status.success() || thread::panicking(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
