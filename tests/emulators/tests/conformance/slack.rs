//! The Slack emulator against Slack's own SDK, and the behaviours that no client exercises by itself.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails, in its helper functions too")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use longshore_emulators::slack::{
    AttemptOutcome, Delivery, Disconnect, EmulatorClock, Fault, Limits, PeopleError, RequestUrls, RetryTimes, SlackEmulator, SlackHandle,
    WorkspaceSetup,
};
use serde_json::{Value, json};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(20);
const CHECKOUT: &str = "C0CHECKOUT";

fn python() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/python/bin/python");
    let python = std::env::var_os("LONGSHORE_PYTHON").map_or(made, PathBuf::from);
    assert!(python.exists(), "{} is missing: run make setup", python.display());
    python
}

async fn start(change: impl FnOnce(&mut WorkspaceSetup)) -> SlackHandle {
    let mut setup = WorkspaceSetup::demo();
    setup.limits = Limits::off();
    change(&mut setup);
    SlackEmulator::start(setup).await.unwrap()
}

/// One call of the Web API with a JSON body; status, `Retry-After`, answer.
async fn call(slack: &SlackHandle, method: &str, body: Value) -> (u16, Option<String>, Value) {
    let request = client().post(format!("{}/{method}", slack.api_url())).bearer_auth(slack.bot_token()).json(&body);
    let response = request.send().await.unwrap();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), retry_after, response.json().await.unwrap_or_default())
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

#[tokio::test]
async fn slack_sdk_agrees() {
    let slack = start(|_| {}).await;
    let given = json!({
        "base_url": slack.base_url(), "api_url": slack.api_url(), "bot_token": slack.bot_token(), "app_token": slack.app_token(),
        "signing_secret": slack.signing_secret(), "bot_user_id": slack.bot_user_id(),
        "signed": { "timestamp": "1700000000", "body": "a=1", "signature": slack.sign(1_700_000_000, "a=1") },
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/slack_sdk_client.py");
    let run = Command::new(python()).arg(script).arg(given.to_string()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(120), run).await.expect("the script hangs").unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let log = serde_json::to_string(&slack.calls()).unwrap();
    assert!(!log.contains(&slack.bot_token()) && !log.contains(&slack.app_token()), "no token is logged");
    slack.shutdown().await;
}

#[tokio::test]
async fn documented_limits_answer_429_and_name_the_wait() {
    let clock = EmulatorClock::manual(1_790_000_000_000);
    let slack = start(|setup| {
        setup.limits = Limits::On { post_burst: 2 };
        setup.clock = clock.clone();
    })
    .await;
    let say = json!({ "channel": CHECKOUT, "text": "x" });
    for _ in 0..2 {
        assert_eq!(call(&slack, "chat.postMessage", say.clone()).await.0, 200);
    }
    let (status, retry_after, answer) = call(&slack, "chat.postMessage", say.clone()).await;
    assert_eq!((status, retry_after.as_deref(), &answer["error"]), (429, Some("1"), &json!("ratelimited")));
    clock.advance(Duration::from_secs(1));
    assert_eq!(call(&slack, "chat.postMessage", say).await.0, 200);
    for _ in 0..20 {
        assert_eq!(call(&slack, "users.list", json!({})).await.0, 200);
    }
    assert_eq!(call(&slack, "users.list", json!({})).await.0, 429);
    assert_eq!(slack.messages(CHECKOUT).len(), 3, "what was limited had no effect");
}

#[tokio::test]
async fn faults_come_on_demand_and_only_a_lost_answer_takes_effect() {
    let slack = start(|_| {}).await;
    let say = json!({ "channel": CHECKOUT, "text": "x" });
    slack.fail_next("chat.postMessage", Fault::RateLimited { seconds: 7 }, 1);
    slack.fail_next("chat.postMessage", Fault::ServerError { status: 503 }, 1);
    slack.fail_next("chat.postMessage", Fault::Error { error: "fatal_error".into() }, 1);
    let (status, retry_after, _) = call(&slack, "chat.postMessage", say.clone()).await;
    assert_eq!((status, retry_after.as_deref()), (429, Some("7")));
    assert_eq!(call(&slack, "chat.postMessage", say.clone()).await.0, 503);
    assert_eq!(call(&slack, "chat.postMessage", say.clone()).await.2, json!({ "ok": false, "error": "fatal_error" }));
    assert!(slack.messages(CHECKOUT).is_empty());
    slack.fail_next("chat.postMessage", Fault::AnswerLost, 1);
    let request = client().post(format!("{}/chat.postMessage", slack.api_url())).bearer_auth(slack.bot_token()).json(&say);
    assert!(request.send().await.is_err(), "the connection must be dropped");
    assert_eq!(slack.messages(CHECKOUT).len(), 1);
    assert!(slack.calls().last().unwrap().answer_lost);
    assert_eq!(call(&slack, "chat.postMessage", say).await.2["ok"], true);
}

/// What an app's request URL was sent, and what it answers.
#[derive(Clone, Default)]
struct App {
    heard: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    news: Arc<tokio::sync::Notify>,
}

impl App {
    /// Serves the app; each request takes the next answer, or 200 with nothing.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/slack", post(Self::hear)).with_state(self.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        format!("http://{address}/slack")
    }

    async fn hear(State(app): State<App>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
        let body = String::from_utf8(body.to_vec()).unwrap();
        let answer = {
            let mut answers = app.answers.lock().unwrap();
            if answers.is_empty() { (200, String::new()) } else { answers.remove(0) }
        };
        let challenge = serde_json::from_str(&body).ok().and_then(|body: Value| body["challenge"].as_str().map(str::to_owned));
        app.heard.lock().unwrap().push((headers, body));
        app.news.notify_waiters();
        let text = challenge.map_or(answer.1, |challenge| json!({ "challenge": challenge }).to_string());
        (StatusCode::from_u16(answer.0).unwrap(), text)
    }

    async fn heard(&self, count: usize) -> Vec<(HeaderMap, String)> {
        let wait = async {
            loop {
                let news = self.news.notified();
                if let Some(heard) = self.heard.lock().unwrap().get(..count) {
                    return heard.to_vec();
                }
                news.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the app was not called often enough")
    }
}

#[tokio::test]
async fn http_events_are_signed_and_come_again_until_they_are_acknowledged() {
    let app = App::default();
    let url = app.serve().await;
    let slack = start(|setup| {
        setup.app.delivery = Delivery::Http(RequestUrls::all(&url));
        setup.retries = RetryTimes { acknowledge_within: Duration::from_secs(3), pauses: vec![Duration::ZERO; 3] };
    })
    .await;
    slack.verify_request_url().await.unwrap();
    app.heard.lock().unwrap().clear();
    app.answers.lock().unwrap().extend([(500, String::new()), (500, String::new())]);
    slack.person("U0ANA").post(CHECKOUT, "no mention").unwrap();
    let heard = app.heard(3).await;
    let header = |at: usize, name: &str| heard[at].0.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header(0, "x-slack-retry-num"), None);
    assert_eq!(header(1, "x-slack-retry-num").as_deref(), Some("1"));
    assert_eq!(header(2, "x-slack-retry-num").as_deref(), Some("2"));
    assert_eq!(header(2, "x-slack-retry-reason").as_deref(), Some("http_error"));
    assert!(heard.iter().all(|(_, body)| *body == heard[0].1), "a retry carries the same event_id");
    let timestamp: i64 = header(0, "x-slack-request-timestamp").unwrap().parse().unwrap();
    assert_eq!(header(0, "x-slack-signature"), Some(slack.sign(timestamp, &heard[0].1)));
    let delivered = |slack: &SlackHandle| slack.deliveries().first().filter(|record| record.is_acknowledged()).cloned();
    let record = slack.wait_until(delivered, PATIENCE).await.unwrap();
    assert_eq!(record.attempts.len(), 3);
    assert_eq!(record.attempts[2].outcome, AttemptOutcome::Acknowledged);
}

#[tokio::test]
async fn a_slash_command_is_answered_in_place_or_by_its_response_url_five_times() {
    let app = App::default();
    let url = app.serve().await;
    let slack = start(|setup| setup.app.delivery = Delivery::Http(RequestUrls::all(&url))).await;
    let ana = slack.person("U0ANA");
    app.answers.lock().unwrap().push((200, json!({ "text": "two run", "response_type": "ephemeral" }).to_string()));
    ana.slash(CHECKOUT, "/agent status").await.unwrap();
    assert_eq!(ana.ephemerals()[0]["text"], "two run");
    let heard = app.heard(1).await;
    let fields: std::collections::HashMap<String, String> = url::form_urlencoded::parse(heard[0].1.as_bytes()).into_owned().collect();
    assert_eq!((fields["command"].as_str(), fields["text"].as_str()), ("/agent", "status"));
    for count in 1..=6 {
        let body = json!({ "text": format!("{count}"), "response_type": "in_channel" });
        let status = client().post(&fields["response_url"]).json(&body).send().await.unwrap().status().as_u16();
        assert_eq!(status, if count <= 5 { 200 } else { 404 });
    }
    assert_eq!(slack.messages(CHECKOUT).len(), 5);
    let root = ana.post(CHECKOUT, "a thread").unwrap();
    let in_thread = ana.slash_in_thread(CHECKOUT, &root, "/agent status").await;
    assert_eq!(in_thread, Err(PeopleError::CommandInThread("/agent".into())));
    assert_eq!(ana.slash(CHECKOUT, "/nope").await, Err(PeopleError::NoSuchCommand("/nope".into())));
}

#[tokio::test]
async fn a_trigger_expires_and_a_view_is_checked() {
    let app = App::default();
    let url = app.serve().await;
    let clock = EmulatorClock::manual(1_790_000_000_000);
    let slack = start(|setup| {
        setup.clock = clock.clone();
        setup.app.delivery = Delivery::Http(RequestUrls::all(&url));
    })
    .await;
    slack.person("U0ANA").global_shortcut("new").await.unwrap();
    let heard = app.heard(1).await;
    let (_, payload) = url::form_urlencoded::parse(heard[0].1.as_bytes()).next().unwrap();
    let trigger = serde_json::from_str::<Value>(&payload).unwrap()["trigger_id"].clone();
    let view = json!({ "type": "modal", "title": { "type": "plain_text", "text": "New" }, "blocks": [{ "type": "divider" }] });
    let (_, _, bad) = call(&slack, "views.open", json!({ "trigger_id": trigger, "view": { "type": "modal", "blocks": [] } })).await;
    assert_eq!(bad["error"], "invalid_arguments");
    assert_eq!(bad["response_metadata"]["messages"], json!(["[ERROR] missing required field: title [json-pointer:/view]"]));
    clock.advance(Duration::from_millis(3_001));
    let (_, _, late) = call(&slack, "views.open", json!({ "trigger_id": trigger, "view": view })).await;
    assert_eq!(late["error"], "expired_trigger_id");
    assert!(slack.person("U0ANA").views().is_empty());
}

#[tokio::test]
async fn events_come_only_from_channels_the_bot_is_in_and_twice_for_a_mention() {
    let app = App::default();
    let url = app.serve().await;
    let slack = start(|setup| setup.app.delivery = Delivery::Http(RequestUrls::all(&url))).await;
    let ana = slack.person("U0ANA");
    ana.post("C0RANDOM", "@longshore nobody hears this").unwrap();
    let root = ana.post(CHECKOUT, "@longshore, the `checkout` & more").unwrap();
    let edited = ana.post("D0ANA", "@longshore hi").unwrap();
    ana.edit("D0ANA", &edited, "hello").unwrap();
    ana.delete("D0ANA", &edited).unwrap();
    slack.person("U0BEN").react(CHECKOUT, &root, "eyes").unwrap();
    ana.open_home().unwrap();
    let heard = app.heard(7).await;
    let events: Vec<Value> = heard.iter().map(|(_, body)| serde_json::from_str::<Value>(body).unwrap()["event"].clone()).collect();
    let mut kinds: Vec<String> =
        events.iter().map(|event| format!("{} {}", event["type"].as_str().unwrap(), event["subtype"].as_str().unwrap_or("-"))).collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "app_home_opened -",
            "app_mention -",
            "message -",
            "message -",
            "message message_changed",
            "message message_deleted",
            "reaction_added -"
        ]
    );
    let mention = events.iter().find(|event| event["type"] == "app_mention").unwrap();
    assert_eq!(mention["text"], "<@U0LONGSHORE>, the `checkout` &amp; more");
    assert_eq!(mention["ts"], root.as_str());
    assert_eq!(slack.deliveries().len(), 7, "nothing of #random was sent");
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let slack = start(|setup| setup.app.bot_scopes.retain(|scope| scope != "chat:write")).await;
    let (_, _, answer) = call(&slack, "chat.postMessage", json!({ "channel": CHECKOUT, "text": "x" })).await;
    assert_eq!((answer["error"].as_str(), answer["needed"].as_str()), (Some("missing_scope"), Some("chat:write")));
}

#[tokio::test]
async fn a_thread_reads_as_a_person_sees_it() {
    let slack = start(|setup| setup.clock = EmulatorClock::manual(1_790_000_000_000)).await;
    let root = slack.person("U0ANA").post(CHECKOUT, "@longshore see https://example.com/a").unwrap();
    let card = json!({ "channel": CHECKOUT, "thread_ts": root, "text": "fallback", "blocks": [
        { "type": "section", "text": { "type": "mrkdwn", "text": "Working for <@U0ANA> on <https://example.com|the PR> &amp; more" } },
        { "type": "actions", "elements": [{ "type": "button", "action_id": "stop", "text": { "type": "plain_text", "text": "Stop" } }] },
    ] });
    assert_eq!(call(&slack, "chat.postMessage", card).await.2["ok"], true);
    assert_eq!(
        slack.render_thread_text(CHECKOUT, &root),
        "#checkout\n\nAna Kovač  14:13:20\n@longshore see https://example.com/a\n\n  longshore APP  14:13:20\n  Working for @ana on the PR (https://example.com) & more\n  [Stop]\n"
    );
}

/// A Socket Mode client in a few lines, so that its acknowledgements can be held back.
mod socket {
    use super::*;
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    type Stream = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

    async fn connect(slack: &SlackHandle) -> Stream {
        let request = client().post(format!("{}/apps.connections.open", slack.api_url())).bearer_auth(slack.app_token());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let (stream, _) = tokio_tungstenite::connect_async(answer["url"].as_str().unwrap()).await.unwrap();
        let mut stream = stream;
        assert_eq!(next(&mut stream).await.unwrap()["type"], "hello");
        stream
    }

    async fn next(stream: &mut Stream) -> Option<Value> {
        let read = async {
            loop {
                match stream.next().await {
                    Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("nothing came over the socket")
    }

    async fn acknowledge(stream: &mut Stream, envelope: &Value) {
        let text = json!({ "envelope_id": envelope["envelope_id"] }).to_string();
        stream.send(Message::text(text)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_not_acknowledged_comes_again_with_its_event_id_and_then_stops() {
        let slack = start(|setup| setup.retries = RetryTimes::scaled(0.05)).await;
        let mut stream = connect(&slack).await;
        slack.person("U0ANA").post(CHECKOUT, "hello").unwrap();
        let first = next(&mut stream).await.unwrap();
        assert_eq!((first["retry_attempt"].as_u64(), first["retry_reason"].as_str()), (Some(0), Some("")));
        let again = next(&mut stream).await.unwrap();
        assert_eq!((again["retry_attempt"].as_u64(), again["retry_reason"].as_str()), (Some(1), Some("timeout")));
        assert_eq!(again["payload"]["event_id"], first["payload"]["event_id"]);
        assert_ne!(again["envelope_id"], first["envelope_id"]);
        acknowledge(&mut stream, &again).await;
        let acknowledged = |slack: &SlackHandle| slack.deliveries()[0].is_acknowledged().then(|| slack.deliveries()[0].clone());
        let record = slack.wait_until(acknowledged, PATIENCE).await.unwrap();
        assert_eq!(record.attempts.len(), 2);
        assert_eq!(record.attempts[0].outcome, AttemptOutcome::Failed("timeout".into()));
        assert!(record.attempts[1].acknowledged_after_us.is_some());
        slack.redeliver(first["payload"]["event_id"].as_str().unwrap()).unwrap();
        let third = next(&mut stream).await.unwrap();
        assert_eq!(third["payload"], first["payload"], "on demand an event comes twice");
    }

    #[tokio::test]
    async fn an_event_goes_to_one_of_several_sockets_and_a_disconnect_ends_them() {
        let slack = start(|_| {}).await;
        let (mut one, mut two) = (connect(&slack).await, connect(&slack).await);
        assert_eq!(slack.sockets(), 2);
        slack.person("U0ANA").post(CHECKOUT, "first").unwrap();
        slack.person("U0ANA").post(CHECKOUT, "second").unwrap();
        let (left, right) = (next(&mut one).await.unwrap(), next(&mut two).await.unwrap());
        let mut texts = [left["payload"]["event"]["text"].clone(), right["payload"]["event"]["text"].clone()].map(|text| text.to_string());
        texts.sort();
        assert_eq!(texts, ["\"first\"", "\"second\""]);
        acknowledge(&mut one, &left).await;
        acknowledge(&mut two, &right).await;
        slack.disconnect_sockets(Disconnect::RefreshRequested);
        for stream in [&mut one, &mut two] {
            assert_eq!(next(stream).await.unwrap()["reason"], "refresh_requested");
            assert_eq!(next(stream).await, None);
        }
        assert_eq!(slack.sockets(), 0);
    }

    #[tokio::test]
    async fn a_press_waits_for_the_app_and_says_when_it_does_not_answer() {
        let slack = start(|setup| setup.retries = RetryTimes::scaled(0.05)).await;
        let mut stream = connect(&slack).await;
        let root = slack.person("U0ANA").post(CHECKOUT, "hello").unwrap();
        let envelope = next(&mut stream).await.unwrap();
        acknowledge(&mut stream, &envelope).await;
        let button = json!({ "type": "button", "action_id": "stop", "value": "s-1", "text": { "type": "plain_text", "text": "Stop" } });
        let card = json!({ "channel": CHECKOUT, "thread_ts": root, "text": "x", "blocks": [{ "type": "actions", "elements": [button] }] });
        let (_, _, posted) = call(&slack, "chat.postMessage", card).await;
        let ts = posted["ts"].as_str().unwrap();
        let ana = slack.person("U0ANA");
        assert_eq!(ana.press(CHECKOUT, ts, "nope").await, Err(PeopleError::NoSuchAction("nope".into())));
        assert_eq!(ana.press(CHECKOUT, ts, "stop").await, Err(PeopleError::AppDidNotAnswer("timeout".into())));
    }
}
