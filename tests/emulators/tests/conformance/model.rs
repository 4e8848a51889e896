//! The model emulator: its protocols against the makers' own clients, what goes wrong on demand, and the catalogue against the samples.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test relies on")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use longshore_emulators::model::{
    Answer, CallKind, Catalogue, DEMO_API_KEY, Fault, ModelEmulator, ModelHandle, ModelSetup, Pace, Script, ScriptStep, Vendor,
};
use serde_json::{Value, json};

/// Nothing here takes a tenth of this on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn started() -> ModelHandle {
    ModelEmulator::start(ModelSetup::demo().unwrap()).await.unwrap()
}

fn client() -> reqwest::Client {
    // The first test installs it; for the others it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap()
}

async fn post(model: &ModelHandle, path: &str, body: &Value) -> reqwest::Response {
    let request = client().post(format!("{}{path}", model.base_url)).header("anthropic-version", "2023-06-01");
    request.bearer_auth(DEMO_API_KEY).body(body.to_string()).send().await.unwrap()
}

async fn chat(model: &ModelHandle, body: &Value) -> reqwest::Response {
    post(model, "/chat/completions", body).await
}

async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn hello() -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] })
}

fn hello_streamed() -> Value {
    let mut body = hello();
    body["stream"] = json!(true);
    body
}

fn agent(prompt: &str) -> Value {
    let tools: Vec<Value> = ["bash", "read", "edit"]
        .iter()
        .map(|name| json!({ "type": "function", "function": { "name": name, "parameters": { "type": "object", "properties": {} } } }))
        .collect();
    json!({ "model": "m", "messages": [{ "role": "user", "content": prompt }], "tools": tools })
}

#[tokio::test]
async fn the_official_clients_agree() {
    let python = root().join("target/tools/python/bin/python");
    assert!(python.exists(), "{} is missing: run make setup", python.display());
    let model = started().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/model_clients.py");
    let run =
        tokio::process::Command::new(python).arg(script).args([&model.base_url, model.api_key()]).env("NO_PROXY", "127.0.0.1").output();
    let output = tokio::time::timeout(LIMIT * 3, run).await.expect("the clients take too long").unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    model.shutdown().await;
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_each_vendors_words() {
    let model = started().await;
    let refused =
        client().post(format!("{}/chat/completions", model.base_url)).bearer_auth("wrong").body(hello().to_string()).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(json_of(refused).await["error"]["code"], "invalid_api_key");
    let refused =
        client().post(format!("{}/messages", model.base_url)).header("x-api-key", "wrong").body(hello().to_string()).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(json_of(refused).await["error"]["type"], "authentication_error");
    let answers: Vec<Answer> = model.requests().into_iter().map(|request| request.answer).collect();
    assert_eq!(answers, [Answer::Error(401), Answer::Error(401)]);
}

#[tokio::test]
async fn faults_come_in_their_turn_and_pass() {
    let model = started().await;
    model.fail_next(Fault::RateLimited { retry_after: Duration::from_secs(7) });
    model.fail_next_of(CallKind::Agent, Fault::Status(503));
    model.fail_next(Fault::ContextLengthExceeded);
    model.fail_next(Fault::Refusal("I won't.".into()));
    model.fail_next(Fault::CutAfter(2));

    let limited = chat(&model, &hello()).await;
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    let too_long = chat(&model, &hello()).await;
    assert_eq!(too_long.status(), 400);
    assert_eq!(json_of(too_long).await["error"]["code"], "context_length_exceeded");
    let refusal = json_of(chat(&model, &hello()).await).await;
    assert_eq!(
        (&refusal["choices"][0]["message"]["refusal"], &refusal["choices"][0]["message"]["content"]),
        (&json!("I won't."), &Value::Null)
    );
    let cut = json_of(chat(&model, &hello()).await).await;
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(cut["choices"][0]["message"]["content"], "I am ");
    // The one for agents waited for an agent.
    assert_eq!(chat(&model, &agent("hello")).await.status(), 503);
    assert_eq!(chat(&model, &agent("hello")).await.status(), 200);
}

#[tokio::test]
async fn a_dropped_stream_breaks_off_and_a_stalled_one_stays_open() {
    let model = started().await;
    model.fail_next(Fault::DropAfter(3));
    let dropped = chat(&model, &hello_streamed()).await;
    assert_eq!(dropped.status(), 200);
    assert!(dropped.text().await.is_err(), "the connection must break before the end of the body");

    model.fail_next(Fault::StallAfter(3));
    let mut stalled = chat(&model, &hello_streamed()).await;
    let mut seen = String::new();
    while seen.matches("\"content\"").count() < 4 {
        seen.push_str(std::str::from_utf8(&stalled.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(tokio::time::timeout(Duration::from_millis(300), stalled.chunk()).await.is_err(), "nothing more may come");
    assert!(!seen.contains("[DONE]"));
    // An open answer does not keep the emulator from ending.
    tokio::time::timeout(LIMIT, model.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_reason_usage_and_done() {
    let model = started().await;
    let mut body = hello_streamed();
    body["stream_options"] = json!({ "include_usage": true });
    let text = chat(&model, &body).await.text().await.unwrap();
    let events: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(events.last(), Some(&"data: [DONE]"));
    let usage: Value = serde_json::from_str(events[events.len() - 2].trim_start_matches("data: ")).unwrap();
    assert!(usage["usage"]["total_tokens"].as_u64().unwrap() > 0 && usage["choices"] == json!([]));
    let last: Value = serde_json::from_str(events[events.len() - 3].trim_start_matches("data: ")).unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn the_pace_is_kept() {
    let model = started().await;
    model.set_pace(Pace { first_token: Duration::from_millis(120), per_token: Duration::from_millis(2) });
    let started = std::time::Instant::now();
    let mut answer = chat(&model, &hello_streamed()).await;
    answer.chunk().await.unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(120));
    let first = started.elapsed();
    while answer.chunk().await.unwrap().is_some() {}
    assert!(started.elapsed() >= first + Duration::from_millis(20), "some twenty pieces take their time");
}

#[tokio::test]
async fn a_pushed_script_answers_and_decides() {
    let model = started().await;
    let script = Script::for_prompt("count the files")
        .call("bash", json!({ "command": "ls | wc -l" }))
        .decide(|prompt| ScriptStep::Say(format!("There are {}.", prompt.exchanges[0].result.trim())));
    model.push_script(script);
    let mut body = agent("please COUNT the files");
    let call = json_of(chat(&model, &body).await).await["choices"][0]["message"].clone();
    assert_eq!(call["tool_calls"][0]["function"]["name"], "bash");
    let repeated = json_of(chat(&model, &body).await).await["choices"][0]["message"].clone();
    assert_eq!(call, repeated, "a retry gets the same answer");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(call.clone());
    messages.push(json!({ "role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "12\n" }));
    let answer = json_of(chat(&model, &body).await).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "There are 12.");
}

#[tokio::test]
async fn every_request_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = ModelSetup::demo().unwrap();
    setup.log_file = Some(folder.path().join("logs/model.jsonl"));
    let model = ModelEmulator::start(setup).await.unwrap();
    chat(&model, &agent("hello")).await;
    let title = json!({ "model": "small", "max_tokens": 9, "system": "You are a title generator.", "messages": [{ "role": "user", "content": "the cart is wrong" }] });
    let title = json_of(post(&model, "/messages", &title).await).await;
    assert_eq!(title["content"][0]["text"], "the cart is wrong");
    let requests = model.wait_for_requests(LIMIT, |requests| requests.len() == 2).await.unwrap();
    assert_eq!((requests[0].kind, requests[0].vendor, requests[0].messages), (Some(CallKind::Agent), Vendor::OpenAi, 1));
    assert_eq!(requests[0].tools, ["bash", "read", "edit"]);
    assert_eq!(requests[0].answer, Answer::Calls(vec!["bash".into()]));
    assert_eq!(requests[0].body["messages"][0]["content"], "hello");
    assert_eq!((requests[1].kind, requests[1].vendor), (Some(CallKind::Title), Vendor::Anthropic));
    let lines = std::fs::read_to_string(folder.path().join("logs/model.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(!lines.contains(DEMO_API_KEY) && !lines.contains("the cart is wrong"));
}

#[tokio::test]
async fn a_conversation_beyond_the_limit_is_refused() {
    let mut setup = ModelSetup::with_catalogue(Catalogue::empty());
    setup.context_tokens = 100;
    let model = ModelEmulator::start(setup).await.unwrap();
    let mut body = hello();
    body["messages"][0]["content"] = json!("word ".repeat(200));
    let refused = json_of(chat(&model, &body).await).await;
    assert_eq!(refused["error"]["code"], "context_length_exceeded");
}

fn shell(line: &str, folder: &Path) -> Output {
    Command::new("sh").args(["-c", line]).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap()
}

fn copy(from: &Path, to: &Path) {
    let output = Command::new("cp").arg("-R").arg(from).arg(to).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_defect_is_real_and_every_mending_mends() {
    let catalogue = Catalogue::bundled().unwrap();
    for (name, sample) in &catalogue.repositories {
        let found = shell(&format!("command -v {}", sample.interpreter), &root());
        assert!(found.status.success(), "{name} needs {} on this machine: run make setup", sample.interpreter);
        let of_this = catalogue.defects.iter().filter(|defect| &defect.repository == name).count();
        assert!(of_this >= 4, "{name} has {of_this} defects");
    }
    let folder = tempfile::tempdir().unwrap();
    for defect in &catalogue.defects {
        let checkout = folder.path().join(&defect.id);
        copy(&root().join("tests/samples").join(&catalogue.repositories[&defect.repository].folder), &checkout);
        let passes = |line: &str| shell(line, &checkout).status.success();
        let id = &defect.id;
        assert!(!passes(&defect.test_command), "{id}: the test passes before the mending");
        let path = checkout.join(&defect.file);
        let content = std::fs::read_to_string(&path).unwrap();
        assert_eq!(content.matches(&defect.before).count(), 1, "{id}: the code stands there not exactly once");
        std::fs::write(&path, content.replace(&defect.before, &defect.after)).unwrap();
        let test = shell(&defect.test_command, &checkout);
        assert!(test.status.success(), "{id}: the test fails after the mending:\n{}", String::from_utf8_lossy(&test.stderr));
        assert!(!passes(&defect.follow_up.check), "{id}: the follow-up's check passes before its edits");
        for edit in &defect.follow_up.edits {
            edit.apply(&checkout).unwrap();
        }
        assert!(passes(&defect.follow_up.check), "{id}: the follow-up's check fails after its edits");
        assert!(passes(&defect.test_command), "{id}: the follow-up breaks the mending");
    }
}

/// What an image build runs must pass on the base, although defects are in it.
#[test]
fn the_manifests_commands_pass_on_the_base() {
    let catalogue = Catalogue::bundled().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, sample) in &catalogue.repositories {
        let text = std::fs::read_to_string(root().join(format!("manifests/repositories/{}.toml", sample.folder))).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(manifest["repository"].as_str(), Some(name.as_str()));
        let checkout = folder.path().join(&sample.folder);
        copy(&root().join("tests/samples").join(&sample.folder), &checkout);
        let image = manifest["image"].as_table().unwrap();
        let lists = ["setup", "warm"].iter().filter_map(|key| image.get(*key)?.as_array()).flatten();
        // Services run in builds and sandboxes only: those of the stories prove what needs them.
        let commands = lists.chain([&image["check"]]).filter(|_| !image.contains_key("services"));
        for line in commands.filter_map(toml::Value::as_str) {
            let output = shell(line, &checkout);
            assert!(output.status.success(), "{name}: {line}\n{}", String::from_utf8_lossy(&output.stderr));
        }
        for wording in catalogue.defects.iter().filter(|defect| &defect.repository == name).flat_map(|defect| &defect.wordings) {
            assert!(!text.contains(wording.as_str()), "{name}: the manifest holds a wording, so routing it would prove nothing");
        }
    }
}
