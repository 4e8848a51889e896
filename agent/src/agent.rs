//! Drives one agent: says what is to be said exactly once, gives what it answers in order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    mem::{Discriminant, discriminant},
    time::Duration,
};

use longshore_session::{PromptId, TurnId};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    carrier::{Carrier, CarrierError, Delivery},
    output::{Cursor, OutputError, OutputLimits, OutputReader},
    scrub::{scrub, shorten},
    update::{AgentSessionId, AgentUpdate, session_update, turn_end},
    wire::{self, Consent, ContentBlock, Incoming, McpServer, RpcError},
};

/// How often `out` is looked at: at once after the agent wrote something, slower while it is quiet.
const LOOK_FIRST: Duration = Duration::from_millis(4);
const LOOK_QUIET: Duration = Duration::from_millis(50);
/// Outputs kept while the caller waits for `start_session`.
const MAX_KEPT: usize = 100_000;
/// Bytes of output that one call reads: what is read is held until it is stored.
const MAX_READ: u64 = 16 << 20;
/// Bytes of a session request's answer that is kept.
const MAX_KEPT_ANSWER: usize = 64 << 10;

#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// How long `initialize` and each session request may go unanswered.
    pub start_limit: Duration,
    /// How long a turn may go without a byte of output. A long quiet command is no failure: be generous.
    pub silence_limit: Duration,
    pub limits: OutputLimits,
    /// Texts that must not get into an error's message: the sandbox's token.
    pub secrets: Vec<String>,
    /// Until [`Agent::permit`] says otherwise.
    pub permissions: Permissions,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            start_limit: Duration::from_secs(60),
            silence_limit: Duration::from_secs(15 * 60),
            limits: OutputLimits::default(),
            secrets: Vec::new(),
            permissions: Permissions::default(),
        }
    }
}

/// What becomes of an agent's wish to change something, where it asks the protocol's client and not a hook of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Permissions {
    /// Granted as they come.
    #[default]
    Granted,
    /// Answered when [`Agent::permit`] says so. What only reads is granted meanwhile.
    Held,
    /// Rejected, which ends the turn with many agents.
    Refused,
}

/// A conversation to begin or to take up again.
#[derive(Debug, Clone)]
pub struct StartSession {
    /// The checkout, as the agent sees it.
    pub cwd: String,
    /// Given again with every resume: the agent does not keep them.
    pub mcp_servers: Vec<McpServer>,
    /// The id that an earlier `start_session` gave.
    pub resume: Option<AgentSessionId>,
}

/// Where a prompt stands after [`Agent::prompt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptState {
    /// Written by this call.
    Sent,
    /// Written before; its end is yet to be read.
    Running,
    /// Written before, and its end lies before the cursor.
    Ended,
}

/// What became of a prompt for the running turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertState {
    /// The agent has it, by this call or by an earlier one.
    Taken,
    /// Not sent: the turn's end was read already, and the prompt would begin a turn of its own.
    TooLate,
}

/// Everything that one line meant. To be stored together with `cursor`, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentOutput {
    /// Where the next line starts.
    pub cursor: Cursor,
    /// Never empty.
    pub updates: Vec<AgentUpdate>,
}

/// Why the agent cannot be used any further (all but `Busy`, `NoSession` and `Refused`, after which it can).
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Carrier(#[from] CarrierError),
    #[error("the agent cannot be trusted any further: {0}")]
    Faulty(String),
    #[error("the agent did not answer `{request}` within {} s{}", limit.as_secs(), quoted(stderr))]
    NoAnswer { request: String, limit: Duration, stderr: String },
    #[error("the agent refused `{request}`: {message}")]
    Refused { request: String, message: String },
    #[error("the agent speaks version {version} of the protocol, not {}", wire::PROTOCOL_VERSION)]
    Version { version: u64 },
    #[error("the agent can take up no earlier conversation")]
    CannotResume,
    #[error("turn {turn} has had no output for {} s", limit.as_secs())]
    Silent { turn: TurnId, limit: Duration },
    #[error("the agent's process ended ({why}){}", quoted(stderr))]
    Exited { why: String, running: Option<TurnId>, stderr: String },
    #[error("turn {turn} is running")]
    Busy { turn: TurnId },
    #[error("there is no session to prompt: start one first")]
    NoSession,
}

impl From<OutputError> for AgentError {
    fn from(error: OutputError) -> Self {
        Self::Faulty(error.to_string())
    }
}

fn quoted(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; the end of what it printed: {stderr}") }
}

/// What was answered to a request that is no prompt.
type Answer = Result<Value, RpcError>;

/// An agent's process, as seen from the service. Dropping it leaves the process alone.
#[derive(Debug)]
pub struct Agent {
    carrier: Carrier,
    reader: OutputReader,
    settings: AgentSettings,
    /// By the request's id. Bounded: only what was sent is kept, and each once.
    answers: HashMap<String, Answer>,
    /// The conversation that was started or resumed last.
    session: Option<AgentSessionId>,
    /// Requests sent that were not answered yet, by turn: its prompt, and what was inserted.
    running: BTreeMap<TurnId, BTreeSet<String>>,
    /// Read, but not yet given out.
    kept: VecDeque<AgentOutput>,
    noise: u32,
    requests: u32,
    /// What began since the last prompt.
    pieces: u32,
    /// What kind of thing came last.
    last: Option<Discriminant<AgentUpdate>>,
    /// When `out` last grew, as far as anybody looked.
    alive: Instant,
    seen: u64,
    exited: Option<String>,
    /// The message that the agent's last words belonged to, where it has done nothing since.
    speaking: Option<String>,
    /// Found while a batch was read, for the call after it.
    deferred: Option<AgentError>,
    /// Loads of a conversation that are not answered yet.
    loading: BTreeSet<String>,
    /// The conversation that only warmed the agent up; nobody hears of it.
    priming: Option<AgentSessionId>,
    permissions: Permissions,
    /// Permissions that were asked for and wait.
    held: VecDeque<Held>,
}

/// A permission that waits: the answers that it can get, since what the agent wrote may be long.
#[derive(Debug)]
struct Held {
    granted: Value,
    refused: Value,
}

impl Held {
    fn new(id: &Value, method: &str, params: &Value) -> Self {
        let answer = |consent| wire::answer(id.clone(), method, params, consent);
        Self { granted: answer(Consent::Once), refused: answer(Consent::No) }
    }
}

impl Agent {
    /// Takes up the agent behind this carrier where `cursor` left it. Reads back what lies before the cursor, sends nothing.
    pub async fn attach(carrier: Carrier, cursor: Cursor, settings: AgentSettings) -> Result<Self, AgentError> {
        let attach = move || Self::attach_now(carrier, cursor, settings);
        tokio::task::spawn_blocking(attach).await.map_err(|error| AgentError::Faulty(error.to_string()))?
    }

    pub(crate) fn attach_now(carrier: Carrier, cursor: Cursor, settings: AgentSettings) -> Result<Self, AgentError> {
        let mut history = OutputReader::open(carrier.output()?, Cursor::START, settings.limits)?;
        let mut running: BTreeMap<TurnId, BTreeSet<String>> = BTreeMap::new();
        for (turn, id) in carrier.sent().filter_map(|id| Some((wire::prompted_turn(id)?, id.to_owned()))) {
            running.entry(turn).or_default().insert(id);
        }
        let loading = carrier.sent().filter(|id| wire::is_load(id)).map(str::to_owned).collect();
        let reader = OutputReader::open(carrier.output()?, cursor, settings.limits)?;
        let (seen, permissions) = (reader.seen(), settings.permissions);
        let mut agent = Self {
            carrier,
            reader,
            settings,
            answers: HashMap::new(),
            session: None,
            running,
            kept: VecDeque::new(),
            noise: 0,
            requests: 0,
            pieces: 0,
            last: None,
            alive: Instant::now(),
            seen,
            exited: None,
            speaking: None,
            deferred: None,
            loading,
            priming: None,
            permissions,
            held: VecDeque::new(),
        };
        let mut at = Cursor::START;
        while at < cursor {
            let Some(line) = history.next_line()? else { break };
            at = line.end;
            match wire::parse(&line.bytes) {
                Ok(Incoming::Answer { id, outcome }) => {
                    agent.answered(id, outcome);
                }
                // Held when the service went away.
                Ok(Incoming::Request { id, method, params })
                    if wire::asks_to_change(&method, &params) && !agent.carrier.has_sent(&wire::answer_mark(&id)) =>
                {
                    agent.held.push_back(Held::new(&id, &method, &params));
                }
                // Whatever was read before: only where it is in its words matters.
                Ok(Incoming::Notification { method, params }) if method == "session/update" => {
                    agent.updated(&params);
                }
                Ok(Incoming::Request { .. } | Incoming::Notification { .. }) | Err(_) => {}
            }
        }
        Ok(agent)
    }

    /// Introduces the service to the agent; a part of [`Agent::start_session`], and enough to see that an agent works.
    pub async fn initialize(&mut self) -> Result<(), AgentError> {
        let capabilities = self.request(wire::INITIALIZE, wire::initialize()).await?;
        match capabilities.get("protocolVersion").and_then(Value::as_u64) {
            Some(wire::PROTOCOL_VERSION) => Ok(()),
            version => Err(AgentError::Version { version: version.unwrap_or(0) }),
        }
    }

    /// Begins or takes up a conversation. Called again, it goes on waiting, or gives the same answer.
    pub async fn start_session(&mut self, start: StartSession) -> Result<AgentSessionId, AgentError> {
        self.initialize().await?;
        let (cwd, mcp) = (start.cwd.as_str(), start.mcp_servers.as_slice());
        match start.resume {
            None => {
                let answer = self.request(wire::NEW_SESSION, wire::new_session(cwd, mcp)).await?;
                new_session_id(&answer).ok_or_else(|| AgentError::Faulty("it started a session without an id".to_owned()))
            }
            Some(id) if self.session.as_ref() == Some(&id) => Ok(id),
            Some(id) => {
                let message = if self.offers("/agentCapabilities/sessionCapabilities/resume") {
                    wire::resume_session(&id, cwd, mcp)
                } else if self.offers("/agentCapabilities/loadSession") {
                    wire::load_session(&id, cwd, mcp)
                } else {
                    return Err(AgentError::CannotResume);
                };
                let request = wire::mark_of(&message).unwrap_or_default();
                if wire::is_load(&request) && !self.answers.contains_key(&request) {
                    self.loading.insert(request.clone());
                }
                self.request(&request, message).await?;
                Ok(id)
            }
        }
    }

    /// Warms the agent up: a conversation of its own with one prompt, which is closed again where the agent can do that, and then `start`, which
    /// is the real conversation's. What comes up to the cursor that this gives belongs to nobody: attached there, the agent answers
    /// [`Agent::start_session`] at once, and shows nothing of the priming.
    ///
    /// The caller sees to it that the prompt is answered at no cost.
    pub async fn prime(&mut self, start: &StartSession, prompt: &str) -> Result<Cursor, AgentError> {
        self.initialize().await?;
        let opened = self.request(wire::PRIMING_SESSION, wire::priming_session(&start.cwd, &start.mcp_servers)).await?;
        let session = new_session_id(&opened).ok_or_else(|| AgentError::Faulty("it started a session without an id".to_owned()))?;
        self.request(wire::PRIMING_PROMPT, wire::priming_prompt(&session, prompt)).await?;
        if self.offers("/agentCapabilities/sessionCapabilities/close") {
            match self.request(wire::PRIMING_CLOSE, wire::priming_close(&session)).await {
                Ok(_) => {}
                // What stays open costs a little memory, no more.
                Err(AgentError::Refused { message, .. }) => tracing::warn!(message, "the agent does not close a conversation"),
                Err(error) => return Err(error),
            }
        }
        self.start_session(start.clone()).await?;
        Ok(self.pass_over())
    }

    /// Reads whatever has come, gives it to nobody, and says up to where that was.
    pub fn pass_over(&mut self) -> Cursor {
        // What cannot be read is found again by whoever reads on from here.
        while matches!(self.read_line(), Ok(true)) {}
        self.kept.clear();
        self.reader.cursor()
    }

    /// Has the conversation go on with this model ([`crate::AgentKind::model_id`]), one of those that the agent was launched with. Called again, it
    /// goes on waiting, or gives the same answer.
    pub async fn use_model(&mut self, model: &str) -> Result<(), AgentError> {
        let session = self.session.clone().ok_or(AgentError::NoSession)?;
        let message = wire::set_model(&session, model);
        let request = wire::mark_of(&message).unwrap_or_default();
        self.request(&request, message).await.map(drop)
    }

    /// What the agent said of itself in the introduction.
    fn offers(&self, pointer: &str) -> bool {
        let answer = self.answers.get(wire::INITIALIZE).and_then(|answer| answer.as_ref().ok());
        answer.and_then(|answer| answer.pointer(pointer)).is_some_and(|offer| !matches!(offer, Value::Null | Value::Bool(false)))
    }

    /// The conversation that was started or resumed last.
    pub fn session(&self) -> Option<&AgentSessionId> {
        self.session.as_ref()
    }

    /// Turns sent whose end was not read yet: at most one, unless the agent's files were tampered with.
    pub fn running(&self) -> impl Iterator<Item = TurnId> {
        self.running.keys().copied()
    }

    /// Whether the turn's prompt was written, by this process or an earlier one.
    pub fn has_prompt(&self, turn: TurnId) -> bool {
        self.carrier.has_sent(&wire::prompt_id(turn))
    }

    /// Whether the inserted prompt was written, by this process or an earlier one.
    pub fn has_inserted(&self, turn: TurnId, prompt: &PromptId) -> bool {
        self.carrier.has_sent(&wire::insert_id(turn, prompt))
    }

    /// Whether the agent takes [`ContentBlock::Image`]; known once a conversation was started.
    pub fn takes_images(&self) -> bool {
        self.offers("/agentCapabilities/promptCapabilities/image")
    }

    /// Gives the agent its next piece of work, once per turn however often it is called.
    pub fn prompt(&mut self, turn: TurnId, blocks: &[ContentBlock]) -> Result<PromptState, AgentError> {
        let id = wire::prompt_id(turn);
        if self.carrier.has_sent(&id) {
            return Ok(if self.running.contains_key(&turn) { PromptState::Running } else { PromptState::Ended });
        }
        if let Some((turn, _)) = self.running.first_key_value() {
            return Err(AgentError::Busy { turn: *turn });
        }
        let session = self.session.as_ref().ok_or(AgentError::NoSession)?;
        let delivery = self.carrier.send(&wire::prompt(turn, session, blocks))?;
        self.running.entry(turn).or_default().insert(id);
        self.pieces = 0;
        self.alive = Instant::now();
        // A torn line that turned out to be whole was sent by an earlier call.
        Ok(if delivery == Delivery::Now { PromptState::Sent } else { PromptState::Running })
    }

    /// Gives the running turn another prompt, once per prompt however often it is called: the agent takes it up at its next step. The turn
    /// then ends when all of its prompts are answered.
    pub fn insert(&mut self, turn: TurnId, prompt: &PromptId, blocks: &[ContentBlock]) -> Result<InsertState, AgentError> {
        let id = wire::insert_id(turn, prompt);
        if self.carrier.has_sent(&id) {
            return Ok(InsertState::Taken);
        }
        let Some(open) = self.running.get_mut(&turn) else { return Ok(InsertState::TooLate) };
        let session = self.session.as_ref().ok_or(AgentError::NoSession)?;
        self.carrier.send(&wire::insert(&id, session, blocks))?;
        open.insert(id);
        self.alive = Instant::now();
        Ok(InsertState::Taken)
    }

    /// Asks the agent to end this turn, which it answers with the turn's end.
    pub fn cancel(&mut self, turn: TurnId) -> Result<(), AgentError> {
        match &self.session {
            Some(session) if self.running.contains_key(&turn) => {
                self.carrier.send(&wire::cancel(turn, session))?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Decides on what was asked for and is held, and on what will be asked for. What could not be answered stays held.
    pub fn permit(&mut self, permissions: Permissions) -> Result<(), AgentError> {
        self.permissions = permissions;
        while let Some(held) = self.held.front() {
            let answer = match permissions {
                Permissions::Granted => &held.granted,
                Permissions::Refused => &held.refused,
                Permissions::Held => break,
            };
            self.carrier.send(answer)?;
            self.held.pop_front();
        }
        Ok(())
    }

    /// The process is gone (`why` in the sandbox's words): nothing more will come than what was already written.
    pub fn note_exit(&mut self, why: impl Into<String>) {
        self.exited = Some(why.into());
    }

    /// The next output, in the order of writing. May be dropped and called again.
    pub async fn next(&mut self) -> Result<AgentOutput, AgentError> {
        let mut pause = LOOK_FIRST;
        loop {
            if let Some(output) = self.kept.pop_front() {
                return Ok(output);
            }
            if let Some(error) = self.deferred.take() {
                return Err(error);
            }
            if self.read_line()? {
                // Much output must not keep other sessions waiting.
                tokio::task::coop::consume_budget().await;
            } else {
                self.check_silence()?;
                pause = self.wait(pause).await?;
            }
        }
    }

    /// At least one output, and with it whatever else is there, up to `max`: one transaction for many.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<AgentOutput>, AgentError> {
        let mut batch = vec![self.next().await?];
        let begun = self.reader.cursor().0;
        while batch.len() < max && self.reader.cursor().0 - begun <= MAX_READ {
            match self.kept.pop_front() {
                Some(output) => batch.push(output),
                // What was read before a failure is given first.
                None => match self.read_line() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.deferred = Some(error);
                        break;
                    }
                },
            }
        }
        Ok(batch)
    }

    async fn request(&mut self, id: &str, message: Value) -> Result<Value, AgentError> {
        if !self.answers.contains_key(id) {
            self.carrier.send(&message)?;
        }
        let (started, mut pause) = (Instant::now(), LOOK_FIRST);
        let begun = self.reader.cursor().0;
        loop {
            if let Some(answer) = self.answers.get(id) {
                return answer.clone().map_err(|error| AgentError::Refused {
                    request: id.to_owned(),
                    message: scrub(error.message.as_bytes(), &self.settings.secrets, 5),
                });
            }
            if !self.kept.is_empty() && self.reader.cursor().0 - begun > MAX_READ {
                return Err(AgentError::Faulty(format!("it wrote more than {MAX_READ} bytes instead of answering `{id}`")));
            }
            if self.kept.len() > MAX_KEPT {
                return Err(AgentError::Faulty(format!("it wrote more than {MAX_KEPT} updates instead of answering `{id}`")));
            }
            let limit = self.settings.start_limit;
            if started.elapsed() > limit {
                return Err(AgentError::NoAnswer { request: id.to_owned(), limit, stderr: self.stderr() });
            }
            if self.read_line()? {
                tokio::task::coop::consume_budget().await;
            } else {
                pause = self.wait(pause).await?;
            }
        }
    }

    /// Waits for `out` to grow; gives the length of the next wait.
    async fn wait(&mut self, pause: Duration) -> Result<Duration, AgentError> {
        if self.seen < self.reader.seen() {
            self.seen = self.reader.seen();
            self.alive = Instant::now();
        }
        if self.carrier.stderr_length() > self.settings.limits.total {
            return Err(AgentError::Faulty(format!("it printed more than {} bytes of errors", self.settings.limits.total)));
        }
        if let Some(why) = &self.exited {
            let running = self.running.keys().next().copied();
            return Err(AgentError::Exited { why: why.clone(), running, stderr: self.stderr() });
        }
        tokio::time::sleep(pause).await;
        Ok((pause * 3 / 2).min(LOOK_QUIET))
    }

    fn check_silence(&mut self) -> Result<(), AgentError> {
        let limit = self.settings.silence_limit;
        match self.running.keys().next() {
            Some(turn) if self.reader.seen() == self.seen && self.alive.elapsed() > limit => Err(AgentError::Silent { turn: *turn, limit }),
            _ => Ok(()),
        }
    }

    fn stderr(&self) -> String {
        scrub(&self.carrier.stderr_tail(), &self.settings.secrets, 15)
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn take_kept(&mut self) -> impl Iterator<Item = AgentOutput> {
        self.kept.drain(..)
    }

    /// Takes in one line, if there is one.
    pub(crate) fn read_line(&mut self) -> Result<bool, AgentError> {
        let Some(line) = self.reader.next_line()? else { return Ok(false) };
        self.alive = Instant::now();
        self.seen = self.reader.seen();
        let updates = match wire::parse(&line.bytes) {
            Ok(Incoming::Notification { method, params }) if method == "session/update" => self.updated(&params),
            Ok(Incoming::Notification { .. }) => Vec::new(),
            Ok(Incoming::Answer { id, outcome }) => match self.answered(id, outcome) {
                Some(end) => end,
                None => self.noise("an answer that nobody waits for")?,
            },
            Ok(Incoming::Request { id, method, params }) => {
                self.asked(id, &method, &params)?;
                Vec::new()
            }
            Err(_) if line.bytes.iter().all(u8::is_ascii_whitespace) => Vec::new(),
            Err(_) => self.noise("a line that is no message")?,
        };
        self.count(&updates)?;
        if !updates.is_empty() {
            self.kept.push_back(AgentOutput { cursor: line.end, updates });
        }
        Ok(true)
    }

    /// Takes in an answer; `None` where it answers nothing that is open.
    fn answered(&mut self, id: String, outcome: Answer) -> Option<Vec<AgentUpdate>> {
        // What it says next is an answer to something else. This follows from the output alone: whoever reads it again finds the same.
        if id == wire::PRIMING_PROMPT || wire::prompted_turn(&id).is_some() {
            self.speaking = None;
        }
        if let Some(turn) = wire::prompted_turn(&id) {
            let open = self.running.get_mut(&turn)?;
            if !open.remove(&id) {
                return None;
            }
            // A turn with an inserted prompt has two requests, answered one after the other; what came last is how it ended.
            if !open.is_empty() {
                return Some(Vec::new());
            }
            self.running.remove(&turn);
            return Some(vec![turn_end(turn, outcome.as_ref().map_err(|error| error.message.as_str()))]);
        }
        if !self.carrier.has_sent(&id) || self.answers.contains_key(&id) {
            return None;
        }
        self.loading.remove(&id);
        if let Ok(answer) = &outcome
            && id == wire::PRIMING_SESSION
        {
            self.priming = new_session_id(answer);
        } else if let Ok(answer) = &outcome {
            let session = if id == wire::NEW_SESSION { new_session_id(answer) } else { wire::restored_session(&id) };
            self.session = session.or_else(|| self.session.take());
        }
        let too_long = outcome.as_ref().is_ok_and(|answer| answer.to_string().len() > MAX_KEPT_ANSWER);
        let message = || format!("its answer is longer than {MAX_KEPT_ANSWER} bytes");
        let outcome = if too_long { Err(RpcError { code: 0, message: message() }) } else { outcome };
        let shortened = outcome.map_err(|error| RpcError { code: error.code, message: shorten(&error.message, 2000) });
        self.answers.insert(id, shortened);
        Some(Vec::new())
    }

    fn updated(&mut self, params: &Value) -> Vec<AgentUpdate> {
        let session = params.get("sessionId").and_then(Value::as_str);
        if self.session.as_ref().is_some_and(|ours| session != Some(ours.as_str())) {
            return Vec::new();
        }
        if self.priming.as_ref().is_some_and(|priming| session == Some(priming.as_str())) {
            return Vec::new();
        }
        // An agent that loads a conversation tells all of it again.
        if !self.loading.is_empty() {
            return Vec::new();
        }
        let mut updates = session_update(params);
        match updates.first() {
            Some(AgentUpdate::Text { .. }) => {
                let message = params.pointer("/update/messageId").and_then(Value::as_str).map(str::to_owned);
                if let (Some(before), Some(now)) = (&self.speaking, &message)
                    && before != now
                {
                    updates.insert(0, AgentUpdate::MessageBegan);
                }
                self.speaking = message;
            }
            Some(AgentUpdate::ToolStarted(_) | AgentUpdate::ToolUpdated(_)) => self.speaking = None,
            _ => {}
        }
        updates
    }

    fn asked(&mut self, id: Value, method: &str, params: &Value) -> Result<(), AgentError> {
        self.requests += 1;
        if self.requests > self.settings.limits.requests {
            return Err(AgentError::Faulty(format!("it asked for more than {} things", self.settings.limits.requests)));
        }
        let consent = match self.permissions {
            Permissions::Held if wire::asks_to_change(method, params) => {
                self.held.push_back(Held::new(&id, method, params));
                return Ok(());
            }
            Permissions::Refused if wire::asks_to_change(method, params) => Consent::No,
            Permissions::Granted | Permissions::Held | Permissions::Refused => Consent::Once,
        };
        self.carrier.send(&wire::answer(id, method, params, consent))?;
        Ok(())
    }

    fn count(&mut self, updates: &[AgentUpdate]) -> Result<(), AgentError> {
        for update in updates {
            if update.is_piece_after(self.last) {
                self.pieces += 1;
            }
            if !matches!(update, AgentUpdate::Usage { .. }) {
                self.last = Some(discriminant(update));
            }
        }
        if self.pieces > self.settings.limits.pieces {
            return Err(AgentError::Faulty(format!("it did more than {} things in one turn", self.settings.limits.pieces)));
        }
        Ok(())
    }

    fn noise(&mut self, what: &'static str) -> Result<Vec<AgentUpdate>, AgentError> {
        self.noise += 1;
        if self.noise > self.settings.limits.noise {
            return Err(AgentError::Faulty(format!("it wrote more than {} lines that make no sense", self.settings.limits.noise)));
        }
        tracing::debug!(what, count = self.noise, "skipped output of the agent");
        Ok(Vec::new())
    }
}

fn new_session_id(answer: &Value) -> Option<AgentSessionId> {
    AgentSessionId::parse(answer.get("sessionId")?.as_str()?).ok()
}

#[cfg(test)]
mod tests;
