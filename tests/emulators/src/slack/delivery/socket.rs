//! Socket Mode: one WebSocket of the app.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State as Shares};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::shared::Shared;

/// Envelopes on their way to one socket; beyond that another socket gets them, or a retry.
const MOST_FRAMES: usize = 1024;
const MOST_SOCKETS: usize = 10;
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(10);

/// What a socket's task is told to do.
#[derive(Clone, Debug)]
pub(in super::super) enum Frame {
    Text(String),
    /// Send, then close properly.
    Last(String),
    /// Go away without a word, as a broken network does.
    Drop,
}

pub(in super::super) const DROP: Frame = Frame::Drop;

/// Why Slack ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// About to end in about ten seconds: the socket stays open.
    Warning,
    /// The app has to connect anew.
    RefreshRequested,
    /// Socket Mode was switched off.
    LinkDisabled,
}

impl Disconnect {
    pub(in super::super) fn frame(self) -> Frame {
        match self {
            Self::Warning => Frame::Text(disconnect("warning")),
            Self::RefreshRequested => Frame::Last(disconnect("refresh_requested")),
            Self::LinkDisabled => Frame::Last(disconnect("link_disabled")),
        }
    }
}

fn disconnect(reason: &str) -> String {
    json!({ "type": "disconnect", "reason": reason, "debug_info": { "host": "applink-emulator" } }).to_string()
}

#[derive(Deserialize)]
pub(in super::super) struct Ticket {
    ticket: String,
}

pub(in super::super) async fn link(
    Shares(shared): Shares<Arc<Shared>>,
    Query(Ticket { ticket }): Query<Ticket>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !shared.act(|state| state.tickets.remove(&ticket)) {
        return (StatusCode::FORBIDDEN, "this address was used or never given out").into_response();
    }
    upgrade.on_upgrade(move |socket| {
        let tracked = shared.tasks.clone();
        tracked.track_future(async move { serve(shared, socket).await })
    })
}

async fn serve(shared: Arc<Shared>, mut socket: WebSocket) {
    let (frames, mut queue) = mpsc::channel(MOST_FRAMES);
    let setup = shared.read(|state| state.setup.clone());
    let (id, count) = shared.dispatcher.add_socket(frames);
    let hello = json!({
        "type": "hello",
        "num_connections": count,
        "debug_info": { "host": "applink-emulator", "build_number": 1, "approximate_connection_time": 18_060 },
        "connection_info": { "app_id": setup.app.id },
    });
    // Envelopes wait in the queue until the greeting is out.
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        shared.dispatcher.remove_socket(id);
        return;
    }
    if count > MOST_SOCKETS {
        let _ = socket.send(Message::text(disconnect("too_many_websockets"))).await;
        shared.dispatcher.remove_socket(id);
        finish(&shared, &mut socket).await;
        return;
    }
    shared.touched();
    let mut pings = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            _ = pings.tick() => {
                if socket.send(Message::Ping("Ping from the emulator".into())).await.is_err() {
                    break;
                }
            }
            frame = queue.recv() => match frame {
                Some(Frame::Text(text)) => {
                    if socket.send(Message::text(text)).await.is_err() {
                        break;
                    }
                }
                Some(Frame::Last(text)) => {
                    let _ = socket.send(Message::text(text)).await;
                    finish(&shared, &mut socket).await;
                    break;
                }
                Some(Frame::Drop) | None => break,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    acknowledge(&shared, &text);
                    shared.touched();
                }
                Some(Ok(Message::Close(_))) => {
                    // Out of turn first: nothing more may be handed to it.
                    shared.dispatcher.remove_socket(id);
                    finish(&shared, &mut socket).await;
                    break;
                }
                Some(Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    shared.dispatcher.remove_socket(id);
    shared.touched();
}

/// Closes properly, whoever began: says so and reads on until the app has said it too, so that acknowledgements on their way still count.
async fn finish(shared: &Shared, socket: &mut WebSocket) {
    let _ = socket.send(Message::Close(None)).await;
    let rest = async {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                acknowledge(shared, &text);
            }
        }
    };
    // An app that does not answer the close is left behind.
    let _ = tokio::time::timeout(CLOSE_WITHIN, rest).await;
}

/// `{"envelope_id": …, "payload"?: …}`; anything else is passed over, as Slack does.
fn acknowledge(shared: &Shared, text: &str) {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else { return };
    if let Some(Value::String(id)) = fields.remove("envelope_id") {
        shared.dispatcher.acknowledged(&id, fields.remove("payload").filter(|payload| !payload.is_null()));
    }
}
