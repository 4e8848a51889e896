//! The configuration file. Secrets are never in it: it names environment variables and files that hold them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use longshore_agent::ModelSight;
use secrecy::SecretString;
use serde::Deserialize;

use crate::prices::ModelPrice;

/// `longshore.toml`. `docs/configuration.md` describes each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Everything that the service remembers. Relative paths are relative to the configuration file.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// The folder of repository manifests.
    pub manifests: PathBuf,
    pub slack: SlackSection,
    pub access: AccessSection,
    pub github: GitHubSection,
    pub model: ModelSection,
    #[serde(default)]
    pub sandboxes: SandboxSection,
    #[serde(default)]
    pub snapshots: SnapshotSection,
    pub images: ImageSection,
    #[serde(default)]
    pub pool: PoolSection,
    #[serde(default)]
    pub http: HttpSection,
    #[serde(default)]
    pub limits: LimitSection,
    /// By Slack user id: the GitHub account whose token opens that person's pull requests.
    #[serde(default)]
    pub people: BTreeMap<String, PersonSection>,
    /// The file itself, for messages.
    #[serde(skip)]
    pub file: PathBuf,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlackMode {
    /// The service opens a web socket to Slack; nothing of it need be reachable.
    Socket,
    /// Slack posts to `http.listen`, behind a public address.
    Http,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackSection {
    pub mode: SlackMode,
    #[serde(default = "slack_bot_token")]
    pub bot_token_env: String,
    #[serde(default = "slack_app_token")]
    pub app_token_env: String,
    #[serde(default = "slack_signing_secret")]
    pub signing_secret_env: String,
    #[serde(default = "slack_api")]
    pub api_url: String,
    /// Days after which an idle session takes no replies any more that do not name the bot.
    #[serde(default = "live_days")]
    pub live_days: u64,
}

/// Who gets anything at all. An empty list lets nobody in; `*` lets everybody in that the other lists let in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessSection {
    pub workspaces: Vec<String>,
    pub channels: Vec<String>,
    pub users: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitHubSection {
    pub app_id: u64,
    pub private_key_file: PathBuf,
    #[serde(default = "github_api")]
    pub api_url: String,
    /// Where git and pull requests are reached.
    #[serde(default = "github_web")]
    pub web_url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    #[serde(default = "openai_api")]
    pub base_url: String,
    #[serde(default = "openai_key")]
    pub api_key_env: String,
    /// The model that the coding agent works with.
    pub agent: String,
    /// Whether that model can look at pictures. One that cannot is told where they lie.
    #[serde(default = "yes")]
    pub images: bool,
    /// Tokens that the model's context holds: an agent shortens its conversation before it comes to that.
    #[serde(default = "context_tokens")]
    pub context_tokens: u32,
    /// Tokens that one answer may have.
    #[serde(default = "output_tokens")]
    pub output_tokens: u32,
    /// Other models that people may choose for the sessions that they begin.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The fast model that works out the repository; without it, words alone decide.
    pub classifier: Option<String>,
    /// Milliseconds that the classifier may take before words alone decide.
    #[serde(default = "classifier_ms")]
    pub classifier_timeout_ms: u64,
    /// An answer below this confidence (0 to 1) makes the bot ask.
    pub classifier_threshold: Option<f64>,
    /// By the model's name. What has no price is told in tokens.
    #[serde(default)]
    pub prices: BTreeMap<String, ModelPrice>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSection {
    /// The Docker engine's socket; the usual place where it is not given.
    pub docker_socket: Option<PathBuf>,
    /// Names everything of this service's in the engine. Two services on one engine need two.
    pub namespace: String,
    /// Sandboxes at once, those of sessions and of the pool; worked out from the machine's memory where it is not given.
    pub max: Option<u64>,
    /// The one port that sandboxes reach, on their network's own address.
    pub gateway_port: u16,
    /// Private address ranges that a manifest's `egress` may lead to (`10.1.0.0/16`).
    pub allow_private: Vec<String>,
    /// Minutes after its last turn at which a sandbox is paused; it wakes with the next prompt.
    pub pause_minutes: f64,
    /// Minutes after its last turn at which it is put to sleep: kept as a snapshot, and removed.
    pub idle_minutes: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSection {
    /// Days that a session which is asleep can be restored.
    pub keep_days: f64,
    /// Gigabytes (of 1024 × 1024 × 1024 bytes) that all snapshots may take. The oldest go first.
    pub max_gb: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSection {
    /// The image that repository images start from (`make base-image` makes one).
    pub base: String,
    /// Host and port of the OCI registry (`127.0.0.1:5055`).
    pub registry: String,
    /// Whom the registry knows us as; where it is empty, no credentials are shown.
    #[serde(default)]
    pub registry_user: String,
    #[serde(default = "registry_password")]
    pub registry_password_env: String,
    /// Whether the registry is spoken to without TLS; of itself, one on this machine only.
    pub registry_insecure: Option<bool>,
    /// Builds at once.
    #[serde(default = "one")]
    pub at_once: usize,
    /// Megabytes (of 1,000,000 bytes) that a build may write.
    #[serde(default = "a_disk")]
    pub build_disk_mb: u64,
    /// How many times as large as the one before a new image may be.
    #[serde(default = "double")]
    pub max_growth: f64,
    /// Megabytes (of 1,000,000 bytes) that one may grow by in any case.
    #[serde(default = "a_gigabyte")]
    pub growth_floor_mb: u64,
    /// How many times as long as with the one before an agent may take to answer.
    #[serde(default = "triple")]
    pub max_start_ratio: f64,
    /// Seconds that it may take in any case.
    #[serde(default = "half_a_minute")]
    pub start_floor_s: u64,
    /// Earlier images of each repository that are kept, for sessions to fall back to.
    #[serde(default = "two")]
    pub keep: usize,
    /// Gigabytes (of 1024 × 1024 × 1024 bytes) that images may take, in the engine and in the registry each.
    #[serde(default = "a_hundred")]
    pub max_gb: f64,
    /// Minutes that an image stays which nothing refers to any more.
    #[serde(default = "an_hour")]
    pub grace_minutes: f64,
    /// What makes the registry give back the space of images that were deleted from it: a program and its arguments.
    #[serde(default)]
    pub registry_collect: Vec<String>,
}

/// The warm pool: sandboxes that wait for the next sessions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSection {
    /// Sandboxes of all repositories together; 0 switches the pool off.
    pub max: usize,
    /// Megabytes (of 1024 × 1024 bytes) that they may take together.
    pub memory_mb: u64,
    /// Minutes after which one is replaced by a new one.
    pub max_age_minutes: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Health, and Slack's requests in `http` mode.
    pub listen: SocketAddr,
    /// Where browsers reach that (`https://longshore.example.com`), for links; by the address itself where it is not given.
    pub public_url: Option<String>,
    /// Scripts that read sessions show the token in this variable. Where it is empty, sessions are not served.
    pub api_token_env: String,
    /// Whoever shows the token in this variable reads `/metrics`, and nothing else. The API's token does as well.
    pub metrics_token_env: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSection {
    /// Seconds that one turn may take.
    pub turn_seconds: u64,
    /// Seconds without a word from the agent after which it is given up.
    pub silence_seconds: u64,
    /// Seconds without a byte from the model's provider after which the agent has to ask again.
    pub model_stall_seconds: u64,
    /// Seconds that the agent may take to come up.
    pub agent_start_seconds: u64,
    /// Files that a prompt may have, and that the agent may attach in one turn.
    pub files: u64,
    /// Megabytes (of 1024 × 1024 bytes) that one of them may have.
    pub file_mb: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonSection {
    pub github_token_env: String,
}

impl ModelSection {
    /// Those that a session may work with, the usual one first.
    pub fn models(&self) -> Vec<String> {
        let others = self.choices.iter().filter(|model| **model != self.agent);
        std::iter::once(&self.agent).chain(others).cloned().collect()
    }
}

impl PersonSection {
    /// The person's GitHub token. None where its variable is not set.
    pub fn token(&self) -> Option<SecretString> {
        let token = std::env::var(&self.github_token_env).ok()?;
        let token = token.trim();
        (!token.is_empty()).then(|| token.to_owned().into())
    }
}

/// Of anything: more is a slip of the pen, and clocks and sizes overflow somewhere above it.
const MOST: u64 = 100_000_000;

impl Config {
    /// Reads the file. Errors name it, the key and the line.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| {
            format!("cannot read the configuration {}: `manifests/longshore.example.toml` is one to start from", file.display())
        })?;
        Self::parse(file, text)
    }

    fn parse(file: &Path, text: String) -> Result<Self> {
        let mut config: Self =
            toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {}", file.display(), error.to_string().trim_end()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        config.data = folder.join(&config.data);
        config.manifests = folder.join(&config.manifests);
        config.github.private_key_file = folder.join(&config.github.private_key_file);
        config.file = file.to_owned();
        config.text = text;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let lists = [("workspaces", &self.access.workspaces), ("channels", &self.access.channels), ("users", &self.access.users)];
        for (key, list) in lists {
            if list.is_empty() {
                bail!("{}: `access.{key}` is empty, so nobody could use the bot: name ids, or \"*\" for all", self.place("access", key));
            }
        }
        for (section, key, url) in [
            ("slack", "api_url", &self.slack.api_url),
            ("github", "api_url", &self.github.api_url),
            ("github", "web_url", &self.github.web_url),
            ("model", "base_url", &self.model.base_url),
        ] {
            if let Err(error) = url.parse::<url::Url>() {
                bail!("{}: `{section}.{key}` is no address: {error}", self.place(section, key));
            }
        }
        if let Some(url) = &self.http.public_url
            && !url.parse::<url::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        {
            bail!("{}: `http.public_url` is no address that a browser opens", self.place("http", "public_url"));
        }
        if let Some(threshold) = self.model.classifier_threshold
            && !(0.0..=1.0).contains(&threshold)
        {
            bail!("{}: `model.classifier_threshold` must lie between 0 and 1", self.place("model", "classifier_threshold"));
        }
        if let Some(model) = self.model.prices.iter().find(|(_, price)| !price.is_sound()).map(|(model, _)| model) {
            bail!("{}: `model.prices` of {model}: a price is a number of dollars, 0 or more", self.place("model.prices", model));
        }
        for (key, factor) in [("max_growth", self.images.max_growth), ("max_start_ratio", self.images.max_start_ratio)] {
            if !(1.0..=1_000.0).contains(&factor) {
                bail!("{}: `images.{key}` must lie between 1 and 1000", self.place("images", key));
            }
        }
        if self.model.output_tokens == 0 || self.model.context_tokens <= self.model.output_tokens {
            bail!(
                "{}: `model.context_tokens` must be more than `model.output_tokens`, and that more than 0",
                self.place("model", "context_tokens")
            );
        }
        // They become options of a select in Slack, which takes no more.
        if self.model.choices.len() > 99 || self.model.choices.iter().any(|model| !(1..=75).contains(&model.trim().len())) {
            bail!("{}: `model.choices` takes up to 99 names of up to 75 characters", self.place("model", "choices"));
        }
        for (section, key, value) in [
            ("limits", "turn_seconds", self.limits.turn_seconds),
            ("limits", "silence_seconds", self.limits.silence_seconds),
            ("limits", "model_stall_seconds", self.limits.model_stall_seconds),
            ("limits", "agent_start_seconds", self.limits.agent_start_seconds),
            ("limits", "files", self.limits.files),
            ("limits", "file_mb", self.limits.file_mb),
            ("sandboxes", "max", self.sandboxes.max.unwrap_or(1)),
            ("images", "at_once", self.images.at_once as u64),
            ("pool", "max_age_minutes", self.pool.max_age_minutes),
            ("images", "build_disk_mb", self.images.build_disk_mb),
        ] {
            if !(1..=MOST).contains(&value) {
                bail!("{}: `{section}.{key}` must lie between 1 and {MOST}", self.place(section, key));
            }
        }
        for (section, key, value) in [
            ("slack", "live_days", self.slack.live_days),
            ("model", "classifier_timeout_ms", self.model.classifier_timeout_ms),
            ("images", "growth_floor_mb", self.images.growth_floor_mb),
            ("images", "start_floor_s", self.images.start_floor_s),
            ("pool", "memory_mb", self.pool.memory_mb),
        ] {
            if value > MOST {
                bail!("{}: `{section}.{key}` must be at most {MOST}", self.place(section, key));
            }
        }
        for (section, key, value) in [
            ("sandboxes", "pause_minutes", self.sandboxes.pause_minutes),
            ("sandboxes", "idle_minutes", self.sandboxes.idle_minutes),
            ("snapshots", "keep_days", self.snapshots.keep_days),
            ("snapshots", "max_gb", self.snapshots.max_gb),
            ("images", "max_gb", self.images.max_gb),
            ("images", "grace_minutes", self.images.grace_minutes),
        ] {
            // A hundred years in minutes.
            if !(value > 0.0 && value < 1e8) {
                bail!("{}: `{section}.{key}` must be a number above 0", self.place(section, key));
            }
        }
        Ok(())
    }

    /// The value of the variable that a key names.
    pub fn secret(&self, section: &str, key: &str, variable: &str) -> Result<String> {
        match std::env::var(variable) {
            Ok(value) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
            _ => bail!(
                "{}: `{section}.{key}` names the variable {variable}, which is not set: export it before the start",
                self.place(section, key)
            ),
        }
    }

    /// `file:line` of a key, or of its section where the key stands at its default.
    pub fn place(&self, section: &str, key: &str) -> String {
        let mut inside = false;
        let mut line_of_section = None;
        for (index, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                inside = line.trim_start_matches('[').starts_with(section);
                if inside {
                    line_of_section = Some(index + 1);
                }
            } else if inside && line.split(['=', ' ']).next() == Some(key) {
                return format!("{}:{}", self.file.display(), index + 1);
            }
        }
        match line_of_section {
            Some(line) => format!("{}:{line}", self.file.display()),
            None => self.file.display().to_string(),
        }
    }
}

impl ModelSection {
    pub fn sight(&self) -> ModelSight {
        if self.images { ModelSight::Images } else { ModelSight::TextOnly }
    }
}

impl LimitSection {
    /// Bytes that one file may have.
    pub fn file_bytes(&self) -> u64 {
        self.file_mb.saturating_mul(1024 * 1024)
    }
}

impl Default for SandboxSection {
    fn default() -> Self {
        Self {
            docker_socket: None,
            namespace: "longshore".to_owned(),
            max: None,
            gateway_port: 7353,
            allow_private: Vec::new(),
            pause_minutes: 2.0,
            idle_minutes: 30.0,
        }
    }
}

impl SandboxSection {
    /// How long a sandbox stays awake after its last turn.
    pub fn pause_after(&self) -> Duration {
        Duration::from_secs_f64(60.0 * self.pause_minutes)
    }

    /// How long it is there at all.
    pub fn sleep_after(&self) -> Duration {
        Duration::from_secs_f64(60.0 * self.idle_minutes)
    }
}

impl Default for SnapshotSection {
    fn default() -> Self {
        Self { keep_days: 14.0, max_gb: 50.0 }
    }
}

impl ImageSection {
    pub fn max_bytes(&self) -> u64 {
        bytes_of(self.max_gb)
    }

    pub fn grace(&self) -> Duration {
        Duration::from_secs_f64(60.0 * self.grace_minutes)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: above 0, and far below what fits")]
fn bytes_of(gigabytes: f64) -> u64 {
    (gigabytes * f64::from(1 << 30)) as u64
}

impl SnapshotSection {
    pub fn keep(&self) -> Duration {
        Duration::from_secs_f64(86_400.0 * self.keep_days)
    }

    pub fn max_bytes(&self) -> u64 {
        bytes_of(self.max_gb)
    }
}

impl Default for PoolSection {
    fn default() -> Self {
        Self { max: 2, memory_mb: 1536, max_age_minutes: 240 }
    }
}

impl PoolSection {
    /// What one waiting sandbox is counted as: an agent that was primed, with room for what its repository's services take.
    pub const ENTRY_MB: u64 = 640;

    /// How many may wait at the most.
    pub fn bound(&self) -> usize {
        self.max.min(usize::try_from(self.memory_mb / Self::ENTRY_MB).unwrap_or(usize::MAX))
    }

    pub fn max_age(&self) -> Duration {
        Duration::from_secs(60 * self.max_age_minutes)
    }
}

impl HttpSection {
    /// Without a slash at its end.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            public_url: None,
            api_token_env: String::new(),
            metrics_token_env: String::new(),
        }
    }
}

impl Default for LimitSection {
    fn default() -> Self {
        Self { turn_seconds: 3600, silence_seconds: 600, model_stall_seconds: 240, agent_start_seconds: 60, files: 10, file_mb: 20 }
    }
}

fn context_tokens() -> u32 {
    200_000
}

fn output_tokens() -> u32 {
    32_000
}

fn default_data() -> PathBuf {
    "data".into()
}

fn slack_bot_token() -> String {
    "SLACK_BOT_TOKEN".to_owned()
}

fn slack_app_token() -> String {
    "SLACK_APP_TOKEN".to_owned()
}

fn slack_signing_secret() -> String {
    "SLACK_SIGNING_SECRET".to_owned()
}

fn live_days() -> u64 {
    7
}

fn slack_api() -> String {
    "https://slack.com/api".to_owned()
}

fn github_api() -> String {
    "https://api.github.com".to_owned()
}

fn github_web() -> String {
    "https://github.com".to_owned()
}

fn openai_api() -> String {
    "https://api.openai.com/v1".to_owned()
}

fn openai_key() -> String {
    "OPENAI_API_KEY".to_owned()
}

fn classifier_ms() -> u64 {
    3000
}

fn registry_password() -> String {
    "LONGSHORE_REGISTRY_PASSWORD".to_owned()
}

fn two() -> usize {
    2
}

fn a_hundred() -> f64 {
    100.0
}

fn an_hour() -> f64 {
    60.0
}

fn one() -> usize {
    1
}

fn a_disk() -> u64 {
    20_000
}

fn double() -> f64 {
    2.0
}

fn triple() -> f64 {
    3.0
}

fn a_gigabyte() -> u64 {
    1_000
}

fn half_a_minute() -> u64 {
    30
}

fn yes() -> bool {
    true
}

#[cfg(any(test, fuzzing))]
pub mod fuzz {
    use std::time::Instant;

    use super::*;

    pub const CONFIGURATIONS: &[&[u8]] = &[include_bytes!("../../manifests/longshore.example.toml"), SMALL.as_bytes()];

    /// With all the numbers that are counted with.
    const SMALL: &str = r#"manifests = "repositories"
[slack]
mode = "socket"
live_days = 7
[access]
workspaces = ["T1"]
channels = ["*"]
users = ["*"]
[github]
app_id = 1
private_key_file = "key.pem"
[model]
agent = "large"
classifier_timeout_ms = 3000
[images]
base = "longshore/base:latest"
registry = "127.0.0.1:5055"
max_gb = 100.0
grace_minutes = 60.0
start_floor_s = 30
[sandboxes]
pause_minutes = 2.0
idle_minutes = 30.0
[snapshots]
keep_days = 14.0
max_gb = 50.0
[pool]
max_age_minutes = 240
[limits]
turn_seconds = 3600
silence_seconds = 900
agent_start_seconds = 60
file_mb = 20
"#;

    /// A configuration that is taken says only what can be done: every time is one that a clock can count to, every address is one, and somebody
    /// may use the bot. One that is not taken is refused with the file's name.
    #[allow(clippy::unwrap_used, reason = "what fails here fails a test")]
    pub fn configuration(bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let config = match Config::parse(Path::new("conf/longshore.toml"), text.to_owned()) {
            Ok(config) => config,
            Err(error) => {
                assert!(error.to_string().starts_with("conf/longshore.toml"), "{error}");
                return;
            }
        };
        let limits = &config.limits;
        for time in [
            config.sandboxes.pause_after(),
            config.sandboxes.sleep_after(),
            config.snapshots.keep(),
            config.images.grace(),
            config.pool.max_age(),
            Duration::from_secs(config.slack.live_days * 86_400),
            Duration::from_millis(config.model.classifier_timeout_ms),
            Duration::from_secs(config.images.start_floor_s),
            Duration::from_secs(limits.turn_seconds),
            Duration::from_secs(limits.silence_seconds),
            Duration::from_secs(limits.model_stall_seconds),
            Duration::from_secs(limits.agent_start_seconds),
        ] {
            assert!(Instant::now().checked_add(time).is_some(), "{time:?} is longer than a clock can count");
        }
        for bytes in [config.snapshots.max_bytes(), config.images.max_bytes(), limits.file_bytes()] {
            assert!(bytes < u64::MAX / 2, "{bytes} bytes");
        }
        assert!(config.pool.bound() <= config.pool.max);
        for url in [&config.slack.api_url, &config.github.api_url, &config.github.web_url, &config.model.base_url] {
            url.parse::<url::Url>().unwrap();
        }
        assert!(!config.access.users.is_empty() && !config.access.channels.is_empty() && !config.access.workspaces.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"manifests = "repositories"
[slack]
mode = "socket"
[access]
workspaces = ["T1"]
channels = ["*"]
users = ["*"]
[github]
app_id = 1
private_key_file = "key.pem"
[model]
agent = "large"
[images]
base = "longshore/base:latest"
registry = "127.0.0.1:5055"
"#;

    #[test]
    fn any_fuzzed_configuration() {
        longshore_hostile::throw(fuzz::CONFIGURATIONS, fuzz::configuration);
        for seed in fuzz::CONFIGURATIONS {
            Config::parse(Path::new("longshore.toml"), String::from_utf8(seed.to_vec()).unwrap()).unwrap();
        }
    }

    #[test]
    fn a_number_that_no_clock_counts_to_is_refused() {
        let long = message(&format!("{GOOD}[limits]\nturn_seconds = 9223372036854775807\n"));
        assert!(long.starts_with("conf/longshore.toml:17: `limits.turn_seconds` must lie between 1 and"), "{long}");
        let old = message(&GOOD.replace("mode = ", "live_days = 9000000000000000000\nmode = "));
        assert!(old.starts_with("conf/longshore.toml:3: `slack.live_days` must be at most"), "{old}");
    }

    fn message(text: &str) -> String {
        Config::parse(Path::new("conf/longshore.toml"), text.to_owned()).unwrap_err().to_string()
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = Config::parse(Path::new("conf/longshore.toml"), GOOD.to_owned()).unwrap();
        assert_eq!(config.manifests, Path::new("conf/repositories"));
        assert_eq!(config.data, Path::new("conf/data"));
    }

    #[test]
    fn what_is_wrong_is_named_with_file_key_and_line() {
        let unknown = message(&GOOD.replace("mode = ", "mod = "));
        assert!(unknown.contains("conf/longshore.toml") && unknown.contains("line 3") && unknown.contains("mod"), "{unknown}");
        let empty = message(&GOOD.replace("users = [\"*\"]", "users = []"));
        assert!(empty.starts_with("conf/longshore.toml:7: `access.users` is empty"), "{empty}");
        let address = message(&GOOD.replace("agent = ", "base_url = \"nowhere\"\nagent = "));
        assert!(address.starts_with("conf/longshore.toml:12: `model.base_url` is no address"), "{address}");
        let choices = message(&GOOD.replace("agent = ", "choices = [\"\"]\nagent = "));
        assert!(choices.starts_with("conf/longshore.toml:12: `model.choices`"), "{choices}");
        let growth = message(&GOOD.replace("registry = ", "max_growth = 0.5\nregistry = "));
        assert!(growth.starts_with("conf/longshore.toml:15: `images.max_growth`"), "{growth}");
        let pause = message(&format!("{GOOD}[sandboxes]\npause_minutes = 0\n"));
        assert!(pause.starts_with("conf/longshore.toml:17: `sandboxes.pause_minutes` must be a number above 0"), "{pause}");
        let most = message(&format!("{GOOD}[sandboxes]\nmax = 0\n"));
        assert!(most.starts_with("conf/longshore.toml:17: `sandboxes.max` must lie between 1 and"), "{most}");
        for nonsense in ["-1", "\"many\"", "2.5"] {
            let most = message(&format!("{GOOD}[sandboxes]\nmax = {nonsense}\n"));
            assert!(most.contains("conf/longshore.toml") && most.contains("line 17") && most.contains("max"), "{most}");
        }
        let threshold = message(&GOOD.replace("agent = ", "classifier_threshold = 7\nagent = "));
        assert!(threshold.starts_with("conf/longshore.toml:12: `model.classifier_threshold`"), "{threshold}");
    }

    #[test]
    fn the_usual_model_comes_first_and_once() {
        let text = GOOD.replace("agent = ", "choices = [\"small\", \"large\"]\nagent = ");
        let config = Config::parse(Path::new("longshore.toml"), text).unwrap();
        assert_eq!(config.model.models(), ["large", "small"]);
    }

    #[test]
    fn a_missing_secret_names_its_variable() {
        let config = Config::parse(Path::new("longshore.toml"), GOOD.to_owned()).unwrap();
        let message = config.secret("slack", "bot_token_env", "LONGSHORE_TEST_NOT_SET").unwrap_err().to_string();
        assert!(message.starts_with("longshore.toml:2: `slack.bot_token_env` names the variable LONGSHORE_TEST_NOT_SET"), "{message}");
    }
}
