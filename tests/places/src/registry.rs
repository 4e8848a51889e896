//! Debian's `docker-registry`, on a port and with a storage of its own.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{await_answer, free_port};

/// Whom a registry behind [`Door::Password`] knows.
pub const USER: &str = "builder";
pub const PASSWORD: &str = "correct-horse-battery-9";

/// Whether a registry asks who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Open,
    Password,
}

/// A registry on the loopback address. It ends with the value, and its storage too.
#[derive(Debug)]
pub struct OwnRegistry {
    folder: TempDir,
    port: u16,
    running: Option<Child>,
}

impl OwnRegistry {
    /// Starts one, and waits until it answers.
    pub fn start(door: Door) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let storage = folder.path().join("storage");
        std::fs::create_dir(&storage).unwrap();
        let mut config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            storage.display()
        );
        if door == Door::Password {
            let file = folder.path().join("htpasswd");
            std::fs::write(&file, format!("{USER}:{}\n", bcrypt(PASSWORD))).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: places, path: {}}}}}\n", file.display());
        }
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut registry = Self { folder, port, running: None };
        registry.start_again();
        registry
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Nobody answers any more; what it holds stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// At the same address, with what it held.
    pub fn start_again(&mut self) {
        self.stop();
        let log = self.folder.path().join("log");
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .expect("these tests need docker-registry: run `make setup`");
        await_answer(&mut child, &log, || answers(self.port));
        self.running = Some(child);
    }

    /// From now on it deletes nothing.
    pub fn keep_everything(&mut self) {
        self.stop();
        let config = self.folder.path().join("config.yml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("delete: {enabled: true}", "delete: {enabled: false}")).unwrap();
        self.start_again();
    }

    /// Everything it holds is gone; it answers on.
    pub fn lose_everything(&mut self) {
        self.stop();
        let storage = self.folder.path().join("storage");
        std::fs::remove_dir_all(&storage).unwrap();
        std::fs::create_dir(&storage).unwrap();
        self.start_again();
    }

    /// What takes away the blobs that no manifest names.
    pub fn collect_command(&self) -> Vec<String> {
        let config = self.folder.path().join("config.yml").display().to_string();
        ["docker-registry", "garbage-collect", &config].map(str::to_owned).to_vec()
    }

    /// Bytes of all blobs.
    pub fn stored_bytes(&self) -> u64 {
        let mut waiting = vec![PathBuf::from(self.folder.path()).join("storage")];
        let mut bytes = 0;
        while let Some(next) = waiting.pop() {
            for entry in std::fs::read_dir(next).unwrap().flatten() {
                let kind = entry.metadata().unwrap();
                if kind.is_dir() { waiting.push(entry.path()) } else { bytes += kind.len() }
            }
        }
        bytes
    }
}

impl Drop for OwnRegistry {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 9];
    stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.0 "
}

/// A line for `htpasswd`. The tool itself may not be there; Perl, which git needs, is.
fn bcrypt(password: &str) -> String {
    let script = r#"print crypt($ARGV[0], '$2y$05$abcdefghijklmnopqrstuu')"#;
    let output = Command::new("perl").args(["-e", script, password]).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("$2y$"), "perl makes no bcrypt: {line}");
    line
}
