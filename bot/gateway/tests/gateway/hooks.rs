use std::time::Duration;

use longshore_gateway::ToolRight;
use serde_json::{Value, json};

use crate::world::{World, client, world};

fn question(when: &str, tool: &str) -> Value {
    json!({ "when": when, "tool": tool, "session": "ses_1", "call": "call_1", "arguments": { "command": "make" } })
}

async fn ask(world: &World, question: &Value) -> Value {
    let answer = world.post("/hooks/tool").json(question).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn each_verdict_has_its_words() {
    let world = world(|_| ()).await;
    assert_eq!(
        ask(&world, &question("before", "read")).await,
        json!({ "decision": "allow", "free": { "tools": ["read"], "seconds": 60 } })
    );
    assert_eq!(
        ask(&world, &question("before", "changed")).await,
        json!({ "decision": "allow", "arguments": { "command": "make test" }, "after": true })
    );
    assert_eq!(ask(&world, &question("after", "changed")).await, json!({ "note": "mind the style" }));
    assert_eq!(ask(&world, &question("after", "read")).await, json!({ "note": null }));
    assert_eq!(ask(&world, &question("before", "denied")).await, json!({ "decision": "deny", "reason": "not here" }));
    assert_eq!(ask(&world, &question("before", "other")).await, json!({ "decision": "wait" }));
    let asked = world.gate.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.tool.as_str(), asked.call.as_str(), asked.conversation.as_str()), ("read", "call_1", "ses_1"));
    assert_eq!(asked.arguments["command"], "make");
}

#[tokio::test]
async fn a_held_call_is_answered_as_soon_as_it_may_go_and_told_to_ask_again_where_that_takes_long() {
    let held = question("before", "held");
    let patient = world(|_| ()).await;
    let (answer, ()) = tokio::join!(ask(&patient, &held), async { patient.gate.may_open.notify_one() });
    assert_eq!(answer, json!({ "decision": "allow" }));
    let hasty = world(|config| config.limits.hook_wait = Duration::from_millis(20)).await;
    assert_eq!(ask(&hasty, &held).await, json!({ "decision": "wait" }));
}

#[tokio::test]
async fn a_held_call_does_not_hold_up_the_end_of_the_gateway() {
    let world = world(|config| config.limits.drain = Duration::from_millis(20)).await;
    let asking = tokio::spawn(world.post("/hooks/tool").json(&question("before", "held")).send());
    let ending = async {
        while world.gate.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        world.shutdown.cancel();
    };
    let both = async { tokio::join!(asking, ending) };
    let (asked, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("both end");
    // Told to ask again, or cut off: either way it asks the next gateway.
    if let Ok(answer) = asked.unwrap() {
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "decision": "wait" }));
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = world(|config| config.limits.hook_request = 1024).await;
    let status = async |body: String| world.post("/hooks/tool").body(body).send().await.unwrap().status().as_u16();
    for wrong in ["{", "[]", "{}", &json!({ "when": "during", "tool": "t", "session": "s", "call": "c" }).to_string()] {
        assert_eq!(status(wrong.to_owned()).await, 400, "{wrong}");
    }
    let mut long = question("before", &"t".repeat(300));
    assert_eq!(status(long.to_string()).await, 400);
    long["arguments"]["command"] = json!("y".repeat(2000));
    assert_eq!(status(long.to_string()).await, 413);
    let stranger = client().post(world.url("/hooks/tool")).json(&question("before", "read")).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    world.change(|pass| pass.tools = ToolRight::None);
    assert_eq!(status(question("before", "read").to_string()).await, 403);
    assert!(world.gate.asked.lock().unwrap().is_empty());
}
