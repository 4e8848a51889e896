//! A session that turned out to be in the wrong repository: its prompts go to another one, and what it has is taken away.

use std::sync::Arc;

use anyhow::Result;
use longshore_classifier::names_outright;
use longshore_session::{
    CleanUp, Command, Lesson, MovedSession, Person, Prompt, Rejection, RepoName, Said, SessionId, SessionRecord, Work, final_key,
};
use longshore_slack::{Leftover, MovedNotice};
use tracing::Instrument;

use super::{Actor, Batch, Done, Link};
use crate::conversation::{
    card::{self, Last, News, Painter},
    leave, shortened,
};

impl Actor {
    /// Gives the session that the prompts are in from now on. The index has it before this one lets go, so that a crash in between loses nothing.
    pub(super) async fn move_away(&mut self, repo: RepoName, by: &Person) -> Result<Result<SessionId, Rejection>> {
        if self.state.moved.is_some() {
            return Ok(Err(Rejection::Moved));
        }
        let Some(prompts) = self.prompts() else { return Ok(Err(Rejection::NoSuchPrompt)) };
        let now = self.app.clock.now();
        let record = SessionRecord {
            id: SessionId::random(),
            repo,
            thread: self.record.thread.clone(),
            owner: prompts.0.author.slack_user.clone(),
            title: shortened(&prompts.0.text, 120),
            why: format!("{} moved it here from {}", by.name, self.record.repo),
            phase: SessionRecord::NEW.to_owned(),
            has_work: Work::Some,
            created: now,
            touched: now,
        };
        let repos: Vec<&RepoName> = self.app.manifests.keys().collect();
        // Whoever typed the wrong name did not call anything by other words.
        let lesson = if names_outright(&prompts.0.text, &repos) { Lesson::Nothing } else { Lesson::Learn };
        let moved = self.app.store.begin_move(self.record.id.clone(), by.slack_user.clone(), prompts, record, lesson).await?;
        let to = moved.to.id.clone();
        self.let_prompts_go(moved).await?;
        Ok(Ok(to))
    }

    /// A move that the index has and this session's own database has not, since a crash came in between.
    pub(super) async fn unfinished_move(&self) -> Result<Option<MovedSession>> {
        if self.state.moved.is_some() {
            return Ok(None);
        }
        Ok(self.app.store.moved_to(self.record.id.clone()).await?)
    }

    pub(super) async fn let_prompts_go(&mut self, MovedSession { to, by }: MovedSession) -> Result<()> {
        let mut batch = Batch::default();
        let running = self.state.activity.turn();
        if self.decide(&mut batch, Command::Move { to: to.id, repo: to.repo.clone(), by: by.clone() }).is_err() {
            return Ok(());
        }
        tracing::info!(to = %to.repo, "the session's prompts go to another repository");
        let message = MovedNotice { from: self.record.repo.clone(), to: to.repo, by }.render();
        // All that a prompt which leaves is told here; where nothing ran, its final reply stands already.
        let draft = match running {
            Some(turn) => self.owed(message, "final", final_key(&self.record.id, turn))?,
            None => self.owed(message, "notice", format!("{}:moved", self.record.id))?,
        };
        batch.outbox.push(draft);
        self.commit(batch).await
    }

    /// What runs (or ran last), and what joined it or waits behind it. What was asked before goes along as talk.
    fn prompts(&self) -> Option<(Prompt, Vec<Prompt>)> {
        let (turn, asked) = self.view.asked.iter().next_back()?;
        let mut first = self.state.activity.prompt().unwrap_or(asked).clone();
        let joined = self.view.joined.get(turn).into_iter().flatten().cloned();
        let before = self.view.asked.range(..turn).map(|(_, prompt)| Said { name: prompt.author.name.clone(), text: prompt.text.clone() });
        first.context = before.chain(std::mem::take(&mut first.context)).collect();
        Some((first, joined.chain(self.state.queue.iter().cloned()).collect()))
    }

    /// Ends whatever the session does. Nothing of it is waited for: the work is not wanted here.
    pub(super) fn clean_up(&mut self) {
        self.tasks.abort_all();
        self.preparing = None;
        self.syncing = None;
        self.link = Link::None;
        self.condemned = None;
        self.exit = None;
        self.sandbox = None;
        self.deadlines.turn = None;
        self.deadlines.stop = None;
        self.deadlines.pause = None;
        self.deadlines.idle = None;
        self.paint_moved();
        let (app, record) = (Arc::clone(&self.app), self.record.clone());
        let saved = self.view.turns.values().rev().find_map(|seen| seen.saved.as_ref()).map(|saved| saved.commit.clone());
        let task = async move { Done::CleanedUp(leave::leave(&app, &record, saved).await) };
        self.tasks.spawn(task.in_current_span());
    }

    pub(super) async fn cleaned_up(&mut self, leftover: Option<Leftover>) -> Result<()> {
        let mut batch = Batch::default();
        if self.decide(&mut batch, Command::CleanedUp).is_err() {
            return Ok(());
        }
        if let Some(leftover) = leftover {
            batch.outbox.push(self.owed(leftover.render(), "leftover", format!("{}:leftover", self.record.id))?);
        }
        self.commit(batch).await
    }

    /// The newest card, which says where the work went; it does not wait for the clean-up.
    fn paint_moved(&mut self) {
        self.deadlines.repaint = None;
        let Some(turn) = self.view.turns.keys().next_back().copied() else { return };
        let painter = self.painter.take().filter(|painter| painter.turn == turn);
        let painter = painter.unwrap_or_else(|| Painter::start(&self.app, &self.record, turn));
        painter.show(card::draw(&self.app, &self.record, &self.state, &self.view, turn), News::Phase, Last::Yes);
    }

    pub(super) fn has_moved(&self) -> bool {
        self.state.moved.as_ref().is_some_and(|moved| moved.clean_up == CleanUp::Done)
    }

    /// The prompts are gone, and what the session left is not dealt with yet.
    pub(super) fn is_leaving(&self) -> bool {
        self.state.moved.as_ref().is_some_and(|moved| moved.clean_up == CleanUp::Owed)
    }
}
