//! A folder with a checkout and a home, the model and tool server, and OpenCode's process.

mod model;

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use longshore_agent::{AgentKind, AgentSessionId, Carrier, LaunchSettings, StartSession, opencode};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use model::Model;

/// An agent takes half a gigabyte: one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub struct World {
    folder: TempDir,
    model: Model,
    _turn: MutexGuard<'static, ()>,
}

/// OpenCode's process with its children; ended at the latest when dropped.
pub struct Process(Option<Child>);

impl World {
    pub async fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, model: Model::start().await, _turn: turn };
        for folder in [world.workspace(), world.home()] {
            std::fs::create_dir(folder).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(world.workspace().join(name), text).unwrap();
        write("greeting.py", "print('helo')\n");
        write("AGENTS.md", "PROJECT-RULE: greet politely.\n");
        let git = Command::new("git").args(["init", "-q"]).current_dir(world.workspace()).status().unwrap();
        assert!(git.success());
        world
    }

    pub fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub fn carrier(&self, generation: &str) -> PathBuf {
        self.folder.path().join(generation)
    }

    /// As `/opt/longshore/run` does it in a sandbox.
    pub fn start_agent(&self, generation: &str) -> Process {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/opencode");
        assert!(binary.join("opencode").is_file(), "{} is missing: run make setup", binary.join("opencode").display());
        drop(Carrier::create(&self.carrier(generation)).unwrap());
        let mut settings = LaunchSettings::new(self.model.url(), "big", "small");
        settings.other_models = vec!["other".to_owned()];
        settings.home = self.home().display().to_string();
        settings.workspace = self.workspace().display().to_string();
        let launch = AgentKind::OpenCode.launch(&settings);
        let run = r#"cd "$1" && exec "${@:2}" < <(exec tail --pid=$$ -c +1 -s 0.05 -f "$0/in") >>"$0/out" 2>>"$0/err""#;
        let path = format!("{}:{}", binary.canonicalize().unwrap().display(), std::env::var("PATH").unwrap());
        let child = Command::new("bash")
            .args(["-c", run])
            .arg(self.carrier(generation))
            .arg(self.workspace())
            .args(launch.command)
            .env_clear()
            .env("PATH", path)
            .env("LONGSHORE_TOKEN", model::TOKEN)
            .envs(launch.environment)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Process(Some(child))
    }

    pub fn session(&self, resume: Option<AgentSessionId>) -> StartSession {
        let mcp = opencode::mcp_server(self.model.url(), model::TOKEN);
        StartSession { cwd: self.workspace().display().to_string(), mcp_servers: vec![mcp], resume }
    }

    /// Ends the command of the prompt "wait for it".
    pub fn let_go(&self) {
        std::fs::write(self.workspace().join("go"), "").unwrap();
    }

    pub fn append(&self, generation: &str, name: &str, bytes: &[u8]) {
        let path = self.carrier(generation).join(name);
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    pub async fn wait_for_output(&self, generation: &str, text: &str) {
        eventually(|| std::fs::read_to_string(self.carrier(generation).join("out")).unwrap().contains(text), text).await;
    }

    pub fn tool_calls(&self) -> Vec<String> {
        self.model.log().tool_calls.clone()
    }

    /// What the model was last told by the agent about itself.
    pub fn system_prompt(&self) -> String {
        self.model.log().system.clone()
    }

    /// The prompts in the conversation as the model saw it last.
    pub fn prompts_seen(&self) -> Vec<String> {
        self.model.log().prompts.clone()
    }

    /// Has the hook hold these tools back, and no others.
    pub fn close(&self, tools: &[&'static str]) {
        self.model.log().closed = tools.to_vec();
    }

    /// Has the hook fail as if nobody were there.
    pub fn leave_hook(&self, away: bool) {
        self.model.log().away = away;
    }

    /// The tools that the hook was asked about, with the conversation that each call belongs to.
    pub fn questions(&self) -> Vec<(String, String)> {
        let text = |question: &serde_json::Value, key: &str| question[key].as_str().unwrap().to_owned();
        self.model.log().questions.iter().map(|question| (text(question, "tool"), text(question, "session"))).collect()
    }

    /// After `before` questions.
    pub async fn wait_for_next_question(&self, before: usize, tool: &str) {
        eventually(|| self.questions().iter().skip(before).any(|(asked, _)| asked == tool), &format!("a question about {tool}")).await;
    }

    /// What the tools of the last turn answered, as the model was told.
    pub fn results(&self) -> Vec<String> {
        self.model.log().results.clone()
    }

    /// The model that was asked last for more than a title.
    pub fn model_asked(&self) -> String {
        self.model.log().model.clone()
    }

    /// How many titles were asked for.
    pub fn titles(&self) -> u32 {
        self.model.log().titles
    }

    /// When the main model was asked last.
    pub fn asked_at(&self) -> tokio::time::Instant {
        self.model.log().asked.unwrap()
    }

    pub fn assert_all_authorized(&self) {
        assert_eq!(self.model.log().unauthorized, 0);
    }
}

/// Waits for what other processes bring about. `what` is for the words of the failure.
pub async fn eventually(mut holds: impl FnMut() -> bool, what: &str) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came: {what}");
}

impl Process {
    /// Ends the process group as a container's end would: without a word.
    pub async fn end(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.0.take() {
            let group = format!("-{}", child.id());
            let killed = Command::new("kill").args(["-9", "--", &group]).status();
            let _ = (killed, child.wait());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
