//! What people say to each other in a session's thread, and whether a reply without the bot's name is for the bot.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use longshore_session::{MessageTs, Said, SessionRecord, SessionState, ThreadKey, Work};
use longshore_slack::{Post, Reply};

use crate::{app::App, thread};

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
pub async fn heard(app: &App, key: &ThreadKey, state: &SessionState, post: &MessageTs) -> Talk {
    let known = app.threads.get(key);
    let told = state.told_until();
    // From the beginning the first time, for the bots' sake.
    let oldest = known.as_ref().zip(told).map(|(seen, told)| (&seen.until).min(told));
    let page = match app.slack.replies_since(&key.channel, &key.thread, oldest, THREAD).await {
        Ok(page) => page.replies,
        Err(error) => {
            tracing::warn!(%error, "cannot read the thread; going on with the message alone");
            Vec::new()
        }
    };
    let spoke = known.as_ref().is_some_and(|seen| seen.bots == Bots::Others) || page.iter().any(|reply| thread::is_other_bots(app, reply));
    let bots = if spoke { Bots::Others } else { Bots::None };
    if let Some(last) = page.last() {
        app.threads.put(key, Seen { until: last.ts.clone(), bots });
    }
    let is_news = |reply: &&Reply| told.is_none_or(|told| reply.ts > *told) && reply.ts < *post && !state.knows(&reply.ts);
    let mut said = Vec::new();
    for reply in page.iter().filter(is_news) {
        let heard = thread::said(app, reply).await;
        said.extend(heard.filter(|said| !["stop", "status"].contains(&said.text.to_lowercase().as_str())));
    }
    let said = said.split_off(said.len().saturating_sub(SAID));
    Talk { bots, said }
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
