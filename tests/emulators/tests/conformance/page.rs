//! The page in a real browser, with a small app behind it: `page/check.mjs` says what is looked at.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails, in its helper functions too")]

use std::path::Path;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use longshore_emulators::page;
use longshore_emulators::slack::{Delivery, Limits, RequestUrls, SlackEmulator, WorkspaceSetup};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;

/// For the whole walk, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_person_can_use_the_page() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut setup = WorkspaceSetup::demo();
    setup.limits = Limits::off();
    setup.app.delivery = Delivery::Http(RequestUrls::all(&format!("http://{}/", listener.local_addr().unwrap())));
    let (door, api) = watch::channel(None);
    let app = Router::new().route("/", post(hear)).with_state(api);
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let slack = SlackEmulator::builder(setup).page(page::router()).start().await.unwrap();
    door.send(Some(App { api: slack.api_url(), token: slack.bot_token() })).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("page/check.mjs");
    let walk = Command::new("node")
        .arg(script)
        .args([slack.base_url().as_str(), "--app"])
        .env("SLACK_BOT_TOKEN", slack.bot_token())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, walk).await.expect("the browser hangs").unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("all held"), "{said}");
    slack.shutdown().await;
    serving.abort();
}

#[derive(Clone)]
struct App {
    api: String,
    token: String,
}

impl App {
    async fn call(&self, method: &str, body: Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/{method}", self.api)).bearer_auth(&self.token).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["ok"], true, "{method}: {answer}");
    }
}

/// Opens a window for a message's shortcut, keeps a Home tab, and repeats what the window was filled in with.
async fn hear(State(mut api): State<watch::Receiver<Option<App>>>, body: String) -> Json<Value> {
    let app = api.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    let form = reqwest::Url::parse(&format!("http://form/?{body}")).unwrap();
    let payload = form.query_pairs().find(|(name, _)| name == "payload").map(|(_, payload)| payload.into_owned());
    let payload: Value = serde_json::from_str(&payload.unwrap_or(body)).unwrap_or_default();
    let user = &payload["user"]["id"];
    match payload["type"].as_str() {
        Some("event_callback") if payload["event"]["type"] == "app_home_opened" && payload["event"]["tab"] == "home" => {
            app.call("views.publish", json!({ "user_id": payload["event"]["user"], "view": home("Working") })).await;
        }
        Some("message_action") => {
            let view = window(&payload["channel"]["id"]);
            app.call("views.open", json!({ "trigger_id": payload["trigger_id"], "view": view })).await;
        }
        Some("block_actions") if payload["actions"][0]["action_id"] == "home_stop" => {
            app.call("views.publish", json!({ "user_id": user, "view": home("Stopped") })).await;
        }
        Some("block_actions") if payload["actions"][0]["action_id"] == "home_model" => {
            let chosen = payload["actions"][0]["selected_option"]["value"].as_str().unwrap();
            app.call("views.publish", json!({ "user_id": user, "view": home(chosen) })).await;
        }
        Some("view_submission") => {
            let values = &payload["view"]["state"]["values"];
            let reason = values["reason"]["typed"]["value"].as_str().unwrap();
            if reason == "no" {
                return Json(json!({ "response_action": "errors", "errors": { "reason": "Say a little more." } }));
            }
            let repo = values["repo"]["chosen"]["selected_option"]["value"].as_str().unwrap();
            let text = format!("<@{}> asks {repo}: {reason}", user.as_str().unwrap());
            app.call("chat.postMessage", json!({ "channel": payload["view"]["private_metadata"], "text": text })).await;
            return Json(json!({ "response_action": "clear" }));
        }
        _ => {}
    }
    Json(json!({}))
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text })
}

fn options(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({ "text": plain(name), "value": name })).collect()
}

fn home(state: &str) -> Value {
    let confirm =
        json!({ "title": plain("Stop it?"), "text": plain("What was done is kept."), "confirm": plain("Stop"), "deny": plain("Leave it") });
    let select = json!({ "type": "static_select", "action_id": "home_model", "placeholder": plain("Model"), "options": options(&["large", "small"]) });
    json!({ "type": "home", "blocks": [
        { "type": "header", "text": plain("Your sessions") },
        { "type": "section", "text": { "type": "mrkdwn", "text": format!("*acme/shop* {state}") }, "accessory": {
            "type": "button", "action_id": "home_stop", "text": plain("Stop session"), "value": "s-1", "style": "danger", "confirm": confirm,
        } },
        { "type": "actions", "elements": [select] },
    ] })
}

fn window(channel: &Value) -> Value {
    let select = json!({ "type": "static_select", "action_id": "chosen", "placeholder": plain("Repository"), "options": options(&["acme/shop", "acme/web"]) });
    let input = json!({ "type": "plain_text_input", "action_id": "typed", "multiline": true });
    json!({ "type": "modal", "callback_id": "ask", "private_metadata": channel, "title": plain("Ask about this"), "submit": plain("Ask"), "blocks": [
        { "type": "input", "block_id": "repo", "label": plain("Repository"), "element": select },
        { "type": "input", "block_id": "reason", "label": plain("What to do"), "element": input },
    ] })
}
