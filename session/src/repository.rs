//! What the service knows about one repository: its manifest, read from a TOML file of the operator's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{RepoName, ToolRule};

/// What routing may know of a repository: the manifest's descriptive part, plus what an image build read of the repository itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryProfile {
    pub repo: RepoName,
    /// One or two sentences: what the code is, for somebody who has never seen it.
    pub description: String,
    #[serde(default)]
    pub languages: Vec<String>,
    /// Words and phrases that people use when they speak of it.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// Requests that belong here, in people's own words.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Channel names (with or without `#`) whose talk is mostly about it.
    #[serde(default)]
    pub slack_channels: Vec<String>,
    /// Words of the repository itself (README, folder and file names), gathered by the image build. Empty until one has run.
    #[serde(default)]
    pub vocabulary: Vec<String>,
}

/// One repository manifest. `docs/manifests.md` describes each key for operators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryManifest {
    pub repository: RepoName,
    pub description: String,
    #[serde(default)]
    pub languages: Vec<String>,
    #[serde(default)]
    pub keywords: Vec<String>,
    #[serde(default)]
    pub examples: Vec<String>,
    #[serde(default)]
    pub slack_channels: Vec<String>,
    /// Words or phrases that settle it: a request that has one of them belongs here.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Channels whose requests belong here where nothing else decides.
    #[serde(default)]
    pub default_channels: Vec<String>,
    /// The branch that sessions start from and that pull requests go to.
    #[serde(default = "default_branch")]
    pub base_branch: String,
    #[serde(default)]
    pub image: ImageRecipe,
    #[serde(default)]
    pub check: CheckRecipe,
    #[serde(default)]
    pub limits: SandboxLimits,
    #[serde(default)]
    pub pool: PoolRecipe,
    /// `host` or `host:port` entries (a leading `*.` takes in sub-domains; no port means 80 and 443) that builds and sandboxes may reach.
    #[serde(default)]
    pub egress: Vec<String>,
    /// What single tool calls of the agent's are refused, changed or annotated by. In this order.
    #[serde(default)]
    pub tool_rules: Vec<ToolRule>,
}

/// How the image that sandboxes start from is made. Commands are shell lines, run in order in the checkout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageRecipe {
    /// The image to start from; the configuration's `images.base` where it is not given.
    pub base: Option<String>,
    /// Run as root, for system packages.
    pub setup_root: Vec<String>,
    /// Run as the sandbox's user: dependencies, build.
    pub setup: Vec<String>,
    /// Private package registries that the build reads through the gateway, which adds what they ask for.
    pub secrets: Vec<BuildSecret>,
    /// What runs from before `warm` on, and in every sandbox: a database, a cache. In the order in which they start.
    pub services: Vec<Service>,
    /// Run once so that caches are warm; a failure here fails the build.
    pub warm: Vec<String>,
    /// Proves that the image works, and verifies what a session did where [`CheckRecipe`] names nothing else.
    pub check: Option<String>,
    /// Five-field cron expression (minute hour day month weekday, UTC) of the rebuild.
    pub rebuild: String,
    /// Seconds that the whole build may take.
    pub timeout_s: u64,
    /// What the build may use, where that is not what a sandbox may.
    pub limits: Option<SandboxLimits>,
}

/// A private package registry, and where the service finds the credential for it. The build never sees that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSecret {
    /// The registry's path at the gateway, and a part of the variable's name that holds its address.
    pub name: String,
    /// `https://npm.example.com/private/`: requests behind it get the header.
    pub url: String,
    #[serde(default = "authorization")]
    pub header: String,
    /// The variable of the service that holds the header's value.
    pub value_env: String,
    /// What stands before that value, `Bearer ` for instance.
    #[serde(default)]
    pub prefix: String,
}

impl BuildSecret {
    /// The build's variable that holds the registry's address.
    pub fn variable(&self) -> String {
        format!("LONGSHORE_REGISTRY_{}", self.name.to_ascii_uppercase())
    }

    fn check(&self) -> Result<(), &'static str> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !(1..=40).contains(&self.name.len()) || !self.name.chars().all(good) {
            return Err("`name` takes up to 40 small letters, digits and `_`");
        }
        if self.value_env.trim().is_empty() {
            return Err("`value_env` names the variable of the service that holds the credential");
        }
        let plain = ["http://127.0.0.1:", "http://localhost:"].iter().any(|here| self.url.starts_with(here));
        if !plain && !self.url.starts_with("https://") {
            return Err("`url` begins with https://: a credential goes nowhere in the clear");
        }
        Ok(())
    }
}

/// A process that the repository's code needs beside it. It runs as the sandbox's user; its data is in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub name: String,
    /// A shell line that stays in the foreground, run in the checkout.
    pub start: String,
    /// A shell line that succeeds as soon as the service can be used; without one it can be as soon as it runs.
    pub ready: Option<String>,
    /// A shell line that ends it well; SIGTERM does where it is not given.
    pub stop: Option<String>,
    /// Seconds that it may take until it is ready.
    #[serde(default = "a_minute")]
    pub ready_s: u64,
}

impl Service {
    fn check(&self) -> Result<(), &'static str> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=40).contains(&self.name.len()) || !self.name.chars().all(good) {
            return Err("`name` takes up to 40 small letters, digits and `-`");
        }
        if self.start.trim().is_empty() {
            return Err("`start` is empty: it is the command that the service is");
        }
        if !(1..=3600).contains(&self.ready_s) {
            return Err("`ready_s` must lie between 1 and 3600");
        }
        Ok(())
    }
}

impl Default for ImageRecipe {
    fn default() -> Self {
        Self {
            base: None,
            setup_root: Vec::new(),
            setup: Vec::new(),
            secrets: Vec::new(),
            services: Vec::new(),
            warm: Vec::new(),
            check: None,
            rebuild: "*/30 * * * *".to_owned(),
            timeout_s: 1800,
            limits: None,
        }
    }
}

/// What the service runs on the pushed commit at the end of a turn that changed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckRecipe {
    /// A shell line, run in the checkout; the image's check where it is not given.
    pub command: Option<String>,
    /// Seconds that it may take.
    pub timeout_s: u64,
}

impl Default for CheckRecipe {
    fn default() -> Self {
        Self { command: None, timeout_s: 600 }
    }
}

/// How many sandboxes wait for this repository's next sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolRecipe {
    /// As many as sessions of late call for, where it is not given; none, where it is 0.
    pub size: Option<u32>,
}

impl CheckRecipe {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

impl ImageRecipe {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

/// What one sandbox may use at the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxLimits {
    /// MiB of memory, swap included.
    pub memory_mb: u32,
    /// Cores; fractions are allowed.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self { memory_mb: 2048, cpus: 2.0, pids: 1024 }
    }
}

fn authorization() -> String {
    "Authorization".to_owned()
}

fn a_minute() -> u64 {
    60
}

fn default_branch() -> String {
    "main".to_owned()
}

/// Why the manifests could not be taken. Each names the file, and the key and line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    Invalid { path: PathBuf, message: String },
    #[error("{} and {} both describe {repo}: keep one of them", first.display(), second.display())]
    Duplicate { repo: RepoName, first: PathBuf, second: PathBuf },
    #[error("there is no manifest (*.toml) in {}: write one for each repository, see docs/manifests.md", path.display())]
    None { path: PathBuf },
}

/// In seconds: nothing that people wait for takes longer.
const A_WEEK: u64 = 604_800;

impl RepositoryManifest {
    /// Reads one manifest from the text of `path` (which is used for messages only).
    pub fn parse(path: &Path, text: &str) -> Result<Self, ManifestError> {
        let invalid = |message: String| ManifestError::Invalid { path: path.to_owned(), message };
        // toml's own message shows line, column, the line itself and the key that is wrong or unknown.
        let manifest: Self = toml::from_str(text).map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
        if manifest.description.trim().is_empty() {
            return Err(invalid(format!(
                "{}: `description` is empty: say in a sentence what the repository is, routing lives by it",
                line_of(text, "description")
            )));
        }
        for (head, limits) in [("limits", Some(manifest.limits)), ("image.limits", manifest.image.limits)] {
            let Some(limits) = limits else { continue };
            let at = |key: &str| format!("{}: `{head}.{key}`", line_of_in(text, &format!("[{head}]"), key));
            if limits.memory_mb < 512 {
                return Err(invalid(format!("{} is {}: an agent alone needs 512", at("memory_mb"), limits.memory_mb)));
            }
            if !(0.1..=1024.0).contains(&limits.cpus) {
                return Err(invalid(format!("{} must lie between 0.1 and 1024", at("cpus"))));
            }
            if limits.pids < 64 {
                return Err(invalid(format!("{} must be at least 64", at("pids"))));
            }
        }
        for (head, seconds) in [("check", manifest.check.timeout_s), ("image", manifest.image.timeout_s)] {
            if !(1..=A_WEEK).contains(&seconds) {
                let line = line_of_in(text, &format!("[{head}]"), "timeout_s");
                return Err(invalid(format!("{line}: `{head}.timeout_s` must lie between 1 and {A_WEEK}, which is a week")));
            }
        }
        for (index, secret) in manifest.image.secrets.iter().enumerate() {
            let again = manifest.image.secrets[..index].iter().any(|other| other.name == secret.name);
            let checked = if again { Err("`name` is that of another") } else { secret.check() };
            checked.map_err(|what| {
                invalid(format!("{}: `image.secrets` {}: {what}", line_of_nth(text, "[[image.secrets]]", index), secret.name))
            })?;
        }
        for (index, service) in manifest.image.services.iter().enumerate() {
            let again = manifest.image.services[..index].iter().any(|other| other.name == service.name);
            let checked = if again { Err("`name` is that of another service") } else { service.check() };
            checked.map_err(|what| {
                invalid(format!("{}: `image.services` {}: {what}", line_of_nth(text, "[[image.services]]", index), service.name))
            })?;
        }
        for (index, rule) in manifest.tool_rules.iter().enumerate() {
            rule.check().map_err(|(key, what)| invalid(format!("{}: `{key}` {what}", Self::place_of_tool_rule(text, index, key))))?;
        }
        Ok(manifest)
    }

    /// `line N` of a key of the rule at this index, in the manifest's text.
    pub fn place_of_tool_rule(text: &str, index: usize, key: &str) -> String {
        let heads = text.lines().enumerate().filter(|(_, line)| line.trim() == "[[tool_rules]]");
        let Some((head, _)) = heads.into_iter().nth(index) else { return line_of(text, "tool_rules") };
        let of_rule = text.lines().skip(head + 1).take_while(|line| !line.trim_start().starts_with('['));
        let within = of_rule.into_iter().position(|line| line.split(['=', ' ']).next() == Some(key));
        format!("line {}", within.map_or(head + 1, |within| head + within + 2))
    }

    /// Reads every `*.toml` of a folder, keyed by repository.
    pub fn read_folder(folder: &Path) -> Result<BTreeMap<RepoName, Self>, ManifestError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| ManifestError::Unreadable { path, source }
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut found: BTreeMap<RepoName, (PathBuf, Self)> = BTreeMap::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            let manifest = Self::parse(&path, &text)?;
            let repo = manifest.repository.clone();
            if let Some((first, _)) = found.get(&repo) {
                return Err(ManifestError::Duplicate { repo, first: first.clone(), second: path });
            }
            found.insert(repo, (path, manifest));
        }
        if found.is_empty() {
            return Err(ManifestError::None { path: folder.to_owned() });
        }
        Ok(found.into_iter().map(|(repo, (_, manifest))| (repo, manifest)).collect())
    }

    /// What verifies a session's work.
    pub fn check_command(&self) -> Option<&str> {
        let named = self.check.command.as_ref().or(self.image.check.as_ref());
        named.map(String::as_str).filter(|command| !command.trim().is_empty())
    }

    /// The part that routing reads. `vocabulary` is what the last image build gathered.
    pub fn profile(&self, vocabulary: Vec<String>) -> RepositoryProfile {
        RepositoryProfile {
            repo: self.repository.clone(),
            description: self.description.clone(),
            languages: self.languages.clone(),
            keywords: self.keywords.clone(),
            examples: self.examples.clone(),
            slack_channels: self.slack_channels.clone(),
            vocabulary,
        }
    }
}

/// `line N` of the key's first mention.
fn line_of(text: &str, key: &str) -> String {
    let index = text.lines().position(|line| line.trim_start().starts_with(key)).unwrap_or(0);
    format!("line {}", index + 1)
}

/// `line N` of the key's first mention behind a table's head.
fn line_of_in(text: &str, table: &str, key: &str) -> String {
    let head = text.lines().position(|line| line.trim() == table).unwrap_or(0);
    let index = text.lines().skip(head).position(|line| line.trim_start().starts_with(key)).unwrap_or(0);
    format!("line {}", head + index + 1)
}

/// `line N` of the table's n-th head.
fn line_of_nth(text: &str, head: &str, nth: usize) -> String {
    let index = text.lines().enumerate().filter(|(_, line)| line.trim() == head).nth(nth).map_or(0, |(index, _)| index);
    format!("line {}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "repository = \"acme/shop\"\ndescription = \"The shop.\"\n";

    fn message(text: &str) -> String {
        RepositoryManifest::parse(Path::new("manifests/shop.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn two_keys_make_a_manifest() {
        let manifest = RepositoryManifest::parse(Path::new("shop.toml"), SMALL).unwrap();
        assert_eq!(manifest.base_branch, "main");
        assert_eq!(manifest.image.rebuild, "*/30 * * * *");
    }

    #[test]
    fn an_unknown_key_is_named_with_file_and_line() {
        let text = format!("{SMALL}\n[image]\nsetpu = [\"make\"]\n");
        let message = message(&text);
        assert!(message.starts_with("manifests/shop.toml: "), "{message}");
        assert!(message.contains("line 5") && message.contains("setpu") && message.contains("expected one of"), "{message}");
    }

    #[test]
    fn limits_too_small_for_an_agent_are_refused() {
        assert!(message(&format!("{SMALL}[limits]\nmemory_mb = 64\n")).contains("line 4: `limits.memory_mb` is 64"));
        assert!(message(&format!("{SMALL}[limits]\npids = 3\n")).contains("line 4: `limits.pids`"));
        assert!(message(&format!("{SMALL}[limits]\npids = 65\n[image.limits]\npids = 3\n")).contains("line 6: `image.limits.pids`"));
        assert!(message("repository = \"acme/shop\"\ndescription = \" \"\n").contains("line 2: `description` is empty"));
    }

    #[test]
    fn what_verifies_work_is_the_images_check_unless_another_is_named() {
        let text = format!("{SMALL}[image]\ncheck = \"make\"\ntimeout_s = 5\n");
        let read = |text: &str| RepositoryManifest::parse(Path::new("shop.toml"), text).unwrap();
        assert_eq!(read(SMALL).check_command(), None);
        assert_eq!(read(&text).check_command(), Some("make"));
        assert_eq!(read(&text).check.timeout(), Duration::from_secs(600));
        assert_eq!(read(&format!("{text}[check]\ncommand = \"make test\"\n")).check_command(), Some("make test"));
        assert_eq!(read(&format!("{text}[check]\ncommand = \"\"\n")).check_command(), None);
        assert!(message(&format!("{text}[check]\ntimeout_s = 0\n")).contains("line 7: `check.timeout_s`"));
    }

    #[test]
    fn services_are_read_and_what_is_wrong_with_one_is_named() {
        let text = format!("{SMALL}[[image.services]]\nname = \"db\"\nstart = \"postgres\"\n");
        let manifest = RepositoryManifest::parse(Path::new("shop.toml"), &text).unwrap();
        assert_eq!((manifest.image.services[0].name.as_str(), manifest.image.services[0].ready_s), ("db", 60));
        let twice = message(&format!("{text}[[image.services]]\nname = \"db\"\nstart = \"redis\"\n"));
        assert!(twice.contains("line 6: `image.services` db: `name` is that of another"), "{twice}");
        assert!(message(&text.replace("\"db\"", "\"../db\"")).contains("line 3: `image.services` ../db: `name` takes"));
        assert!(message(&text.replace("postgres", " ")).contains("`start` is empty"));
        assert!(message(&format!("{text}ready_s = 0\n")).contains("`ready_s` must lie"));
    }

    #[test]
    fn a_registrys_credential_is_named_and_goes_nowhere_in_the_clear() {
        let text = format!("{SMALL}[[image.secrets]]\nname = \"npm\"\nurl = \"https://npm.example.com/\"\nvalue_env = \"NPM_TOKEN\"\n");
        let manifest = RepositoryManifest::parse(Path::new("shop.toml"), &text).unwrap();
        let secret = &manifest.image.secrets[0];
        assert_eq!(
            (secret.variable().as_str(), secret.header.as_str(), secret.prefix.as_str()),
            ("LONGSHORE_REGISTRY_NPM", "Authorization", "")
        );
        assert!(message(&text.replace("https://", "http://")).contains("line 3: `image.secrets` npm: `url` begins with https://"));
        assert!(message(&text.replace("NPM_TOKEN", "")).contains("`value_env` names the variable"));
        assert!(message(&text.replace("\"npm\"", "\"n/pm\"")).contains("`name` takes"));
    }

    #[test]
    fn a_tool_rule_says_when_and_one_thing_to_do() {
        let rule = |keys: &str| format!("{SMALL}[[tool_rules]]\ncommand = \"a\"\ndeny = \"no\"\n[[tool_rules]]\n{keys}");
        let good = RepositoryManifest::parse(Path::new("shop.toml"), &rule("path = \"a/**\"\nnote = \"mind it\"\n")).unwrap();
        assert_eq!(good.tool_rules.len(), 2);
        for (keys, told) in [
            ("path = \"a\"\n", "line 6: `[[tool_rules]]` says nothing of what to do"),
            ("deny = \"no\"\n", "line 6: `[[tool_rules]]` says nothing of when"),
            ("path = \"a\"\nreplace = \"b\"\n", "line 8: `replace` needs a `command`"),
            ("path = \"a\"\ndeny = \" \"\n", "line 8: `deny` is empty"),
            ("path = \"a\"\ndeny = \"no\"\nnote = \"yes\"\n", "line 9: `note` is one too many"),
            ("pth = \"a\"\n", "line 7"),
        ] {
            let message = message(&rule(keys));
            assert!(message.starts_with("manifests/shop.toml: ") && message.contains(told), "{keys}: {message}");
        }
    }

    #[test]
    fn two_manifests_of_one_repository_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), SMALL).unwrap();
        std::fs::write(folder.path().join("b.toml"), SMALL).unwrap();
        let message = RepositoryManifest::read_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains("both describe acme/shop"), "{message}");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,300}") {
            let _ = RepositoryManifest::parse(Path::new("x.toml"), &text);
        }
    }
}
