//! What becomes of typed text: Slack's escaped form with mentions and links, and its rich text.

use serde_json::{Value, json};

use super::super::setup::ChannelKind;
use super::super::state::State;

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Code(String),
    Fence(String),
    User(String),
    Channel { id: String, name: String },
    Broadcast(String),
    Link { url: String, label: Option<String> },
}

/// The message text and its one `rich_text` block, as Slack's client sends them.
///
/// `@name` and `#channel` become mentions where they name somebody; what is a mention or link in Slack's own form stays one.
pub(super) fn compose(state: &State, typed: &str) -> (String, Vec<Value>) {
    let pieces = split(state, typed);
    let text = pieces.iter().map(Piece::escaped).collect();
    let mut elements: Vec<Value> = Vec::new();
    let mut inline: Vec<Value> = Vec::new();
    for piece in &pieces {
        if let Piece::Fence(code) = piece {
            flush(&mut inline, &mut elements);
            elements.push(json!({ "type": "rich_text_preformatted", "elements": [{ "type": "text", "text": code }] }));
        } else {
            inline.push(piece.rich());
        }
    }
    flush(&mut inline, &mut elements);
    (text, if elements.is_empty() { Vec::new() } else { vec![json!({ "type": "rich_text", "elements": elements })] })
}

fn flush(inline: &mut Vec<Value>, elements: &mut Vec<Value>) {
    if !inline.is_empty() {
        elements.push(json!({ "type": "rich_text_section", "elements": std::mem::take(inline) }));
    }
}

impl Piece {
    fn escaped(&self) -> String {
        match self {
            Self::Text(text) => escape(text),
            Self::Code(code) => format!("`{}`", escape(code)),
            Self::Fence(code) => format!("```{}```", escape(code)),
            Self::User(id) => format!("<@{id}>"),
            Self::Channel { id, name } => format!("<#{id}|{name}>"),
            Self::Broadcast(range) => format!("<!{range}>"),
            Self::Link { url, label: Some(label) } => format!("<{url}|{label}>"),
            Self::Link { url, label: None } => format!("<{url}>"),
        }
    }

    fn rich(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "type": "text", "text": text }),
            Self::Code(code) | Self::Fence(code) => json!({ "type": "text", "text": code, "style": { "code": true } }),
            Self::User(id) => json!({ "type": "user", "user_id": id }),
            Self::Channel { id, .. } => json!({ "type": "channel", "channel_id": id }),
            Self::Broadcast(range) => json!({ "type": "broadcast", "range": range }),
            Self::Link { url, label: Some(label) } => json!({ "type": "link", "url": url, "text": label }),
            Self::Link { url, label: None } => json!({ "type": "link", "url": url }),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn split(state: &State, typed: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    let mut rest = typed;
    let mut before = ' ';
    while let Some(letter) = rest.chars().next() {
        let at_word = !before.is_alphanumeric();
        let found = match letter {
            '`' => code(rest),
            '<' => encoded(rest),
            '@' if at_word => mention(state, rest),
            '#' if at_word => channel(state, rest),
            'h' if at_word => link(rest),
            _ => None,
        };
        let taken = match found {
            Some((piece, taken)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
                taken
            }
            None => {
                plain.push(letter);
                letter.len_utf8()
            }
        };
        before = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

fn code(rest: &str) -> Option<(Piece, usize)> {
    if let Some(inner) = rest.strip_prefix("```") {
        let end = inner.find("```")?;
        return Some((Piece::Fence(inner[..end].to_owned()), end + 6));
    }
    let end = rest[1..].find(['`', '\n']).filter(|end| *end > 0 && rest[1 + end..].starts_with('`'))?;
    Some((Piece::Code(rest[1..=end].to_owned()), end + 2))
}

/// `<@U1>`, `<#C1|name>`, `<!here>`, `<https://…|label>`
fn encoded(rest: &str) -> Option<(Piece, usize)> {
    let end = rest.find('>')?;
    let (target, label) = match rest[1..end].split_once('|') {
        Some((target, label)) => (target, Some(label.to_owned())),
        None => (&rest[1..end], None),
    };
    let piece = if let Some(user) = target.strip_prefix('@') {
        Piece::User(user.to_owned())
    } else if let Some(channel) = target.strip_prefix('#') {
        Piece::Channel { id: channel.to_owned(), name: label.unwrap_or_default() }
    } else if let Some(range) = target.strip_prefix('!') {
        Piece::Broadcast(range.to_owned())
    } else if target.starts_with("http://") || target.starts_with("https://") {
        Piece::Link { url: target.to_owned(), label }
    } else {
        return None;
    };
    Some((piece, end + 1))
}

fn name_after_sign(rest: &str) -> &str {
    let end = rest[1..].find(|letter: char| !(letter.is_alphanumeric() || "._-".contains(letter))).unwrap_or(rest.len() - 1);
    rest[1..=end].trim_end_matches(['.', '-'])
}

fn mention(state: &State, rest: &str) -> Option<(Piece, usize)> {
    let name = name_after_sign(rest);
    if ["here", "channel", "everyone"].contains(&name) {
        return Some((Piece::Broadcast(name.to_owned()), name.len() + 1));
    }
    let user = state.setup.users.iter().find(|user| user.name.eq_ignore_ascii_case(name))?;
    Some((Piece::User(user.id.clone()), name.len() + 1))
}

fn channel(state: &State, rest: &str) -> Option<(Piece, usize)> {
    let name = name_after_sign(rest);
    let room = state
        .channels
        .iter()
        .find(|room| !name.is_empty() && room.channel.name == name && !matches!(room.channel.kind, ChannelKind::Im { .. }))?;
    Some((Piece::Channel { id: room.channel.id.clone(), name: name.to_owned() }, name.len() + 1))
}

fn link(rest: &str) -> Option<(Piece, usize)> {
    if !rest.starts_with("http://") && !rest.starts_with("https://") {
        return None;
    }
    let end = rest.find(|letter: char| letter.is_whitespace() || "<>|".contains(letter)).unwrap_or(rest.len());
    let url = rest[..end].trim_end_matches(['.', ',', ')', ';', ':', '!', '?']);
    Some((Piece::Link { url: url.to_owned(), label: None }, url.len()))
}
