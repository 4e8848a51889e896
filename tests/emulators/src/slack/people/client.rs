//! `/client/…`: the people's side over HTTP, for a browser page and for harnesses in other processes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State as Shares};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::Stream;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

use super::super::faults::Fault;
use super::super::message::{Message, Metadata};
use super::super::render::thread_text;
use super::super::setup::{ChannelKind, Shortcut, UserKind};
use super::super::shared::Shared;
use super::super::state::State;
use super::PeopleError;
use super::actions::{Choice, SubmitOutcome, Target};
use super::person::{NewFile, NewPost, Person};

type Reply = Result<Json<Value>, Refused>;

struct Refused(String);

impl From<PeopleError> for Refused {
    fn from(error: PeopleError) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "ok": false, "error": self.0 }))).into_response()
    }
}

pub(in super::super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/client/state", get(workspace))
        .route("/client/events", get(events))
        .route("/client/channels/{id}/messages", get(messages))
        .route("/client/channels/{id}/threads/{ts}", get(thread))
        .route("/client/channels/{id}/threads/{ts}/text", get(text))
        .route("/client/users/{id}/ephemeral", get(ephemeral))
        .route("/client/users/{id}/views", get(views))
        .route("/client/users/{id}/home", get(home))
        .route("/client/files/{id}", get(file))
        .route("/client/calls", get(calls))
        .route("/client/deliveries", get(deliveries))
        .route("/client/post", post(post_message))
        .route("/client/edit", post(edit))
        .route("/client/delete", post(delete))
        .route("/client/dismiss", post(dismiss))
        .route("/client/react", post(react))
        .route("/client/action", post(action))
        .route("/client/options", post(options))
        .route("/client/views/submit", post(submit))
        .route("/client/views/close", post(close))
        .route("/client/slash", post(slash))
        .route("/client/shortcut", post(shortcut))
        .route("/client/home", post(open_home))
        .route("/client/assistant", post(open_assistant))
        .route("/client/join", post(join))
        .route("/client/faults", post(faults))
}

fn done() -> Reply {
    Ok(Json(json!({ "ok": true })))
}

async fn workspace(Shares(shared): Shares<Arc<Shared>>) -> Json<Value> {
    shared.read(|state| {
        let (team, app) = (&state.setup.team, &state.setup.app);
        let shortcut = |each: &Shortcut| json!({ "callback_id": each.callback_id, "name": each.name });
        let shortcuts: Vec<Value> = app.message_shortcuts.iter().map(shortcut).collect();
        let users: Vec<Value> = state.setup.users.iter().map(|user| state.user_json(user)).collect();
        let channels = state.channels.iter().map(|room| {
            let mut channel = state.channel_json(&room.channel);
            channel["members"] = json!(room.channel.members);
            channel["is_private"] = json!(room.channel.kind != ChannelKind::Public);
            channel
        });
        Json(json!({
            "team": { "id": team.id, "name": team.name, "domain": team.domain },
            "app": {
                "id": app.id, "name": app.name, "slash_commands": app.slash_commands, "message_shortcuts": shortcuts,
                "connected": *shared.dispatcher.connected.borrow(),
            },
            "bot_user_id": app.bot_user_id,
            "users": users,
            "people": state.setup.users.iter().filter(|user| user.kind != UserKind::Bot).map(|user| user.id.clone()).collect::<Vec<_>>(),
            "channels": channels.collect::<Vec<_>>(),
        }))
    })
}

#[derive(Deserialize)]
struct Watcher {
    user: Option<String>,
}

async fn events(Shares(shared): Shares<Arc<Shared>>, Query(watcher): Query<Watcher>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = BroadcastStream::new(shared.changes.subscribe()).filter_map(move |change| match change {
        Ok(change) if change.user.is_some() && change.user != watcher.user => None,
        Ok(change) => Some(Ok(Event::default().data(serde_json::to_string(&change).unwrap_or_default()))),
        Err(_lagged) => Some(Ok(Event::default().data(r#"{"kind":"lagged"}"#))),
    });
    // The stream must end when the emulator does, or its server would wait for it.
    let stopped = shared.stop.clone();
    let changes = futures_util::StreamExt::take_until(changes, async move { stopped.cancelled().await });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

#[derive(Deserialize)]
struct Most {
    limit: Option<usize>,
}

async fn messages(Shares(shared): Shares<Arc<Shared>>, Path(id): Path<String>, Query(most): Query<Most>) -> Reply {
    shared.read(|state| {
        let room = state.room(&id).ok_or(PeopleError::NoSuchChannel(id.clone()))?;
        let roots: Vec<&Message> = room.messages.values().filter(|message| !message.is_reply()).collect();
        let skipped = most.limit.map_or(0, |limit| roots.len().saturating_sub(limit));
        let messages: Vec<Value> = roots[skipped..].iter().map(|message| shown(state, &id, message)).collect();
        Ok(Json(json!({ "ok": true, "messages": messages })))
    })
}

async fn thread(Shares(shared): Shares<Arc<Shared>>, Path((id, ts)): Path<(String, String)>) -> Reply {
    shared.read(|state| {
        let room = state.room(&id).ok_or(PeopleError::NoSuchChannel(id.clone()))?;
        let messages: Vec<Value> = room.thread(&ts).map(|message| shown(state, &id, message)).collect();
        if messages.is_empty() {
            return Err(PeopleError::NoSuchMessage(ts).into());
        }
        let now = state.now_ms();
        let status = state.statuses.get(&(id, ts));
        let text = status.filter(|status| status.expires_ms > now && !status.text.is_empty()).map(|status| status.text.clone());
        let title = status.and_then(|status| status.title.clone());
        let prompts = status.map(|status| status.prompts.clone()).unwrap_or_default();
        Ok(Json(json!({ "ok": true, "messages": messages, "status": text, "title": title, "prompts": prompts })))
    })
}

async fn text(Shares(shared): Shares<Arc<Shared>>, Path((id, ts)): Path<(String, String)>) -> Response {
    shared.read(|state| thread_text(state, &id, &ts)).into_response()
}

/// A message with addresses that a browser can load without a token.
fn shown(state: &State, channel: &str, message: &Message) -> Value {
    let mut shown = Value::Object(message.to_json(state, channel, Metadata::Included));
    for file in shown["files"].as_array_mut().into_iter().flatten() {
        file["client_url"] = json!(format!("/client/files/{}", file["id"].as_str().unwrap_or_default()));
    }
    shown
}

#[derive(Deserialize)]
struct InChannel {
    channel: Option<String>,
}

async fn ephemeral(Shares(shared): Shares<Arc<Shared>>, Path(id): Path<String>, Query(wanted): Query<InChannel>) -> Json<Value> {
    let mut messages = Person::new(shared, &id).ephemerals();
    messages.retain(|message| wanted.channel.as_ref().is_none_or(|channel| message["channel"] == channel.as_str()));
    Json(json!({ "ok": true, "messages": messages }))
}

async fn views(Shares(shared): Shares<Arc<Shared>>, Path(id): Path<String>) -> Json<Value> {
    Json(json!({ "ok": true, "views": Person::new(shared, &id).views() }))
}

async fn home(Shares(shared): Shares<Arc<Shared>>, Path(id): Path<String>) -> Json<Value> {
    Json(json!({ "ok": true, "view": Person::new(shared, &id).home() }))
}

async fn file(Shares(shared): Shares<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let found = shared.read(|state| {
        let file = state.files.get(&id)?;
        Some((file.mimetype.clone(), file.content.clone()?))
    });
    match found {
        Some((mimetype, content)) => ([(header::CONTENT_TYPE, mimetype)], content).into_response(),
        None => Refused(format!("there is no file {id}")).into_response(),
    }
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: usize,
}

async fn calls(Shares(shared): Shares<Arc<Shared>>, Query(Since { since }): Query<Since>) -> Json<Value> {
    shared.read(|state| {
        let all = state.calls.all();
        Json(json!({ "ok": true, "calls": all.get(since..).unwrap_or_default(), "next": all.len() }))
    })
}

async fn deliveries(Shares(shared): Shares<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "ok": true, "deliveries": shared.dispatcher.records() }))
}

#[derive(Deserialize)]
struct PostBody {
    user: String,
    channel: String,
    #[serde(default)]
    text: String,
    thread_ts: Option<String>,
    #[serde(default)]
    files: Vec<FileBody>,
}

#[derive(Deserialize)]
struct FileBody {
    name: String,
    content_base64: String,
    mimetype: Option<String>,
}

async fn post_message(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<PostBody>) -> Reply {
    let mut files = Vec::new();
    for file in body.files {
        let content = STANDARD.decode(&file.content_base64).map_err(|_| Refused(format!("{} is not base64", file.name)))?;
        files.push(NewFile { name: file.name, mimetype: file.mimetype, content, ..NewFile::default() });
    }
    let new = NewPost { text: body.text, thread_ts: body.thread_ts, files };
    let ts = Person::new(shared, &body.user).post_with(&body.channel, new)?;
    Ok(Json(json!({ "ok": true, "ts": ts })))
}

#[derive(Deserialize)]
struct OnMessage {
    user: String,
    channel: String,
    ts: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    remove: bool,
}

async fn edit(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<OnMessage>) -> Reply {
    Person::new(shared, &body.user).edit(&body.channel, &body.ts, &body.text)?;
    done()
}

async fn delete(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<OnMessage>) -> Reply {
    Person::new(shared, &body.user).delete(&body.channel, &body.ts)?;
    done()
}

async fn dismiss(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<OnMessage>) -> Reply {
    Person::new(shared, &body.user).dismiss(&body.ts);
    done()
}

async fn react(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<OnMessage>) -> Reply {
    let person = Person::new(shared, &body.user);
    if body.remove {
        person.unreact(&body.channel, &body.ts, &body.name)?;
    } else {
        person.react(&body.channel, &body.ts, &body.name)?;
    }
    done()
}

#[derive(Deserialize)]
struct ActionBody {
    user: String,
    channel: Option<String>,
    ts: Option<String>,
    view_id: Option<String>,
    action_id: String,
    block_id: Option<String>,
    value: Option<Value>,
    #[serde(default)]
    query: String,
}

impl ActionBody {
    fn target(&self) -> Result<Target, Refused> {
        match (&self.view_id, &self.channel, &self.ts) {
            (Some(view), _, _) => Ok(Target::view(view)),
            (None, Some(channel), Some(ts)) => Ok(Target::message(channel, ts)),
            _ => Err(Refused("name channel and ts, or view_id".to_owned())),
        }
    }
}

async fn action(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<ActionBody>) -> Reply {
    let target = body.target()?;
    let choice = Choice { action_id: body.action_id, block_id: body.block_id, value: body.value };
    Person::new(shared, &body.user).act(target, choice).await?;
    done()
}

async fn options(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<ActionBody>) -> Reply {
    let mut answer = Person::new(shared, &body.user).options(body.target()?, &body.action_id, &body.query).await?;
    answer["ok"] = json!(true);
    Ok(Json(answer))
}

#[derive(Deserialize)]
struct ViewBody {
    user: String,
    view_id: String,
    #[serde(default)]
    values: Map<String, Value>,
}

async fn submit(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<ViewBody>) -> Reply {
    let outcome = Person::new(shared, &body.user).submit(&body.view_id, &Value::Object(body.values)).await?;
    Ok(Json(match outcome {
        SubmitOutcome::Closed => json!({ "ok": true, "outcome": "closed" }),
        SubmitOutcome::Updated => json!({ "ok": true, "outcome": "updated" }),
        SubmitOutcome::Pushed => json!({ "ok": true, "outcome": "pushed" }),
        SubmitOutcome::Errors(errors) => json!({ "ok": true, "outcome": "errors", "errors": errors }),
    }))
}

async fn close(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<ViewBody>) -> Reply {
    Person::new(shared, &body.user).close(&body.view_id).await?;
    done()
}

#[derive(Deserialize)]
struct SlashBody {
    user: String,
    channel: String,
    text: String,
    thread_ts: Option<String>,
}

async fn slash(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<SlashBody>) -> Reply {
    let person = Person::new(shared, &body.user);
    match body.thread_ts {
        Some(thread) => person.slash_in_thread(&body.channel, &thread, &body.text).await?,
        None => person.slash(&body.channel, &body.text).await?,
    }
    done()
}

#[derive(Deserialize)]
struct ShortcutBody {
    user: String,
    callback_id: String,
    channel: Option<String>,
    ts: Option<String>,
}

async fn shortcut(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<ShortcutBody>) -> Reply {
    let person = Person::new(shared, &body.user);
    match (body.channel, body.ts) {
        (Some(channel), Some(ts)) => person.message_shortcut(&body.callback_id, &channel, &ts).await?,
        _ => person.global_shortcut(&body.callback_id).await?,
    }
    done()
}

#[derive(Deserialize)]
struct PlaceBody {
    user: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    tab: String,
}

async fn open_home(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<PlaceBody>) -> Reply {
    let person = Person::new(shared, &body.user);
    if body.tab == "messages" {
        person.open_messages_tab()?;
    } else {
        person.open_home()?;
    }
    done()
}

async fn open_assistant(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<PlaceBody>) -> Reply {
    let (channel, thread) = Person::new(shared, &body.user).open_assistant()?;
    Ok(Json(json!({ "ok": true, "channel": channel, "thread_ts": thread })))
}

async fn join(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<PlaceBody>) -> Reply {
    Person::new(shared, &body.user).join(&body.channel)?;
    done()
}

#[derive(Deserialize)]
struct FaultBody {
    method: String,
    #[serde(default = "once")]
    times: usize,
    fault: FaultKind,
}

fn once() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum FaultKind {
    RateLimited { seconds: u64 },
    ServerError { status: u16 },
    Error { error: String },
    AnswerLost,
    Slow { milliseconds: u64 },
}

async fn faults(Shares(shared): Shares<Arc<Shared>>, Json(body): Json<FaultBody>) -> Reply {
    let fault = match body.fault {
        FaultKind::RateLimited { seconds } => Fault::RateLimited { seconds },
        FaultKind::ServerError { status } => Fault::ServerError { status },
        FaultKind::Error { error } => Fault::Error { error },
        FaultKind::AnswerLost => Fault::AnswerLost,
        FaultKind::Slow { milliseconds } => Fault::Slow { by: Duration::from_millis(milliseconds) },
    };
    shared.act(|state| state.faults.add(&body.method, &fault, body.times));
    done()
}
