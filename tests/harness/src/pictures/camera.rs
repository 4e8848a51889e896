//! Sends examples to an emulated workspace through its Web API, and takes pictures of them in a real browser.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use axum::{Router, extract::State, routing::post};
use longshore_emulators::{
    page,
    slack::{Channel, ChannelKind, ChannelLife, Delivery, EmulatorClock, Limits, RequestUrls, SlackEmulator, SlackHandle, WorkspaceSetup},
};
use longshore_session::{ChannelId, SlackUserId};
use longshore_slack::{
    BotToken, EphemeralTo, PostTo, SlackClient, SlackConfig,
    examples::{Example, Shape},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use crate::paths::repository_root;

/// Whoever looks at the page.
const READER: &str = "U0ANA";
const BOT: &str = "U0LONGSHORE";
/// A Tuesday afternoon; every picture says the same time.
const TAKEN_AT_MS: i64 = 1_790_000_000_000;
/// For all pictures together, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the browser saw.
#[derive(Debug, Deserialize)]
pub struct Taken {
    pub name: String,
    /// The words that a person could read, also of what was cut off below.
    pub text: String,
    pub width: u32,
    pub height: u32,
    /// Different colours of the pixels, before the file was made small.
    pub colours: usize,
    pub bytes: usize,
}

/// Takes a picture of each example, as `folder/name.png`.
pub async fn take(examples: &[Example], folder: &Path) -> Result<Vec<Taken>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (mut triggers, heard) = hear().await?;
    let mut workspace = WorkspaceSetup::demo();
    workspace.limits = Limits::off();
    workspace.clock = EmulatorClock::manual(TAKEN_AT_MS);
    workspace.app.delivery = Delivery::Http(RequestUrls::all(&heard));
    workspace.channels.extend(examples.iter().map(room));
    let slack = SlackEmulator::builder(workspace).page(page::router()).start().await?;
    let taken = send_and_take(&slack, examples, folder, &mut triggers).await;
    slack.shutdown().await;
    taken
}

async fn send_and_take(
    slack: &SlackHandle,
    examples: &[Example],
    folder: &Path,
    triggers: &mut mpsc::Receiver<String>,
) -> Result<Vec<Taken>> {
    let mut config = SlackConfig::new(BotToken::parse(slack.bot_token())?);
    config.api_url = slack.api_url().parse().context("the emulator's address")?;
    let client = SlackClient::new(&config)?;
    let mut taken = Vec::new();
    // Views are one at a time; messages have a room each.
    let (views, messages): (Vec<&Example>, Vec<&Example>) =
        examples.iter().partition(|example| matches!(example.shape, Shape::Home(_) | Shape::Modal(_)));
    let mut shots = Vec::new();
    for example in messages {
        shots.push(send(&client, example).await.with_context(|| format!("cannot send {}", example.name))?);
    }
    taken.extend(photograph(slack, folder, &shots).await?);
    for example in views {
        let shot = show_view(slack, &client, example, triggers).await.with_context(|| format!("cannot show {}", example.name))?;
        taken.extend(photograph(slack, folder, &[shot]).await?);
        for view in slack.person(READER).views() {
            slack.person(READER).close(view["id"].as_str().unwrap_or_default()).await?;
        }
    }
    ensure!(taken.len() == examples.len(), "{} of {} pictures were taken", taken.len(), examples.len());
    Ok(taken)
}

/// A room of its own, so that no message leans on the one before it, and none waits for its turn.
fn room(example: &Example) -> Channel {
    Channel {
        id: room_id(example.name),
        name: example.name.to_owned(),
        kind: ChannelKind::Public,
        life: ChannelLife::Open,
        members: vec![READER.to_owned(), "U0BEN".to_owned(), BOT.to_owned()],
        topic: String::new(),
        purpose: String::new(),
    }
}

fn room_id(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("C0{}", letters.to_uppercase())
}

async fn send(client: &SlackClient, example: &Example) -> Result<Value> {
    let channel = ChannelId::parse(room_id(example.name))?;
    let count = match &example.shape {
        Shape::Thread(messages) => {
            let to = PostTo { channel: channel.clone(), thread: None };
            for message in messages {
                client.post_message(&to, message, None).await?;
            }
            messages.len()
        }
        Shape::ForOne(message) => {
            let to = EphemeralTo { channel: channel.clone(), thread: None, user: SlackUserId::parse(READER)? };
            client.post_ephemeral(&to, message).await?;
            1
        }
        Shape::Home(_) | Shape::Modal(_) => bail!("a view is no message"),
    };
    Ok(json!({ "name": example.name, "address": format!("?user={READER}#{channel}"), "of": "messages", "count": count }))
}

async fn show_view(slack: &SlackHandle, client: &SlackClient, example: &Example, triggers: &mut mpsc::Receiver<String>) -> Result<Value> {
    let (address, of) = match &example.shape {
        Shape::Home(view) => {
            let request = reqwest::Client::new().post(format!("{}/views.publish", slack.api_url())).bearer_auth(slack.bot_token());
            let answer: Value = request.json(&json!({ "user_id": READER, "view": view })).send().await?.json().await?;
            ensure!(answer["ok"] == true, "views.publish: {answer}");
            ("#D0ANA/home", "home")
        }
        Shape::Modal(view) => {
            slack.person(READER).global_shortcut("pictures").await?;
            let trigger = triggers.recv().await.context("the shortcut was not heard")?;
            client.open_view(&trigger, view).await?;
            ("#C0CHECKOUT", "modal")
        }
        Shape::Thread(_) | Shape::ForOne(_) => bail!("a message is no view"),
    };
    Ok(json!({ "name": example.name, "address": format!("?user={READER}{address}"), "of": of, "count": 1 }))
}

/// The app's ear: acknowledges everything, and passes on the trigger ids that let it open a window.
async fn hear() -> Result<(mpsc::Receiver<String>, String)> {
    let (pass, triggers) = mpsc::channel(4);
    let heard = post(async |State(pass): State<mpsc::Sender<String>>, body: String| {
        let payload = reqwest::Url::parse(&format!("http://form/?{body}")).ok().and_then(|form| {
            let (_, payload) = form.query_pairs().find(|(name, _)| name == "payload")?;
            serde_json::from_str::<Value>(&payload).ok()
        });
        if let Some(trigger) = payload.as_ref().and_then(|payload| payload["trigger_id"].as_str()) {
            // Full where nobody waits for one; then none is wanted.
            let _ = pass.try_send(trigger.to_owned());
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/", listener.local_addr()?);
    let app = Router::new().route("/", heard).with_state(pass);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((triggers, address))
}

async fn photograph(slack: &SlackHandle, folder: &Path, shots: &[Value]) -> Result<Vec<Taken>> {
    if shots.is_empty() {
        return Ok(Vec::new());
    }
    let work = tempfile::NamedTempFile::new()?;
    fs::write(work.path(), json!({ "folder": folder, "shots": shots }).to_string())?;
    let mut camera = tokio::process::Command::new("node");
    camera.arg(script()).arg(slack.base_url()).arg(work.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, camera.output()).await.context("the browser hangs")?.context("cannot run node")?;
    ensure!(output.status.success(), "the page broke:\n{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| serde_json::from_str(line).with_context(|| format!("cannot read {line}"))).collect()
}

fn script() -> PathBuf {
    repository_root().join("tests/emulators/page/pictures.mjs")
}
