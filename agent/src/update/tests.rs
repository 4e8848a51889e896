use super::*;
use proptest::prelude::*;
use serde_json::json;

fn update(update: &Value) -> Vec<AgentUpdate> {
    let line = json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": update}}).to_string();
    interpret(line.as_bytes())
}

/// Lines as OpenCode 1.18.33 wrote them (paths shortened).
const RECORDED: &str = r#"
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"agent_message_chunk","messageId":"msg_2","content":{"type":"text","text":"step 0"}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"tool_call","toolCallId":"call_0","title":"read","kind":"read","status":"pending","locations":[],"rawInput":{}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"tool_call_update","toolCallId":"call_0","status":"in_progress","kind":"read","title":"read","locations":[{"path":"a.py"}],"rawInput":{"filePath":"/workspace/cart/totals.py"}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"tool_call_update","toolCallId":"call_1","status":"in_progress","kind":"other","title":"todowrite","locations":[],"rawInput":{"todos":[{"content":"look","status":"completed","priority":"high","id":"1"},{"content":"fix","status":"pending","priority":"high","id":"2"}]}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"tool_call_update","toolCallId":"call_2","status":"completed","title":"a.py","content":[{"type":"content","content":{"type":"text","text":"Edit applied successfully."}},{"type":"diff","path":"a.py","oldText":"hi","newText":"ho"}],"rawOutput":{"output":"Edit applied successfully.","metadata":{"diagnostics":{},"truncated":false}}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"tool_call_update","toolCallId":"call_3","status":"in_progress","kind":"edit","title":"write","locations":[{"path":"b.txt"}],"rawInput":{"filePath":"b.txt","content":"new\n"}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"tool_call_update","toolCallId":"call_7","status":"completed","title":"exit 3","content":[{"type":"content","content":{"type":"text","text":"(no output)"}}],"rawOutput":{"output":"(no output)","metadata":{"output":"(no output)","exit":3,"truncated":false}}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"usage_update","used":100,"size":100000,"cost":{"amount":0,"currency":"USD"}}}}
{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ses_d","update":{"sessionUpdate":"available_commands_update","availableCommands":[]}}}
{"jsonrpc":"2.0","id":"prompt-1","result":{"stopReason":"end_turn","usage":{"inputTokens":100,"outputTokens":10,"totalTokens":110},"_meta":{}}}
{"jsonrpc":"2.0","id":"prompt-3","error":{"code":-32603,"message":"Internal error: budget spent: ask an admin","data":{"service":"session","errorName":"APIError"}}}
"#;

#[test]
fn recorded_lines_mean_what_happened() {
    let updates: Vec<AgentUpdate> = RECORDED.lines().flat_map(|line| interpret(line.as_bytes())).collect();
    let text: Vec<String> = updates.iter().map(|update| serde_json::to_string(update).unwrap()).collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
    {"type":"text","delta":"step 0"}
    {"type":"tool_started","call":"call_0","kind":"read","title":"read","input":null}
    {"type":"tool_updated","call":"call_0","status":"running","kind":"read","title":"read","input":"/workspace/cart/totals.py","output":null,"exit_code":null,"diff":null}
    {"type":"tool_updated","call":"call_1","status":"running","kind":"other","title":"todowrite","input":null,"output":null,"exit_code":null,"diff":null}
    {"type":"plan","entries":[{"text":"look","status":"completed"},{"text":"fix","status":"pending"}]}
    {"type":"tool_updated","call":"call_2","status":"completed","kind":null,"title":"a.py","input":null,"output":"Edit applied successfully.","exit_code":null,"diff":{"path":"a.py","old":"hi","new":"ho"}}
    {"type":"tool_updated","call":"call_3","status":"running","kind":"edit","title":"write","input":"b.txt","output":null,"exit_code":null,"diff":{"path":"b.txt","old":null,"new":"new\n"}}
    {"type":"tool_updated","call":"call_7","status":"completed","kind":null,"title":"exit 3","input":null,"output":"(no output)","exit_code":3,"diff":null}
    {"type":"usage","context_used":100,"context_size":100000}
    {"type":"turn_ended","turn":1,"stop":"end_turn","usage":{"input":100,"output":10}}
    {"type":"turn_failed","turn":3,"message":"budget spent: ask an admin"}
    "#);
    let doing: Vec<String> = updates.iter().filter_map(AgentUpdate::doing).collect();
    assert_eq!(doing, ["Reading a file", "Reading cart/totals.py", "Editing b.txt"]);
}

#[test]
fn other_agents_plans_and_short_calls_are_read_too() {
    let plan = update(&json!({"sessionUpdate": "plan", "entries": [{"content": "one", "status": "in_progress", "priority": "low"}, 7]}));
    assert_eq!(plan, [AgentUpdate::Plan { entries: vec![PlanEntry { text: "one".into(), status: PlanStatus::InProgress }] }]);
    let call = json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "ls", "kind": "execute", "status": "completed", "rawInput": {"command": ["ls", "-l"]}});
    let updates = update(&call);
    assert!(matches!(&updates[0], AgentUpdate::ToolStarted(call) if call.input.as_deref() == Some("ls -l")), "{updates:?}");
    assert!(matches!(&updates[1], AgentUpdate::ToolUpdated(progress) if progress.status == ToolStatus::Completed), "{updates:?}");
}

#[test]
fn what_an_update_may_hold_is_bounded() {
    let long = "ü".repeat(1 << 20);
    let call = json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "title": long, "kind": "edit", "rawInput": {"command": long, "filePath": long, "content": long, "todos": vec![json!({"content": "ü".repeat(2000)}); 1000]}, "content": [{"type": "content", "content": {"type": "text", "text": long}}]});
    let size = serde_json::to_string(&update(&call)).unwrap().len();
    assert!(size < 200_000, "{size}");
}

proptest! {
    /// Updates of any shape, built from the fields that are read, with values of every type.
    #[test]
    fn no_update_is_too_odd(
        kind in "(agent_message_chunk|tool_call|tool_call_update|plan|usage_update|x)",
        values in proptest::collection::vec("(null|-1|1e400|\"a\"|\"\"|\\[\\]|\\[7\\]|\\{\\}|\\{\"text\":\"x\"\\}|\\{\"filePath\":3,\"todos\":\\[\\{\\}\\]\\})", 10),
    ) {
        let fields = ["content", "toolCallId", "title", "kind", "status", "rawInput", "rawOutput", "entries", "used", "size"];
        let fields: Vec<String> = fields.iter().zip(&values).map(|(field, value)| format!("\"{field}\":{value}")).collect();
        let line = format!(r#"{{"method":"session/update","params":{{"update":{{"sessionUpdate":"{kind}",{}}}}}}}"#, fields.join(","));
        prop_assert_eq!(interpret(line.as_bytes()), interpret(line.as_bytes()));
    }

    #[test]
    fn any_bytes_mean_something_or_nothing(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = interpret(&line);
    }

    #[test]
    fn recorded_lines_survive_any_cut_and_change(line in 0usize..11, at in 0usize..500, byte in any::<u8>()) {
        let mut line = RECORDED.trim().lines().nth(line).unwrap().as_bytes().to_vec();
        let at = at.min(line.len() - 1);
        let _ = interpret(&line[..at]);
        line[at] = byte;
        let _ = interpret(&line);
    }
}
