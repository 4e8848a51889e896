//! `longshore serve`: puts the parts together, takes up what was left, and runs until it is told to stop.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use longshore_api::{Api, ApiToken, Asked, Asking, Builds, Disk, PageKeys, Reported, Told};
use longshore_classifier::{Classifier, RoutingRules};
use longshore_gateway::{EgressRule, Gateway, GatewayConfig, GatewayParts, GitUpstream, LlmUpstream, Unlimited};
use longshore_github::{ConfigError, GitHub, GitHubConfig};
use longshore_sandbox::{
    DockerConfig, DockerEngine, Engine, ImageBuilder, ImageConfig, ImageRef, Namespace, RegistryConfig, RegistryCredentials, Transport,
};
use longshore_scheduler::{CronExpression, Job, run_jobs};
use longshore_session::{Clock, RepoName, RepositoryManifest, SandboxLimits, Store, SystemClock, fault_point};
use longshore_slack::{AppToken, BotToken, Inbox, SigningSecret, SlackClient, SlackConfig, SlackHttpConfig, SocketMode, http_router};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{App, ChannelNames, People},
    backup::Restored,
    catch_up,
    config::{Config, SlackMode},
    conversation::{self, Conversations, Easel},
    dispatch,
    gate::{AgentGate, Gates, Rules},
    health::{self, Health, Part},
    home::{self, Homes},
    images,
    images::{
        Images,
        collect::{self, Collector},
    },
    intake::{Acknowledged, StoreInbox},
    ledger::{self, Survey},
    metrics::{self, Metrics},
    outbox::{self, Outbox},
    overview::Pulls,
    pool::{self, Pool},
    room::{self, Room},
    routing,
    sandboxes::{self, Models, Sandboxes},
    snapshots,
    storage::{self, Unstored},
    tools::{AgentTools, AppCredentials, ModelWatch},
    warmup::{self, Warmth, Warmups},
};

/// What is still running then goes on in its sandbox, and is taken up at the next start. With what the runtime takes to end, the process is out
/// within ten seconds.
const LEAVE_BY: Duration = Duration::from_secs(6);

/// Serves until the process is told to stop, also where that comes in the middle of the start.
pub async fn serve(file: &Path) -> Result<()> {
    let mut stop = StopSignals::listen()?;
    let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
    let socket = tokio::select! {
        biased;
        () = stop.told() => None,
        started = Box::pin(start(file, &shutdown, &tasks)) => {
            let socket = started?;
            stop.told().await;
            socket
        }
    };
    tracing::info!("stopping: running turns go on in their sandboxes");
    shutdown.cancel();
    tasks.close();
    let left = async {
        if let Some(socket) = socket {
            socket.closed().await;
        }
        tasks.wait().await;
    };
    tokio::select! {
        () = left => tracing::info!("everything is stored; leaving"),
        () = tokio::time::sleep(LEAVE_BY) => {
            // Slack, GitHub or the engine keep something waiting. What it would have led to is owed in the log.
            tracing::warn!(tasks = tasks.len(), "leaving with work under way; the next start takes it up");
        }
        () = stop.told() => tracing::warn!(tasks = tasks.len(), "told again to stop: leaving at once; the next start takes up what is under way"),
    }
    Ok(())
}

/// The Socket Mode connection, where Slack is reached by one.
async fn start(file: &Path, shutdown: &CancellationToken, tasks: &TaskTracker) -> Result<Option<SocketMode>> {
    let config = Config::read(file)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let manifests = manifests(&config)?;
    let rules = tool_rules(&manifests, &config.manifests)?;
    let slack_config = slack_config(&config)?;
    let slack = SlackClient::new(&slack_config)?;
    let model_key = model_key(&config);
    let github = github(&config, Arc::clone(&clock))?;
    let store = Store::open(&config.data, Arc::clone(&clock))?;
    let restored = Restored::read(&config.data)?;
    let docker = Arc::new(DockerEngine::connect(docker_config(&config)?).await?);
    let engine: Arc<dyn Engine> = Arc::clone(&docker) as Arc<dyn Engine>;
    let bot = slack.auth_test().await.context("Slack does not take the bot token (`longshore doctor` says more)")?;
    tracing::info!(team = %bot.team, user = %bot.identity.user, "the bot is known to Slack");

    let most = most_sandboxes(&config, &manifests);
    tracing::info!(most, "sandboxes at once");
    let small_model = config.model.classifier.as_deref().unwrap_or(&config.model.agent);
    let offered = config.model.models();
    let models = Models {
        agent: &config.model.agent,
        offered: &offered,
        small: small_model,
        sight: config.model.sight(),
        window: (config.model.context_tokens, config.model.output_tokens),
    };
    let sandboxes = Sandboxes::open(&config.data, config.sandboxes.gateway_port, &models)?;
    let builder = ImageBuilder::new(docker, image_config(&config)?, sandboxes.tag_mark());
    let collector = Collector::new(store.clone(), builder.clone(), Arc::clone(&clock), &config, manifests.values());
    let images = Images::new(store.clone(), builder, config.images.at_once, shutdown.clone());
    let (outbox, nudged) = Outbox::new();
    let acknowledged = Arc::new(Acknowledged::default());
    let record = Arc::new(warmup::Record::default());
    let (head, signals) = pool::Head::new();
    let app = Arc::new(App {
        classifier: Classifier::new(longshore_classifier::Config {
            rules: routing_rules(&manifests),
            ..classifier_config(&config, model_key.as_deref())
        }),
        manifests,
        clock: Arc::clone(&clock),
        store: store.clone(),
        slack,
        bot: bot.identity.clone(),
        team: bot.team,
        workspace_url: bot.url,
        github,
        engine,
        sandboxes,
        gates: Gates::default(),
        rules,
        taking: Arc::default(),
        images,
        collector,
        pool: Pool::default(),
        room: Room::new(most),
        reach: routing::Reach::default(),
        outbox,
        conversations: Conversations::default(),
        easel: Easel::default(),
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
        people: People::default(),
        threads: dispatch::Threads::default(),
        pulls: Pulls::default(),
        homes: Homes::default(),
        warmups: Warmups::new(vec![Arc::clone(&record) as Arc<dyn Warmth>, Arc::new(head)]),
        channels: ChannelNames::default(),
        acknowledged: Arc::clone(&acknowledged),
        survey: Survey::default(),
        routed: Arc::default(),
        restored,
        health: Health::default(),
        metrics: Metrics::default(),
        config,
    });

    // The gateway first: sandboxes that outlived the last service are waiting for it.
    readmit(&app).await?;
    if let Err(error) = outbox::forget_strays(&app).await {
        tracing::warn!(error = format!("{error:#}"), "cannot look for files that nobody owes; the next start tries again");
    }
    serve_gateway(&app, model_key).await?;
    let arrived = Arc::new(Notify::new());
    let inbox: Arc<StoreInbox> = Arc::new(StoreInbox {
        store: store.clone(),
        bot: bot.identity,
        arrived: Arc::clone(&arrived),
        acknowledged,
        clock: Arc::clone(&clock),
        unstored: Unstored::default(),
    });
    let missed = catch_up::before_start(&app).await;
    serve_http(&app, Arc::clone(&inbox), record).await?;

    store.release_deliveries().await?;
    fault_point!("start.released.after");
    app.tasks.spawn(outbox::run(Arc::clone(&app), nudged));
    take_up(&app).await?;
    fault_point!("start.taken_up.after");
    let leftover = Arc::clone(&app);
    // What the last service was taking when it went away.
    app.tasks.spawn(async move { tidy_snapshots(&leftover).await });
    app.tasks.spawn(collect::keep(Arc::clone(&app)));
    app.tasks.spawn(dispatch::run(Arc::clone(&app), arrived));
    app.tasks.spawn(storage::watch(Arc::clone(&app), Arc::clone(&inbox)));
    app.tasks.spawn(home::keep(Arc::clone(&app)));
    app.tasks.spawn(room::keep(Arc::clone(&app)));
    app.tasks.spawn(room::tell(Arc::clone(&app)));
    app.tasks.spawn(pool::keep(Arc::clone(&app)));
    app.tasks.spawn(pool::hear(Arc::clone(&app), signals));
    app.tasks.spawn(ledger::keep(Arc::clone(&app)));
    app.tasks.spawn(run_jobs(jobs(&app)?, Arc::clone(&clock), shutdown.clone()));
    for repo in app.manifests.keys() {
        let (app, repo) = (Arc::clone(&app), repo.clone());
        let shutdown = app.shutdown.clone();
        app.tasks.clone().spawn(async move { shutdown.run_until_cancelled(images::refresh(&app, &repo)).await });
    }
    let socket = match app.config.slack.mode {
        SlackMode::Socket => {
            let socket = SocketMode::start(slack_config, Arc::clone(&inbox) as Arc<dyn Inbox>, clock, shutdown.clone()).await?;
            app.health.ill(Part::Slack, NO_SOCKET);
            let connected = socket.connected();
            app.tasks.spawn(follow_socket(Arc::clone(&app), connected.clone()));
            app.tasks.spawn(catch_up::follow(Arc::clone(&app), inbox, connected, missed));
            Some(socket)
        }
        SlackMode::Http => {
            if let Some(missed) = missed {
                let app = Arc::clone(&app);
                let shutdown = app.shutdown.clone();
                app.tasks.clone().spawn(async move { shutdown.run_until_cancelled(catch_up::run(&app, &inbox, &missed)).await });
            }
            None
        }
    };
    app.health.well(Part::Service);
    tracing::info!(http = %app.config.http.listen, "longshore is serving");
    Ok(socket)
}

/// How many sandboxes there may be at once.
fn most_sandboxes(config: &Config, manifests: &BTreeMap<RepoName, RepositoryManifest>) -> usize {
    if let Some(most) = config.sandboxes.max {
        return usize::try_from(most).unwrap_or(usize::MAX);
    }
    let largest = manifests.values().map(|manifest| u64::from(manifest.limits.memory_mb)).max();
    let largest = largest.unwrap_or_else(|| u64::from(SandboxLimits::default().memory_mb));
    // A machine that does not say what it has is taken for a small one.
    room::usual_most(room::machine_mb().unwrap_or(0), largest, config.images.at_once)
}

/// The repositories that are served, with everything in their manifests checked that can be without asking anybody.
pub fn manifests(config: &Config) -> Result<BTreeMap<RepoName, RepositoryManifest>> {
    let manifests = RepositoryManifest::read_folder(&config.manifests)?;
    for manifest in manifests.values() {
        check_manifest(manifest, &config.manifests)?;
    }
    Ok(manifests)
}

/// The manifests' rules for tool calls, compiled.
fn tool_rules(manifests: &BTreeMap<RepoName, RepositoryManifest>, folder: &Path) -> Result<BTreeMap<RepoName, Rules>> {
    let compile = |manifest: &RepositoryManifest| Ok((manifest.repository.clone(), compiled(manifest, folder)?));
    manifests.values().map(compile).collect()
}

fn compiled(manifest: &RepositoryManifest, folder: &Path) -> Result<Rules> {
    Rules::compile(&manifest.tool_rules).map_err(|(index, key, error)| {
        let place = match manifest_file(folder, &manifest.repository) {
            Some((path, text)) => format!("{}: {}", path.display(), RepositoryManifest::place_of_tool_rule(&text, index, key)),
            None => format!("the manifest of {}", manifest.repository),
        };
        anyhow::anyhow!("{place}: `{key}` {error:#}")
    })
}

/// What only the crates that use it can parse.
pub fn check_manifest(manifest: &RepositoryManifest, folder: &Path) -> Result<()> {
    let at = |key: &str| format!("{}: `{key}`", place_in_manifest(folder, &manifest.repository, key));
    CronExpression::parse(&manifest.image.rebuild).with_context(|| at("image.rebuild"))?;
    for rule in &manifest.egress {
        rule.parse::<EgressRule>().map_err(|error| anyhow::anyhow!("{}: {error}", at("egress")))?;
    }
    for secret in &manifest.image.secrets {
        sandboxes::registry(secret).with_context(|| format!("{}: {}", at("image.secrets"), secret.name))?;
    }
    if let Some(base) = &manifest.image.base {
        ImageRef::parse(base).with_context(|| at("image.base"))?;
    }
    compiled(manifest, folder)?;
    Ok(())
}

/// `file:line` of a key (`image.rebuild`) in the manifest of this repository, for messages.
fn place_in_manifest(folder: &Path, repo: &RepoName, key: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    match manifest_file(folder, repo) {
        Some((path, text)) => {
            let line = text.lines().position(|line| line.split(['=', ' ']).next() == Some(name));
            line.map_or_else(|| path.display().to_string(), |line| format!("{}:{}", path.display(), line + 1))
        }
        None => format!("the manifest of {repo}"),
    }
}

/// The file that holds the manifest of this repository, and its text.
fn manifest_file(folder: &Path, repo: &RepoName) -> Option<(PathBuf, String)> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).find_map(|path| {
        let text = std::fs::read_to_string(&path).ok()?;
        RepositoryManifest::parse(&path, &text).is_ok_and(|manifest| manifest.repository == *repo).then_some((path, text))
    })
}

pub fn slack_config(config: &Config) -> Result<SlackConfig> {
    let section = &config.slack;
    let at = |key: &str, variable: &str| format!("{}: the variable {variable}", config.place("slack", key));
    let token = config.secret("slack", "bot_token_env", &section.bot_token_env)?;
    let mut slack = SlackConfig::new(BotToken::parse(token).with_context(|| at("bot_token_env", &section.bot_token_env))?);
    slack.api_url = section.api_url.parse()?;
    if section.mode == SlackMode::Socket {
        let token = config.secret("slack", "app_token_env", &section.app_token_env)?;
        slack.app_token = Some(AppToken::parse(token).with_context(|| at("app_token_env", &section.app_token_env))?);
    }
    Ok(slack)
}

pub fn github(config: &Config, clock: Arc<dyn Clock>) -> Result<GitHub> {
    let section = &config.github;
    let key = std::fs::read_to_string(&section.private_key_file).with_context(|| {
        format!(
            "{}: cannot read the private key {}: generate one on the GitHub App's page and save it there",
            config.place("github", "private_key_file"),
            section.private_key_file.display()
        )
    })?;
    let mut github = GitHubConfig::github_com(section.app_id, key.into())?;
    github.api_url = section.api_url.parse()?;
    github.web_url = section.web_url.parse()?;
    GitHub::new(github, clock).map_err(|error| {
        let key = match &error {
            ConfigError::PrivateKey(_) => "private_key_file",
            ConfigError::AppId => "app_id",
            ConfigError::Url { key, .. } => key.rsplit('.').next().unwrap_or(key),
        };
        anyhow::Error::new(error).context(config.place("github", key))
    })
}

pub fn docker_config(config: &Config) -> Result<DockerConfig> {
    let section = &config.sandboxes;
    Ok(DockerConfig {
        socket: section.docker_socket.clone(),
        namespace: Namespace::parse(&section.namespace).with_context(|| config.place("sandboxes", "namespace"))?,
        gateway_port: section.gateway_port,
        registry: Some(registry_config(config)?),
        carriers: std::path::absolute(config.data.join("carriers"))?,
    })
}

pub fn image_config(config: &Config) -> Result<ImageConfig> {
    Ok(ImageConfig {
        registry: registry_config(config)?,
        base: ImageRef::parse(&config.images.base).with_context(|| config.place("images", "base"))?,
    })
}

fn registry_config(config: &Config) -> Result<RegistryConfig> {
    let section = &config.images;
    let mut registry = RegistryConfig::at(section.registry.clone());
    if let Some(insecure) = section.registry_insecure {
        registry.transport = if insecure { Transport::Plain } else { Transport::Tls };
    }
    if !section.registry_user.is_empty() {
        let password = config.secret("images", "registry_password_env", &section.registry_password_env)?;
        registry.credentials = Some(RegistryCredentials { user: section.registry_user.clone(), password: password.into() });
    }
    Ok(registry)
}

/// None where the variable is not set: a model server of one's own may want no key.
pub fn model_key(config: &Config) -> Option<String> {
    std::env::var(&config.model.api_key_env).ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty())
}

pub fn classifier_config(config: &Config, key: Option<&str>) -> longshore_classifier::Config {
    let section = &config.model;
    let mut classifier = longshore_classifier::Config {
        model: section.classifier.as_ref().map(|model| longshore_classifier::ModelConfig {
            base_url: section.base_url.clone(),
            api_key: key.unwrap_or("none").to_owned(),
            model: model.clone(),
        }),
        time_limit: Duration::from_millis(section.classifier_timeout_ms),
        ..longshore_classifier::Config::default()
    };
    if let Some(threshold) = section.classifier_threshold {
        classifier.threshold = threshold;
    }
    classifier
}

/// What operators wrote into the manifests.
fn routing_rules(manifests: &BTreeMap<RepoName, RepositoryManifest>) -> RoutingRules {
    let each = |of: fn(&RepositoryManifest) -> &Vec<String>| {
        let pairs =
            manifests.values().flat_map(move |manifest| of(manifest).iter().map(|entry| (entry.clone(), manifest.repository.clone())));
        pairs.collect()
    };
    RoutingRules { keyword_rules: each(|manifest| &manifest.rules), channel_defaults: each(|manifest| &manifest.default_channels) }
}

async fn serve_gateway(app: &Arc<App>, model_key: Option<String>) -> Result<()> {
    let mut config = gateway_config(&app.config)?;
    config.openai = Some(LlmUpstream { base_url: app.config.model.base_url.parse()?, api_key: model_key.map(Into::into) });
    let parts = GatewayParts {
        doorkeeper: Arc::new(app.sandboxes.passes.clone()),
        credentials: Arc::new(AppCredentials(app.github.clone())),
        tools: Arc::new(AgentTools(Arc::clone(app))),
        gate: Arc::new(AgentGate(Arc::clone(app))),
        observer: Arc::new(ModelWatch(Arc::clone(app))),
        budget: Arc::new(Unlimited),
    };
    let address = SocketAddr::new(app.engine.gateway_address(), app.config.sandboxes.gateway_port);
    open_gateway(Gateway::new(config, parts)?, address, &app.tasks, &app.shutdown).await
}

/// Where the gateway leads to, without any model.
pub fn gateway_config(config: &Config) -> Result<GatewayConfig> {
    let mut gateway = GatewayConfig::new(GitUpstream { base_url: config.github.web_url.parse()? });
    let stall = Duration::from_secs(config.limits.model_stall_seconds);
    (gateway.limits.llm_first_byte, gateway.limits.llm_stall) = (stall, stall);
    for range in &config.sandboxes.allow_private {
        let place = config.place("sandboxes", "allow_private");
        gateway.proxy.allow_private.push(range.parse().map_err(|error| anyhow::anyhow!("{place}: `{range}`: {error}"))?);
    }
    Ok(gateway)
}

/// Listens for sandboxes on their network's own address, until the shutdown.
pub async fn open_gateway(gateway: Gateway, address: SocketAddr, tasks: &TaskTracker, shutdown: &CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for sandboxes: is another service there? `sandboxes.gateway_port` changes it")
    })?;
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        if let Err(error) = gateway.serve(listener, shutdown).await {
            tracing::error!(%error, "the gateway ended");
        }
    });
    Ok(())
}

async fn serve_http(app: &Arc<App>, inbox: Arc<StoreInbox>, record: Arc<warmup::Record>) -> Result<()> {
    let section = &app.config.http;
    let token = |key: &str, variable: &str| -> Result<Option<ApiToken>> {
        if variable.is_empty() { Ok(None) } else { Ok(Some(ApiToken::new(app.config.secret("http", key, variable)?))) }
    };
    let metrics_token = token("metrics_token_env", &section.metrics_token_env)?;
    let token = token("api_token_env", &section.api_token_env)?;
    let asked = Arc::downgrade(app);
    let not_ready = Asking::new(move || {
        let app = asked.upgrade();
        async move {
            match app {
                Some(app) => health::not_ready(&app).await,
                None => vec!["stopping".to_owned()],
            }
        }
    });
    let asked = Arc::downgrade(app);
    let metrics = Asking::new(move || {
        let app = asked.upgrade();
        async move {
            let app = app.context("stopping").map_err(|error| error.to_string())?;
            metrics::scrape(&app).await.map_err(|error| format!("{error:#}"))
        }
    });
    let warmups = Reported::new(move || serde_json::to_value(record.latest()).unwrap_or_default());
    let pooling = Arc::clone(app);
    let pool = Reported::new(move || serde_json::json!({ "wanted": pooling.pool.targets(), "held": pooling.pool.held() }));
    let writing = Arc::clone(app);
    let typing = Told::new(move |typing| warmup::typing(&writing, typing));
    let pages = PageKeys::new(app.sandboxes.page_keys());
    let builder = Arc::downgrade(app);
    let builds = Builds::new(images::logs(app), move |repo| builder.upgrade().map_or(Asked::Unknown, |app| images::rebuild(&app, repo)));
    let (disks, collecting) = (Arc::downgrade(app), Arc::downgrade(app));
    let latest = Reported::new(move || serde_json::json!(disks.upgrade().and_then(|app| app.collector.latest())));
    let disk = Disk::new(latest, move |how| {
        let app = collecting.upgrade();
        async move {
            match app {
                Some(app) => collect::answer(&app, how).await,
                None => Err("the service is stopping".to_owned()),
            }
        }
    });
    let mut router = longshore_api::router(Api {
        store: app.store.clone(),
        token,
        metrics_token,
        pages,
        not_ready,
        metrics,
        warmups,
        pool,
        typing,
        builds,
        disk,
    });
    if app.config.slack.mode == SlackMode::Http {
        let section = &app.config.slack;
        let secret = app.config.secret("slack", "signing_secret_env", &section.signing_secret_env)?;
        let secret = SigningSecret::parse(secret).with_context(|| app.config.place("slack", "signing_secret_env"))?;
        router = router.merge(http_router(SlackHttpConfig::new(secret), inbox, Arc::clone(&app.clock)));
    }
    let listener = TcpListener::bind(section.listen)
        .await
        .with_context(|| format!("{}: cannot listen on {}", app.config.place("http", "listen"), section.listen))?;
    let shutdown = app.shutdown.clone();
    app.tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.cancelled().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok(())
}

/// Sandboxes that sessions have, or that wait for one, keep their tokens; whatever else of ours runs is removed.
async fn readmit(app: &Arc<App>) -> Result<()> {
    let mut known: HashSet<_> = pool::readmit(app).await?;
    for row in app.store.sandboxes().await? {
        let record = app.store.session(row.session.clone()).await?;
        match record.as_ref().and_then(|record| app.manifest(&record.repo)) {
            Some(manifest) => {
                app.sandboxes.admit_session(&row.id, &row.session, manifest);
                app.room.enter(&row.id, &row.session);
                known.insert(row.id);
            }
            // Its repository is served no longer.
            None => app.store.forget_sandbox(row.id).await?,
        }
    }
    let removed = app.engine.sweep(&known).await?;
    if !removed.sandboxes.is_empty() || !removed.carriers.is_empty() {
        tracing::info!(sandboxes = removed.sandboxes.len(), carriers = removed.carriers.len(), "swept strays");
    }
    fault_point!("start.swept.after");
    images::tidy(app).await?;
    for (repo, mut record) in app.store.images().await? {
        let broken_off = record.building_since.take().is_some();
        // Whoever restarts may have mended what failed: it is tried now, and prompts wait for that.
        let failed = record.failure.take().is_some();
        if broken_off || failed {
            record.failed_at = None;
            record.failures = 0;
            app.store.put_image(repo, record).await?;
        }
    }
    Ok(())
}

/// Goes on with everything that the last service left undone.
async fn take_up(app: &Arc<App>) -> Result<()> {
    let working = app.store.working_sessions().await?.into_iter().map(|record| record.id);
    // Whoever has a sandbox and nothing to do must let it go in time.
    let holding = app.store.sandboxes().await?.into_iter().map(|row| row.session);
    for session in working.chain(holding).collect::<BTreeSet<_>>() {
        if let Err(error) = conversation::wake(app, &session).await {
            tracing::error!(%session, %error, "cannot take the session up");
        }
    }
    // A service that was away may have missed its hour.
    routing::expire_pickers(app).await?;
    routing::take_up(app, app.store.asks().await?).await?;
    Ok(())
}

fn jobs(app: &Arc<App>) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    let pickers = Arc::clone(app);
    jobs.push(Job::new("pickers that nobody used", CronExpression::parse("17 * * * *")?, move || {
        let app = Arc::clone(&pickers);
        async move {
            if let Err(error) = routing::expire_pickers(&app).await {
                tracing::error!(error = format!("{error:#}"), "cannot end old pickers");
            }
        }
    }));
    let snapshots = Arc::clone(app);
    jobs.push(Job::new("snapshots that are not needed", CronExpression::parse("37 * * * *")?, move || {
        let app = Arc::clone(&snapshots);
        async move { tidy_snapshots(&app).await }
    }));
    for manifest in app.manifests.values() {
        let when = CronExpression::parse(&manifest.image.rebuild)?;
        let (app, repo) = (Arc::clone(app), manifest.repository.clone());
        jobs.push(Job::new(format!("image of {repo}"), when, move || {
            let (app, repo) = (Arc::clone(&app), repo.clone());
            async move { images::refresh(&app, &repo).await }
        }));
    }
    Ok(jobs)
}

async fn tidy_snapshots(app: &App) {
    if let Err(error) = snapshots::tidy(app).await {
        tracing::error!(error = format!("{error:#}"), "cannot tidy up snapshots");
    }
}

const NO_SOCKET: &str = "no Socket Mode connection to Slack";

async fn follow_socket(app: Arc<App>, mut connected: watch::Receiver<usize>) {
    loop {
        let open = *connected.borrow_and_update();
        if open > 0 {
            app.health.well(Part::Slack);
        } else {
            app.health.ill(Part::Slack, NO_SOCKET);
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return app.health.ill(Part::Service, "stopping"),
            changed = connected.changed() => if changed.is_err() { return },
        }
    }
}

/// What tells the process to stop. Heard from the first moment on: as a container's first process it would not be ended by them otherwise.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Returns at the next one.
    async fn told(&mut self) {
        tokio::select! {
            Some(()) = self.terminate.recv() => {}
            Some(()) = self.interrupt.recv() => {}
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifests_rules_reach_the_classifier() {
        let text = "repository = \"acme/shop\"\ndescription = \"The shop.\"\nrules = [\"gift card\"]\ndefault_channels = [\"#till\"]\n";
        let manifest = RepositoryManifest::parse(Path::new("shop.toml"), text).unwrap();
        let repo = manifest.repository.clone();
        let rules = routing_rules(&BTreeMap::from([(repo.clone(), manifest)]));
        assert_eq!(rules.keyword_rules, [("gift card".to_owned(), repo.clone())]);
        assert_eq!(rules.channel_defaults, [("#till".to_owned(), repo)]);
    }
}
