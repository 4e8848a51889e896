//! Slack's documented limits of messages, for the tests: every message that the bot can send is held against them.

use std::collections::HashSet;

use serde_json::Value;

use super::Message;

/// Panics with what is wrong.
pub(super) fn assert_sendable(message: &Message) {
    assert!(!message.text.trim().is_empty() && message.text.chars().count() <= 4_000, "accessible text: {:?}", message.text);
    assert!((1..=50).contains(&message.blocks.len()), "{} blocks", message.blocks.len());
    let (mut ids, mut actions, mut markdown) = (HashSet::new(), HashSet::new(), 0);
    for block in &message.blocks {
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
            other => panic!("a block of the kind {other}"),
        }
    }
    assert!(markdown <= 12_000, "{markdown} characters of markdown");
    let all: usize = message.blocks.iter().map(|block| block.to_string().chars().count()).sum();
    assert!(markdown == 0 || all <= 13_200 + 40 * message.blocks.len(), "{all} characters in all");
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
