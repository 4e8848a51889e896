//! "Ask Longshore about this": a message's menu opens a window, and the window's answer begins work in the message's thread.

use std::sync::Arc;

use anyhow::{Result, bail};
use longshore_session::{Ask, AskState, Command, InboxRow, InvalidId, MessageTs, Prompt, PromptId, ThreadKey};
use longshore_slack::{
    ASK_ABOUT, AskAbout, AskAboutWindow, AskedAbout, Membership, Message, Metadata, PostTo, ShortcutCall, ShortcutRefused, SlackError,
    ViewSubmission,
};
use sha2::{Digest, Sha256};

use super::access::{self, Direct, Place};
use crate::{app::App, conversation, outbox::METADATA_TYPE, overview, routing};

/// The shortcut was chosen.
pub async fn used(app: &Arc<App>, call: ShortcutCall) -> Result<()> {
    if call.callback_id != ASK_ABOUT {
        tracing::info!(callback_id = call.callback_id, "a shortcut that is none of ours");
        return Ok(());
    }
    let direct = if call.channel.as_str().starts_with('D') { Direct::Yes } else { Direct::No };
    let place = Place { team: &call.team, channel: &call.channel, direct };
    if let Err(refusal) = access::check(&app.config.access, place, &call.user) {
        return answer(app, &call.response_url, refusal.render()).await;
    }
    // Asked before anything is typed in vain. Where Slack does not say, the answer in the thread will.
    if let Ok(Membership::Closed) = app.slack.membership(&call.channel).await {
        return answer(app, &call.response_url, ShortcutRefused::NotHere { bot: app.bot.user.clone() }.render()).await;
    }
    let about = AskAbout {
        channel: call.channel,
        thread: call.thread.unwrap_or_else(|| call.message.clone()),
        message: call.message,
        text: call.text.clone(),
        response_url: call.response_url.clone(),
    };
    match app.slack.open_view(&call.trigger_id, &AskAboutWindow { about, text: call.text }.render()).await {
        Ok(_) => Ok(()),
        Err(error) => {
            // Handled a second time, the click has opened its window already.
            if error.code() != Some("exchanged_trigger_id") {
                tracing::warn!(%error, "the window cannot be opened");
                answer(app, &call.response_url, ShortcutRefused::TooLate.render()).await?;
            }
            Ok(())
        }
    }
}

/// The window's answer.
pub async fn asked(app: &Arc<App>, row: &InboxRow, view: &ViewSubmission, about: AskAbout) -> Result<()> {
    let direct = if about.channel.as_str().starts_with('D') { Direct::Yes } else { Direct::No };
    let place = Place { team: &view.team, channel: &about.channel, direct };
    if let Err(refusal) = access::check(&app.config.access, place, &view.user) {
        return answer(app, &about.response_url, refusal.render()).await;
    }
    let here = match app.slack.membership(&about.channel).await? {
        Membership::Member => true,
        Membership::Open => app.slack.join(&about.channel).await.is_ok(),
        Membership::Closed => false,
    };
    if !here {
        return answer(app, &about.response_url, ShortcutRefused::NotHere { bot: app.bot.user.clone() }.render()).await;
    }
    let thread = ThreadKey { team: view.team.clone(), channel: about.channel.clone(), thread: about.thread.clone() };
    let task = view.task();
    let asked = AskedAbout { by: view.user.clone(), task: task.clone(), message_url: overview::message_url(app, &thread, &about.message) };
    let id = prompt_id(&row.delivery.key)?;
    let post = say_once(app, &thread, &format!("{id}:asked"), asked.render()).await?;
    let prompt = Prompt {
        id,
        author: app.person(&view.user).await?,
        text: match task {
            Some(task) => format!("{task}\n\nThis is about this message in the thread:\n> {}", about.text),
            None => about.text,
        },
        context: Vec::new(),
        files: Vec::new(),
        post,
        received: row.delivery.received,
    };
    match app.store.sessions_of(thread.clone()).await?.first() {
        Some(session) => {
            // Refused as a duplicate where this was handled before.
            let _ = conversation::command(app, &session.id, Command::Accept { prompt }).await?;
            Ok(())
        }
        None => {
            if app.store.asks_of(thread.clone()).await?.iter().any(|ask| ask.state == AskState::Routing && ask.prompt.id != prompt.id) {
                bail!("the thread's first prompt is still being routed");
            }
            let ask = Ask { prompt, thread, state: AskState::Routing, candidates: Vec::new(), phases: Vec::new() };
            routing::begin(app, ask).await
        }
    }
}

/// Posts where its own time stamp is needed at once; found again by its key where it stands already.
async fn say_once(app: &App, thread: &ThreadKey, key: &str, message: Message) -> Result<MessageTs> {
    if let Some(ts) = app.slack.find_by_metadata(&thread.channel, &thread.thread, key).await? {
        return Ok(ts);
    }
    let to = PostTo { channel: thread.channel.clone(), thread: Some(thread.thread.clone()) };
    Ok(app.slack.post_message(&to, &message, Some(&Metadata::keyed(METADATA_TYPE, key))).await?.ts)
}

/// The same for each time that this delivery is handled.
fn prompt_id(delivery: &str) -> Result<PromptId, InvalidId> {
    let digest = Sha256::digest(delivery);
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    PromptId::parse(format!("p-{name}"))
}

/// Tells the person who used the shortcut, wherever the bot is.
async fn answer(app: &App, response_url: &str, message: Message) -> Result<()> {
    match app.slack.respond(response_url, &message).await {
        Err(error @ (SlackError::RateLimited { .. } | SlackError::Transient { .. })) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "cannot answer a shortcut");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
