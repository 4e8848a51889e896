//! Slack's documented limits of messages, for the tests: every message that the bot can send is held against them.

use std::collections::HashSet;

use serde_json::Value;

use super::Message;

/// Panics with what is wrong.
pub(super) fn assert_sendable(message: &Message) {
    assert!(!message.text.trim().is_empty() && message.text.chars().count() <= 4_000, "accessible text: {:?}", message.text);
    assert!((1..=50).contains(&message.blocks.len()), "{} blocks", message.blocks.len());
    let markdown = blocks(&message.blocks);
    assert!(markdown <= 12_000, "{markdown} characters of markdown");
    let all: usize = message.blocks.iter().map(|block| block.to_string().chars().count()).sum();
    assert!(markdown == 0 || all <= 13_200 + 40 * message.blocks.len(), "{all} characters in all");
}

/// The same for the Home tab.
pub(super) fn assert_publishable(view: &Value) {
    assert_eq!(view["type"], "home");
    let shown = view["blocks"].as_array().unwrap();
    assert!((1..=100).contains(&shown.len()), "{} blocks", shown.len());
    assert_eq!(blocks(shown), 0, "no markdown in a view");
    assert!(view.to_string().len() <= 250_000, "{} bytes", view.to_string().len());
}

/// Gives the characters of markdown.
fn blocks(blocks: &[Value]) -> usize {
    let (mut ids, mut actions, mut markdown) = (HashSet::new(), HashSet::new(), 0);
    for block in blocks {
        if let Some(id) = block.get("block_id").and_then(Value::as_str) {
            assert!(!id.is_empty() && id.len() <= 255 && ids.insert(id), "block_id {id}");
        }
        match block["type"].as_str().unwrap() {
            "header" => text(&block["text"], "plain_text", 150),
            "section" => {
                text(&block["text"], "mrkdwn", 3_000);
                if let Some(accessory) = block.get("accessory") {
                    element(accessory, &mut actions);
                }
            }
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                elements.iter().for_each(|element| text(element, "mrkdwn", 2_000));
            }
            "actions" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=25).contains(&elements.len()));
                elements.iter().for_each(|item| element(item, &mut actions));
            }
            "markdown" => markdown += block["text"].as_str().filter(|text| !text.is_empty()).unwrap().chars().count(),
            "divider" => {}
            other => panic!("a block of the kind {other}"),
        }
    }
    markdown
}

fn text(object: &Value, kind: &str, limit: usize) {
    assert_eq!(object["type"], kind);
    let text = object["text"].as_str().unwrap();
    assert!(!text.trim().is_empty() && text.chars().count() <= limit, "{kind} of {} characters: {text}", text.chars().count());
}

fn element(element: &Value, actions: &mut HashSet<String>) {
    let id = element["action_id"].as_str().unwrap();
    assert!(id.len() <= 255 && actions.insert(id.to_owned()), "action_id {id}");
    match element["type"].as_str().unwrap() {
        "button" => {
            text(&element["text"], "plain_text", 75);
            assert!(element.get("value").is_none_or(|value| (1..=2_000).contains(&value.as_str().unwrap().len())));
            assert!(element.get("url").is_none_or(|url| (1..=3_000).contains(&url.as_str().unwrap().len())));
            assert!(element.get("style").is_none_or(|style| ["primary", "danger"].contains(&style.as_str().unwrap())));
            if let Some(confirm) = element.get("confirm") {
                text(&confirm["title"], "plain_text", 100);
                text(&confirm["text"], "plain_text", 300);
                text(&confirm["confirm"], "plain_text", 30);
                text(&confirm["deny"], "plain_text", 30);
            }
        }
        "static_select" => {
            text(&element["placeholder"], "plain_text", 150);
            match (element.get("options"), element.get("option_groups")) {
                (Some(list), None) => options(list),
                (None, Some(groups)) => {
                    let groups = groups.as_array().unwrap();
                    assert!((1..=100).contains(&groups.len()));
                    for group in groups {
                        text(&group["label"], "plain_text", 75);
                        options(&group["options"]);
                    }
                }
                both => panic!("options or groups, and one of them: {both:?}"),
            }
            if let Some(initial) = element.get("initial_option") {
                let groups = element["option_groups"].as_array().into_iter().flatten().map(|group| &group["options"]);
                let mut lists = groups.chain(element.get("options")).filter_map(Value::as_array);
                assert!(lists.any(|list| list.contains(initial)), "{initial} is none of the options");
            }
        }
        "checkboxes" => {
            options(&element["options"]);
            assert!(element["options"].as_array().unwrap().len() <= 10);
            if let Some(initial) = element.get("initial_options") {
                assert!(!initial.as_array().unwrap().is_empty(), "none are left out");
            }
        }
        other => panic!("an element of the kind {other}"),
    }
}

fn options(list: &Value) {
    let list = list.as_array().unwrap();
    assert!((1..=100).contains(&list.len()), "{} options", list.len());
    for option in list {
        text(&option["text"], "plain_text", 75);
        assert!((1..=150).contains(&option["value"].as_str().unwrap().len()), "{option}");
    }
}
