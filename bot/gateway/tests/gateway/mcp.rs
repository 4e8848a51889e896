use std::time::Duration;

use longshore_gateway::ToolRight;
use serde_json::{Value, json};

use crate::world::{World, client, world};

async fn ask(world: &World, message: Value) -> (u16, Value) {
    let answer = world.post("/mcp").header("accept", "application/json, text/event-stream").json(&message).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

#[tokio::test]
async fn a_client_says_hello_lists_and_calls() {
    let world = world(|_| ()).await;
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let (status, answer) = ask(&world, request("initialize", hello)).await;
    assert_eq!((status, &answer["id"], &answer["jsonrpc"]), (200, &json!(7), &json!("2.0")));
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(answer["result"]["serverInfo"]["name"], "longshore");
    assert_eq!(ask(&world, json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await, (202, Value::Null));
    assert_eq!(ask(&world, request("ping", json!({}))).await.1["result"], json!({}));
    let tools = ask(&world, request("tools/list", json!({}))).await.1;
    assert_eq!(tools["result"]["tools"][0]["name"], "post_update");
    assert_eq!(tools["result"]["tools"][0]["inputSchema"]["type"], "object");

    let called = ask(&world, request("tools/call", json!({ "name": "post_update", "arguments": { "text": "half way" } }))).await.1;
    assert_eq!(called["result"], json!({ "content": [{ "type": "text", "text": "posted" }], "isError": false }));
    let failed = ask(&world, request("tools/call", json!({ "name": "broken" }))).await.1;
    assert_eq!(failed["result"], json!({ "content": [{ "type": "text", "text": "nobody listens" }], "isError": true }));
    let panicked = ask(&world, request("tools/call", json!({ "name": "panics" }))).await.1;
    assert_eq!(panicked["result"]["isError"], true);
    let calls = world.tools.called.lock().unwrap().clone();
    assert_eq!(calls[0], json!(["post_update", { "text": "half way" }, "b-test"]));
    assert_eq!(calls[1], json!(["broken", {}, "b-test"]));
}

#[tokio::test]
async fn what_is_wrong_has_its_own_code() {
    let world = world(|_| ()).await;
    let cases = [
        (request("resources/list", json!({})), -32601),
        (request("tools/call", json!({ "name": "rm" })), -32602),
        (request("tools/call", json!({})), -32602),
        (request("tools/call", json!({ "name": "broken", "arguments": [] })), -32602),
        (request("ping", json!([1])), -32602),
        (json!({ "id": 7, "method": "ping" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": 7 }), -32600),
        (json!({ "jsonrpc": "2.0", "id": {}, "method": "ping" }), -32600),
        (json!("ping"), -32600),
        (json!([]), -32600),
    ];
    for (message, code) in cases {
        let (_, answer) = ask(&world, message.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{message}");
        assert!(answer["error"]["message"].is_string());
    }
    let broken = world.post("/mcp").body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    assert_eq!(broken.json::<Value>().await.unwrap()["error"]["code"], -32700);
    // An answer to something that was never asked, and a notification that is not known, are taken in silence.
    assert_eq!(ask(&world, json!({ "jsonrpc": "2.0", "id": 1, "result": {} })).await.0, 202);
    assert_eq!(ask(&world, json!({ "jsonrpc": "2.0", "method": "notifications/whatever" })).await.0, 202);
    let batch = json!([request("ping", json!({})), { "jsonrpc": "2.0", "method": "notifications/initialized" }]);
    assert_eq!(ask(&world, batch).await, (200, json!([{ "jsonrpc": "2.0", "id": 7, "result": {} }])));
    let version = world.post("/mcp").header("mcp-protocol-version", "1999-01-01").json(&request("ping", json!({}))).send().await.unwrap();
    assert_eq!(version.status(), 400);
}

#[tokio::test]
async fn there_is_no_stream_no_session_and_no_way_in_without_a_right() {
    let world = world(|config| config.limits.mcp_request = 1024).await;
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let answer = client().request(method, world.url("/mcp")).bearer_auth(world.token.expose()).send().await.unwrap();
        assert_eq!(answer.status(), 405);
    }
    let stranger = client().post(world.url("/mcp")).json(&request("ping", json!({}))).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    assert_eq!(ask(&world, request("ping", json!({ "x": "y".repeat(2000) }))).await.0, 413);
    world.change(|pass| pass.tools = ToolRight::None);
    assert_eq!(ask(&world, request("ping", json!({}))).await.0, 403);
}

#[tokio::test]
async fn a_tool_ends_what_it_began_though_the_agent_hangs_up() {
    let world = world(|_| ()).await;
    let calling = tokio::spawn(world.post("/mcp").json(&request("tools/call", json!({ "name": "slow" }))).send());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.tools.called.lock().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    world.tools.may_finish.notify_one();
    tokio::time::timeout(Duration::from_secs(20), world.tools.finished.notified()).await.expect("the tool ran on");
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_given_up() {
    let world = world(|config| config.limits.tool_call = Duration::from_millis(20)).await;
    let (_, answer) = ask(&world, request("tools/call", json!({ "name": "slow" }))).await;
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("took longer"));
}
