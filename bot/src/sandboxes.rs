//! What each sandbox may do and is told: its token, its pass at the gateway, its variables, and which session it serves.

use std::{
    collections::HashMap,
    io::Write,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use base64::Engine as _;
use hmac::{Hmac, Mac};
use longshore_agent::{AgentKind, LaunchSettings, ModelSight, StartSession, opencode};
use longshore_gateway::{EgressRule, HeaderSecret, LlmRight, Pass, Passes, PushRule, RegistryRight, SandboxToken, ToolRight};
use longshore_sandbox::{GATEWAY_HOST, TagMark};
use longshore_session::{BuildSecret, RepositoryManifest, SandboxId, SessionId};
use sha2::Sha256;

/// The models that agents work with.
#[derive(Debug, Clone, Copy)]
pub struct Models<'a> {
    pub agent: &'a str,
    /// All that a session may work with.
    pub offered: &'a [String],
    /// For titles and summaries.
    pub small: &'a str,
    pub sight: ModelSight,
    /// Tokens that their context holds, and that one answer may have.
    pub window: (u32, u32),
}

/// Who is admitted, and on whose behalf.
pub struct Sandboxes {
    pub passes: Passes,
    owners: Mutex<HashMap<SandboxId, SessionId>>,
    /// Tokens are derived from it, so that none has to be stored and those of running sandboxes are known again after a restart.
    secret: Vec<u8>,
    port: u16,
    /// With the usual model.
    settings: LaunchSettings,
}

impl Sandboxes {
    /// Reads the secret from the data folder, or makes it there at the first start.
    pub fn open(data: &Path, port: u16, models: &Models<'_>) -> Result<Self> {
        let usual = LaunchSettings::new(gateway_url(port), models.agent, models.small);
        let (context_tokens, output_tokens) = models.window;
        let settings =
            LaunchSettings { sight: models.sight, other_models: models.offered.to_vec(), context_tokens, output_tokens, ..usual };
        Ok(Self { passes: Passes::new(), owners: Mutex::default(), secret: read_secret(&data.join("sandbox-secret"))?, port, settings })
    }

    /// The agent's command.
    pub fn command(&self) -> Vec<String> {
        AgentKind::OpenCode.launch(&self.settings).command
    }

    pub fn token(&self, id: &SandboxId) -> SandboxToken {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return SandboxToken::random() };
        mac.update(b"sandbox token ");
        mac.update(id.as_str().as_bytes());
        let digest = mac.finalize().into_bytes();
        SandboxToken::from_text(format!("lsx_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)))
    }

    /// What this installation's tags in the registry begin with; derived as the tokens are.
    pub fn tag_mark(&self) -> TagMark {
        tag_mark(&self.secret)
    }

    /// What opens a session's page, for whoever has it; derived as the tokens are.
    pub fn page_key(&self, session: &SessionId) -> String {
        page_key(&self.secret, session)
    }

    /// The same, for whoever serves the pages.
    pub fn page_keys(&self) -> impl Fn(&SessionId) -> String + Send + Sync + 'static + use<> {
        let secret = self.secret.clone();
        move |session| page_key(&secret, session)
    }

    /// A text from the sandbox that people shall see, without the token in any form in which the sandbox has it.
    pub fn without_token(&self, id: &SandboxId, text: &str) -> String {
        let token = self.token(id);
        let token = token.expose();
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("sandbox:{token}"));
        text.replace(token, "[removed]").replace(&basic, "[removed]")
    }

    /// Lets a session's sandbox in: its repository, its branch, the model, the tools.
    pub fn admit_session(&self, id: &SandboxId, session: &SessionId, manifest: &RepositoryManifest) {
        let mut pass = Pass::nothing(id.clone());
        pass.session = Some(session.clone());
        pass.fetch = vec![manifest.repository.clone()];
        pass.push = Some(PushRule { repo: manifest.repository.clone(), branch: session.branch() });
        pass.egress = egress(manifest);
        pass.llm = LlmRight::AnyModel;
        pass.tools = ToolRight::Offered;
        self.passes.enter(&self.token(id), pass);
        self.lock().insert(id.clone(), session.clone());
    }

    /// Lets a sandbox in that waits for a session: its repository may be fetched, and the gateway itself answers its agent. It sees the tools that
    /// it is going to have, but each call of one wants a session.
    pub fn admit_pool(&self, id: &SandboxId, manifest: &RepositoryManifest) {
        let mut pass = Pass::nothing(id.clone());
        pass.fetch = vec![manifest.repository.clone()];
        pass.llm = LlmRight::Priming;
        pass.tools = ToolRight::Offered;
        self.passes.enter(&self.token(id), pass);
    }

    /// Lets an image build in: its repository, the manifest's hosts and its registries, nothing else.
    pub fn admit_build(&self, id: &SandboxId, manifest: &RepositoryManifest) {
        let mut pass = trial_pass(id, manifest);
        // What does not parse, or is not set, was refused at start.
        pass.registries = manifest.image.secrets.iter().filter_map(|secret| registry(secret).ok()).collect();
        self.passes.enter(&self.token(id), pass);
    }

    /// Lets the sandbox in that an image is tried with: it may do what a session's may before anybody asked it for anything.
    pub fn admit_trial(&self, id: &SandboxId, manifest: &RepositoryManifest) {
        self.passes.enter(&self.token(id), trial_pass(id, manifest));
    }

    /// Where a build finds its registries.
    pub fn registry_variables(&self, id: &SandboxId, manifest: &RepositoryManifest) -> Vec<(String, String)> {
        let token = self.token(id);
        let address = |name: &str| format!("http://sandbox:{}@{GATEWAY_HOST}:{}/registry/{name}", token.expose(), self.port);
        manifest.image.secrets.iter().map(|secret| (secret.variable(), address(&secret.name))).collect()
    }

    /// From now on the token counts only from this address.
    pub fn bind(&self, id: &SandboxId, address: IpAddr) {
        self.passes.bind(id, address);
    }

    /// The sandbox is gone: its token is worth nothing.
    pub fn release(&self, id: &SandboxId) {
        self.passes.revoke(id);
        self.lock().remove(id);
    }

    pub fn session_of(&self, id: &SandboxId) -> Option<SessionId> {
        self.lock().get(id).cloned()
    }

    /// The variables of an image build's container.
    pub fn build_environment(&self, id: &SandboxId) -> Vec<(String, String)> {
        let token = self.token(id);
        let (url, token) = (gateway_url(self.port), token.expose());
        let proxy = format!("http://sandbox:{token}@{GATEWAY_HOST}:{}", self.port);
        let direct = format!("{GATEWAY_HOST},localhost,127.0.0.1,::1");
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("sandbox:{token}"));
        let mut variables = vec![("LONGSHORE_GATEWAY".to_owned(), url.clone()), ("LONGSHORE_TOKEN".to_owned(), token.to_owned())];
        for (name, value) in [("http_proxy", &proxy), ("https_proxy", &proxy), ("no_proxy", &direct)] {
            variables.push((name.to_owned(), value.clone()));
            variables.push((name.to_uppercase(), value.clone()));
        }
        let git = [
            (format!("url.{url}/git/.insteadOf"), "https://github.com/".to_owned()),
            (format!("http.{url}/.extraHeader"), format!("Authorization: Basic {basic}")),
        ];
        variables.push(("GIT_CONFIG_COUNT".to_owned(), git.len().to_string()));
        for (index, (key, value)) in git.into_iter().enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{index}"), key));
            variables.push((format!("GIT_CONFIG_VALUE_{index}"), value));
        }
        variables.push(("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()));
        variables
    }

    /// The variables of a session's sandbox: those of a build, and the agent's, which is to work with this model.
    pub fn session_environment(&self, id: &SandboxId, model: &str) -> Vec<(String, String)> {
        let settings = LaunchSettings { model: model.to_owned(), ..self.settings.clone() };
        let mut variables = self.build_environment(id);
        variables.extend(AgentKind::OpenCode.launch(&settings).environment);
        variables
    }

    /// The same, with the usual model.
    pub fn usual_environment(&self, id: &SandboxId) -> Vec<(String, String)> {
        self.session_environment(id, &self.settings.model)
    }

    /// The conversation in this sandbox: in its checkout, with our own tools.
    pub fn conversation(&self, id: &SandboxId) -> StartSession {
        let tools = opencode::mcp_server(&gateway_url(self.port), self.token(id).expose());
        StartSession { cwd: "/workspace".to_owned(), mcp_servers: vec![tools], resume: None }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, SessionId>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same mark, for whoever works on the data folder while no service does.
pub fn tag_mark_in(data: &Path) -> Result<TagMark> {
    Ok(tag_mark(&read_secret(&data.join("sandbox-secret"))?))
}

fn tag_mark(secret: &[u8]) -> TagMark {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return TagMark::of(secret) };
    mac.update(b"tags in the registry");
    TagMark::of(&mac.finalize().into_bytes())
}

fn page_key(secret: &[u8], session: &SessionId) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return SandboxToken::random().expose().to_owned() };
    mac.update(b"session page ");
    mac.update(session.as_str().as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fn gateway_url(port: u16) -> String {
    format!("http://{GATEWAY_HOST}:{port}")
}

fn trial_pass(id: &SandboxId, manifest: &RepositoryManifest) -> Pass {
    let mut pass = Pass::nothing(id.clone());
    pass.fetch = vec![manifest.repository.clone()];
    pass.egress = egress(manifest);
    pass
}

/// What the gateway adds to requests for a registry. The error names what is wrong, never the value.
pub fn registry(secret: &BuildSecret) -> Result<RegistryRight> {
    let value = std::env::var(&secret.value_env).unwrap_or_default();
    let value = value.trim();
    if value.is_empty() {
        anyhow::bail!("`value_env` names the variable {}, which is not set: export it before the start", secret.value_env);
    }
    let url = if secret.url.ends_with('/') { secret.url.clone() } else { format!("{}/", secret.url) };
    Ok(RegistryRight {
        name: secret.name.clone(),
        url: url.parse().with_context(|| format!("`url` {} is no address", secret.url))?,
        header: secret.header.parse().with_context(|| format!("`header` {} is no header's name", secret.header))?,
        value: HeaderSecret::new(&format!("{}{value}", secret.prefix))
            .with_context(|| format!("the value of {} cannot stand in a header", secret.value_env))?,
    })
}

/// Entries that do not parse were refused at start (see `serve`).
fn egress(manifest: &RepositoryManifest) -> Vec<EgressRule> {
    manifest.egress.iter().filter_map(|rule| rule.parse().ok()).collect()
}

fn read_secret(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(secret) if secret.len() >= 32 => return Ok(secret),
        Ok(_) => anyhow::bail!("{} is shorter than 32 bytes: remove it, running sandboxes will be replaced", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let secret: [u8; 32] = rand::random();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(&secret)?;
    file.sync_all()?;
    Ok(secret.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_out_of_what_people_see() {
        let folder = tempfile::tempdir().unwrap();
        let models = Models { agent: "m", offered: &[], small: "m", sight: ModelSight::Images, window: (200_000, 32_000) };
        let sandboxes = Sandboxes::open(folder.path(), 7353, &models).unwrap();
        let id = SandboxId::parse("b-1").unwrap();
        for (name, value) in sandboxes.session_environment(&id, "m") {
            let shown = sandboxes.without_token(&id, &format!("{name}={value}"));
            assert!(!shown.contains(sandboxes.token(&id).expose()), "{name}");
            assert!(!shown.contains("Basic ") || shown.ends_with("Basic [removed]"), "{name}");
        }
    }

    #[test]
    fn a_session_has_its_own_model_and_the_usual_small_one() {
        let folder = tempfile::tempdir().unwrap();
        let models = Models { agent: "large", offered: &[], small: "small", sight: ModelSight::Images, window: (200_000, 32_000) };
        let sandboxes = Sandboxes::open(folder.path(), 7353, &models).unwrap();
        let variables = sandboxes.session_environment(&SandboxId::parse("b-1").unwrap(), "chosen");
        let (_, agent) = variables.iter().find(|(name, _)| name == "OPENCODE_CONFIG_CONTENT").unwrap();
        assert!(agent.contains(r#""model":"longshore/chosen""#) && agent.contains(r#""small_model":"longshore/small""#), "{agent}");
    }

    #[test]
    fn a_token_is_known_again_after_a_restart_and_differs_by_sandbox_and_installation() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |data: &Path| {
            Sandboxes::open(
                data,
                7353,
                &Models { agent: "m", offered: &[], small: "m", sight: ModelSight::Images, window: (200_000, 32_000) },
            )
            .unwrap()
        };
        let (first, second) = (SandboxId::parse("b-1").unwrap(), SandboxId::parse("b-2").unwrap());
        let token = open(folder.path()).token(&first).expose().to_owned();
        assert_eq!(open(folder.path()).token(&first).expose(), token);
        assert_ne!(open(folder.path()).token(&second).expose(), token);
        assert_ne!(open(other.path()).token(&first).expose(), token);
    }
}
