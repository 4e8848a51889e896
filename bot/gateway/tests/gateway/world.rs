//! A gateway with all that stands around it.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Output, Stdio},
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode, Uri},
};
use futures_util::future::BoxFuture;
use longshore_gateway::{
    Access, CredentialError, Freely, Gateway, GatewayConfig, GatewayParts, GitCredentials, GitUpstream, LlmBudget, LlmEvent, LlmObserver,
    LlmRight, LlmUpstream, Pass, Passes, PushRule, SandboxToken, SecretString, Spending, ToolCall, ToolGate, ToolResult, ToolRight,
    ToolSpec, Tools, Verdict,
};
use longshore_session::{RepoName, SandboxId};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command, sync::Notify, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const INSTALLATION_TOKEN: &str = "ghs_installation-token-of-the-service";
pub const MODEL_KEY: &str = "sk-key-of-the-service";
pub const BRANCH: &str = "longshore/s-7k2m9q4d";

pub struct World {
    pub address: SocketAddr,
    pub passes: Passes,
    pub token: SandboxToken,
    pub sandbox: SandboxId,
    pub heard: Arc<Heard>,
    pub credentials: Arc<Credentials>,
    pub tools: Arc<TestTools>,
    pub gate: Arc<TestGate>,
    pub budget: Arc<Budget>,
    pub serving: JoinHandle<std::io::Result<()>>,
    pub shutdown: CancellationToken,
    _end: DropGuard,
}

pub async fn world(change: impl FnOnce(&mut GatewayConfig)) -> World {
    static CRYPTO: Once = Once::new();
    CRYPTO.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    let mut config = GatewayConfig::new(GitUpstream { base_url: "http://127.0.0.1:1".parse().unwrap() });
    change(&mut config);
    let passes = Passes::new();
    let (heard, credentials, tools, budget) =
        (Arc::<Heard>::default(), Arc::<Credentials>::default(), Arc::<TestTools>::default(), Arc::<Budget>::default());
    let gate = Arc::<TestGate>::default();
    let parts = GatewayParts {
        doorkeeper: Arc::new(passes.clone()),
        credentials: credentials.clone(),
        tools: tools.clone(),
        gate: gate.clone(),
        observer: heard.clone(),
        budget: budget.clone(),
    };
    let gateway = Gateway::new(config, parts).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(gateway.serve(listener, shutdown.clone()));
    let sandbox = SandboxId::parse("b-test").unwrap();
    let token = passes.issue(Pass {
        fetch: vec![repo("acme/shop")],
        push: Some(PushRule { repo: repo("acme/shop"), branch: BRANCH.to_owned() }),
        llm: LlmRight::AnyModel,
        tools: ToolRight::Offered,
        ..Pass::nothing(sandbox.clone())
    });
    let _end = shutdown.clone().drop_guard();
    World { address, passes, token, sandbox, heard, credentials, tools, gate, budget, serving, shutdown, _end }
}

impl World {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        client().post(self.url(path)).bearer_auth(self.token.expose())
    }

    pub fn change(&self, change: impl FnOnce(&mut Pass)) {
        assert!(self.passes.change(&self.sandbox, change));
    }
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub fn repo(name: &str) -> RepoName {
    RepoName::parse(name).unwrap()
}

/// Serves `router` on loopback until the test's runtime ends.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

pub fn llm_upstream(address: SocketAddr) -> Option<LlmUpstream> {
    Some(LlmUpstream { base_url: format!("http://{address}/v1").parse().unwrap(), api_key: Some(SecretString::from(MODEL_KEY)) })
}

#[derive(Default)]
pub struct Heard {
    events: Mutex<Vec<LlmEvent>>,
    news: Notify,
}

impl LlmObserver for Heard {
    fn observe(&self, event: LlmEvent) {
        self.events.lock().unwrap().push(event);
        self.news.notify_waiters();
    }
}

impl Heard {
    pub fn so_far(&self) -> Vec<LlmEvent> {
        self.events.lock().unwrap().clone()
    }

    /// Waits for the `count`th event.
    pub async fn wait_for(&self, count: usize) -> Vec<LlmEvent> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                let events = self.so_far();
                if events.len() >= count {
                    return events;
                }
                news.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("only {:?}", self.so_far()))
    }
}

#[derive(Default)]
pub struct Credentials {
    pub asked: Mutex<Vec<(RepoName, Access)>>,
    pub failure: Mutex<Option<CredentialError>>,
}

impl GitCredentials for Credentials {
    fn token<'a>(&'a self, repo: &'a RepoName, access: Access) -> BoxFuture<'a, Result<SecretString, CredentialError>> {
        self.asked.lock().unwrap().push((repo.clone(), access));
        let failure = self.failure.lock().unwrap().clone();
        Box::pin(async move { failure.map_or_else(|| Ok(SecretString::from(INSTALLATION_TOKEN)), Err) })
    }
}

#[derive(Default)]
pub struct TestTools {
    pub called: Mutex<Vec<Value>>,
    pub may_finish: Notify,
    pub finished: Notify,
}

impl Tools for TestTools {
    fn list(&self, _: &Pass) -> Vec<ToolSpec> {
        ["post_update", "broken", "slow", "panics"]
            .map(|name| ToolSpec {
                name: name.to_owned(),
                description: "For the test.".to_owned(),
                input_schema: json!({ "type": "object", "properties": { "text": { "type": "string" } } }),
            })
            .into()
    }

    fn call<'a>(&'a self, pass: &'a Pass, name: &'a str, arguments: Value) -> BoxFuture<'a, ToolResult> {
        Box::pin(async move {
            self.called.lock().unwrap().push(json!([name, arguments, pass.sandbox.as_str()]));
            match name {
                "post_update" => ToolResult::done("posted"),
                "broken" => ToolResult::failed("nobody listens"),
                "slow" => {
                    self.may_finish.notified().await;
                    self.finished.notify_one();
                    ToolResult::done("at last")
                }
                _ => panic!("as asked"),
            }
        })
    }
}

/// Says of each tool what its name says.
#[derive(Default)]
pub struct TestGate {
    pub asked: Mutex<Vec<ToolCall>>,
    pub may_open: Notify,
}

impl ToolGate for TestGate {
    fn before<'a>(&'a self, _: &'a Pass, call: ToolCall) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let tool = call.tool.clone();
            self.asked.lock().unwrap().push(call);
            match tool.as_str() {
                "read" => {
                    let freely = Freely { tools: vec!["read".to_owned()], during: Duration::from_secs(60) };
                    Verdict::Allow { changed: serde_json::Map::new(), report: false, freely: Some(freely) }
                }
                "changed" => {
                    let changed = serde_json::Map::from_iter([("command".to_owned(), json!("make test"))]);
                    Verdict::Allow { changed, report: true, freely: None }
                }
                "denied" => Verdict::Deny { reason: "not here".to_owned() },
                "held" => {
                    self.may_open.notified().await;
                    Verdict::allow()
                }
                _ => Verdict::Wait,
            }
        })
    }

    fn after<'a>(&'a self, _: &'a Pass, call: ToolCall) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move { (call.tool == "changed").then(|| "mind the style".to_owned()) })
    }
}

#[derive(Default)]
pub struct Budget(pub Mutex<Option<String>>);

impl LlmBudget for Budget {
    fn spending(&self, _: &Pass) -> Spending {
        self.0.lock().unwrap().clone().map_or(Spending::Allowed, |message| Spending::Spent { message })
    }
}

/// What an upstream was sent.
#[derive(Debug, Clone)]
pub struct Seen {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub type Log = Arc<Mutex<Vec<Seen>>>;

/// A repositories' host: git's own server over a folder, for whoever brings the installation token.
pub struct GitHost {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    pub log: Log,
}

pub async fn git_host() -> GitHost {
    let folder = tempfile::tempdir().unwrap();
    for name in ["acme/shop", "acme/secret"] {
        let path = folder.path().join(format!("{name}.git"));
        sh(folder.path(), &format!("git init -q --bare -b main {path}", path = path.display())).await;
        sh(
            folder.path(),
            &format!(
                "git clone -q {path} seed && cd seed && echo one >file && git add file && git commit -qm one && git tag v1 && git push -q origin main v1 && cd .. && rm -rf seed",
                path = path.display()
            ),
        )
        .await;
    }
    let log = Log::default();
    let root = folder.path().to_owned();
    let router = Router::new().fallback({
        let log = log.clone();
        move |request| http_backend(root.clone(), log.clone(), request)
    });
    GitHost { address: serve(router).await, folder, log }
}

impl GitHost {
    pub fn upstream(&self) -> GitUpstream {
        GitUpstream { base_url: format!("http://{}/", self.address).parse().unwrap() }
    }

    /// `ref → commit` of a repository on the host.
    pub async fn refs(&self, name: &str) -> String {
        let path = self.folder.path().join(format!("{name}.git"));
        sh(&path, "git for-each-ref --format='%(refname)'").await
    }
}

async fn http_backend(root: std::path::PathBuf, log: Log, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::builder().status(StatusCode::BAD_REQUEST).body(Body::empty()).unwrap();
    };
    log.lock().unwrap().push(Seen { uri: parts.uri.clone(), headers: parts.headers.clone(), body: body.clone() });
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    use base64::Engine as _;
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{INSTALLATION_TOKEN}"));
    if header("authorization") != format!("Basic {wanted}") {
        return Response::builder().status(StatusCode::UNAUTHORIZED).header("www-authenticate", "Basic").body(Body::empty()).unwrap();
    }
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "x-access-token")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = tokio::spawn(async move {
        // A server that has read enough closes its end.
        let _ = stdin.write_all(&body).await;
    });
    let output = child.wait_with_output().await.unwrap();
    writing.await.unwrap();
    let split = output.stdout.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output.stdout[..split]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output.stdout[split + 4..].to_vec())).unwrap()
}

/// A program with nothing of this machine's configuration.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.com");
    }
    command.kill_on_drop(true);
    command
}

pub async fn run(command: &mut Command) -> Output {
    tokio::time::timeout(Duration::from_secs(60), command.output()).await.expect("in time").unwrap()
}

/// Runs a shell line that must succeed.
pub async fn sh(folder: &Path, line: &str) -> String {
    let output = run(command("sh").arg("-ec").arg(line).current_dir(folder)).await;
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Answers every request with 200 and `hello`, and logs it.
pub async fn hello() -> (SocketAddr, Log) {
    let log = Log::default();
    let router = Router::new().fallback(log_and_greet).with_state(log.clone());
    (serve(router).await, log)
}

async fn log_and_greet(State(log): State<Log>, request: Request<Body>) -> &'static str {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    log.lock().unwrap().push(Seen { uri: parts.uri, headers: parts.headers, body });
    "hello"
}
