//! Git smart HTTP, through git's own CGI program on the real bare repositories.

use std::{process::Stdio, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
};

use super::{
    auth::{Caller, Need, Permitted},
    server::Shared,
    setup::Level,
    state::Account,
};

const TIMEOUT: Duration = Duration::from_secs(600);

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{owner}/{repository}/info/refs", get(advertise))
        .route("/{owner}/{repository}/git-upload-pack", post(fetch))
        .route("/{owner}/{repository}/git-receive-pack", post(push))
}

type Repo = Path<(String, String)>;

async fn advertise(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name)): Repo, request: Request) -> Response {
    let level = match request.uri().query() {
        Some("service=git-upload-pack") => Level::Read,
        Some("service=git-receive-pack") => Level::Write,
        _ => return (StatusCode::FORBIDDEN, "Please upgrade your git client.\n").into_response(),
    };
    answer(&shared, &caller, &owner, &name, level, Step { path: "/info/refs", pushes: false, request }).await
}

async fn fetch(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name)): Repo, request: Request) -> Response {
    answer(&shared, &caller, &owner, &name, Level::Read, Step { path: "/git-upload-pack", pushes: false, request }).await
}

async fn push(State(shared): State<Arc<Shared>>, caller: Caller, Path((owner, name)): Repo, request: Request) -> Response {
    answer(&shared, &caller, &owner, &name, Level::Write, Step { path: "/git-receive-pack", pushes: true, request }).await
}

/// One request of the protocol.
struct Step {
    path: &'static str,
    pushes: bool,
    request: Request,
}

async fn answer(shared: &Arc<Shared>, caller: &Caller, owner: &str, name: &str, level: Level, step: Step) -> Response {
    let name = name.strip_suffix(".git").unwrap_or(name);
    let permitted = match shared.permit(caller, owner, name, Need { resource: "contents", level }) {
        Ok(permitted) => permitted,
        Err(error) => return refusal(caller, error.status, owner, name),
    };
    match run(shared, caller.account(), &permitted, step).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, repository = %permitted.key, "git http-backend failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "git failed\n").into_response()
        }
    }
}

/// As GitHub refuses: without a good credential always 401, so that a client asks for one; with one, what it may not see is not found.
fn refusal(caller: &Caller, status: StatusCode, owner: &str, name: &str) -> Response {
    match caller {
        Caller::Anonymous | Caller::Invalid(_) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")];
            let text = if matches!(caller, Caller::Anonymous) {
                "Repository not found.\n"
            } else {
                "Invalid username or token. Password authentication is not supported for Git operations.\n"
            };
            (StatusCode::UNAUTHORIZED, challenge, text).into_response()
        }
        _ if status == StatusCode::FORBIDDEN => {
            (StatusCode::FORBIDDEN, format!("Write access to repository {owner}/{name} not granted.\n")).into_response()
        }
        _ => (StatusCode::NOT_FOUND, "Repository not found.\n").into_response(),
    }
}

fn backend(permitted: &Permitted, path: &str, parts: &http::request::Parts, user: &str) -> Command {
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let folder = permitted.git.path();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_PROJECT_ROOT", folder.parent().unwrap_or(folder))
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{}{path}", folder.file_name().unwrap_or_default().to_string_lossy()))
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("REMOTE_USER", user)
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for (name, variable) in [
        (header::CONTENT_LENGTH, "CONTENT_LENGTH"),
        (header::CONTENT_ENCODING, "HTTP_CONTENT_ENCODING"),
        (HeaderName::from_static("git-protocol"), "GIT_PROTOCOL"),
    ] {
        let value = text(name);
        if !value.is_empty() {
            command.env(variable, value);
        }
    }
    command
}

async fn run(shared: &Arc<Shared>, account: Account, permitted: &Permitted, step: Step) -> std::io::Result<Response> {
    let (parts, body) = step.request.into_parts();
    let user = match &account {
        Account::User(login) => login.clone(),
        Account::App => shared.setup.app.slug.clone(),
    };
    let mut child = backend(permitted, step.path, &parts, &user).spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("no pipes to git"));
    };
    let upload = tokio::spawn(async move {
        let mut body = body.into_data_stream();
        while let Some(Ok(chunk)) = body.next().await {
            // git may stop reading early; its answer says why.
            if stdin.write_all(&chunk).await.is_err() {
                break;
            }
        }
    });
    let mut stdout = BufReader::new(stdout);
    let (status, headers) = tokio::time::timeout(TIMEOUT, read_head(&mut stdout)).await.map_err(std::io::Error::other)??;
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(16);
    let pushed = step.pushes.then(|| (shared.clone(), permitted.key.clone(), account));
    tokio::spawn(async move {
        let streamed = tokio::time::timeout(TIMEOUT, stream_answer(stdout, child, &sender)).await;
        upload.abort();
        if let Some((shared, key, account)) = pushed
            && streamed.is_ok()
            && let Err(error) = shared.branches_moved(&key, &account).await
        {
            tracing::error!(status = %error.status, repository = %key, "cannot take in a push");
        }
        // Only now does the client see the end: what the push changed is already true.
        drop(sender);
    });
    let mut response = Response::new(Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The CGI head: header lines up to an empty one, with `Status:` among them where it is not 200.
async fn read_head(stdout: &mut BufReader<ChildStdout>) -> std::io::Result<(StatusCode, HeaderMap)> {
    let (mut status, mut headers) = (StatusCode::OK, HeaderMap::new());
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            return Err(std::io::Error::other("git ended without an answer"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("status") {
            status = value.trim().get(..3).and_then(|code| code.parse().ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim())) {
            headers.insert(name, value);
        }
    }
}

async fn stream_answer(mut stdout: BufReader<ChildStdout>, mut child: Child, sender: &mpsc::Sender<std::io::Result<Bytes>>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stdout.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => {
                if sender.send(Ok(Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                break;
            }
        }
    }
    drop(stdout);
    let _ = child.wait().await;
}
