//! Starting everything, and taking it away again.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use longshore_emulators::{
    github::{GitHubEmulator, GitHubSetup, Level, NewUser, Repositories},
    model::{Catalogue, ModelEmulator, ModelHandle, ModelSetup},
    slack::{SlackEmulator, SlackHandle, UserKind, WorkspaceSetup},
};
use longshore_session::ImageRecord;
use tokio::time::{Instant, sleep};

use crate::{
    Service, api, cleanup, configuration, docker,
    findings::{self, Expected},
    images::{self, Entry},
    options::{ImageCache, ModelChoice, Options, Wait},
    paths,
    slack_sdk::check_by_slack_sdk,
};

/// What repository images start from; `tests/setup/base-image.sh` makes it.
const BASE_IMAGE: &str = "longshore/base:latest";
/// All images of the samples, on a machine that has other work as well.
const IMAGES_LIMIT: Duration = Duration::from_secs(15 * 60);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Who has which account.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// GitHub logins by Slack user id.
    pub logins: BTreeMap<String, String>,
    /// GitHub tokens by Slack user id, good for whatever that person may do.
    pub tokens: BTreeMap<String, String>,
}

/// The service with everything round it.
pub struct Harness {
    pub slack: SlackHandle,
    pub github: GitHubEmulator,
    /// None where a real model answers.
    model: Option<ModelHandle>,
    pub service: Service,
    pub people: People,
    pub catalogue: Catalogue,
    repositories: Vec<String>,
    namespace: String,
    /// Where it is not the machine's.
    engine: Option<PathBuf>,
    folder: PathBuf,
    expected: Mutex<Expected>,
}

impl Harness {
    /// Starts the emulators and the service, and waits as the options say.
    pub async fn start(options: Options) -> Result<Self> {
        // Where another version's provider was installed before, that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        cleanup::sweep_dead_runs().await?;
        let binary = paths::program(options.program)?;
        let registry = format!("127.0.0.1:{}", std::env::var("LONGSHORE_REGISTRY_PORT").unwrap_or_else(|_| "5055".to_owned()));
        let base_id = docker::image_id(BASE_IMAGE).await?.with_context(|| format!("there is no image {BASE_IMAGE}: run `make setup`"))?;

        let catalogue = Catalogue::bundled()?;
        let namespace = format!("h{:08x}", rand::random::<u32>());
        let folder = cleanup::make_folder(&namespace)?;
        let progress = &options.progress;

        let slack = start_slack(&options).await?;
        let github = start_github(&options, &catalogue).await?;
        let people = add_people(&options.workspace, &github, &options.samples)?;
        let model = start_model(&options, &catalogue, &folder).await?;

        let manifests = write_manifests(&options, &catalogue, &folder)?;
        std::fs::write(folder.join("app.pem"), github.private_key_pem())?;
        let http = SocketAddr::from(([127, 0, 0, 1], configuration::free_port()?));
        let linked: Vec<(String, String)> =
            options.linked.iter().map(|user| (user.clone(), format!("LONGSHORE_GITHUB_TOKEN_{user}"))).collect();
        let model_base_url = match &options.model {
            ModelChoice::Real { base_url, .. } => base_url.clone(),
            ModelChoice::Scripted { .. } => model.as_ref().map(|model| model.base_url.clone()).unwrap_or_default(),
        };
        let text = configuration::text(&configuration::Parts {
            namespace: &namespace,
            http_port: http.port(),
            slack_api: slack.api_url(),
            team: slack.team_id(),
            github_app: github.app_id(),
            github_api: &github.api_url,
            github_web: &github.web_url,
            model_base_url: &model_base_url,
            model: &options.model,
            ranker: options.ranker,
            people: &linked,
            allow_private: configuration::private_egress(&folder.join("repositories"), &options.egress).await?,
            registry: &registry,
            base_image: BASE_IMAGE,
            overlay: &options.configuration,
            engine: options.engine.as_deref(),
        })?;
        std::fs::write(folder.join("longshore.toml"), text)?;

        let api_token = format!("api-{:032x}", rand::random::<u128>());
        let mut environment = vec![
            ("SLACK_BOT_TOKEN".to_owned(), slack.bot_token()),
            ("SLACK_APP_TOKEN".to_owned(), slack.app_token()),
            ("SLACK_SIGNING_SECRET".to_owned(), slack.signing_secret()),
            ("LONGSHORE_API_TOKEN".to_owned(), api_token.clone()),
            ("OPENAI_API_KEY".to_owned(), model_key(&options.model, model.as_ref())),
        ];
        for (user, variable) in &linked {
            let token = people.tokens.get(user).with_context(|| format!("nobody has the Slack id {user}"))?;
            environment.push((variable.clone(), token.clone()));
        }
        environment.extend(options.environment.iter().cloned());

        let service = Service {
            binary,
            environment,
            http,
            api_token,
            log_file: options.service_log.clone().unwrap_or_else(|| folder.join("service.log")),
            folder: folder.clone(),
            client: reqwest::Client::builder().no_proxy().build()?,
            child: tokio::sync::Mutex::new(None),
        };
        if options.service_log.is_some() {
            // The log of this run, not of all before it.
            let _ = std::fs::remove_file(&service.log_file);
        }
        let harness = Self {
            slack,
            github,
            model,
            service,
            people,
            catalogue,
            repositories: manifests.keys().cloned().collect(),
            namespace,
            engine: options.engine.clone(),
            folder,
            expected: Mutex::default(),
        };
        if options.wait == Wait::Nothing {
            return Ok(harness);
        }
        match harness.begin(&options, &base_id, &registry).await {
            Ok(()) => Ok(harness),
            Err(error) => {
                progress("it did not start; cleaning up");
                harness.give_up().await;
                Err(error)
            }
        }
    }

    async fn begin(&self, options: &Options, base_id: &str, registry: &str) -> Result<()> {
        let mut entries = Vec::new();
        if options.images == ImageCache::Use {
            for (repository, sample) in self.catalogue.repositories.iter().filter(|(name, _)| options.samples.contains(name)) {
                // A manifest that a story changed is a story's own, but for the rules of tools, which no image depends on.
                let manifest = Options::manifest_text(repository)?;
                let own = options.manifests.get(repository);
                if own.is_none_or(|own| images::image_part(own) == images::image_part(&manifest)) {
                    entries.push(Entry::new(repository, &manifest, &paths::sample_folder(&sample.folder), base_id, registry)?);
                }
            }
        }
        let mut known = read_all(&entries).await?;
        // Whoever comes while another builds them waits, and takes up what the other built.
        let turn = if known.len() < entries.len() && options.wait == Wait::Images {
            let turn = images::build_turn().await?;
            known = read_all(&entries).await?;
            Some(turn)
        } else {
            None
        };
        std::fs::create_dir_all(self.service.data_folder())?;
        if !known.is_empty() {
            images::put(&self.service.data_folder(), &known).await?;
        }
        (options.progress)("starting the service");
        self.service.start().await?;
        if options.wait == Wait::Images {
            let built = self.wait_for_images(&*options.progress).await?;
            for entry in &entries {
                if let Some(record) = built.get(&entry.repository)
                    && !known.iter().any(|(repository, before)| *repository == entry.repository && before.reference == record.reference)
                {
                    entry.keep(record)?;
                }
            }
        }
        drop(turn);
        Ok(())
    }

    /// Waits until every repository has an image; the records.
    pub async fn wait_for_images(&self, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<BTreeMap<String, ImageRecord>> {
        let deadline = Instant::now() + IMAGES_LIMIT;
        let mut told: Vec<String> = Vec::new();
        let mut tell = |line: String| {
            if !told.contains(&line) {
                progress(&line);
                told.push(line);
            }
        };
        loop {
            let images = api::images(&self.service).await?;
            let mut ready = 0;
            for repository in &self.repositories {
                let Some(image) = images.get(repository) else { continue };
                if let Some(failure) = &image.failure {
                    bail!("the image of {repository} could not be built: {failure}\n{}", self.build_log_tail(repository));
                }
                if image.reference.is_some() {
                    ready += 1;
                    tell(format!("the image of {repository} is ready"));
                } else if image.building_since.is_some() {
                    tell(format!("building the image of {repository} (once; later starts take it up)"));
                }
            }
            if ready == self.repositories.len() {
                return Ok(images);
            }
            if let Some(status) = self.service.exit_status().await? {
                bail!("the service ended ({status}) while images were built. Its log ends with\n{}", self.service.log_tail(20));
            }
            if Instant::now() > deadline {
                bail!("the images are not built after {} min", IMAGES_LIMIT.as_secs() / 60);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn build_log_tail(&self, repository: &str) -> String {
        let begins = format!("{}-", repository.replace('/', "-"));
        let logs = std::fs::read_dir(self.service.data_folder().join("builds")).into_iter().flatten().flatten();
        let newest = logs
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&begins))
            .max_by_key(|entry| entry.metadata().and_then(|about| about.modified()).ok());
        let log = newest.and_then(|entry| std::fs::read_to_string(entry.path()).ok()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// A repository's image, as the registry names it.
    pub async fn image(&self, repository: &str) -> Result<String> {
        let image = api::images(&self.service).await?.remove(repository).with_context(|| format!("nothing is known of {repository}"))?;
        image.reference.with_context(|| format!("{repository} has no image"))
    }

    /// The model emulator. Panics where the options asked for a real model.
    #[expect(clippy::expect_used, reason = "a story that asked for a real model does not ask for the emulator")]
    pub fn model(&self) -> &ModelHandle {
        self.model.as_ref().expect("this harness runs with a real model")
    }

    /// Whether the model emulator answers.
    pub fn scripted(&self) -> bool {
        self.model.is_some()
    }

    /// The namespace of everything that this run makes in the Docker engine.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// This run's own folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The service's log will hold error lines with this text, and that is right.
    pub fn expect_errors(&self, text: &str) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).errors.push(text.to_owned());
    }

    /// Slack will refuse calls with this error, and that is right.
    pub fn expect_refusals(&self, error: &str) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).refusals.push(error.to_owned());
    }

    /// What is wrong so far that nobody expected.
    pub fn findings(&self) -> Vec<String> {
        let mut secrets = self.service.environment.clone();
        secrets.extend(self.people.tokens.iter().map(|(user, token)| (format!("the GitHub token of {user}"), token.clone())));
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        findings::find(&self.service.log(), &self.slack.calls(), &secrets, &expected)
    }

    /// Stops everything, takes away what was made, and fails on what nobody expected.
    pub async fn finish(self) -> Result<()> {
        let mut problems = Vec::new();
        if self.service.pid().await.is_some()
            && let Err(error) = self.service.terminate().await
        {
            problems.push(format!("{error:#}"));
        }
        problems.extend(self.findings());
        match check_by_slack_sdk(&self.slack.calls()).await {
            Ok(verdict) => problems.extend(verdict.problems),
            Err(error) => problems.push(format!("{error:#}")),
        }
        let log = self.service.log_tail(40);
        if let Err(error) = self.tear_down().await {
            problems.push(format!("{error:#}"));
        }
        if problems.is_empty() {
            return Ok(());
        }
        bail!("what nobody expected:\n- {}\nThe service's log ends with\n{log}", problems.join("\n- "))
    }

    /// Stops everything and takes away what was made, whatever happened.
    pub async fn stop(self) -> Result<()> {
        let stopped = if self.service.pid().await.is_some() { self.service.terminate().await } else { Ok(()) };
        self.tear_down().await.and(stopped)
    }

    /// Takes everything away, whatever state it is in.
    pub async fn give_up(self) {
        if self.service.pid().await.is_some()
            && let Err(error) = self.service.kill().await
        {
            tracing::warn!(error = format!("{error:#}"), "cannot end the service");
        }
        if let Err(error) = self.tear_down().await {
            tracing::warn!(error = format!("{error:#}"), "cannot clean up; the next run will try again");
        }
    }

    async fn tear_down(self) -> Result<()> {
        self.slack.shutdown().await;
        self.github.stop().await;
        if let Some(model) = self.model {
            model.shutdown().await;
        }
        cleanup::take_away(&self.namespace, &self.folder, self.engine.as_deref()).await
    }
}

async fn read_all(entries: &[Entry]) -> Result<Vec<(String, ImageRecord)>> {
    let mut known = Vec::new();
    for entry in entries {
        if let Some(record) = entry.read().await? {
            known.push((entry.repository.clone(), record));
        }
    }
    Ok(known)
}

async fn start_slack(options: &Options) -> Result<SlackHandle> {
    let mut slack = SlackEmulator::builder(options.workspace.clone()).listen(options.slack_listen);
    if let Some(log) = &options.calls_log {
        slack = slack.calls_log(log);
    }
    if let Some(page) = &options.page {
        slack = slack.page(page.clone());
    }
    slack.start().await.context("the Slack emulator")
}

async fn start_github(options: &Options, catalogue: &Catalogue) -> Result<GitHubEmulator> {
    let setup = GitHubSetup { bind: options.github_listen, ..GitHubSetup::default() };
    let github = GitHubEmulator::start(setup).await.context("the GitHub emulator")?;
    let mut owners: Vec<&str> = Vec::new();
    for repository in &options.samples {
        let sample = catalogue.repositories.get(repository).with_context(|| format!("the catalogue has no {repository}"))?;
        let (owner, name) = repository.split_once('/').with_context(|| format!("{repository} is no owner/name"))?;
        github.create_repository(owner, name, &paths::sample_folder(&sample.folder)).await.with_context(|| repository.clone())?;
        owners.push(owner);
    }
    owners.dedup();
    for owner in owners {
        github.install_app(owner, Repositories::All);
    }
    Ok(github)
}

/// Everybody who is no bot has an account of the same name, and may write.
fn add_people(workspace: &WorkspaceSetup, github: &GitHubEmulator, repositories: &[String]) -> Result<People> {
    let mut people = People::default();
    for user in workspace.users.iter().filter(|user| user.kind != UserKind::Bot) {
        github.add_user(NewUser::new(&user.name, &user.real_name, &user.email));
        for repository in repositories {
            github.grant(repository, &user.name, Level::Write)?;
        }
        people.tokens.insert(user.id.clone(), github.user_token_through_app(&user.name)?);
        people.logins.insert(user.id.clone(), user.name.clone());
    }
    Ok(people)
}

async fn start_model(options: &Options, catalogue: &Catalogue, folder: &Path) -> Result<Option<ModelHandle>> {
    match &options.model {
        ModelChoice::Real { .. } => Ok(None),
        ModelChoice::Scripted { pace } => {
            let mut setup = ModelSetup::with_catalogue(catalogue.clone());
            setup.pace = *pace;
            setup.log_file = Some(folder.join("model.jsonl"));
            Ok(Some(ModelEmulator::start(setup).await.context("the model emulator")?))
        }
    }
}

fn model_key(choice: &ModelChoice, emulator: Option<&ModelHandle>) -> String {
    match choice {
        ModelChoice::Scripted { .. } => emulator.map(|model| model.api_key().to_owned()).unwrap_or_default(),
        ModelChoice::Real { api_key, .. } => api_key.clone().unwrap_or_default(),
    }
}

/// Writes the manifests; their texts by repository.
fn write_manifests(options: &Options, catalogue: &Catalogue, folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut texts = options.manifests.clone();
    for repository in options.samples.iter().filter(|name| catalogue.repositories.contains_key(*name)) {
        if !texts.contains_key(repository) {
            texts.insert(repository.clone(), Options::manifest_text(repository)?);
        }
    }
    let manifests = folder.join("repositories");
    std::fs::create_dir_all(&manifests)?;
    for (repository, text) in &texts {
        let pool = options.pool.get(repository).map_or_else(String::new, |size| format!("\n[pool]\nsize = {size}\n"));
        let text = format!("{text}{pool}");
        std::fs::write(manifests.join(format!("{}.toml", repository.replace('/', "-"))), text)?;
    }
    Ok(texts)
}
