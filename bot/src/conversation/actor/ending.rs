//! A turn's end: what the agent left is saved, the repository's check runs on it, and the thread is told.

use std::sync::Arc;

use anyhow::Result;
use longshore_session::{
    Activity, CheckRecord, Command, Phase, Prompt, PullRequestRef, SavedWork, SessionRecord, TurnFailure, TurnId, TurnOutcome,
};
use longshore_slack::PullRequestStanding;
use tracing::Instrument;

use super::{Actor, Batch, Done};
use crate::{
    app::App,
    conversation::{
        agent_words, check, credit,
        reply::{self, Ended},
        work::{self, CommitWords, Pushed},
    },
    overview,
};

/// What was found out after the work was saved.
pub(super) struct Found {
    failure: Option<TurnFailure>,
    check: Option<CheckRecord>,
    standing: PullRequestStanding,
}

impl Actor {
    pub(super) async fn finish(&mut self, turn: TurnId, prompt: &Prompt, outcome: &TurnOutcome) -> Result<()> {
        self.deadlines.turn = None;
        self.deadlines.stop = None;
        let at = self.app.clock.now();
        self.reach(turn, Phase::TurnEnded, at).await?;
        if let Some(task) = self.preparing.take() {
            task.abort();
            self.discard_strays();
        }
        if matches!(outcome, TurnOutcome::Failed { failure: TurnFailure::ConversationTooLong { .. } }) {
            // The next turn's agent begins anew, in the same files.
            self.condemned.clone_from(&self.sandbox);
        }
        let is_sound = self.leave_sync(turn);
        let (Some(sandbox), Some(manifest), true) = (self.sandbox.clone(), self.app.manifest(&self.record.repo).cloned(), is_sound) else {
            self.tasks.spawn(async move { Done::Saved { turn, result: None } });
            return Ok(());
        };
        let message = agent_words::commit_message(self.subject(prompt), outcome);
        let credits = credit::credits(self.state.activity.inserted());
        // A check that the end of the service broke off: what it wrote is not the turn's.
        let broken_off = self.view.turn(turn).checking;
        let (app, record) = (Arc::clone(&self.app), self.record.clone());
        let task = async move {
            if let Some(commit) = broken_off
                && check::restore(&app, &record, &sandbox, &commit).await.is_err()
            {
                // The work was pushed before the check began.
                return Done::Saved { turn, result: None };
            }
            let words = CommitWords { message: &message, credits: &credits };
            let result = work::save(&app, &record, &manifest, &sandbox, (words, Pushed::Believed)).await;
            Done::Saved { turn, result: Some(result) }
        };
        self.tasks.spawn(task.in_current_span());
        Ok(())
    }

    pub(super) async fn saved(&mut self, turn: TurnId, result: Option<Result<SavedWork, TurnFailure>>) -> Result<()> {
        let mut batch = Batch::default();
        let (saved, failure) = match result {
            Some(Ok(saved)) => (Some(saved), None),
            Some(Err(failure)) => (None, Some(failure)),
            None => (None, None),
        };
        let mut due = None;
        if let Some(work) = saved {
            let commit = work.commit.clone();
            if self.decide(&mut batch, Command::Saved { turn, work }).is_ok()
                && let Some(command) = self.check_due(turn)
                && self.decide(&mut batch, Command::CheckStarted { turn, commit: commit.clone() }).is_ok()
            {
                due = Some((command, commit));
            }
        }
        self.commit(batch).await?;
        let seen = self.view.turn(turn);
        let lost = seen.checking.filter(|_| due.is_none()).zip(self.check_due(turn));
        let lost = lost.map(|(commit, command)| check::not_run(&command, &commit, "the service was restarted while it ran"));
        let (app, record) = (Arc::clone(&self.app), self.record.clone());
        let (sandbox, pull_request) = (self.sandbox.clone(), self.state.pull_request.clone());
        let task = async move {
            let check = async {
                let (command, commit) = due?;
                let (sandbox, manifest) = (sandbox?, app.manifest(&record.repo)?);
                Some(check::run(&app, &record, manifest, &sandbox, (&command, &commit)).await)
            };
            let (check, standing) = tokio::join!(check, standing(&app, &record, pull_request.as_ref()));
            Done::LookedOver { turn, found: Found { failure, check: check.or(lost), standing } }
        };
        self.tasks.spawn(task.in_current_span());
        Ok(())
    }

    /// The check's command, where a turn that came to its own end changed something.
    fn check_due(&self, turn: TurnId) -> Option<String> {
        let Activity::Finishing { outcome: TurnOutcome::Done, .. } = &self.state.activity else { return None };
        let command = self.app.manifest(&self.record.repo)?.check_command()?;
        self.view.has_changed(turn).then(|| command.to_owned())
    }

    pub(super) async fn finished(&mut self, turn: TurnId, found: Found) -> Result<()> {
        let Activity::Finishing { turn: running, prompt, inserted, .. } = &self.state.activity else { return Ok(()) };
        if *running != turn {
            return Ok(());
        }
        let (prompt, inserted) = (prompt.clone(), inserted.clone());
        let Found { failure, check, standing } = found;
        let mut batch = Batch::default();
        if let Some(check) = check {
            let _ = self.decide(&mut batch, Command::CheckEnded { turn, check });
        }
        if self.decide(&mut batch, Command::Finished { turn, failure }).is_err() {
            return Ok(());
        }
        let seen = self.view.turn(turn);
        let outcome = seen.outcome.clone().unwrap_or(TurnOutcome::Done);
        if let TurnOutcome::Failed { failure } = &outcome {
            // Its details may hold what commands printed; the thread has them.
            tracing::warn!(%turn, failure = reply::kind(failure), what_to_do = longshore_slack::failure_words(failure).1, "the turn failed");
        }
        let check_command = self.app.manifest(&self.record.repo).and_then(|manifest| manifest.check_command());
        let ended = Ended {
            turn,
            prompt: &prompt,
            inserted: &inserted,
            outcome: &outcome,
            standing,
            check_command,
            continuation: reply::continuation(&self.view, turn),
            session_url: self.app.session_url(&self.record.id),
        };
        batch.outbox = reply::final_reply(&self.record, &self.state, &self.view, &ended)?;
        self.paint_last(turn);
        self.note_work(turn);
        self.drop_condemned();
        self.begin_rest();
        self.commit(batch).await?;
        self.keep_snapshot();
        Ok(())
    }
}

async fn standing(app: &App, record: &SessionRecord, pull_request: Option<&PullRequestRef>) -> PullRequestStanding {
    match pull_request {
        Some(pull_request) => overview::ask_standing(app, &record.repo, pull_request.number).await.unwrap_or(PullRequestStanding::Unknown),
        None => PullRequestStanding::Unknown,
    }
}
