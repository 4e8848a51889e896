//! A Slack thread as people and the agent read it.

use longshore_session::{Said, SlackUserId};
use longshore_slack::{Reply, readable};
use serde_json::Value;

use crate::app::App;

/// Begins what people say to each other, and not to the bot.
const ASIDE: &str = "aside:";

/// Who said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    Person(String),
    /// The bot itself.
    Own,
    OtherBot(String),
}

pub fn is_aside(text: &str) -> bool {
    text.trim_start().get(..ASIDE.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(ASIDE))
}

/// What a person said to others, for the agent. None for asides, bots, and what has no words.
pub async fn said(app: &App, reply: &Reply) -> Option<Said> {
    let text = words(app, reply).await;
    match speaker(app, reply).await {
        Speaker::Person(name) if !text.is_empty() && !is_aside(&text) => Some(Said { name, text }),
        Speaker::Person(_) | Speaker::Own | Speaker::OtherBot(_) => None,
    }
}

pub async fn speaker(app: &App, reply: &Reply) -> Speaker {
    if is_own(app, reply) {
        return Speaker::Own;
    }
    if is_other_bots(app, reply) {
        let name = ["/username", "/bot_profile/name"].iter().find_map(|at| reply.raw.pointer(at).and_then(Value::as_str));
        return Speaker::OtherBot(name.unwrap_or("somebody's bot").to_owned());
    }
    match &reply.user {
        Some(user) => Speaker::Person(name_of(app, user).await),
        None => Speaker::Person("somebody".to_owned()),
    }
}

fn is_own(app: &App, reply: &Reply) -> bool {
    reply.user.as_ref() == Some(&app.bot.user) || (reply.bot_id.is_some() && reply.bot_id == app.bot.bot_id)
}

/// Whether another bot than this one said it.
pub fn is_other_bots(app: &App, reply: &Reply) -> bool {
    let is_bots = reply.bot_id.is_some() || reply.raw.get("subtype").and_then(Value::as_str) == Some("bot_message");
    is_bots && !is_own(app, reply)
}

/// The words as a person reads them: without Slack's markup, with names for ids.
pub async fn words(app: &App, reply: &Reply) -> String {
    let text = readable(&reply.text, &app.bot.user);
    let mut named = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('@') {
        let (before, mention) = rest.split_at(at + 1);
        named.push_str(before);
        let end = mention.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit()).unwrap_or(mention.len());
        let (id, after) = mention.split_at(end);
        match SlackUserId::parse(id) {
            Ok(user) if id.len() > 3 && id.starts_with(['U', 'W']) => named.push_str(&name_of(app, &user).await),
            Ok(_) | Err(_) => named.push_str(id),
        }
        rest = after;
    }
    named.push_str(rest);
    named.trim().to_owned()
}

async fn name_of(app: &App, user: &SlackUserId) -> String {
    app.person(user).await.map_or_else(|_| user.to_string(), |person| person.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aside_begins_with_its_word() {
        assert!(is_aside(" Aside: lunch?") && is_aside("aside:"));
        assert!(!is_aside("an aside: lunch?") && !is_aside("asid") && !is_aside("äside: ß"));
    }
}
