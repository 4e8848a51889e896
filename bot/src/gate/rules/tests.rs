use longshore_gateway::ToolCall;
use longshore_session::ToolRule;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn call(tool: &str, arguments: Value) -> ToolCall {
    let Value::Object(arguments) = arguments else { panic!("an object") };
    ToolCall { tool: tool.to_owned(), call: "call_1".to_owned(), conversation: "ses_1".to_owned(), arguments, cut: Vec::new() }
}

fn rules(text: &str) -> Rules {
    #[derive(serde::Deserialize)]
    struct Manifest {
        tool_rules: Vec<ToolRule>,
    }
    let manifest: Manifest = toml::from_str(text).unwrap();
    manifest.tool_rules.iter().for_each(|rule| rule.check().unwrap());
    Rules::compile(&manifest.tool_rules).unwrap()
}

fn denies(rules: &Rules, tool: &str, arguments: Value) -> bool {
    rules.judge(&call(tool, arguments)).denied.is_some()
}

#[test]
fn a_path_is_known_however_it_is_written() {
    let rules = rules("[[tool_rules]]\ntool = [\"edits\"]\npath = \"migrations/**\"\ndeny = \"no\"\n");
    for path in ["migrations/1.sql", "/workspace/migrations/1.sql", "./migrations//a/../1.sql", "src/../migrations/deep/1.sql"] {
        assert!(denies(&rules, "edit", json!({ "filePath": path })), "{path}");
    }
    for path in
        ["src/migrations/1.sql", "migrations.md", "/migrations/1.sql", "/workspace/migrations/../other", "/workspaces/migrations/1.sql"]
    {
        assert!(!denies(&rules, "edit", json!({ "filePath": path })), "{path}");
    }
    assert!(!denies(&rules, "read", json!({ "filePath": "migrations/1.sql" })), "another kind of tool");
    let patch = "*** Begin Patch\n*** Update File: src/a.rs\n*** Move to: migrations/2.sql\n*** End Patch";
    assert!(denies(&rules, "apply_patch", json!({ "patchText": patch })));
}

#[test]
fn a_pattern_stays_within_a_folder_or_goes_through_many() {
    let fits = |pattern: &str, path: &str| {
        let rule = ToolRule { path: Some(pattern.to_owned()), deny: Some("no".to_owned()), ..ToolRule::default() };
        denies(&Rules::compile(&[rule]).unwrap(), "write", json!({ "filePath": path }))
    };
    for (pattern, path) in [
        ("*.lock", "Cargo.lock"),
        ("**/*.lock", "Cargo.lock"),
        ("**/*.lock", "a/b/c.lock"),
        ("src", "src/a/b.rs"),
        ("src/", "src/a.rs"),
        ("a?c", "abc"),
        ("/etc/*", "/etc/hosts"),
        ("/workspace/src/*.rs", "src/a.rs"),
        ("a+b(c).rs", "a+b(c).rs"),
    ] {
        assert!(fits(pattern, path), "{pattern} {path}");
    }
    for (pattern, path) in [("*.lock", "a/Cargo.lock"), ("src", "srcs/a"), ("a?c", "a/c"), ("etc/*", "/etc/hosts"), ("a.c", "abc")] {
        assert!(!fits(pattern, path), "{pattern} {path}");
    }
}

#[test]
fn commands_are_changed_in_order_and_the_first_refusal_ends_it() {
    let rules = rules(
        r#"
        [[tool_rules]]
        command = '\bnpm install\b'
        replace = "npm ci"
        [[tool_rules]]
        command = 'npm ci (\S+)'
        replace = "npm ci --prefix $1"
        [[tool_rules]]
        tool = ["commands"]
        command = 'git\s+push'
        deny = "The service pushes."
        [[tool_rules]]
        command = "npm"
        note = "npm runs offline here."
        [[tool_rules]]
        tool = ["longshore_*"]
        deny = "Not from here."
        "#,
    );
    let ruling = rules.judge(&call("bash", json!({ "command": "cd a && npm install web", "description": "d" })));
    assert_eq!(ruling.changed, Map::from_iter([("command".to_owned(), json!("cd a && npm ci --prefix web"))]));
    assert_eq!((ruling.denied, ruling.notes), (None, vec!["npm runs offline here.".to_owned()]));
    let refused = rules.judge(&call("bash", json!({ "command": "npm install && git  push" })));
    assert_eq!(refused, Ruling { denied: Some("The service pushes.".to_owned()), ..Ruling::default() });
    assert_eq!(rules.judge(&call("bash", json!({ "command": "make" }))), Ruling::default());
    assert!(denies(&rules, "longshore_open_pull_request", json!({})));
    let mut cut = call("bash", json!({ "command": "npm install" }));
    cut.cut.push("command".to_owned());
    assert!(rules.judge(&cut).denied.is_some(), "what was cut cannot be put back whole");
}

#[test]
fn tools_that_no_rule_can_concern_need_not_be_asked_about() {
    let commands = rules("[[tool_rules]]\ncommand = \"make\"\ndeny = \"no\"\n");
    assert!(!commands.concern("read") && commands.concern("bash"));
    let edits = rules("[[tool_rules]]\ntool = [\"edits\"]\npath = \"a\"\ndeny = \"no\"\n");
    assert!(!edits.concern("read") && edits.concern("write"));
    let all = rules("[[tool_rules]]\npath = \"secret\"\nnote = \"mind it\"\n");
    assert!(all.concern("read") && all.concern("grep"));
}

#[test]
fn a_pattern_that_cannot_be_used_is_named() {
    let rule = |command: &str| ToolRule { command: Some(command.to_owned()), deny: Some("no".to_owned()), ..ToolRule::default() };
    let (index, key, _) = Rules::compile(&[rule("a"), rule("(")]).unwrap_err();
    assert_eq!((index, key), (1, "command"));
    assert!(Rules::compile(&[rule("((((a{99}){99}){99}){99})")]).is_err(), "one that would take too much memory");
}

proptest! {
    /// Whatever rules and calls say: it is judged, the same each time, and only a command is ever changed.
    #[test]
    fn any_call_is_judged(
        tool in "[a-z_*]{0,8}|reads|edits|commands", path in ".{0,12}", pattern in ".{0,12}", with in "[$0-9a-z{}]{0,8}",
        named in "bash|edit|apply_patch|.{0,6}", file in ".{0,20}", line in ".{0,40}",
    ) {
        let rule = ToolRule { tool: vec![tool], ..ToolRule::default() };
        let of = [
            ToolRule { path: Some(path.clone()), note: Some("n".to_owned()), ..rule.clone() },
            ToolRule { command: Some(regex_lite::escape(&pattern)), replace: Some(with), ..rule.clone() },
            ToolRule { path: Some(path), deny: Some("d".to_owned()), ..rule },
        ];
        let rules = Rules::compile(&of).map_err(|(_, _, error)| TestCaseError::fail(error.to_string()))?;
        let arguments = json!({ "filePath": file, "path": [line], "command": line, "patchText": format!("*** Add File: {file}\n{line}") });
        let call = call(&named, arguments);
        let ruling = rules.judge(&call);
        prop_assert_eq!(&rules.judge(&call), &ruling);
        prop_assert!(ruling.changed.keys().all(|key| key == "command"));
        let _ = rules.concern(&named);
    }

    #[test]
    fn any_pattern_is_taken_or_refused(command in ".{0,40}", path in ".{0,40}", tool in ".{0,20}") {
        let rule = ToolRule { tool: vec![tool], path: Some(path), command: Some(command), deny: Some("d".to_owned()), ..ToolRule::default() };
        let _ = Rules::compile(&[rule]);
    }
}
