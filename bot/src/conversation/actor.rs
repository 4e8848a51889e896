//! One live session. The actor alone changes it: it takes commands and the agent's output, stores what follows, and carries out the effects.

mod ending;
mod inserting;
mod measuring;
mod moving;
mod painting;
mod questions;
mod requests;
mod resting;
mod settling;
mod syncing;
mod turn;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use longshore_agent::{Agent, AgentError, StartSession};
use longshore_sandbox::{EngineError, Exit};
use longshore_session::{
    Activity, AgentCursor, Append, Command, Effect, Event, OutboxDraft, OutboxOwner, Phase, PromptId, PullRequestRef, Rejection, SandboxId,
    SavedWork, SessionId, SessionRecord, SessionState, SnapshotRecord, StoreError, StoredEvent, TakenFile, Timestamp, TurnFailure, TurnId,
    TurnOutcome, Work, fault_point,
};
use longshore_slack::{Leftover, Message};
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tracing::Instrument;

use self::{ending::Found, painting::Painted, resting::Resting};
use super::{
    Letter, Note,
    card::{self, Painter},
    prepare::{self, Prepared},
    rebuild,
    view::{View, phase_word},
};
use crate::{app::App, outbox::Owed, snapshots::Moment};

/// An agent that was told to stop and does not is ended with its sandbox.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// An actor with nothing to do stays awake this long, for the next letter.
const DOZE: Duration = Duration::from_secs(5);
/// Outputs that become one transaction.
const OUTPUTS: usize = 200;
/// How long a full disk is waited for between tries.
const DISK_WAIT: Duration = Duration::from_secs(5);

pub async fn run(app: Arc<App>, id: SessionId, letters: mpsc::Receiver<Letter>) {
    let span = tracing::info_span!("session", session = %id);
    async {
        match load(&app, &id, letters).await {
            Ok(mut actor) => {
                if let Err(error) = actor.live().await {
                    actor.break_off(&error).await;
                }
                actor.hand_over(&app, &id).await;
            }
            Err(_) if app.shutdown.is_cancelled() => tracing::debug!("the next start opens the session"),
            Err(error) => tracing::error!(error = format!("{error:#}"), "the session cannot be opened"),
        }
        app.conversations.forget(&id);
    }
    .instrument(span)
    .await;
}

/// Opens the session. A damaged database is replaced first, as long as nobody else can open it.
async fn load(app: &Arc<App>, id: &SessionId, letters: mpsc::Receiver<Letter>) -> Result<Actor> {
    let recalled = match recall(app, id).await {
        Err(error) if rebuild::is_damage(app, &error) => {
            rebuild::rebuild(app, id, &error).await.with_context(|| format!("its database is damaged ({error:#})"))?;
            recall(app, id).await?
        }
        recalled => recalled?,
    };
    Actor::load(app, recalled, letters).await
}

/// What the session's databases hold.
struct Recalled {
    record: SessionRecord,
    state: SessionState,
    view: View,
    cursor: Option<AgentCursor>,
    log: Log,
}

/// Whether anything has happened yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    Empty,
    Begun,
}

async fn recall(app: &Arc<App>, id: &SessionId) -> Result<Recalled> {
    let record = app.store.session(id.clone()).await?.context("the index does not know it")?;
    let mut state = SessionState::default();
    let mut view = View::default();
    let mut after = 0;
    loop {
        let page = app.store.events(id, after, 1_000).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for stored in &page {
            state.evolve(&stored.event);
            view.take(&stored.event, stored.at, &state);
        }
    }
    let log = if after == 0 { Log::Empty } else { Log::Begun };
    if log == Log::Empty && record.phase != SessionRecord::NEW {
        // The index is marked after the first events are stored.
        let (path, reason) = (app.store.session_file(id), "its log is gone".to_owned());
        return Err(StoreError::Corrupt { path, reason }.into());
    }
    let cursor = app.store.agent_cursor(id).await?;
    Ok(Recalled { record, state, view, cursor, log })
}

/// The agent, as far as this process is with it.
enum Link {
    None,
    /// Its conversation is being opened; then it gets the prompt.
    Starting {
        agent: Box<Agent>,
        sandbox: SandboxId,
        start: StartSession,
        /// Another than the usual model, as the agent names it.
        model: Option<String>,
    },
    Ready {
        agent: Box<Agent>,
        sandbox: SandboxId,
    },
}

enum Done {
    Prepared {
        turn: TurnId,
        result: Result<Prepared, TurnFailure>,
    },
    Exited {
        sandbox: SandboxId,
        exit: Exit,
    },
    /// The sandbox is in sync, or cannot be.
    Synced {
        turn: TurnId,
        result: Result<(), TurnFailure>,
    },
    /// Where the sandbox stands, for a prompt that is to join the turn.
    Looked {
        turn: TurnId,
        prompt: PromptId,
        head: Option<String>,
        files: Vec<TakenFile>,
    },
    /// Committed and pushed; None where there was nothing to save from.
    Saved {
        turn: TurnId,
        result: Option<Result<SavedWork, TurnFailure>>,
    },
    /// All that the final reply is made of is known.
    LookedOver {
        turn: TurnId,
        found: Found,
    },
    PullRequest {
        turn: TurnId,
        result: Result<PullRequestRef, String>,
        answer: oneshot::Sender<Result<PullRequestRef, String>>,
    },
    /// The sandbox is kept as it was then, if there was anything to keep.
    Kept {
        moment: Moment,
        result: Result<Option<SnapshotRecord>>,
    },
    Paused {
        sandbox: SandboxId,
        result: Result<(), EngineError>,
    },
    /// All of the sandbox is kept, with this snapshot or an earlier one: it can go.
    Asleep {
        sandbox: SandboxId,
        result: Result<Option<SnapshotRecord>>,
    },
    /// What a moved session left is taken away.
    CleanedUp(Option<Leftover>),
}

enum Heard {
    Letter(Option<Letter>),
    Done(Done),
    Started(Result<longshore_agent::AgentSessionId, AgentError>),
    Outputs(Result<Vec<longshore_agent::AgentOutput>, AgentError>),
    Tick,
    Shutdown,
}

/// What goes into the session's database at once.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    effects: Vec<Effect>,
    outbox: Vec<OutboxDraft>,
    cursor: Option<AgentCursor>,
}

/// When things are due that nobody sends.
#[derive(Default)]
struct Deadlines {
    turn: Option<Instant>,
    stop: Option<Instant>,
    pause: Option<Instant>,
    /// When the sandbox goes, or where there is none, the actor.
    idle: Option<Instant>,
    repaint: Option<Instant>,
}

struct Actor {
    app: Arc<App>,
    record: SessionRecord,
    letters: mpsc::Receiver<Letter>,
    state: SessionState,
    view: View,
    cursor: Option<AgentCursor>,
    sandbox: Option<SandboxId>,
    /// The sandbox is not to be used for another turn.
    condemned: Option<SandboxId>,
    exit: Option<Exit>,
    resting: Resting,
    link: Link,
    tasks: JoinSet<Done>,
    preparing: Option<AbortHandle>,
    syncing: Option<AbortHandle>,
    painter: Option<Painter>,
    painted: Option<Painted>,
    deadlines: Deadlines,
    posts: (TurnId, u32),
    attached: (TurnId, u64),
    outbox_empty: bool,
    marked: Option<(&'static str, Work)>,
}

impl Actor {
    async fn load(app: &Arc<App>, recalled: Recalled, letters: mpsc::Receiver<Letter>) -> Result<Self> {
        let Recalled { record, state, view, cursor, log } = recalled;
        let mut actor = Self {
            app: Arc::clone(app),
            cursor,
            record,
            letters,
            state,
            view,
            sandbox: None,
            condemned: None,
            exit: None,
            resting: Resting::default(),
            link: Link::None,
            tasks: JoinSet::new(),
            preparing: None,
            syncing: None,
            painter: None,
            painted: None,
            deadlines: Deadlines::default(),
            posts: (TurnId(0), 0),
            attached: (TurnId(0), 0),
            outbox_empty: false,
            marked: None,
        };
        actor.find_sandbox().await?;
        if let (Some(sandbox), Some(prompt)) = (&actor.sandbox, actor.state.activity.prompt()) {
            actor.app.room.work(sandbox, &prompt.author.slack_user);
        }
        actor.recall_snapshot().await?;
        if let Activity::Finishing { outcome: TurnOutcome::Failed { failure: TurnFailure::RecordLost }, .. } = &actor.state.activity {
            // Nobody knows how far its agent was read.
            actor.condemned.clone_from(&actor.sandbox);
        }
        actor.app.outbox.nudge(OutboxOwner::Session(actor.record.id.clone()));
        if log == Log::Empty {
            actor.take_first_prompt().await?;
        } else {
            actor.settle_final_replies().await?;
            if let Some(moved) = actor.unfinished_move().await? {
                actor.let_prompts_go(moved).await?;
            } else {
                fault_point!("start.loaded.after");
                actor.tell_gate();
                let effects = actor.state.owed();
                actor.paint_ended();
                actor.resume_painting();
                actor.carry_out(effects).await?;
            }
        }
        if actor.state.activity == Activity::Idle {
            actor.keep_snapshot();
        }
        actor.mark().await?;
        Ok(actor)
    }

    /// The prompt that the session was made for, unless a crash came between the index and its own database after that.
    async fn take_first_prompt(&mut self) -> Result<()> {
        let Some(ask) = self.app.store.first_ask(self.record.id.clone()).await? else { return Ok(()) };
        let mut batch = Batch::default();
        if self.decide(&mut batch, Command::Accept { prompt: ask.prompt }).is_ok() {
            for (phase, at) in ask.phases {
                let _ = self.decide(&mut batch, Command::Reached { turn: TurnId(1), phase, at });
            }
            // What waited behind it, where it was moved here from another repository.
            for prompt in self.app.store.moved_here(self.record.id.clone()).await? {
                let _ = self.decide(&mut batch, Command::Accept { prompt });
            }
            self.commit(batch).await?;
        }
        Ok(())
    }

    /// The newest sandbox of the session is its own; others are left from a crash.
    async fn find_sandbox(&mut self) -> Result<()> {
        let all = self.app.store.sandboxes().await?;
        let mine: Vec<SandboxId> = all.into_iter().filter(|row| row.session == self.record.id).map(|row| row.id).collect();
        let current = match &self.state.activity {
            Activity::Working { sandbox, .. } | Activity::Stopping { sandbox, .. } => Some(sandbox.clone()),
            Activity::Idle | Activity::Preparing { .. } | Activity::Finishing { .. } => {
                self.cursor.as_ref().map(|cursor| cursor.sandbox.clone())
            }
        };
        for sandbox in mine {
            if Some(&sandbox) == current.as_ref() {
                let found = match &self.state.activity {
                    // It goes on resting.
                    Activity::Idle => prepare::find(&self.app, &sandbox).await.map(drop),
                    Activity::Preparing { .. } | Activity::Working { .. } | Activity::Stopping { .. } | Activity::Finishing { .. } => {
                        prepare::wake(&self.app, &sandbox).await.map(drop)
                    }
                };
                if let Err(failure) = found {
                    tracing::warn!(%sandbox, ?failure, "the engine cannot be asked about the session's sandbox");
                }
                self.keep(sandbox);
            } else {
                prepare::discard(&self.app, &sandbox).await;
            }
        }
        Ok(())
    }

    async fn live(&mut self) -> Result<()> {
        loop {
            let next_tick = self.next_tick();
            let Self { app, letters, link, tasks, .. } = self;
            let heard = tokio::select! {
                biased;
                () = app.shutdown.cancelled() => Heard::Shutdown,
                letter = letters.recv() => Heard::Letter(letter),
                Some(done) = tasks.join_next(), if !tasks.is_empty() => match done {
                    Ok(done) => Heard::Done(done),
                    Err(error) if error.is_cancelled() => continue,
                    Err(error) => return Err(error).context("a task of the session panicked"),
                },
                heard = listen(link) => heard,
                () = tokio::time::sleep_until(next_tick) => Heard::Tick,
            };
            match heard {
                Heard::Shutdown | Heard::Letter(None) => return Ok(()),
                Heard::Letter(Some(letter)) => self.read(letter).await?,
                Heard::Done(done) => self.done(done).await?,
                Heard::Started(result) => self.started(result).await?,
                Heard::Outputs(Ok(outputs)) => self.outputs(outputs).await?,
                Heard::Outputs(Err(error)) => self.agent_lost(error).await?,
                Heard::Tick => {
                    self.tick().await?;
                    if self.may_sleep() {
                        return Ok(());
                    }
                    // Something is owed still: it is looked again later, and not all the time.
                    if let Some(idle) = self.deadlines.idle.as_mut().filter(|idle| **idle <= Instant::now()) {
                        *idle = Instant::now() + DOZE;
                    }
                }
            }
            self.repaint();
            self.mark().await?;
        }
    }

    /// Where the database turned out to be damaged, it is replaced while nobody else opens it; what was under way is taken up then.
    async fn break_off(&mut self, error: &anyhow::Error) {
        tracing::error!(error = format!("{error:#}"), "the session broke off; the next message in its thread takes it up again");
        if !rebuild::is_damage(&self.app, error) {
            return;
        }
        let (app, id) = (Arc::clone(&self.app), self.record.id.clone());
        if let Err(error) = rebuild::rebuild(&app, &id, error).await {
            return tracing::error!(error = format!("{error:#}"), "its database cannot be put together now");
        }
        tokio::spawn(async move {
            if let Err(error) = super::wake(&app, &id).await {
                tracing::warn!(session = %id, %error, "the session cannot be woken");
            }
        });
    }

    /// Letters that came while the actor ended go to the next one.
    async fn hand_over(&mut self, app: &Arc<App>, id: &SessionId) {
        self.letters.close();
        while let Some(letter) = self.letters.recv().await {
            let (app, id) = (Arc::clone(app), id.clone());
            tokio::spawn(async move {
                if let Err(error) = super::deliver(&app, &id, letter).await {
                    tracing::warn!(session = %id, %error, "a letter to a session was lost");
                }
            });
        }
    }

    fn may_sleep(&self) -> bool {
        self.state.activity == Activity::Idle
            && self.sandbox.is_none()
            && self.tasks.is_empty()
            && self.outbox_empty
            && self.deadlines.idle.is_some_and(|due| due <= Instant::now())
    }

    fn next_tick(&self) -> Instant {
        let Deadlines { turn, stop, pause, idle, repaint } = &self.deadlines;
        [turn, stop, pause, idle, repaint].into_iter().flatten().min().copied().unwrap_or_else(|| Instant::now() + DOZE)
    }

    async fn tick(&mut self) -> Result<()> {
        let now = Instant::now();
        let due = |deadline: &mut Option<Instant>| deadline.take_if(|due| *due <= now).is_some();
        if due(&mut self.deadlines.turn)
            && let Some(turn) = self.state.activity.turn()
        {
            if self.app.room.is_waiting(&self.record.id) {
                // Its time begins with its sandbox.
                self.time_turn();
                return Ok(());
            }
            self.cancel_agent(turn);
            self.condemned.clone_from(&self.sandbox);
            self.fail(turn, TurnFailure::TurnTimeout { seconds: self.app.config.limits.turn_seconds }).await?;
        }
        if due(&mut self.deadlines.stop)
            && let Activity::Stopping { turn, .. } = self.state.activity
        {
            tracing::warn!(%turn, "the agent does not stop; its sandbox is ended");
            self.condemned.clone_from(&self.sandbox);
            self.fail(turn, TurnFailure::Internal).await?;
        }
        self.rest_further();
        Ok(())
    }

    async fn read(&mut self, letter: Letter) -> Result<()> {
        match letter {
            Letter::Do { command, answer } => {
                let mut batch = Batch::default();
                let result = self.decide(&mut batch, command);
                if result.is_ok() {
                    // The index says that there is work before the session's own database has it.
                    self.outbox_empty = false;
                    self.mark().await?;
                    self.commit(batch).await?;
                }
                let _ = answer.send(result);
            }
            Letter::Note(Note::Sent { key, at }) => {
                self.outbox_empty = false;
                if let Some(turn) = key.strip_prefix(&format!("{}:final:", self.record.id)).and_then(|turn| turn.parse().ok()) {
                    self.reach(TurnId(turn), Phase::FinalReply, at).await?;
                }
            }
            Letter::Note(Note::OutboxEmpty) => self.outbox_empty = true,
            Letter::Note(Note::Used(used)) => {
                // Titles and the like may come after the turn that they belong to.
                let turn = self.state.activity.turn().unwrap_or(TurnId(self.state.turns));
                self.apply(Command::Used { turn, used }).await?;
            }
            Letter::Note(Note::Hindered(hindrance)) => {
                if let Some(turn) = self.state.activity.turn()
                    && self.view.turn(turn).hindrance != Some(hindrance)
                {
                    tracing::warn!(%turn, ?hindrance, "the agent waits for its model");
                    self.apply(Command::Hindered { turn, hindrance }).await?;
                }
            }
            Letter::Note(Note::Ruled { call, tool, ruling }) => {
                if let Some(turn) = self.state.activity.turn() {
                    self.apply(Command::Ruled { turn, call, tool, ruling }).await?;
                }
            }
            Letter::Note(Note::Reached { phase, at }) => {
                if let Some(turn) = self.state.activity.turn() {
                    self.reach(turn, phase, at).await?;
                }
            }
            Letter::Phases(phases) => {
                let turn = TurnId(self.state.turns);
                for (phase, at) in phases {
                    self.reach(turn, phase, at).await?;
                }
            }
            Letter::Standing { answer } => {
                let card = match self.state.activity.turn() {
                    Some(turn) => {
                        let owner = OutboxOwner::Session(self.record.id.clone());
                        self.app.store.message_of(&owner, card::card_key(&self.record, turn)).await?
                    }
                    None => None,
                };
                let _ = answer.send(self.view.standing(&self.state, card, self.rest()));
            }
            Letter::OpenPullRequest { title, done, answer } => self.open_pull_request(title, done, answer),
            Letter::Move { repo, by, answer } => {
                self.outbox_empty = false;
                let moved = self.move_away(repo, &by).await?;
                let _ = answer.send(moved);
            }
            Letter::Say { text, answer } => {
                let said = self.say(text).await?;
                let _ = answer.send(said);
            }
            Letter::Attach { fingerprint, file, answer } => {
                let taken = self.attach_file(&fingerprint, *file).await?;
                let _ = answer.send(taken);
            }
            Letter::Ask { text, options, answer } => {
                let asked = self.ask(text, options).await?;
                let _ = answer.send(asked);
            }
            Letter::Answer { given, answer } => {
                let taken = self.take_answer(given).await?;
                let _ = answer.send(taken);
            }
            Letter::GiveWay => self.give_way(),
            Letter::Note(Note::Placed) => {}
            Letter::Wake => self.settle_final_replies().await?,
        }
        Ok(())
    }

    async fn done(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Prepared { turn, result } => {
                self.preparing = None;
                match result {
                    Ok(prepared) => self.prepared(turn, prepared).await?,
                    Err(failure) => self.fail(turn, failure).await?,
                }
            }
            Done::Exited { sandbox, exit } => {
                if self.sandbox.as_ref() != Some(&sandbox) {
                    return Ok(());
                }
                tracing::warn!(%sandbox, ?exit, "the sandbox ended");
                let why = exit.words();
                self.exit = Some(exit);
                match &mut self.link {
                    // What it wrote last is read first; then the agent is lost.
                    Link::Ready { agent, .. } | Link::Starting { agent, .. } => agent.note_exit(why),
                    Link::None => self.sandbox_ended().await?,
                }
            }
            Done::Synced { turn, result } => self.synced(turn, result).await?,
            Done::Looked { turn, prompt, head, files } => self.hand(turn, prompt, head, files).await?,
            Done::Saved { turn, result } => self.saved(turn, result).await?,
            Done::LookedOver { turn, found } => self.finished(turn, found).await?,
            Done::CleanedUp(leftover) => self.cleaned_up(leftover).await?,
            Done::Kept { moment, result } => self.kept(moment, result),
            Done::Paused { sandbox, result } => self.paused(&sandbox, result),
            Done::Asleep { sandbox, result } => self.asleep(sandbox, result).await,
            Done::PullRequest { turn, result, answer } => {
                if let Ok(pull_request) = &result {
                    let mut batch = Batch::default();
                    let _ = self.decide(&mut batch, Command::OpenedPullRequest { pull_request: pull_request.clone() });
                    if !self.view.has_reached(turn, Phase::PrOpened) {
                        let at = self.app.clock.now();
                        let _ = self.decide(&mut batch, Command::Reached { turn, phase: Phase::PrOpened, at });
                    }
                    self.commit(batch).await?;
                }
                let _ = answer.send(result);
                self.note_awake();
            }
        }
        Ok(())
    }

    /// One command by itself; what the state machine refuses has come too late.
    async fn apply(&mut self, command: Command) -> Result<()> {
        let mut batch = Batch::default();
        match self.decide(&mut batch, command) {
            Ok(()) => self.commit(batch).await,
            Err(rejection) => {
                tracing::debug!(%rejection, "came too late");
                Ok(())
            }
        }
    }

    async fn reach(&mut self, turn: TurnId, phase: Phase, at: Timestamp) -> Result<()> {
        if self.view.has_reached(turn, phase) {
            return Ok(());
        }
        self.apply(Command::Reached { turn, phase, at }).await
    }

    fn decide(&mut self, batch: &mut Batch, command: Command) -> Result<(), Rejection> {
        let decision = self.state.apply(command)?;
        let now = self.app.clock.now();
        for event in &decision.events {
            self.state.evolve(event);
            self.view.take(event, now, &self.state);
        }
        batch.events.extend(decision.events);
        batch.effects.extend(decision.effects);
        Ok(())
    }

    /// Stores first, acts second.
    async fn commit(&mut self, mut batch: Batch) -> Result<()> {
        for effect in &batch.effects {
            match effect {
                // Where many wait, one message says it, and cards come with the sandboxes.
                Effect::Prepare { .. } if self.is_in_a_crowd() => {}
                Effect::Prepare { turn, .. } => {
                    let message = card::draw(&self.app, &self.record, &self.state, &self.view, *turn);
                    batch.outbox.push(self.owed(message, "card", card::card_key(&self.record, *turn))?);
                }
                Effect::Tell { prompt, waiting } => {
                    let message = self.queued_notice(prompt, waiting);
                    batch.outbox.push(self.owed(message, "notice", self.queued_key(prompt))?);
                }
                Effect::Retell { prompt, waiting } => batch.outbox.push(self.queued_change(prompt, waiting)?),
                Effect::Prompt { .. }
                | Effect::Sync { .. }
                | Effect::PrepareInsert { .. }
                | Effect::Insert { .. }
                | Effect::Cancel { .. }
                | Effect::Finish { .. }
                | Effect::CleanUp => {}
            }
        }
        batch.outbox.extend(self.tell_of_questions(&batch.events)?);
        let owes = !batch.outbox.is_empty();
        let changes_lists = batch.events.iter().any(|event| !matches!(event, Event::Agent { .. } | Event::PhaseReached { .. }));
        if !batch.events.is_empty() || owes || batch.cursor.is_some() {
            let closed = self.closed_questions(&batch.events);
            let append = Append { events: batch.events, cursor: batch.cursor.clone(), outbox: batch.outbox };
            let events = self.store(append).await?;
            self.measure(&events);
            self.tell_gate();
            closed.into_iter().for_each(|turn| self.paint_answered(turn));
        }
        if let Some(cursor) = batch.cursor {
            self.cursor = Some(cursor);
        }
        if changes_lists {
            self.tell_homes();
        }
        if owes {
            self.outbox_empty = false;
            self.app.outbox.nudge(OutboxOwner::Session(self.record.id.clone()));
        }
        // Carrying out may commit again (a prompt that ended at once, say), which a future of this one's own size cannot hold.
        Box::pin(self.carry_out(batch.effects)).await
    }

    /// Whoever has something in this session and their Home tab open sees it there.
    fn tell_homes(&self) {
        let queued = self.state.queue.iter();
        let asked = self.state.activity.prompt().into_iter().chain(queued).map(|prompt| &prompt.author.slack_user);
        self.app.homes.changed(asked.chain([&self.record.owner]));
    }

    async fn store(&self, append: Append) -> Result<Vec<StoredEvent>> {
        loop {
            match self.app.store.append(&self.record.id, append.clone()).await {
                Ok(stored) => return Ok(stored),
                // Nothing is lost: what is not stored was not acted on, and the agent's output stays in its file.
                Err(error @ StoreError::DiskFull(_)) => {
                    tracing::error!(%error, "the session waits");
                    tokio::select! {
                        () = self.app.shutdown.cancelled() => return Err(error.into()),
                        () = tokio::time::sleep(DISK_WAIT) => {}
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn owed(&self, message: Message, kind: &'static str, key: String) -> Result<OutboxDraft> {
        Ok(self.to_thread(message).draft(kind, key)?)
    }

    fn to_thread(&self, message: Message) -> Owed {
        let thread = Some(self.record.thread.thread.clone());
        Owed { channel: self.record.thread.channel.clone(), thread, message, asker: None }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Prepare { turn, prompt } => self.prepare(turn, &prompt),
                Effect::Prompt { turn, sandbox, .. } => self.prompt(turn, sandbox).await?,
                Effect::Sync { turn, prompt, sandbox, checkout } => self.sync(turn, &prompt, sandbox, checkout),
                Effect::Cancel { turn, .. } => {
                    self.deadlines.stop = Some(Instant::now() + STOP_GRACE);
                    // Taken up after a restart, the agent has the prompt; it is told as soon as its conversation is open again.
                    let has_prompt = matches!(&self.link, Link::Starting { agent, .. } if agent.running().any(|running| running == turn));
                    if !has_prompt && !self.cancel_agent(turn) {
                        // The agent has not seen the prompt, so there is nothing to wait for.
                        self.link = Link::None;
                        self.fail(turn, TurnFailure::Internal).await?;
                    }
                }
                Effect::Finish { turn, prompt, outcome } => self.finish(turn, &prompt, &outcome).await?,
                Effect::CleanUp => self.clean_up(),
                Effect::PrepareInsert { turn, prompt, sandbox } => self.prepare_insert(turn, prompt, sandbox),
                Effect::Insert { turn, prompt, .. } => self.hand_inserted(turn, &prompt).await?,
                Effect::Tell { .. } | Effect::Retell { .. } => {}
            }
        }
        Ok(())
    }

    /// Keeps the index true, for lists and for recovery.
    async fn mark(&mut self) -> Result<()> {
        let idle = self.state.activity == Activity::Idle && self.state.queue.is_empty() && !self.is_leaving();
        let work = if idle && self.outbox_empty { Work::None } else { Work::Some };
        let phase = if self.has_moved() { "moved" } else { phase_word(&self.state) };
        let mark = (phase, work);
        if self.marked != Some(mark) {
            self.app.store.mark_session(self.record.id.clone(), mark.0, mark.1).await?;
            self.marked = Some(mark);
        }
        if idle && self.deadlines.idle.is_none() {
            match &self.sandbox {
                Some(_) => self.begin_rest(),
                None => self.deadlines.idle = Some(Instant::now() + DOZE),
            }
        }
        Ok(())
    }
}

/// Opens the conversation. May be dropped and called again.
async fn converse(agent: &mut Agent, start: &StartSession, model: Option<&str>) -> Result<longshore_agent::AgentSessionId, AgentError> {
    let session = agent.start_session(start.clone()).await?;
    if let Some(model) = model {
        agent.use_model(model).await?;
    }
    Ok(session)
}

async fn listen(link: &mut Link) -> Heard {
    match link {
        Link::None => std::future::pending().await,
        Link::Starting { agent, start, model, .. } => Heard::Started(converse(agent, start, model.as_deref()).await),
        Link::Ready { agent, .. } => Heard::Outputs(agent.next_batch(OUTPUTS).await),
    }
}
