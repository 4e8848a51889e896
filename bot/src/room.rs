//! How many sandboxes there may be at once, and who waits for one.
//!
//! Sandboxes of sessions count, whether they work, rest or are paused, and so do those of the warm pool; image builds have a bound of their own. A turn
//! that needs a sandbox asks for a *place* here first. Where none is free it waits, in the order of [`order()`], and room is made: the pool's entries give
//! way at once, then idle sessions are put to sleep. Who waits is not stored: a turn that has begun and has no sandbox asks again after a restart, with the
//! time at which its prompt came.

mod keep;
mod notice;
mod order;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use longshore_session::{ChannelId, Prompt, SandboxId, SessionId, SessionRecord, SlackUserId, ThreadKey, Timestamp};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

pub use self::keep::{keep, make_way, tell};
use self::order::{Candidate, order};

/// Turns of one channel that wait before one message says it of all of them, and their cards are posted when they begin.
pub const CROWD: usize = 4;
/// A session whose sandbox could not be put to sleep is not asked again before that.
const SPARED: Duration = Duration::from_secs(60);

/// The places and those who wait for one.
#[derive(Debug)]
pub struct Room {
    most: usize,
    state: Mutex<State>,
    /// Counts whatever changed.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// What is there, is being started or is being removed.
    held: HashMap<SandboxId, Holder>,
    /// Sessions that have a place and are about to use it, and whose turn it is for.
    granted: HashMap<SessionId, SlackUserId>,
    /// In the order in which they get places.
    waiting: Vec<Waiting>,
    /// Could not be removed; the keeper tries again.
    stuck: HashSet<SandboxId>,
}

#[derive(Debug)]
enum Holder {
    Pool,
    Session { session: SessionId, doing: Doing },
}

#[derive(Debug)]
enum Doing {
    /// A turn of this person's, or what nobody has told yet.
    Work(Option<SlackUserId>),
    /// It may be asked to go, not before the second time.
    Rest { since: Instant, spared_until: Instant },
    /// It was asked to go.
    Leave,
}

#[derive(Debug)]
struct Waiting {
    who: Waits,
    granted: oneshot::Sender<()>,
}

/// A turn that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    pub session: SessionId,
    pub thread: ThreadKey,
    pub person: SlackUserId,
    /// The prompt's words.
    pub text: String,
    /// When the prompt came.
    pub since: Timestamp,
}

/// The right to one sandbox, until it is dropped: by then the sandbox is there and counts by itself, or there is none.
#[derive(Debug)]
pub struct Place<'a> {
    room: &'a Room,
    session: SessionId,
}

impl Room {
    /// `most` is at least 1.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), state: Mutex::default(), changed: watch::Sender::new(0) }
    }

    pub fn most(&self) -> usize {
        self.most
    }

    /// Waits until there is a place for a sandbox of this session. Dropping the future leaves the queue.
    pub async fn ask(&self, record: &SessionRecord, prompt: &Prompt) -> Place<'_> {
        let person = prompt.author.slack_user.clone();
        let place = Place { room: self, session: record.id.clone() };
        let granted = {
            let mut state = self.lock();
            let (tell, granted) = oneshot::channel();
            let who = Waits {
                session: record.id.clone(),
                thread: record.thread.clone(),
                person: person.clone(),
                text: prompt.text.clone(),
                since: prompt.received,
            };
            if state.has(&record.id) {
                // It takes the place of one that ended.
                state.granted.insert(record.id.clone(), person);
                return place;
            }
            state.waiting.push(Waiting { who, granted: tell });
            granted
        };
        self.settle();
        // The sender goes only with an answer or with the place itself.
        let _ = granted.await;
        place
    }

    /// A sandbox of the session's is about to be started, or is there already.
    pub fn enter(&self, sandbox: &SandboxId, session: &SessionId) {
        let mut state = self.lock();
        let person = state.granted.get(session).cloned();
        state.held.insert(sandbox.clone(), Holder::Session { session: session.clone(), doing: Doing::Work(person) });
    }

    /// An entry of the pool is there already.
    pub fn enter_pool(&self, sandbox: &SandboxId) {
        self.lock().held.insert(sandbox.clone(), Holder::Pool);
    }

    /// An entry of the pool is about to be made. False where there is no room for it.
    pub fn enter_if_spare(&self, sandbox: &SandboxId) -> bool {
        let mut state = self.lock();
        let spare = state.waiting.is_empty() && state.all() < self.most;
        if spare {
            state.held.insert(sandbox.clone(), Holder::Pool);
        }
        spare
    }

    /// A sandbox is gone.
    pub fn leave(&self, sandbox: &SandboxId) {
        let mut state = self.lock();
        state.stuck.remove(sandbox);
        state.held.remove(sandbox);
        drop(state);
        self.settle();
    }

    /// A sandbox that was to be made is not there, unless it cannot be removed.
    pub fn leave_unless_stuck(&self, sandbox: &SandboxId) {
        if !self.lock().stuck.contains(sandbox) {
            self.leave(sandbox);
        }
    }

    /// A sandbox cannot be removed now. It counts, and is tried again.
    pub fn stick(&self, sandbox: &SandboxId) {
        self.lock().stuck.insert(sandbox.clone());
        self.note();
    }

    /// The session's sandbox works on something of this person's.
    pub fn work(&self, sandbox: &SandboxId, person: &SlackUserId) {
        self.lock().turn_to(sandbox, Doing::Work(Some(person.clone())));
    }

    /// The session's sandbox has nothing to do.
    pub fn rest(&self, sandbox: &SandboxId) {
        let now = Instant::now();
        self.lock().turn_to(sandbox, Doing::Rest { since: now, spared_until: now });
        self.settle();
    }

    /// The session was asked to let its sandbox go, and cannot.
    pub fn spare(&self, sandbox: &SandboxId) {
        let now = Instant::now();
        self.lock().turn_to(sandbox, Doing::Rest { since: now, spared_until: now + SPARED });
        self.note();
    }

    /// The place that a session's turn waits at, or would wait at if it asked now. Place 1 is the next one.
    pub fn place_of(&self, session: &SessionId) -> Option<usize> {
        let state = self.lock();
        match state.waiting.iter().position(|waiting| waiting.who.session == *session) {
            Some(index) => Some(index + 1),
            None if state.has(session) || (state.waiting.is_empty() && state.sessions() < self.most) => None,
            None => Some(state.waiting.len() + 1),
        }
    }

    pub fn is_waiting(&self, session: &SessionId) -> bool {
        self.lock().waiting.iter().any(|waiting| waiting.who.session == *session)
    }

    /// Whether so many turns of a channel wait that the channel is told of them together.
    pub fn is_crowded(&self, channel: &ChannelId) -> bool {
        self.lock().waiting.iter().filter(|waiting| waiting.who.thread.channel == *channel).count() + 1 >= CROWD
    }

    /// Who waits, in the order in which they get places.
    pub fn waiting(&self) -> Vec<Waits> {
        self.lock().waiting.iter().map(|waiting| waiting.who.clone()).collect()
    }

    /// How many entries the pool may have.
    pub fn spare_places(&self) -> usize {
        let state = self.lock();
        self.most.saturating_sub(state.sessions() + state.waiting.len())
    }

    /// Whether more is there, or about to be, than there may be.
    fn is_too_full(&self) -> bool {
        self.lock().all() > self.most
    }

    /// The idle session that is to let its sandbox go next, if anybody waits for that: the one that has rested longest.
    fn next_to_go(&self) -> Option<SessionId> {
        let mut state = self.lock();
        let now = Instant::now();
        let leaving = state.held.values().filter(|holder| matches!(holder, Holder::Session { doing: Doing::Leave, .. })).count();
        if leaving >= state.waiting.len() {
            return None;
        }
        let resting = state.held.values_mut().filter_map(|holder| match holder {
            Holder::Session { session, doing } => match doing {
                Doing::Rest { since, spared_until } if *spared_until <= now => Some((*since, session, doing)),
                Doing::Rest { .. } | Doing::Work(_) | Doing::Leave => None,
            },
            Holder::Pool => None,
        });
        let (_, session, doing) = resting.min_by_key(|(since, ..)| *since)?;
        *doing = Doing::Leave;
        Some(session.clone())
    }

    fn stuck(&self) -> Vec<SandboxId> {
        self.lock().stuck.iter().cloned().collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn note(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Gives free places to whoever is next.
    fn settle(&self) {
        let mut state = self.lock();
        state.arrange();
        while state.sessions() < self.most && !state.waiting.is_empty() {
            let Waiting { who, granted } = state.waiting.remove(0);
            if granted.send(()).is_ok() {
                state.granted.insert(who.session, who.person);
            }
            // What it has now counts for the next place.
            state.arrange();
        }
        drop(state);
        self.note();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock leaves a half-made state behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the session has a place.
    fn has(&self, session: &SessionId) -> bool {
        self.granted.contains_key(session)
            || self.held.values().any(|holder| matches!(holder, Holder::Session { session: of, .. } if of == session))
    }

    /// Places that sessions have. One that replaces its sandbox has one.
    fn sessions(&self) -> usize {
        let held = self.held.values().filter_map(|holder| match holder {
            Holder::Session { session, .. } => Some(session),
            Holder::Pool => None,
        });
        held.chain(self.granted.keys()).collect::<HashSet<_>>().len()
    }

    fn all(&self) -> usize {
        self.sessions() + self.held.values().filter(|holder| matches!(holder, Holder::Pool)).count()
    }

    fn turn_to(&mut self, sandbox: &SandboxId, to: Doing) {
        if let Some(Holder::Session { doing, .. }) = self.held.get_mut(sandbox) {
            *doing = to;
        }
    }

    /// Puts those who wait into their order.
    fn arrange(&mut self) {
        let mut at_work: HashMap<SlackUserId, usize> = HashMap::new();
        let mut counted = HashSet::new();
        for (session, person) in &self.granted {
            counted.insert(session);
            *at_work.entry(person.clone()).or_default() += 1;
        }
        for holder in self.held.values() {
            if let Holder::Session { session, doing: Doing::Work(Some(person)) } = holder
                && counted.insert(session)
            {
                *at_work.entry(person.clone()).or_default() += 1;
            }
        }
        let candidate = |waiting: &Waiting| Candidate { person: waiting.who.person.clone(), since: waiting.who.since };
        let candidates: Vec<Candidate> = self.waiting.iter().map(candidate).collect();
        let mut unordered: Vec<Option<Waiting>> = std::mem::take(&mut self.waiting).into_iter().map(Some).collect();
        let ordered = order(&candidates, &at_work).into_iter().filter_map(|index| unordered.get_mut(index)?.take());
        self.waiting = ordered.collect();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        state.granted.remove(&self.session);
        state.waiting.retain(|waiting| waiting.who.session != self.session);
        drop(state);
        self.room.settle();
    }
}

/// The ceiling where the configuration names none: what the machine's memory holds at the sandboxes' memory limit, beside the builds at once and a
/// gigabyte for everything else. At least one.
pub fn usual_most(machine_mb: u64, sandbox_mb: u64, builds: usize) -> usize {
    const ELSE_MB: u64 = 1024;
    let sandbox_mb = sandbox_mb.max(1);
    let builds_mb = sandbox_mb.saturating_mul(u64::try_from(builds).unwrap_or(u64::MAX));
    let left = machine_mb.saturating_sub(ELSE_MB).saturating_sub(builds_mb);
    usize::try_from(left / sandbox_mb).unwrap_or(usize::MAX).max(1)
}

/// Megabytes of memory that this machine has. None where it does not say.
pub fn machine_mb() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024)
}

#[cfg(test)]
mod tests;
