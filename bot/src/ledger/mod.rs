//! Looks after what is owed: every accepted prompt gets its final message, also where a wake-up was lost.

pub mod command;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use longshore_session::{
    Ask, AskState, LedgerEntry, LedgerStanding, OutboxOwner, Overdue, PromptId, Records, SessionId, SessionRecord, StoreError, Timestamp,
    Work,
};

use crate::{app::App, conversation, routing};

/// How often what is owed is looked through.
const ROUND: Duration = Duration::from_secs(30);
/// A session that was touched within this is looked at in every round, whatever the index says of its work.
const LATELY: Duration = Duration::from_secs(3600);
/// What came in so lately is being seen to.
const FRESH: Duration = Duration::from_secs(5);
/// An ask may be routed for this long: the thread is read first, and Slack may let that wait.
const ROUTED_WITHIN: Duration = Duration::from_secs(150);
/// The wait before the same session is woken again, doubled each time: what breaks off at once must not break off all the time.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_AT_MOST: Duration = Duration::from_secs(3600);

/// What is owed, in numbers.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// When they were counted; none before the first round.
    pub at: Option<Timestamp>,
    /// Prompts by how far they are ([`LedgerStanding::word`]); those that are owed nothing are not among them.
    pub owed: HashMap<&'static str, u64>,
    /// Prompts whose message is due for longer than a minute and not in Slack.
    pub overdue: HashMap<Overdue, u64>,
    /// Messages and changes of every kind that wait in outboxes.
    pub unsent: u64,
    /// Of the oldest of them.
    pub unsent_since: Option<Timestamp>,
    /// Sessions whose databases cannot be read.
    pub unreadable: u64,
}

/// The newest figures, and what was done about them.
#[derive(Debug, Default)]
pub struct Survey(Mutex<(Figures, u64)>);

impl Survey {
    pub fn figures(&self) -> Figures {
        self.lock().0.clone()
    }

    /// How often something had to be mended since the start.
    pub fn mended(&self) -> u64 {
        self.lock().1
    }

    fn note(&self, figures: Figures, mended: u64) {
        let mut kept = self.lock();
        kept.0 = figures;
        kept.1 += mended;
    }

    fn lock(&self) -> MutexGuard<'_, (Figures, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which sessions a round reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The index may be wrong about any: it is another file than their logs.
    All,
    Lately,
}

/// Runs until shutdown: at the start over all sessions, and then regularly over those that were touched lately.
pub async fn keep(app: Arc<App>) {
    let mut woken = Woken::default();
    let mut reach = Reach::All;
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            _ = round.tick() => {}
        }
        let looked = app.shutdown.run_until_cancelled(look_through(&app, reach, &mut woken)).await;
        match looked {
            Some(Ok(())) => reach = Reach::Lately,
            Some(Err(error)) => tracing::warn!(error = format!("{error:#}"), "cannot look through what is owed; trying again"),
            None => return,
        }
    }
}

async fn look_through(app: &Arc<App>, reach: Reach, woken: &mut Woken) -> Result<()> {
    let (folder, now) = (app.store.folder().to_owned(), app.clock.now());
    let found = tokio::task::spawn_blocking(move || Found::read(&Records::open(&folder)?, reach, now)).await??;
    let mut mended = 0;
    for (session, error) in &found.unreadable {
        if woken.is_due(session) {
            tracing::warn!(%session, %error, "what the session owes cannot be read");
        }
    }
    for owing in &found.owing {
        let id = &owing.record.id;
        if app.conversations.is_awake(id) {
            if owing.is_missing {
                // It looks at what it owes.
                conversation::wake(app, id).await?;
                mended += 1;
            }
            continue;
        }
        if now.since(owing.record.touched) > FRESH && woken.is_due(id) {
            tracing::warn!(session = %id, prompts = owing.prompts, unsent = owing.unsent, "nobody sees to what the session owes; waking it");
            conversation::wake(app, id).await?;
            mended += 1;
        }
    }
    woken.forget_all_but(found.owing.iter().map(|owing| &owing.record.id).chain(found.unreadable.iter().map(|(id, _)| id)));
    if found.figures.unsent > 0 {
        app.outbox.nudge(OutboxOwner::Service);
    }
    let stray = stray_asks(app, now).await?;
    for ask in &stray {
        tracing::warn!(prompt = %ask.prompt.id, "nobody routes the prompt; doing it now");
    }
    mended += stray.len() as u64;
    routing::take_up(app, stray).await?;
    app.survey.note(found.figures, mended);
    Ok(())
}

/// Asks that should be in a session by now, or have a picker, and that nobody is busy with.
async fn stray_asks(app: &App, now: Timestamp) -> Result<Vec<Ask>> {
    let mut stray = Vec::new();
    for ask in app.store.asks().await? {
        let is_stray = match ask.state {
            AskState::Routing => app.routed.is_over(&ask.prompt.id) && now.since(ask.prompt.received) > FRESH,
            AskState::Picking => {
                let picker = app.store.sending(&OutboxOwner::Service, format!("{}:picker", ask.prompt.id)).await?;
                picker.is_none() && app.routed.is_over(&ask.prompt.id) && now.since(ask.prompt.received) > FRESH
            }
        };
        if is_stray {
            stray.push(ask);
        }
    }
    Ok(stray)
}

/// What a round found.
#[derive(Debug, Default)]
struct Found {
    figures: Figures,
    owing: Vec<Owing>,
    unreadable: Vec<(SessionId, StoreError)>,
}

/// A session that owes something.
#[derive(Debug)]
struct Owing {
    record: SessionRecord,
    prompts: usize,
    unsent: u64,
    /// A turn ended without a final message.
    is_missing: bool,
}

impl Found {
    fn read(records: &Records, reach: Reach, now: Timestamp) -> Result<Self, StoreError> {
        let mut found = Self { figures: Figures { at: Some(now), ..Figures::default() }, ..Self::default() };
        let outside = records.ledger_outside()?;
        found.count(&outside.entries, now);
        found.count_unsent(outside.unsent, outside.oldest_due);
        for record in records.sessions()? {
            let is_looked_at = match reach {
                Reach::All => true,
                Reach::Lately => record.has_work == Work::Some || now.since(record.touched) < LATELY,
            };
            if !is_looked_at {
                continue;
            }
            let ledger = match records.ledger_of(&record) {
                Ok(ledger) => ledger,
                Err(error) => {
                    found.figures.unreadable += 1;
                    found.unreadable.push((record.id, error));
                    continue;
                }
            };
            found.count(&ledger.entries, now);
            found.count_unsent(ledger.unsent, ledger.oldest_due);
            let prompts = ledger.entries.iter().filter(|entry| entry.standing.is_owed()).count();
            let is_missing = ledger.entries.iter().any(|entry| matches!(entry.standing, LedgerStanding::Missing { .. }));
            if prompts > 0 || ledger.unsent > 0 {
                found.owing.push(Owing { record, prompts, unsent: ledger.unsent, is_missing });
            }
        }
        Ok(found)
    }

    fn count(&mut self, entries: &[LedgerEntry], now: Timestamp) {
        for entry in entries.iter().filter(|entry| entry.standing.is_owed()) {
            *self.figures.owed.entry(entry.standing.word()).or_default() += 1;
            if let Some(why) = entry.overdue(now) {
                *self.figures.overdue.entry(why).or_default() += 1;
            }
        }
    }

    fn count_unsent(&mut self, unsent: u64, oldest: Option<Timestamp>) {
        self.figures.unsent += unsent;
        self.figures.unsent_since = [self.figures.unsent_since, oldest].into_iter().flatten().min();
    }
}

/// Sessions that had to be woken, and when that may be done again.
#[derive(Debug, Default)]
struct Woken(HashMap<SessionId, (u32, tokio::time::Instant)>);

impl Woken {
    /// Notes it as done where it is.
    fn is_due(&mut self, session: &SessionId) -> bool {
        let now = tokio::time::Instant::now();
        let (times, next) = self.0.entry(session.clone()).or_insert((0, now));
        if *next > now {
            return false;
        }
        *next = now + (AGAIN * 2u32.saturating_pow(*times)).min(AGAIN_AT_MOST);
        *times += 1;
        true
    }

    /// Who owes nothing any more begins anew.
    fn forget_all_but<'a>(&mut self, owing: impl Iterator<Item = &'a SessionId>) {
        let owing: std::collections::HashSet<&SessionId> = owing.collect();
        self.0.retain(|session, _| owing.contains(session));
    }
}

/// Prompts that are being routed now.
#[derive(Debug, Default)]
pub struct Routed(Mutex<HashMap<PromptId, tokio::time::Instant>>);

impl Routed {
    /// Until the guard goes, somebody is busy with it.
    pub fn begin(self: &Arc<Self>, prompt: &PromptId) -> Routing {
        self.lock().insert(prompt.clone(), tokio::time::Instant::now());
        Routing { of: Arc::clone(self), prompt: prompt.clone() }
    }

    fn is_over(&self, prompt: &PromptId) -> bool {
        self.lock().get(prompt).is_none_or(|since| since.elapsed() > ROUTED_WITHIN)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PromptId, tokio::time::Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A prompt is being routed.
#[derive(Debug)]
pub struct Routing {
    of: Arc<Routed>,
    prompt: PromptId,
}

impl Drop for Routing {
    fn drop(&mut self) {
        self.of.lock().remove(&self.prompt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_that_breaks_off_is_woken_less_and_less_often() {
        let mut woken = Woken::default();
        let session = SessionId::parse("s-1").unwrap();
        let mut times = Vec::new();
        for second in 0..20 * 60 {
            if woken.is_due(&session) {
                times.push(second);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(times, [0, 60, 180, 420, 900]);
        woken.forget_all_but([].into_iter());
        assert!(woken.is_due(&session), "it owed nothing in between");
    }

    #[tokio::test]
    async fn a_prompt_is_routed_until_its_routing_ends_however_it_ends() {
        let routed = Arc::new(Routed::default());
        let prompt = PromptId::parse("p-1").unwrap();
        assert!(routed.is_over(&prompt));
        let routing = routed.begin(&prompt);
        assert!(!routed.is_over(&prompt));
        let broken_off = tokio::spawn(async move {
            let _routing = routing;
            panic!("routing broke off");
        });
        assert!(broken_off.await.is_err());
        assert!(routed.is_over(&prompt));
    }
}
