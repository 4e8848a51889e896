//! Block Kit's pieces, within its limits.

use serde_json::{Value, json};

use super::words::cut;
use crate::action::Action;

/// Plain words in large letters.
pub(super) fn header(id: &str, text: &str) -> Value {
    json!({ "type": "header", "block_id": id, "text": plain_text(text, 150) })
}

/// A paragraph in Slack's markup. What is cut is cut at 3,000 characters.
pub(super) fn section(id: &str, markup: &str) -> Value {
    json!({ "type": "section", "block_id": id, "text": { "type": "mrkdwn", "text": cut(markup, 3_000) } })
}

/// Small print in Slack's markup.
pub(super) fn context(id: &str, markup: &str) -> Value {
    json!({ "type": "context", "block_id": id, "elements": [{ "type": "mrkdwn", "text": cut(markup, 2_000) }] })
}

/// Standard markdown, at most 12,000 characters over all of a message.
pub(super) fn markdown(text: &str) -> Value {
    json!({ "type": "markdown", "text": text })
}

/// A row of buttons and selects. None without any, since Slack wants at least one.
pub(super) fn actions(id: &str, elements: Vec<Value>) -> Option<Value> {
    (!elements.is_empty()).then(|| json!({ "type": "actions", "block_id": id, "elements": elements }))
}

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Default,
    Primary,
    Danger,
}

pub(super) fn button(label: &str, action: &Action, place: &str, style: Style) -> Value {
    let (action_id, value) = action.encode(place);
    let mut button = json!({ "type": "button", "action_id": action_id, "text": plain_text(label, 75), "value": value });
    match style {
        Style::Default => {}
        Style::Primary => button["style"] = json!("primary"),
        Style::Danger => button["style"] = json!("danger"),
    }
    button
}

/// A button that opens a page.
pub(super) fn link_button(label: &str, url: &str, place: &str) -> Value {
    let (action_id, _) = Action::Link.encode(place);
    json!({ "type": "button", "action_id": action_id, "text": plain_text(label, 75), "url": cut(url, 3_000) })
}

/// Asks before a click counts.
pub(super) fn confirmed(mut button: Value, title: &str, text: &str, yes: &str, no: &str) -> Value {
    button["confirm"] = json!({
        "title": plain_text(title, 100), "text": plain_text(text, 300), "confirm": plain_text(yes, 30), "deny": plain_text(no, 30),
    });
    button
}

pub(super) fn plain_text(text: &str, limit: usize) -> Value {
    json!({ "type": "plain_text", "text": cut(text, limit), "emoji": true })
}
