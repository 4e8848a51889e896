//! A second Docker engine on this machine, with folders of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
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
    /// A disk of its own, which is small.
    disk: Option<PathBuf>,
}

/// What becomes of containers when their engine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// They end with it.
    End,
    /// They run on, and the next start takes them up.
    Live,
}

static NEXT: AtomicU8 = AtomicU8::new(0);

impl OwnEngine {
    /// Starts one, and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(Containers::End, None)
    }

    /// As [`OwnEngine::start`], on a file system of so many megabytes where they are given.
    pub fn start_with(containers: Containers, disk_mb: Option<u64>) -> Self {
        // On the disk of the usual engine: a folder in memory cannot hold its layers.
        let folder = tempfile::Builder::new().prefix("longshore-engine-").tempdir_in("/var/lib").or_else(|_| tempfile::tempdir()).unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let bridge = format!("lse{}n{number}", std::process::id());
        ip(&["link", "add", &bridge, "type", "bridge"]);
        ip(&["address", "add", &format!("192.168.{}.1/24", 213 + number), "dev", &bridge]);
        let disk = disk_mb.map(|megabytes| small_disk(folder.path(), megabytes));
        let mut engine = Self { folder, bridge, running: None, disk };
        engine.start_again_with(containers);
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
        self.start_again_with(Containers::End);
    }

    /// The same; what becomes of its containers from now on is another matter than it was.
    pub fn start_again_with(&mut self, containers: Containers) {
        self.stop();
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let log = self.folder.path().join("log");
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let live = match containers {
            Containers::End => "--live-restore=false",
            Containers::Live => "--live-restore=true",
        };
        let mut child = Command::new("dockerd")
            .arg(live)
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
        // What outlives an engine would be left: containers, where they are to live on, and networks' bridges.
        if self.running.is_some() {
            let (_, containers) = self.docker(&["ps", "--all", "--quiet"]);
            for container in containers.split_whitespace() {
                self.docker(&["rm", "--force", container]);
            }
            self.docker(&["network", "prune", "--force"]);
        }
        self.stop();
        if let Some(disk) = &self.disk {
            let _ = Command::new("umount").arg("--lazy").arg(disk).status();
        }
        ip(&["link", "delete", &self.bridge]);
    }
}

/// A file system in a file, in the place of the engine's own data.
fn small_disk(folder: &Path, megabytes: u64) -> PathBuf {
    let (file, data) = (folder.join("disk"), folder.join("data"));
    std::fs::create_dir(&data).unwrap();
    File::create(&file).unwrap().set_len(megabytes << 20).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let (file, place) = (file.display().to_string(), data.display().to_string());
    run("mkfs.ext4", &["-q", "-m", "0", "-E", "lazy_itable_init=1", &file]);
    run("mount", &["-o", "loop", &file, &place]);
    data
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("these tests need `ip`, as root: run `make setup`");
    // A panic while another one is on its way would hide that.
    assert!(output.status.success() || thread::panicking(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
