//! The methods there are: what each costs, needs and does.

use super::super::limits::{SPECIAL, TIER_2, TIER_3, TIER_4, Tier};
use super::super::state::State;
use super::answer::Answer;
use super::args::{Args, Bodies};
use super::{app, chat, conversations, files, people};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    None,
    Bot,
    App,
}

pub(super) struct Method {
    pub(super) tier: Tier,
    pub(super) token: Token,
    /// One of these must be held; empty where none is needed.
    pub(super) scopes: &'static [&'static str],
    pub(super) bodies: Bodies,
    pub(super) run: fn(&mut State, &Args) -> Answer,
}

const READ: &[&str] = &["channels:read", "groups:read", "im:read", "mpim:read"];
const HISTORY: &[&str] = &["channels:history", "groups:history", "im:history", "mpim:history"];
const ASSISTANT: &[&str] = &["assistant:write", "chat:write"];

pub(super) fn method(name: &str) -> Option<Method> {
    use Bodies::{FormOnly, FormOrJson};
    let bot = |tier, scopes, bodies, run| Method { tier, token: Token::Bot, scopes, bodies, run };
    Some(match name {
        "api.test" => Method { tier: TIER_4, token: Token::None, scopes: &[], bodies: FormOrJson, run: app::api_test },
        "apps.connections.open" => Method { tier: TIER_2, token: Token::App, scopes: &[], bodies: FormOrJson, run: app::connections_open },
        "auth.test" => bot(SPECIAL, &[], FormOrJson, app::auth_test),
        "assistant.threads.setStatus" => bot(SPECIAL, ASSISTANT, FormOrJson, app::set_status),
        "assistant.threads.setSuggestedPrompts" => bot(SPECIAL, ASSISTANT, FormOrJson, app::set_prompts),
        "assistant.threads.setTitle" => bot(SPECIAL, ASSISTANT, FormOrJson, app::set_title),
        "bots.info" => bot(TIER_3, &["users:read"], FormOnly, people::bot_info),
        "chat.postMessage" => bot(Tier::Posting, &["chat:write"], FormOrJson, chat::post_message),
        "chat.update" => bot(TIER_3, &["chat:write"], FormOrJson, chat::update),
        "chat.delete" => bot(TIER_3, &["chat:write"], FormOrJson, chat::delete),
        "chat.postEphemeral" => bot(TIER_4, &["chat:write"], FormOrJson, chat::post_ephemeral),
        "chat.getPermalink" => bot(SPECIAL, &[], FormOnly, chat::permalink),
        "conversations.list" => bot(TIER_2, READ, FormOnly, conversations::list),
        "users.conversations" => bot(TIER_3, READ, FormOnly, conversations::of_the_bot),
        "conversations.info" => bot(TIER_3, READ, FormOnly, conversations::info),
        "conversations.history" => bot(TIER_3, HISTORY, FormOnly, conversations::history),
        "conversations.replies" => bot(TIER_3, HISTORY, FormOnly, conversations::replies),
        "conversations.members" => bot(TIER_4, READ, FormOnly, conversations::members),
        "conversations.join" => bot(TIER_3, &["channels:join"], FormOrJson, conversations::join),
        "conversations.open" => bot(TIER_3, &["im:write", "mpim:write"], FormOrJson, conversations::open),
        "files.getUploadURLExternal" => bot(TIER_4, &["files:write"], FormOnly, files::upload_url),
        "files.completeUploadExternal" => bot(TIER_4, &["files:write"], FormOrJson, files::complete_upload),
        "files.info" => bot(TIER_4, &["files:read"], FormOnly, files::info),
        "reactions.add" => bot(TIER_3, &["reactions:write"], FormOrJson, people::reaction_add),
        "reactions.remove" => bot(TIER_2, &["reactions:write"], FormOrJson, people::reaction_remove),
        "reactions.get" => bot(TIER_3, &["reactions:read"], FormOnly, people::reaction_get),
        "team.info" => bot(TIER_3, &["team:read"], FormOnly, people::team_info),
        "users.info" => bot(TIER_4, &["users:read"], FormOnly, people::user_info),
        "users.list" => bot(TIER_2, &["users:read"], FormOnly, people::user_list),
        "users.lookupByEmail" => bot(TIER_3, &["users:read.email"], FormOnly, people::user_by_email),
        "users.profile.get" => bot(TIER_4, &["users.profile:read"], FormOnly, people::user_profile),
        "views.open" => bot(TIER_4, &[], FormOrJson, app::view_open),
        "views.push" => bot(TIER_4, &[], FormOrJson, app::view_push),
        "views.update" => bot(TIER_4, &[], FormOrJson, app::view_update),
        "views.publish" => bot(TIER_4, &[], FormOrJson, app::view_publish),
        _ => return None,
    })
}
