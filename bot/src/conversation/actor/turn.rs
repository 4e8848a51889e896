//! A turn from its preparation to its end: sandbox, agent, prompt, output, what is left.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use longshore_agent::{Agent, AgentError, AgentKind, AgentSessionId, ContentBlock, Cursor, PromptState, StartSession};
use longshore_sandbox::Exit;
use longshore_session::{Activity, AgentCursor, Command, Phase, Prompt, SandboxId, SandboxOrigin, TurnFailure, TurnId, fault_point};
use tokio::time::Instant;
use tracing::Instrument;

use super::{Actor, Batch, Done, Link, syncing::permissions};
use crate::{
    conversation::{
        agent_words,
        card::{self, Painter},
        files,
        prepare::{self, Heard, Prepared},
    },
    images::{self, Choice},
};

/// What a sandbox that came to nothing is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    Another,
    /// The turn fails.
    Nothing,
}

impl Actor {
    pub(super) fn keep(&mut self, sandbox: SandboxId) {
        let app = Arc::clone(&self.app);
        let watched = sandbox.clone();
        self.tasks.spawn(async move {
            let exit = app.engine.wait(&watched).await;
            Done::Exited { sandbox: watched, exit }
        });
        self.exit = None;
        self.sandbox = Some(sandbox);
    }

    pub(super) async fn prepared(&mut self, turn: TurnId, prepared: Prepared) -> Result<()> {
        if self.sandbox.as_ref() != Some(&prepared.sandbox) {
            self.keep(prepared.sandbox.clone());
        }
        let mut batch = Batch::default();
        if let Some(Heard { offset, conversation }) = prepared.heard {
            batch.cursor = Some(AgentCursor { sandbox: prepared.sandbox.clone(), offset, agent_session: conversation });
        }
        for (phase, at) in prepared.reached {
            let _ = self.decide(&mut batch, Command::Reached { turn, phase, at });
        }
        if let (Some(pull), Some(how)) = (&self.state.pull_request, prepared.pull_request_end) {
            let number = pull.number;
            let _ = self.decide(&mut batch, Command::EndedPullRequest { number, how });
        }
        if !prepared.files.is_empty() {
            let unread = files::unread(&prepared.files);
            let took = self.decide(&mut batch, Command::TookFiles { turn, files: prepared.files });
            if let (Ok(()), Some(unread)) = (took, unread) {
                batch.outbox.push(self.owed(unread.render(), "notice", format!("{}:unread:{turn}", self.record.id))?);
            }
        }
        if !self.is_card_owed(turn).await? {
            let message = card::draw(&self.app, &self.record, &self.state, &self.view, turn);
            batch.outbox.push(self.owed(message, "card", card::card_key(&self.record, turn))?);
        }
        // It may have waited for its sandbox.
        self.time_turn();
        // Stopped meanwhile: the sandbox stays for the next prompt.
        let _ = self.decide(&mut batch, Command::SandboxReady { turn, sandbox: prepared.sandbox, origin: prepared.origin });
        self.commit(batch).await
    }

    pub(super) async fn started(&mut self, result: Result<longshore_agent::AgentSessionId, AgentError>) -> Result<()> {
        let id = match result {
            Ok(id) => id,
            Err(error) => {
                return match self.try_another(&error.to_string()).await? {
                    Tried::Another => Ok(()),
                    Tried::Nothing => self.agent_lost(error).await,
                };
            }
        };
        let Link::Starting { agent, sandbox, .. } = std::mem::replace(&mut self.link, Link::None) else { return Ok(()) };
        let offset = self.cursor.as_ref().filter(|cursor| cursor.sandbox == sandbox).map_or(0, |cursor| cursor.offset);
        let cursor = AgentCursor { sandbox: sandbox.clone(), offset, agent_session: Some(id.to_string()) };
        self.link = Link::Ready { agent, sandbox: sandbox.clone() };
        fault_point!("agent.opened.before");
        self.commit(Batch { cursor: Some(cursor), ..Batch::default() }).await?;
        fault_point!("agent.opened.after");
        if let Some(turn) = self.state.activity.turn()
            && let Some(from) = self.app.images.settled(&self.app, &self.record, &sandbox).await?
        {
            self.apply(Command::FellBack { turn, from }).await?;
        }
        self.hand_prompt().await
    }

    /// A new sandbox's agent never came up. That may be the image's fault: the turn goes on with another sandbox, as long as there is one to try.
    pub(super) async fn try_another(&mut self, why: &str) -> Result<Tried> {
        let Activity::Working { turn, sandbox, .. } = &self.state.activity else { return Ok(Tried::Nothing) };
        let (turn, sandbox) = (*turn, sandbox.clone());
        let is_new = self.view.turn(turn).origin == SandboxOrigin::Started;
        // Its memory is the manifest's to give, not the image's.
        if !is_new || self.sandbox.as_ref() != Some(&sandbox) || self.exit == Some(Exit::OutOfMemory) {
            return Ok(Tried::Nothing);
        }
        let Some(image) = images::image_of(&self.app, &sandbox).await? else { return Ok(Tried::Nothing) };
        self.app.images.failed_start(&self.record.id, &image, why);
        match self.app.images.choose(&self.record).await {
            Ok(Choice::Start(_)) => {}
            Ok(Choice::GiveUp(_)) | Err(_) => return Ok(Tried::Nothing),
        }
        if let Some(task) = self.syncing.take() {
            task.abort();
        }
        self.link = Link::None;
        self.sandbox = None;
        self.exit = None;
        prepare::discard(&self.app, &sandbox).await;
        self.apply(Command::GiveUpSandbox { turn, sandbox }).await?;
        Ok(Tried::Another)
    }

    /// Whether the agent of the session's sandbox has yet to come up.
    pub(super) fn is_starting(&self) -> bool {
        matches!(self.link, Link::Starting { .. })
    }

    /// Gives the agent the running turn's prompt, once.
    pub(super) async fn hand_prompt(&mut self) -> Result<()> {
        let (turn, prompt, stopping) = match &self.state.activity {
            Activity::Working { turn, prompt, .. } => (*turn, prompt.clone(), false),
            Activity::Stopping { turn, prompt, .. } => (*turn, prompt.clone(), true),
            Activity::Idle | Activity::Preparing { .. } | Activity::Finishing { .. } => return Ok(()),
        };
        let given = self.as_given(&prompt);
        let Link::Ready { agent, sandbox } = &mut self.link else { return Ok(()) };
        let files = self.view.turn(turn).files;
        let over = agent_words::pull_request_over(&self.state);
        let asked = format!("{over}{}{}", agent_words::asked(&given, self.state.activity.inserted()), files::told(&files));
        let text = match self.view.unknown_from(turn) {
            None => {
                let before = self.view.last_given(turn).map(|(last, _)| self.view.turn(last).outcome);
                format!("{}{asked}", agent_words::broken_off(before.flatten().as_ref()))
            }
            Some(TurnId(1)) => agent_words::with_transcript(&self.view.transcript(TurnId(1)..turn), &asked),
            Some(first) => agent_words::with_what_came_since(&self.view.transcript(first..turn), &asked),
        };
        let mut blocks = vec![ContentBlock::Text(text)];
        if self.app.config.model.images && agent.takes_images() && !agent.has_prompt(turn) {
            blocks.extend(files::pictures(&self.app, sandbox, &files).await);
        }
        fault_point!("prompt.handed.before");
        let state = agent.prompt(turn, &blocks);
        fault_point!("prompt.handed.after");
        if stopping && let Err(error) = agent.cancel(turn) {
            return self.agent_lost(error).await;
        }
        match state {
            Ok(PromptState::Sent | PromptState::Running) => {
                let at = self.app.clock.now();
                self.reach(turn, Phase::PromptAccepted, at).await?;
                self.hand_all_inserted().await
            }
            Ok(PromptState::Ended) => self.apply(Command::AgentEnded { turn }).await,
            Err(error) => self.agent_lost(error).await,
        }
    }

    pub(super) async fn outputs(&mut self, outputs: Vec<longshore_agent::AgentOutput>) -> Result<()> {
        let Link::Ready { sandbox, .. } = &self.link else { return Ok(()) };
        let Some(last) = outputs.last() else { return Ok(()) };
        let mut batch = Batch {
            cursor: Some(AgentCursor {
                sandbox: sandbox.clone(),
                offset: last.cursor.0,
                agent_session: self.cursor.as_ref().and_then(|cursor| cursor.agent_session.clone()),
            }),
            ..Batch::default()
        };
        for update in outputs.into_iter().flat_map(|output| output.updates) {
            let Some(turn) = self.state.activity.turn() else { continue };
            let mut commands = agent_words::commands(turn, &update);
            let working = matches!(self.state.activity, Activity::Working { .. });
            if working && agent_words::is_plain_end(&update) && self.view.turn(turn).is_mute() {
                // Providers have their own ways to decline, which agents do not pass on: what is left of it is an end without a word.
                commands = vec![Command::Failed { turn, failure: TurnFailure::ModelRefused { detail: agent_words::MUTE.to_owned() } }];
            }
            for command in commands {
                // An update of a turn that is over says nothing any more.
                let _ = self.decide(&mut batch, command);
            }
        }
        agent_words::join_deltas(&mut batch.events);
        self.commit(batch).await
    }

    pub(super) async fn agent_lost(&mut self, error: AgentError) -> Result<()> {
        match self.state.activity.turn() {
            Some(turn) => tracing::error!(%turn, %error, "the agent is lost"),
            None => tracing::warn!(%error, "the agent of an idle sandbox is lost"),
        }
        self.link = Link::None;
        if self.exit.is_some() {
            return self.sandbox_ended().await;
        }
        self.condemned.clone_from(&self.sandbox);
        match self.state.activity.turn() {
            Some(turn) => self.fail(turn, agent_words::failure(&error, self.view.turn(turn).hindrance)).await,
            None => {
                self.drop_condemned();
                Ok(())
            }
        }
    }

    pub(super) async fn sandbox_ended(&mut self) -> Result<()> {
        self.link = Link::None;
        let moment = self.due_of_ended();
        let (Some(sandbox), Some(exit)) = (self.sandbox.take(), self.exit.take()) else { return Ok(()) };
        self.keep_ended(sandbox, moment);
        let Some(turn) = self.state.activity.turn() else { return Ok(()) };
        if matches!(self.state.activity, Activity::Preparing { .. }) {
            // The one of the turn before; the preparation finds it gone and starts another.
            return Ok(());
        }
        let failure = match exit {
            Exit::OutOfMemory => {
                let limit_mb = self.app.manifest(&self.record.repo).map_or(0, |manifest| manifest.limits.memory_mb);
                TurnFailure::SandboxOutOfMemory { limit_mb }
            }
            Exit::Failed { .. } => TurnFailure::AgentCrashed { detail: exit.words() },
            Exit::Stopped | Exit::Killed { .. } | Exit::Gone => TurnFailure::SandboxKilled { detail: exit.words() },
        };
        self.fail(turn, failure).await
    }

    pub(super) async fn fail(&mut self, turn: TurnId, failure: TurnFailure) -> Result<()> {
        self.apply(Command::Failed { turn, failure }).await
    }

    pub(super) fn prepare(&mut self, turn: TurnId, prompt: &Prompt) {
        if let Some(sandbox) = &self.sandbox {
            self.app.room.work(sandbox, &prompt.author.slack_user);
        }
        let before = self.end_rest(turn);
        self.time_turn();
        self.painter = Some(Painter::start(&self.app, &self.record, turn));
        self.note_posted(turn);
        let (app, record, prompt) = (Arc::clone(&self.app), self.record.clone(), prompt.clone());
        let task = async move { Done::Prepared { turn, result: prepare::prepare(app, record, prompt, before).await } };
        self.preparing = Some(self.tasks.spawn(task.in_current_span()));
    }

    /// The turn's time begins now.
    pub(super) fn time_turn(&mut self) {
        self.deadlines.turn = Some(Instant::now() + Duration::from_secs(self.app.config.limits.turn_seconds));
    }

    pub(super) async fn prompt(&mut self, turn: TurnId, sandbox: SandboxId) -> Result<()> {
        if self.deadlines.turn.is_none() {
            self.time_turn();
        }
        if matches!(&self.link, Link::Ready { sandbox: linked, .. } if *linked == sandbox) {
            return self.hand_prompt().await;
        }
        match self.attach(&sandbox).await {
            Ok(agent) => {
                fault_point!("agent.attached.after");
                // Taken up there when it was restored: that is answered already. What was begun there is found by its beginning.
                let known = self.cursor.as_ref().filter(|cursor| cursor.sandbox == sandbox && self.view.was_resumed(&sandbox));
                let known = known.and_then(|cursor| AgentSessionId::parse(cursor.agent_session.as_deref()?).ok());
                let start = StartSession { resume: known, ..self.app.sandboxes.conversation(&sandbox) };
                let model = self.other_model().await?;
                self.link = Link::Starting { agent: Box::new(agent), sandbox, start, model };
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the agent's carrier cannot be opened");
                self.condemned = Some(sandbox);
                self.fail(turn, agent_words::failure(&error, None)).await
            }
        }
    }

    /// The session's model where it is another than the usual one, as the agent names it.
    async fn other_model(&self) -> Result<Option<String>> {
        let models = &self.app.config.model;
        if models.choices.is_empty() {
            return Ok(None);
        }
        let kept = self.app.store.model_of(self.record.id.clone()).await?;
        let other = kept.filter(|model| *model != models.agent && models.choices.contains(model));
        Ok(other.map(|model| AgentKind::OpenCode.model_id(&model)))
    }

    pub(super) async fn attach(&self, sandbox: &SandboxId) -> Result<Agent, AgentError> {
        let cursor = self.cursor.as_ref().filter(|cursor| cursor.sandbox == *sandbox).map_or(Cursor::START, |cursor| Cursor(cursor.offset));
        prepare::take_up(&self.app, sandbox, cursor, permissions(&self.state.writes())).await
    }

    /// False where no agent has the turn.
    pub(super) fn cancel_agent(&mut self, turn: TurnId) -> bool {
        let Link::Ready { agent, .. } = &mut self.link else { return false };
        match agent.cancel(turn) {
            Ok(()) => {
                fault_point!("agent.cancelled.after");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the agent cannot be told to stop");
                false
            }
        }
    }

    /// A preparation that was broken off may have left a sandbox that nobody waits for.
    pub(super) fn discard_strays(&self) {
        let (app, session, mine) = (Arc::clone(&self.app), self.record.id.clone(), self.sandbox.clone());
        self.app.tasks.spawn(async move {
            match app.store.sandboxes().await {
                Ok(rows) => {
                    for row in rows.into_iter().filter(|row| row.session == session && Some(&row.id) != mine.as_ref()) {
                        prepare::discard(&app, &row.id).await;
                    }
                }
                Err(error) => tracing::warn!(%session, %error, "cannot look for strays; the next start sweeps them"),
            }
        });
    }
}
