//! Warm before the prompt: whoever is about to ask finds the likeliest sandboxes awake already.
//!
//! A hold is a guess. It keeps an entry running for a short while and makes it the first choice of that person's next session; everybody else gets
//! it only if nothing else is left. Nothing but a fetch runs in there, so what is not used simply goes back to sleep.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use longshore_sandbox::Exec;
use longshore_session::{PoolRecord, RepoName, SandboxId, SlackUserId};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    app::App,
    warmup::{Likely, Sign, Signal, Warmth},
};

/// How long an entry is kept awake for somebody.
const HELD: Duration = Duration::from_secs(45);
/// Repositories that one signal may wake an entry of.
const GUESSES: usize = 2;
/// A second guess must be at least this likely, as a part of the first one's score.
const CLOSE: f64 = 0.5;
/// Signals that may wait; more are dropped, which costs a head start.
const WAITING: usize = 64;
/// How long a sign that somebody is about to ask counts as demand.
pub const EXPECTED: Duration = Duration::from_secs(30 * 60);
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Only brings the objects, and writes no ref: a session that claims the sandbox meanwhile syncs by itself, and must not meet a lock.
const FETCH: &str = r#"git fetch --quiet --no-tags --no-auto-maintenance --no-write-fetch-head --refmap= origin "refs/heads/$BASE""#;

/// The entries that are awake for one person.
#[derive(Debug)]
pub struct Hold {
    pub entries: Vec<SandboxId>,
    until: Instant,
}

/// Hears of signals.
pub struct Head(mpsc::Sender<Signal>);

/// The signals that are still to be acted on.
pub struct Signals(mpsc::Receiver<Signal>);

impl Head {
    pub fn new() -> (Self, Signals) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Signals(receiver))
    }
}

impl Warmth for Head {
    fn warm(&self, signal: &Signal) {
        let _ = self.0.try_send(signal.clone());
    }
}

/// Runs until shutdown. What is awake then is put to sleep after the next start.
pub async fn hear(app: Arc<App>, mut signals: Signals) {
    if app.config.pool.bound() == 0 {
        return;
    }
    loop {
        let next = app.pool.lock().holds.values().map(|hold| hold.until).min();
        let next = next.unwrap_or_else(|| Instant::now() + HELD);
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            signal = signals.0.recv() => match signal {
                Some(signal) => if let Err(error) = hold(&app, &signal).await {
                    tracing::warn!(error = format!("{error:#}"), "nothing is held for a signal");
                },
                None => return,
            },
            () = tokio::time::sleep_until(next) => {
                let now = Instant::now();
                app.pool.lock().holds.retain(|_, hold| hold.until > now);
                // The upkeep puts to sleep what nobody holds.
                app.pool.nudge();
            }
        }
    }
}

/// The repositories that are worth an awake sandbox, best first.
fn guesses(likely: &[Likely]) -> Vec<&RepoName> {
    let best = likely.first().map_or(0.0, |likely| likely.score);
    likely.iter().take(GUESSES).filter(|likely| likely.score >= best * CLOSE).map(|likely| &likely.repository).collect()
}

async fn hold(app: &Arc<App>, signal: &Signal) -> Result<()> {
    let guesses = guesses(&signal.likely);
    let rows = app.store.pooled().await?;
    let (chosen, awake) = {
        let mut state = app.pool.lock();
        // The prompt that it told of was quicker.
        if state.claims.get(&signal.user).is_some_and(|claimed| *claimed >= signal.at) {
            return Ok(());
        }
        let others: Vec<SandboxId> = held_by_others(&state.holds, &signal.user);
        let before = state.holds.remove(&signal.user).map(|hold| hold.entries).unwrap_or_default();
        let mut chosen: Vec<&PoolRecord> = Vec::new();
        for repo in guesses {
            let fits = |row: &&PoolRecord| row.repo == *repo && row.ready.is_some() && !others.contains(&row.sandbox);
            let image = state.images.get(repo);
            // What was held already stays it; then as a claim would choose.
            match rows.iter().filter(fits).min_by_key(|row| (!before.contains(&row.sandbox), image != Some(&row.image))) {
                Some(row) => chosen.push(row),
                None => {
                    state.expected.insert(repo.clone(), signal.at);
                }
            }
        }
        let entries: Vec<SandboxId> = chosen.iter().map(|row| row.sandbox.clone()).collect();
        if !entries.is_empty() {
            state.holds.insert(signal.user.clone(), Hold { entries, until: Instant::now() + HELD });
        }
        (chosen, before)
    };
    for row in &chosen {
        if awake.contains(&row.sandbox) {
            continue;
        }
        match app.engine.resume(&row.sandbox).await {
            Ok(()) => tracing::info!(sandbox = %row.sandbox, repo = %row.repo, user = %signal.user, sign = ?signal.sign, "held a sandbox"),
            // The upkeep finds out what it is.
            Err(error) => tracing::warn!(sandbox = %row.sandbox, %error, "a sandbox of the pool cannot be woken"),
        }
        match signal.sign {
            // The prompt is here: what the machine has is its.
            Sign::PromptArrived => {}
            Sign::MessagesOpened | Sign::AssistantOpened | Sign::AssistantMoved | Sign::Typing => fetch(app, row),
        }
    }
    app.pool.nudge();
    Ok(())
}

/// Brings what the base branch got since, so that the session's own sync has little left to do.
fn fetch(app: &Arc<App>, row: &PoolRecord) {
    let Some(manifest) = app.manifest(&row.repo) else { return };
    let exec = Exec::shell(FETCH).variable("BASE", &manifest.base_branch).timeout(FETCH_TIMEOUT).output_limit(4 << 10);
    let (app, sandbox) = (Arc::clone(app), row.sandbox.clone());
    app.tasks.clone().spawn(async move {
        match app.engine.exec(&sandbox, exec).await {
            Ok(output) if output.succeeded() => {}
            Ok(output) => tracing::warn!(%sandbox, said = output.stderr_text().trim(), "the base branch cannot be fetched ahead"),
            Err(error) => tracing::warn!(%sandbox, %error, "the base branch cannot be fetched ahead"),
        }
    });
}

/// What is awake for others than this person.
pub fn held_by_others(holds: &std::collections::HashMap<SlackUserId, Hold>, user: &SlackUserId) -> Vec<SandboxId> {
    holds.iter().filter(|(holder, _)| *holder != user).flat_map(|(_, hold)| hold.entries.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likely(entries: &[(&str, f64)]) -> Vec<Likely> {
        let one = |(name, score): &(&str, f64)| Likely {
            repository: RepoName::parse(format!("acme/{name}")).unwrap(),
            score: *score,
            because: Vec::new(),
        };
        entries.iter().map(one).collect()
    }

    #[test]
    fn only_what_is_about_as_likely_as_the_first_is_a_second_guess() {
        let names = |entries: &[(&str, f64)]| guesses(&likely(entries)).into_iter().map(|repo| repo.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&[("a", 0.8), ("b", 0.5), ("c", 0.5)]), ["a", "b"]);
        assert_eq!(names(&[("a", 0.8), ("b", 0.3)]), ["a"]);
        assert_eq!(names(&[]), [""; 0]);
    }
}
