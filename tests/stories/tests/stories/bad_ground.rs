//! What the stories of bad input stand on: the service's program by itself, a folder with a configuration to spoil, and Docker from outside.

use std::{
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use longshore_harness::service_binary;
use tokio::process::Command;

/// A program that says what is wrong says it at once; one that waits for an engine gives up by itself within this.
const LIMIT: Duration = Duration::from_secs(30);

/// A run of the program that is over.
#[derive(Debug)]
pub struct Run {
    pub success: bool,
    /// What it printed.
    pub said: String,
    /// Log and errors.
    pub complained: String,
}

impl Run {
    /// The run failed, and its error (the last line of its own) says all of this.
    #[track_caller]
    pub fn refused_with(&self, texts: &[&str]) {
        assert!(!self.success, "it should have refused: {self:#?}");
        let start = self.complained.find("longshore: ").unwrap_or_else(|| panic!("no error in {self:#?}"));
        let error = &self.complained[start..];
        for text in texts {
            assert!(error.contains(text), "`{text}` is missing in: {error}");
        }
        for internal in ["panicked", "RUST_BACKTRACE", "Os {", "Error {"] {
            assert!(!self.complained.contains(internal), "an internal error is shown: {}", self.complained);
        }
    }
}

/// Runs `longshore` with these arguments, and with these variables alone.
pub async fn run(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Run {
    run_within(LIMIT, arguments, folder, variables).await
}

/// The same, for what takes longer.
pub async fn run_within(limit: Duration, arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Run {
    let mut command = Command::new(service_binary().unwrap());
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("NO_COLOR", "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let (said, complained) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = command.stdout(said.try_clone().unwrap()).stderr(complained.try_clone().unwrap()).spawn().unwrap();
    let ended = tokio::time::timeout(limit, child.wait()).await;
    let text = |mut file: std::fs::File| {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    let (said, complained) = (text(said), text(complained));
    let Ok(status) = ended else { panic!("it did not end: {said}{complained}") };
    Run { success: status.unwrap().success(), said, complained }
}

/// A folder with a configuration that is good as far as can be told without asking anybody.
pub struct Ground {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

const CONFIGURATION: &str = r#"manifests = "repositories"
[slack]
mode = "socket"
api_url = "http://127.0.0.1:1/api"
[access]
workspaces = ["T0LONGSHORE"]
channels = ["*"]
users = ["*"]
[github]
app_id = 7
private_key_file = "app.pem"
[model]
base_url = "http://127.0.0.1:1/v1"
agent = "large"
[sandboxes]
docker_socket = "/nowhere/docker.sock"
[images]
base = "longshore/base:latest"
registry = "127.0.0.1:5055"
"#;

pub const MANIFEST: &str = r#"repository = "acme/shop"
description = "The shop: cart, checkout and payment."
egress = ["deb.debian.org:80"]
[image]
setup = ["make"]
rebuild = "*/30 * * * *"
"#;

impl Ground {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = vec![("SLACK_BOT_TOKEN", "xoxb-1-2-three".to_owned()), ("SLACK_APP_TOKEN", "xapp-1-A1-2-three".to_owned())];
        let ground = Self { folder, variables };
        std::fs::create_dir(ground.path("repositories")).unwrap();
        ground.write("longshore.toml", CONFIGURATION).write("repositories/shop.toml", MANIFEST).write("app.pem", private_key())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    pub fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.path(name)).unwrap();
        self
    }

    /// The file with one text in place of another, which must stand there once.
    #[track_caller]
    pub fn spoiled(self, name: &str, good: &str, bad: &str) -> Self {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert_eq!(text.matches(good).count(), 1, "`{good}` in {name}");
        self.write(name, &text.replace(good, bad))
    }

    pub fn without_variable(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self
    }

    pub async fn serve(&self) -> Run {
        let variables: Vec<(&str, &str)> = self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        run(&["serve", "--config", "longshore.toml"], self.folder.path(), &variables).await
    }
}

/// An RSA key of nobody's, made once.
fn private_key() -> &'static str {
    static KEY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    KEY.get_or_init(|| {
        let made = std::process::Command::new("openssl").args(["genrsa", "2048"]).output().expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap()
    })
}

/// Docker's own command line; what it printed.
pub async fn docker(arguments: &[&str]) -> String {
    crate::hold::docker(arguments).await.unwrap().trim().to_owned()
}
