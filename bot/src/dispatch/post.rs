//! What somebody wrote, changed or took back.

use std::sync::Arc;

use anyhow::{Result, bail};
use longshore_classifier::{Addressed, Named, named_in_thread};
use longshore_session::{
    Ask, AskState, ChannelId, Command, InboxRow, MessageTs, Phase, Prompt, PromptFile, PromptId, Rejection, RepoName, Said, SessionRecord,
    SlackUserId, ThreadKey, Which,
};
use longshore_slack::{
    DeletedPost, EditedPost, EphemeralTo, FileRef, Message, Notice, PickerDone, Post, Reaction, SlackError, StatusScope,
};
use sha2::{Digest, Sha256};

use super::{
    access::{self, Direct, Place},
    talk::{self, Bots},
};
use crate::{
    app::App,
    conversation,
    dispatch::command,
    routing, thread,
    warmup::{self, Sign},
};

/// Begins a prompt that joins the running turn instead of waiting for its end.
const NOW: &str = "now:";
/// The reaction that stops (❌).
const STOP_REACTION: &str = "x";

pub async fn message(app: &Arc<App>, row: &InboxRow, post: Post) -> Result<()> {
    let thread = ThreadKey { team: post.team.clone(), channel: post.channel.clone(), thread: post.thread().clone() };
    let called = if post.mentions_bot || post.is_direct() { Called::Yes } else { Called::No };
    let sessions = if post.thread_ts.is_some() { app.store.sessions_of(thread.clone()).await? } else { Vec::new() };
    if called == Called::No && sessions.is_empty() {
        return Ok(());
    }
    let direct = if post.is_direct() { Direct::Yes } else { Direct::No };
    let place = Place { team: &post.team, channel: &post.channel, direct };
    if let Err(refusal) = access::check(&app.config.access, place, &post.user) {
        tracing::info!(user = %post.user, channel = %post.channel, ?refusal, "not allowed");
        // Talk between others in a thread is no request, so it needs no refusal.
        return if called == Called::Yes {
            whisper(app, &post.channel, Some(thread.thread), &post.user, refusal.render()).await
        } else {
            Ok(())
        };
    }
    let (asked, when) = begins_with_now(post.text.trim());
    match asked.to_lowercase().as_str() {
        "" if !post.files.is_empty() => {}
        "" if called == Called::Yes => return whisper(app, &post.channel, Some(thread.thread), &post.user, Notice::Empty.render()).await,
        "" => return Ok(()),
        "stop" if post.thread_ts.is_some() => return stop(app, &thread, &sessions, &post.user).await,
        "status" if called == Called::Yes => {
            let status = command::status(app, StatusScope::Mine, &post.user, &post.channel).await?;
            return whisper(app, &post.channel, Some(thread.thread), &post.user, status).await;
        }
        _ => {}
    }
    if thread::is_aside(&post.text) {
        return Ok(());
    }
    let repos: Vec<&RepoName> = app.manifests.keys().collect();
    let addressed = match called {
        Called::Yes => Addressed::ToTheBot,
        Called::No => Addressed::ToTheThread,
    };
    let named = if sessions.is_empty() { None } else { named_in_thread(asked, addressed, &repos) };
    let session = match &named {
        // Its own session, which may be the thread's second one.
        Some(Named::Repository(repo)) => sessions.iter().find(|session| session.repo == *repo),
        Some(Named::Unknown(_)) => None,
        None => sessions.first(),
    };
    let said = match session {
        Some(session) => match before(app, &thread, session, &post, called).await? {
            Some(said) => said,
            None => return Ok(()),
        },
        // Routing reads what was said before a session's first prompt.
        None => Vec::new(),
    };
    // A session that is there has a sandbox of its own, or gets its own back.
    if called == Called::Yes && session.is_none() {
        warmup::notice(app, Sign::PromptArrived, &post.user, Some(&post.channel), Some(post.text.clone()));
    }
    let prompt = Prompt {
        id: prompt_id(&post.channel, &post.ts),
        author: app.person(&post.user).await?,
        text: words_of(asked, &post.files),
        context: said,
        files: post.files.into_iter().map(prompt_file).collect(),
        post: post.ts.clone(),
        received: row.delivery.received,
    };
    let acknowledged = app.acknowledged.take(&row.delivery.key).map(|at| (Phase::Acknowledged, at));
    match session {
        Some(session) => {
            app.store.prompted(session.id.clone()).await?;
            // Refused as a duplicate where this delivery was handled before: then there is nothing left to do.
            let command = match when {
                When::Now => Command::AcceptNow { prompt },
                When::InTurn => Command::Accept { prompt },
            };
            if let Err(Rejection::Moved) = conversation::command(app, &session.id, command).await? {
                bail!("the session's prompts are being moved");
            }
            conversation::phases(app, &session.id, acknowledged.into_iter().collect()).await
        }
        None => {
            // Its session is about to be made, and takes this as a follow-up then.
            let routing_now = app.store.asks_of(thread.clone()).await?;
            if routing_now.iter().any(|ask| ask.state == AskState::Routing && ask.prompt.id != prompt.id) {
                bail!("the thread's first prompt is still being routed");
            }
            let ask = Ask { prompt, thread, state: AskState::Routing, candidates: Vec::new(), phases: acknowledged.into_iter().collect() };
            routing::begin(app, ask).await
        }
    }
}

/// Whether a post calls the bot by its name, or speaks to it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    Yes,
    No,
}

/// What was said in a session's thread before a prompt. None where the post is no prompt but talk: it goes along with the next one.
async fn before(app: &Arc<App>, thread: &ThreadKey, session: &SessionRecord, post: &Post, called: Called) -> Result<Option<Vec<Said>>> {
    if called == Called::No && (talk::is_to_somebody_else(app, post) || !talk::is_live(app, session)) {
        return Ok(None);
    }
    let standing = conversation::standing(app, &session.id).await?;
    let heard = talk::heard(app, thread, &standing.state, &post.ts).await;
    // Where bots answer each other, only a name tells who is meant.
    Ok((called == Called::Yes || heard.bots == Bots::None).then_some(heard.said))
}

/// Whether a prompt joins the running turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    InTurn,
}

/// The words without the one that says when.
fn begins_with_now(text: &str) -> (&str, When) {
    match text.get(..NOW.len()) {
        Some(word) if word.eq_ignore_ascii_case(NOW) => (text[NOW.len()..].trim_start(), When::Now),
        _ => (text, When::InTurn),
    }
}

/// What a post asks for. A file without a word is a request, too: the file says what it is about.
fn words_of(text: &str, files: &[FileRef]) -> String {
    if !text.is_empty() {
        return text.to_owned();
    }
    let names: Vec<String> = files.iter().map(|file| conversation::shortened(&file.name, 80)).collect();
    let noun = if names.len() == 1 { "file" } else { "files" };
    format!("See the attached {noun}: {}", names.join(", "))
}

fn prompt_file(file: FileRef) -> PromptFile {
    PromptFile { id: file.id, name: file.name, mimetype: file.mimetype, size: file.size, url: file.url }
}

async fn stop(app: &Arc<App>, thread: &ThreadKey, sessions: &[SessionRecord], by: &SlackUserId) -> Result<()> {
    let (mut stopped, mut refusal) = (false, Notice::NothingToStop);
    for session in sessions {
        match conversation::stop(app, &session.id, by.clone()).await? {
            Ok(()) => stopped = true,
            Err(Rejection::AlreadyStopping) => refusal = Notice::EndingAlready,
            Err(_) => {}
        }
    }
    for ask in app.store.asks_of(thread.clone()).await? {
        stopped = true;
        routing::end_picking(app, &ask, Notice::PromptWithdrawn.render(), PickerDone::Closed).await?;
    }
    if stopped { Ok(()) } else { whisper(app, &thread.channel, Some(thread.thread.clone()), by, refusal.render()).await }
}

/// An edit of a prompt that nobody has begun replaces it.
pub async fn edited(app: &Arc<App>, edit: EditedPost) -> Result<()> {
    let (text, when) = begins_with_now(edit.text.trim());
    let text = text.to_owned();
    if text.is_empty() {
        return Ok(());
    }
    if let Some(mut ask) = app.store.ask(prompt_id(&edit.channel, &edit.ts)).await? {
        ask.prompt.text = text;
        return Ok(app.store.change_ask(ask).await?);
    }
    for session in working_in(app, &edit.channel).await? {
        let command = Command::Edit { post: edit.ts.clone(), text: text.clone() };
        let notice = match conversation::command(app, &session.id, command).await? {
            Ok(()) if when == When::Now => {
                let prompt = prompt_id(&edit.channel, &edit.ts);
                // Where the turn is ending it stays the next one, and its notice says so.
                let _ = conversation::command(app, &session.id, Command::Insert { prompt }).await?;
                Notice::PromptReplaced
            }
            Ok(()) => Notice::PromptReplaced,
            Err(Rejection::AlreadyStarted) => Notice::EditTooLate,
            Err(_) => continue,
        };
        return whisper(app, &edit.channel, Some(session.thread.thread), &edit.user, notice.render()).await;
    }
    Ok(())
}

/// A prompt whose message is deleted before it began is withdrawn.
pub async fn deleted(app: &Arc<App>, gone: DeletedPost) -> Result<()> {
    if let Some(ask) = app.store.ask(prompt_id(&gone.channel, &gone.ts)).await? {
        return routing::end_picking(app, &ask, Notice::PromptWithdrawn.render(), PickerDone::Closed).await;
    }
    for session in working_in(app, &gone.channel).await? {
        let command = Command::Withdraw { which: Which::Post(gone.ts.clone()), by: None };
        if conversation::command(app, &session.id, command).await?.is_ok() {
            break;
        }
    }
    Ok(())
}

/// ❌ on the prompt, on its card or on the thread's first message stops the turn.
pub async fn reacted(app: &Arc<App>, reaction: Reaction) -> Result<()> {
    let direct = if reaction.channel.as_str().starts_with('D') { Direct::Yes } else { Direct::No };
    let place = Place { team: &reaction.team, channel: &reaction.channel, direct };
    if reaction.name != STOP_REACTION || access::check(&app.config.access, place, &reaction.user).is_err() {
        return Ok(());
    }
    for session in working_in(app, &reaction.channel).await? {
        let standing = conversation::standing(app, &session.id).await?;
        let prompted = standing.state.activity.prompt().is_some_and(|prompt| prompt.post == reaction.ts);
        if prompted || session.thread.thread == reaction.ts || standing.card.as_ref() == Some(&reaction.ts) {
            // Nothing to stop is no news: the reaction may be meant for people.
            let _ = conversation::stop(app, &session.id, reaction.user.clone()).await?;
        }
    }
    Ok(())
}

async fn working_in(app: &App, channel: &ChannelId) -> Result<Vec<SessionRecord>> {
    let working = app.store.working_sessions().await?;
    Ok(working.into_iter().filter(|session| session.thread.channel == *channel).collect())
}

/// The same for every delivery of the same post, so that a handler that runs twice makes one prompt.
pub fn prompt_id(channel: &ChannelId, post: &MessageTs) -> PromptId {
    let digest = Sha256::digest(format!("{channel}/{post}"));
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    PromptId::parse(format!("p-{name}")).unwrap_or_else(|_| PromptId::random())
}

/// For one person's eyes. What cannot be said so is not worth failing for.
pub async fn whisper(app: &App, channel: &ChannelId, thread: Option<MessageTs>, user: &SlackUserId, message: Message) -> Result<()> {
    let to = EphemeralTo { channel: channel.clone(), thread, user: user.clone() };
    match app.slack.post_ephemeral(&to, &message).await {
        Ok(()) => Ok(()),
        Err(error @ (SlackError::RateLimited { .. } | SlackError::Transient { .. })) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%channel, %error, "cannot answer in private");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_a_word_of_its_own_at_the_beginning() {
        assert_eq!(begins_with_now("Now:  use the other table"), ("use the other table", When::Now));
        assert_eq!(begins_with_now("now:"), ("", When::Now));
        for text in ["now use the other table", "do it now: please", "nö", ""] {
            assert_eq!(begins_with_now(text), (text, When::InTurn));
        }
    }
}
