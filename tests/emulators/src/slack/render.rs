//! A thread as plain text: what a person sees of messages, blocks, buttons and files.

use serde_json::Value;

use super::message::{Author, Message};
use super::setup::UserKind;
use super::state::State;

/// Every message of the thread with its author and time (UTC), as a person sees it.
pub(super) fn thread_text(state: &State, channel: &str, ts: &str) -> String {
    let Some(room) = state.room(channel) else { return String::new() };
    let name = if room.channel.name.is_empty() { "direct message".to_owned() } else { format!("#{}", room.channel.name) };
    let mut out = format!("{name}\n");
    for message in room.thread(ts) {
        out.push('\n');
        let indent = if message.is_reply() { "  " } else { "" };
        for line in message_text(state, message).lines() {
            out.push_str(format!("{indent}{line}").trim_end());
            out.push('\n');
        }
    }
    out
}

fn message_text(state: &State, message: &Message) -> String {
    let edited = if message.edited.is_some() { " (edited)" } else { "" };
    let app = if matches!(message.author, Author::Person { .. }) { "" } else { " APP" };
    let mut out = format!("{}{app}  {}{edited}\n", user_name(state, message.user(state)), clock_time(&message.ts));
    let body = if message.blocks.is_empty() { mrkdwn(state, &message.text) } else { blocks_text(state, &message.blocks) };
    out.push_str(&body);
    for attachment in &message.attachments {
        let blocks = attachment["blocks"].as_array().map(|blocks| blocks_text(state, blocks));
        let text =
            blocks.unwrap_or_else(|| mrkdwn(state, attachment["text"].as_str().or(attachment["fallback"].as_str()).unwrap_or_default()));
        out.push_str(&text.lines().map(|line| format!("\n| {line}")).collect::<String>());
    }
    for file in message.files.iter().filter_map(|id| state.files.get(id)) {
        out.push_str(&format!("\n[file: {}, {} bytes]", file.title, file.size));
    }
    for reaction in &message.reactions {
        out.push_str(&format!("\n:{}: {}", reaction.name, reaction.users.len()));
    }
    out
}

fn user_name(state: &State, id: &str) -> String {
    match state.user(id) {
        Some(user) if user.kind == UserKind::Bot => user.name.clone(),
        Some(user) => user.real_name.clone(),
        None => id.to_owned(),
    }
}

/// `HH:MM:SS` of a message timestamp, UTC.
fn clock_time(ts: &str) -> String {
    let seconds: u64 = ts.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0) % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// All blocks, one after the other.
pub(super) fn blocks_text(state: &State, blocks: &[Value]) -> String {
    let texts: Vec<String> = blocks.iter().map(|block| block_text(state, block)).filter(|text| !text.is_empty()).collect();
    texts.join("\n")
}

fn block_text(state: &State, block: &Value) -> String {
    let list = |name: &str| block[name].as_array().cloned().unwrap_or_default();
    let joined = |items: Vec<String>, with: &str| items.into_iter().filter(|item| !item.is_empty()).collect::<Vec<_>>().join(with);
    match block["type"].as_str().unwrap_or_default() {
        "section" => {
            let fields = list("fields").iter().map(|field| object_text(state, field)).collect();
            joined(vec![object_text(state, &block["text"]), joined(fields, "\n"), element_text(state, &block["accessory"])], "\n")
        }
        "header" => object_text(state, &block["text"]),
        "context" | "actions" | "context_actions" => {
            joined(list("elements").iter().map(|element| element_text(state, element)).collect(), " ")
        }
        "divider" => "----------".to_owned(),
        "image" | "video" => format!("[image: {}]", block["alt_text"].as_str().unwrap_or_default()),
        "markdown" => block["text"].as_str().unwrap_or_default().to_owned(),
        "input" => joined(vec![object_text(state, &block["label"]), element_text(state, &block["element"])], ": "),
        "rich_text" => joined(list("elements").iter().map(|element| rich_text(state, element)).collect(), "\n"),
        "table" => {
            let cell = |cell: &Value| match cell["type"].as_str() {
                Some("raw_text") => cell["text"].as_str().unwrap_or_default().to_owned(),
                _ => block_text(state, cell),
            };
            let row = |row: &Value| joined(row.as_array().into_iter().flatten().map(cell).collect(), " | ");
            joined(list("rows").iter().map(row).collect(), "\n")
        }
        "plan" => {
            let title = block["title"].as_str().unwrap_or_default().to_owned();
            joined([vec![title], list("tasks").iter().map(|task| block_text(state, task)).collect()].concat(), "\n")
        }
        "task_card" => {
            let status = block["status"].as_str().unwrap_or("pending");
            let head = format!("({status}) {}", block["title"].as_str().unwrap_or_default());
            joined(vec![head, block_text(state, &block["details"]), block_text(state, &block["output"])], "\n")
        }
        _ => String::new(),
    }
}

fn object_text(state: &State, object: &Value) -> String {
    let text = object["text"].as_str().unwrap_or_default();
    if object["type"] == "mrkdwn" { mrkdwn(state, text) } else { text.to_owned() }
}

fn element_text(state: &State, element: &Value) -> String {
    match element["type"].as_str().unwrap_or_default() {
        "" => String::new(),
        "plain_text" | "mrkdwn" => object_text(state, element),
        "image" => format!("[image: {}]", element["alt_text"].as_str().unwrap_or_default()),
        "button" | "icon_button" | "workflow_button" => {
            let label = object_text(state, &element["text"]);
            match element["url"].as_str() {
                Some(url) => format!("[{label}]({url})"),
                None => format!("[{label}]"),
            }
        }
        "feedback_buttons" => {
            format!(
                "[{}] [{}]",
                object_text(state, &element["positive_button"]["text"]),
                object_text(state, &element["negative_button"]["text"])
            )
        }
        "overflow" => "[...]".to_owned(),
        "radio_buttons" | "checkboxes" => {
            let options = element["options"].as_array().into_iter().flatten();
            options.map(|option| format!("( ) {}", object_text(state, &option["text"]))).collect::<Vec<_>>().join("\n")
        }
        _ => {
            let chosen = object_text(state, &element["initial_option"]["text"]);
            let shown = if chosen.is_empty() { object_text(state, &element["placeholder"]) } else { chosen };
            format!("[{shown} v]")
        }
    }
}

fn rich_text(state: &State, element: &Value) -> String {
    let parts = || element["elements"].as_array().into_iter().flatten();
    let inline = || parts().map(|part| inline_text(state, part)).collect::<String>();
    match element["type"].as_str().unwrap_or_default() {
        "rich_text_list" => {
            let indent = "  ".repeat(usize::try_from(element["indent"].as_u64().unwrap_or(0)).unwrap_or(0));
            let ordered = element["style"] == "ordered";
            let sign = |index: usize| if ordered { format!("{}.", index + 1) } else { "•".to_owned() };
            let lines = parts().enumerate().map(|(index, part)| format!("{indent}{} {}", sign(index), rich_text(state, part)));
            lines.collect::<Vec<_>>().join("\n")
        }
        "rich_text_quote" => inline().lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n"),
        _ => inline(),
    }
}

fn inline_text(state: &State, part: &Value) -> String {
    let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
    match part["type"].as_str().unwrap_or_default() {
        "user" => format!("@{}", mention_name(state, &text("user_id"))),
        "channel" => channel_name(state, &text("channel_id")),
        "usergroup" => format!("@{}", text("usergroup_id")),
        "broadcast" => format!("@{}", text("range")),
        "emoji" => format!(":{}:", text("name")),
        "link" if part["text"].is_string() && part["text"] != part["url"] => format!("{} ({})", text("text"), text("url")),
        "link" => text("url"),
        "date" => text("fallback"),
        "color" => text("value"),
        _ => text("text"),
    }
}

fn mention_name(state: &State, id: &str) -> String {
    state.user(id).map_or_else(|| id.to_owned(), |user| user.name.clone())
}

fn channel_name(state: &State, id: &str) -> String {
    format!("#{}", state.room(id).map_or(id, |room| room.channel.name.as_str()))
}

/// Slack's escaped text as it is shown: mentions by name, links with their labels, entities opened.
fn mrkdwn(state: &State, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('>').map(|end| start + end) else { break };
        out.push_str(&token(state, &rest[start + 1..end]));
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn token(state: &State, token: &str) -> String {
    let (target, label) = token.split_once('|').map_or((token, None), |(target, label)| (target, Some(label)));
    match target.chars().next() {
        Some('@') => format!("@{}", mention_name(state, &target[1..])),
        Some('#') => channel_name(state, &target[1..]),
        Some('!') => label.map_or_else(|| format!("@{}", &target[1..]), str::to_owned),
        _ => match label {
            Some(label) => format!("{label} ({target})"),
            None => target.trim_start_matches("mailto:").to_owned(),
        },
    }
}
