//! What the agent asks for by its tools, and people by buttons.

use std::sync::Arc;

use anyhow::Result;
use longshore_github::GitHubError;
use longshore_session::{OutboxOwner, PullRequestRef, TurnId, Writes};
use tokio::sync::oneshot;
use tracing::Instrument;

use super::{Actor, Batch, Done};
use crate::{
    conversation::{
        POSTS_PER_TURN, agent_words,
        attach::{News, Taken},
        credit,
        work::{self, CommitWords, Description, Pushed},
    },
    outbox::{FileToSend, OwedFile},
};

impl Actor {
    pub(super) fn open_pull_request(
        &mut self,
        title: Option<String>,
        done: Option<String>,
        answer: oneshot::Sender<Result<PullRequestRef, String>>,
    ) {
        let turn = TurnId(self.state.turns);
        let (Some(manifest), Some(prompt)) = (self.app.manifest(&self.record.repo).cloned(), self.view.asked.get(&turn).cloned()) else {
            let _ = answer.send(Err("there is nothing to open a pull request for".to_owned()));
            return;
        };
        let title = title.unwrap_or_else(|| work::shortened(self.subject(&prompt), 100));
        let credits = credit::credits(self.state.activity.inserted());
        let done = done.unwrap_or_else(|| self.view.turn(turn).answer);
        let asked = match self.view.answered_by(&prompt.id) {
            Some(question) => format!("{}\n\n{}: {}", self.record.title, question.text, prompt.text),
            None => self.view.asked_in(turn),
        };
        // While the check runs, what lies about may be the check's, and the turn's work is pushed already.
        let checking = self.view.turn(turn).checking.is_some();
        // Before the sync nothing was written, and what lies about may be anything.
        let sandbox = self.sandbox.clone().filter(|_| !checking && self.state.writes() != Writes::Held);
        let (app, record, stillness) = (Arc::clone(&self.app), self.record.clone(), self.stillness());
        let task = async move {
            let result = async {
                let save = async |pushed| {
                    let Some(sandbox) = &sandbox else { return Ok(()) };
                    let _held = stillness.lock().await;
                    let words = CommitWords { message: &title, credits: &credits };
                    let saved = work::save(&app, &record, &manifest, sandbox, (words, pushed)).await.map_err(|failure| {
                        let (what, next) = longshore_slack::failure_words(&failure);
                        format!("{what} {next}")
                    })?;
                    if saved.ahead == 0 {
                        return Err("there are no changes yet, so there is nothing to open a pull request for".to_owned());
                    }
                    Ok(())
                };
                save(Pushed::Believed).await?;
                let description = Description { title: &title, done: &done, asked: &asked, author: &prompt.author };
                let mut opened = work::open_pull_request(&app, &record, &manifest, description).await;
                if matches!(opened, Err(GitHubError::Rejected { .. }))
                    && let Ok(None) = app.github.branch_head(&record.repo, &record.id.branch()).await
                {
                    tracing::warn!("the session's branch was deleted on GitHub");
                    if sandbox.is_none() {
                        let branch = record.id.branch();
                        return Err(format!("the branch {branch} was deleted on GitHub. Reply in the thread: I push it again then"));
                    }
                    save(Pushed::Doubted).await?;
                    opened = work::open_pull_request(&app, &record, &manifest, description).await;
                }
                opened.map_err(|error| {
                    tracing::error!(%error, "cannot open a pull request");
                    let why = match error {
                        GitHubError::Unauthenticated { .. } if app.config.people.contains_key(prompt.author.slack_user.as_str()) => {
                            format!(
                                "it does not take the token of {} any more, which whoever runs Longshore must renew",
                                prompt.author.name
                            )
                        }
                        error => error.to_string(),
                    };
                    format!("GitHub did not take the pull request: {why}. The work is pushed to {}.", record.id.branch())
                })
            };
            let result = result.await;
            Done::PullRequest { turn, result, answer }
        };
        self.tasks.spawn(task.in_current_span());
    }

    pub(super) async fn say(&mut self, text: String) -> Result<Result<(), String>> {
        let Some(turn) = self.state.activity.turn() else { return Ok(Err("no turn is running".to_owned())) };
        if self.posts.0 != turn {
            self.posts = (turn, 0);
        }
        if self.posts.1 >= POSTS_PER_TURN {
            return Ok(Err(format!("{POSTS_PER_TURN} updates are enough for one turn: say the rest in the final answer")));
        }
        self.posts.1 += 1;
        // The same words again, which is what a repeated call has, are the same message.
        let key = format!("{}:say:{turn}:{}", self.record.id, agent_words::fingerprint(&text));
        let draft = self.owed(longshore_slack::Notice::Update { words: text }.render(), "update", key)?;
        self.commit(Batch { outbox: vec![draft], ..Batch::default() }).await?;
        Ok(Ok(()))
    }

    pub(super) async fn attach_file(&mut self, fingerprint: &str, file: FileToSend) -> Result<Result<Taken, String>> {
        let Some(turn) = self.state.activity.turn() else { return Ok(Err("no turn is running".to_owned())) };
        let key = format!("{}:file:{turn}:{fingerprint}", self.record.id);
        let owner = OutboxOwner::Session(self.record.id.clone());
        if self.app.store.sending(&owner, key.clone()).await?.is_some() {
            return Ok(Ok(Taken { key, news: News::Known }));
        }
        if self.attached.0 != turn {
            self.attached = (turn, 0);
        }
        let limit = self.app.config.limits.files;
        if self.attached.1 >= limit {
            return Ok(Err(format!("{limit} files are enough for one turn: name the others in the final answer")));
        }
        self.attached.1 += 1;
        let (channel, thread) = (self.record.thread.channel.clone(), self.record.thread.thread.clone());
        let draft = OwedFile { channel, thread, file, asker: None, upload: None }.draft(key.clone())?;
        self.commit(Batch { outbox: vec![draft], ..Batch::default() }).await?;
        Ok(Ok(Taken { key, news: News::New }))
    }
}
