//! What people say to each other in a session's thread, and whether a reply without the bot's name is for the bot.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use longshore_session::{MessageTs, Said, SessionRecord, SessionState, ThreadKey, Work};
use longshore_slack::{Post, Reply, readable};

use crate::{app::App, thread::is_aside};

/// Messages of a thread that are looked through.
const THREAD: usize = 1_000;
/// What is given along with one prompt.
const SAID: usize = 50;
/// Threads that are remembered.
const KNOWN: usize = 2_000;

/// Threads that were read, and whether bots other than this one speak in them.
#[derive(Debug, Default)]
pub struct Threads(Mutex<HashMap<ThreadKey, Seen>>);

#[derive(Debug, Clone)]
struct Seen {
    until: MessageTs,
    bots: Bots,
}

/// Who speaks in a thread beside people and this bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bots {
    None,
    Others,
}

/// A thread as far as it matters for a prompt.
#[derive(Debug)]
pub struct Talk {
    pub bots: Bots,
    /// What people said since the agent was last told.
    pub said: Vec<Said>,
}

/// Whether the session still listens to replies that do not name the bot.
pub fn is_live(app: &App, session: &SessionRecord) -> bool {
    let life = Duration::from_secs(app.config.slack.live_days * 24 * 3_600);
    session.has_work == Work::Some || app.clock.now().since(session.touched) < life
}

/// Whether the reply speaks to somebody else by name.
pub fn is_to_somebody_else(app: &App, post: &Post) -> bool {
    post.addressee.as_ref().is_some_and(|addressee| *addressee != app.bot.user)
}

/// Reads the thread up to `post`. What Slack does not tell is not there.
pub async fn heard(app: &App, thread: &ThreadKey, state: &SessionState, post: &MessageTs) -> Talk {
    let known = app.threads.get(thread);
    let told = state.told_until();
    // From the beginning the first time, for the bots' sake.
    let oldest = known.as_ref().zip(told).map(|(seen, told)| (&seen.until).min(told));
    let page = match app.slack.replies_since(&thread.channel, &thread.thread, oldest, THREAD).await {
        Ok(page) => page.replies,
        Err(error) => {
            tracing::warn!(%error, "cannot read the thread; going on with the message alone");
            Vec::new()
        }
    };
    let is_other_bot = |reply: &Reply| reply.user.as_ref() != Some(&app.bot.user) && is_bots(reply);
    let spoke = known.as_ref().is_some_and(|seen| seen.bots == Bots::Others) || page.iter().any(is_other_bot);
    let bots = if spoke { Bots::Others } else { Bots::None };
    if let Some(last) = page.last() {
        app.threads.put(thread, Seen { until: last.ts.clone(), bots });
    }
    let is_news = |reply: &&Reply| told.is_none_or(|told| reply.ts > *told) && reply.ts < *post && !state.knows(&reply.ts);
    let mut said = Vec::new();
    for reply in page.iter().filter(is_news) {
        let Some(user) = reply.user.as_ref().filter(|_| !is_bots(reply)) else { continue };
        let text = readable(&reply.text, &app.bot.user);
        if text.is_empty() || is_aside(&text) || ["stop", "status"].contains(&text.to_lowercase().as_str()) {
            continue;
        }
        let name = app.person(user).await.map_or_else(|_| user.to_string(), |person| person.name);
        said.push((user.to_string(), Said { name, text }));
    }
    let names: Vec<(String, String)> = said.iter().map(|(user, said)| (format!("@{user}"), format!("@{}", said.name))).collect();
    let skip = said.len().saturating_sub(SAID);
    let said = said.into_iter().skip(skip).map(|(_, said)| {
        let text = names.iter().fold(said.text, |text, (user, name)| text.replace(user, name));
        Said { text, ..said }
    });
    Talk { bots, said: said.collect() }
}

fn is_bots(reply: &Reply) -> bool {
    reply.bot_id.is_some() || reply.raw.get("subtype").and_then(serde_json::Value::as_str) == Some("bot_message")
}

impl Threads {
    fn get(&self, thread: &ThreadKey) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(thread).cloned()
    }

    fn put(&self, thread: &ThreadKey, seen: Seen) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            // They are read again.
            known.clear();
        }
        known.insert(thread.clone(), seen);
    }
}
