use serde_json::{Value, json};

use super::*;

fn faults(blocks: Value) -> Vec<String> {
    match check_message_blocks(&blocks, "/blocks") {
        Ok(_) => Vec::new(),
        Err(Refusal::Invalid(faults)) => faults,
        Err(other) => panic!("{other:?}"),
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

fn button(id: &str) -> Value {
    json!({ "type": "button", "action_id": id, "text": { "type": "plain_text", "text": "Go" } })
}

fn select(count: usize) -> Value {
    let options: Vec<Value> =
        (0..count).map(|n| json!({ "text": { "type": "plain_text", "text": format!("o{n}") }, "value": format!("v{n}") })).collect();
    json!([{ "type": "actions", "elements": [{ "type": "static_select", "action_id": "s", "options": options }] }])
}

#[test]
fn the_limits_are_slacks_and_the_last_allowed_value_passes() {
    assert_eq!(faults(json!([section(&"x".repeat(3000))])), Vec::<String>::new());
    assert_eq!(faults(json!([section(&"x".repeat(3001))])), ["must be less than 3001 characters [json-pointer:/blocks/0/text/text]"]);
    assert_eq!(faults(json!([section("")])), ["must be more than 0 characters [json-pointer:/blocks/0/text/text]"]);
    let header = |n: usize| json!([{ "type": "header", "text": { "type": "plain_text", "text": "x".repeat(n) } }]);
    assert!(faults(header(150)).is_empty());
    assert_eq!(faults(header(151)), ["must be less than 151 characters [json-pointer:/blocks/0/text/text]"]);
    let dividers = |n: usize| Value::Array(vec![json!({ "type": "divider" }); n]);
    assert!(faults(dividers(50)).is_empty());
    assert_eq!(faults(dividers(51)), ["no more than 50 items allowed [json-pointer:/blocks]"]);
    let actions = |n: usize| json!([{ "type": "actions", "elements": (0..n).map(|i| button(&format!("b{i}"))).collect::<Vec<_>>() }]);
    assert!(faults(actions(25)).is_empty());
    assert_eq!(faults(actions(26)), ["no more than 25 items allowed [json-pointer:/blocks/0/elements]"]);
    assert_eq!(faults(actions(0)), ["no less than 1 items allowed [json-pointer:/blocks/0/elements]"]);
    let context = |n: usize| json!([{ "type": "context", "elements": vec![json!({ "type": "mrkdwn", "text": "x" }); n] }]);
    assert!(faults(context(10)).is_empty());
    assert_eq!(faults(context(11)), ["no more than 10 items allowed [json-pointer:/blocks/0/elements]"]);
    assert!(faults(select(100)).is_empty());
    assert_eq!(faults(select(101)), ["no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]"]);
}

#[test]
fn button_fields_have_limits_of_their_own() {
    let with = |field: &str, length: usize| {
        let mut button = button("b");
        button[field] = json!("x".repeat(length));
        json!([{ "type": "actions", "elements": [button] }])
    };
    assert!(faults(with("value", 2000)).is_empty());
    assert_eq!(faults(with("value", 2001)), ["must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]"]);
    assert!(faults(with("action_id", 255)).is_empty());
    assert_eq!(faults(with("action_id", 256)), ["must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]"]);
    let mut long = button("b");
    long["text"]["text"] = json!("x".repeat(76));
    assert_eq!(
        faults(json!([{ "type": "actions", "elements": [long] }])),
        ["must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]"]
    );
    let mut style = button("b");
    style["style"] = json!("default");
    assert_eq!(
        faults(json!([{ "type": "actions", "elements": [style] }])),
        ["value must be one of [primary, danger] [json-pointer:/blocks/0/elements/0/style]"]
    );
}

#[test]
fn unknown_types_and_fields_refuse_the_message() {
    assert_eq!(faults(json!([{ "type": "banner" }])), ["unsupported type: banner [json-pointer:/blocks/0/type]"]);
    assert_eq!(faults(json!([{ "type": "divider", "colour": "red" }])), ["invalid additional property: colour [json-pointer:/blocks/0]"]);
    assert_eq!(faults(json!([{ "type": "section" }])), ["missing required field: text [json-pointer:/blocks/0]"]);
    assert_eq!(
        faults(json!([{ "type": "header", "text": { "type": "mrkdwn", "text": "x" } }])),
        ["unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]"]
    );
    let option = json!({ "type": "option", "text": { "type": "plain_text", "text": "a" }, "value": "a" });
    let blocks = json!([{ "type": "actions", "elements": [{ "type": "static_select", "action_id": "s", "options": [option] }] }]);
    assert_eq!(faults(blocks), ["invalid additional property: type [json-pointer:/blocks/0/elements/0/options/0]"]);
    assert_eq!(check_message_blocks(&json!("[]"), "/blocks"), Err(Refusal::Format));
}

#[test]
fn ids_are_unique() {
    let twice = json!([{ "type": "actions", "elements": [button("b"), button("b")] }]);
    assert_eq!(faults(twice), ["`action_id` `b` already exists [json-pointer:/blocks/0/elements/1/action_id]"]);
    let blocks = json!([{ "type": "divider", "block_id": "d" }, { "type": "divider", "block_id": "d" }]);
    assert_eq!(faults(blocks), ["`block_id` `d` already exists [json-pointer:/blocks/1/block_id]"]);
}

#[test]
fn an_initial_option_is_one_of_the_options() {
    let mut blocks = select(2);
    blocks[0]["elements"][0]["initial_option"] = json!({ "text": { "type": "plain_text", "text": "o1" }, "value": "v1" });
    assert!(faults(blocks.clone()).is_empty());
    blocks[0]["elements"][0]["initial_option"]["value"] = json!("v7");
    assert_eq!(faults(blocks), ["initial option must match one of the options [json-pointer:/blocks/0/elements/0]"]);
}

#[test]
fn rich_text_is_checked_to_its_leaves() {
    let rich = |inline: Value| json!([{ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [inline] }] }]);
    assert!(faults(rich(json!({ "type": "text", "text": "x", "style": { "bold": true } }))).is_empty());
    assert!(faults(rich(json!({ "type": "link", "url": "https://example.com", "text": "x" }))).is_empty());
    assert_eq!(
        faults(rich(json!({ "type": "text", "text": 1 }))),
        ["must provide a string [json-pointer:/blocks/0/elements/0/elements/0/text]"]
    );
    assert_eq!(
        faults(rich(json!({ "type": "text", "text": "x", "style": { "loud": true } }))),
        ["invalid additional property: loud [json-pointer:/blocks/0/elements/0/elements/0/style]"]
    );
}

#[test]
fn all_texts_together_have_a_limit() {
    let blocks = |n: usize| Value::Array(vec![section(&"x".repeat(3000)); n]);
    assert!(faults(blocks(4)).is_empty());
    assert_eq!(check_message_blocks(&blocks(5), "/blocks"), Err(Refusal::TooLong));
}

#[test]
fn a_modal_with_an_input_needs_a_submit_button_and_a_home_tab_takes_no_markdown() {
    let input = json!({
        "type": "input", "label": { "type": "plain_text", "text": "Why" }, "element": { "type": "plain_text_input", "action_id": "a" },
    });
    let mut modal = json!({ "type": "modal", "title": { "type": "plain_text", "text": "Stop" }, "blocks": [input] });
    assert_eq!(check_view(&modal, ViewKind::Modal), Err(vec!["missing required field: submit [json-pointer:/view]".to_owned()]));
    modal["submit"] = json!({ "type": "plain_text", "text": "Stop" });
    assert!(check_view(&modal, ViewKind::Modal).is_ok());
    modal["title"]["text"] = json!("x".repeat(25));
    assert_eq!(
        check_view(&modal, ViewKind::Modal),
        Err(vec!["must be less than 25 characters [json-pointer:/view/title/text]".to_owned()])
    );
    let home = json!({ "type": "home", "blocks": [{ "type": "markdown", "text": "x" }] });
    assert_eq!(check_view(&home, ViewKind::Home), Err(vec!["unsupported type: markdown [json-pointer:/view/blocks/0/type]".to_owned()]));
}
