//! Prompts that wait for the running turn, or join it.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use longshore_agent::{ContentBlock, InsertState};
use longshore_sandbox::Exec;
use longshore_session::{
    Activity, Command, FileFate, Inserted, OutboxDraft, Prompt, PromptFile, PromptId, SandboxId, TakenFile, TurnId, Unread, Waiting, Way,
    fault_point,
};
use longshore_slack::{Message, QueuePlace, QueuedNotice};
use tracing::Instrument;

use super::{Actor, Batch, Done, Link};
use crate::{
    app::App,
    conversation::{agent_words, files},
    outbox::{Changed, Weight},
};

/// A prompt does not wait longer than this for knowing whose the next commits are.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

impl Actor {
    /// Finds out at which commit the sandbox stands (what is committed after it is the inserter's work, too), and brings the prompt's files.
    pub(super) fn prepare_insert(&mut self, turn: TurnId, prompt: Prompt, sandbox: SandboxId) {
        let app = Arc::clone(&self.app);
        let look = async move {
            let (head, fetched) = tokio::join!(head(&app, &sandbox), files::fetch(&app, &prompt));
            let files = files::place(&app, &sandbox, &prompt, fetched).await.unwrap_or_else(|failure| {
                tracing::warn!(%sandbox, ?failure, "an inserted prompt's files cannot be written");
                let unwritten =
                    |file: &PromptFile| TakenFile { name: file.name.clone(), fate: FileFate::Unread { why: Unread::Unwritten } };
                prompt.files.iter().map(unwritten).collect()
            });
            Done::Looked { turn, prompt: prompt.id, head, files }
        };
        self.tasks.spawn(look.in_current_span());
    }

    pub(super) async fn hand(&mut self, turn: TurnId, prompt: PromptId, head: Option<String>, files: Vec<TakenFile>) -> Result<()> {
        let mut batch = Batch::default();
        let (unread, key) = (files::unread(&files), format!("{}:unread:{prompt}", self.record.id));
        // The turn may have ended meanwhile; then the prompt waits again, and its own turn brings the files.
        if self.decide(&mut batch, Command::Hand { turn, prompt, head, files }).is_err() {
            return Ok(());
        }
        if let Some(unread) = unread {
            batch.outbox.push(self.owed(unread.render(), "notice", key)?);
        }
        self.commit(batch).await
    }

    /// Gives the running turn's agent a prompt that joined the turn, once.
    pub(super) async fn hand_inserted(&mut self, turn: TurnId, prompt: &Prompt) -> Result<()> {
        let inserted = self.state.activity.inserted().iter().find(|inserted| inserted.prompt.id == prompt.id);
        let Some(Way::Handed { files, .. }) = inserted.map(|inserted| inserted.way.clone()) else { return Ok(()) };
        let given = self.as_given(prompt);
        // While the agent's conversation is being opened, the turn's own prompt comes first.
        let Link::Ready { agent, sandbox } = &mut self.link else { return Ok(()) };
        let mut blocks = vec![ContentBlock::Text(agent_words::inserted(&given, &files::told(&files)))];
        if self.app.config.model.images && agent.takes_images() && !agent.has_inserted(turn, &prompt.id) {
            blocks.extend(files::pictures(&self.app, sandbox, &files).await);
        }
        fault_point!("insert.handed.before");
        let inserted = agent.insert(turn, &prompt.id, &blocks);
        fault_point!("insert.handed.after");
        match inserted {
            Ok(InsertState::Taken) => Ok(()),
            Ok(InsertState::TooLate) => self.apply(Command::Return { turn, prompt: prompt.id.clone() }).await,
            Err(error) => self.agent_lost(error).await,
        }
    }

    /// Gives the agent whatever of the running turn it was to be given after the turn's own prompt.
    pub(super) async fn hand_all_inserted(&mut self) -> Result<()> {
        let Activity::Working { turn, inserted, .. } = &self.state.activity else { return Ok(()) };
        let (turn, inserted) = (*turn, inserted.clone());
        for Inserted { prompt, way } in inserted {
            match way {
                Way::Handed { .. } => self.hand_inserted(turn, &prompt).await?,
                Way::WithTheFirst | Way::Next => {}
            }
        }
        Ok(())
    }

    pub(super) fn queued_key(&self, prompt: &Prompt) -> String {
        format!("{}:queued:{}", self.record.id, prompt.id)
    }

    pub(super) fn queued_notice(&self, prompt: &Prompt, waiting: &Waiting) -> Message {
        let waiting = match waiting {
            Waiting::InPlace(place) => QueuePlace::Waiting { place: *place },
            Waiting::Started => QueuePlace::Started,
            Waiting::Inserted(turn) => {
                let joined = self.view.asked.get(turn).map_or(&self.record.owner, |prompt| &prompt.author.slack_user).clone();
                QueuePlace::Inserted { joined }
            }
            Waiting::Moved(repo) => QueuePlace::Moved { to: repo.clone() },
            Waiting::Withdrawn(by) => QueuePlace::Withdrawn { by: by.clone() },
        };
        let (session, id) = (self.record.id.clone(), prompt.id.clone());
        let (asker, asked) = (prompt.author.slack_user.clone(), prompt.text.clone());
        QueuedNotice { session, prompt: id, asker, asked, waiting }.render()
    }

    pub(super) fn queued_change(&self, prompt: &Prompt, waiting: &Waiting) -> Result<OutboxDraft> {
        let weight = match waiting {
            Waiting::InPlace(_) => Weight::OnTheWay,
            Waiting::Started | Waiting::Inserted(_) | Waiting::Withdrawn(_) | Waiting::Moved(_) => Weight::Last,
        };
        let (channel, message) = (self.record.thread.channel.clone(), self.queued_notice(prompt, waiting));
        Ok(Changed { channel, message, weight }.draft(&self.queued_key(prompt))?)
    }
}

async fn head(app: &App, sandbox: &SandboxId) -> Option<String> {
    let exec = Exec::shell("git rev-parse HEAD").timeout(LOOK_LIMIT).output_limit(1 << 10);
    match app.engine.exec(sandbox, exec).await {
        Ok(output) if output.succeeded() => Some(output.stdout_text().trim().to_owned()).filter(|head| !head.is_empty()),
        Ok(output) => {
            tracing::warn!(%sandbox, end = ?output.end, "cannot read where the sandbox stands");
            None
        }
        Err(error) => {
            tracing::warn!(%sandbox, %error, "cannot ask where the sandbox stands");
            None
        }
    }
}
