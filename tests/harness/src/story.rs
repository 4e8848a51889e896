//! What stories wait for: turns of a thread's session, and a thread that grows.

use std::{collections::HashMap, time::Duration};

use anyhow::{Result, bail};
use longshore_emulators::slack::PeopleError;
use longshore_session::{Event, Phase};
use tokio::time::{Instant, sleep};

use crate::{Harness, SessionSummary, TurnReport, api};

/// One turn with a scripted model, on a machine that has other work as well.
pub const TURN_LIMIT: Duration = Duration::from_secs(180);
/// The API tells nobody of changes, so it is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

impl Harness {
    /// All sessions, newest first.
    pub async fn sessions(&self) -> Result<Vec<SessionSummary>> {
        api::sessions(&self.service).await
    }

    /// Sessions of a thread, oldest first.
    pub async fn sessions_of(&self, channel: &str, thread: &str) -> Result<Vec<SessionSummary>> {
        let mut sessions = self.sessions().await?;
        sessions.retain(|session| session.thread.channel == channel && session.thread.thread == thread);
        sessions.reverse();
        Ok(sessions)
    }

    /// The thread's session, waiting for it to be made.
    pub async fn session_of(&self, channel: &str, thread: &str) -> Result<SessionSummary> {
        let deadline = Instant::now() + TURN_LIMIT;
        loop {
            if let Some(session) = self.sessions_of(channel, thread).await?.pop() {
                return Ok(session);
            }
            if Instant::now() > deadline {
                bail!("the thread got no session:\n{}", self.slack.render_thread_text(channel, thread));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Everything that happened in a session, oldest first.
    pub async fn events(&self, session: &str) -> Result<Vec<Event>> {
        api::events(&self.service, session).await
    }

    /// A session's turns, as far as they got.
    pub async fn turns(&self, session: &str) -> Result<Vec<TurnReport>> {
        Ok(api::turns(&self.events(session).await?))
    }

    /// Waits until a turn (from 1) of the thread's session has ended and its final reply is in the thread.
    pub async fn wait_for_turn(&self, channel: &str, thread: &str, turn: u32, limit: Duration) -> Result<TurnReport> {
        let deadline = Instant::now() + limit;
        let session = self.session_of(channel, thread).await?;
        loop {
            let turns = self.turns(&session.id).await?;
            let ended = turns.into_iter().find(|report| report.turn == turn && !report.outcome.is_empty());
            if let Some(report) = ended.filter(|report| report.phases.contains_key(&Phase::FinalReply)) {
                return Ok(report);
            }
            if let Some(status) = self.service.exit_status().await? {
                bail!("the service ended ({status}) in the middle of turn {turn}. Its log ends with\n{}", self.service.log_tail(20));
            }
            if Instant::now() > deadline {
                let text = self.slack.render_thread_text(channel, thread);
                bail!("turn {turn} has not ended after {} s. The thread stands at\n{text}", limit.as_secs());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits for a text in the thread as a person sees it; gives that back.
    pub async fn wait_for_text(&self, channel: &str, thread: &str, text: &str, limit: Duration) -> Result<String, PeopleError> {
        let look = |slack: &longshore_emulators::slack::SlackHandle| {
            Some(slack.render_thread_text(channel, thread)).filter(|seen| seen.contains(text))
        };
        self.slack.wait_until(look, limit).await.map_err(|_| {
            let seen = self.slack.render_thread_text(channel, thread);
            PeopleError::TimedOut(format!("`{text}` did not come within {} s; the thread stands at\n{seen}", limit.as_secs()))
        })
    }
}

/// Tells a growing text line by line: what stood there before is not said again.
#[derive(Debug, Default)]
pub struct Growth {
    said: HashMap<String, usize>,
}

impl Growth {
    /// The lines that were not there at any time before.
    pub fn new_lines<'a>(&mut self, text: &'a str) -> Vec<&'a str> {
        let mut now: HashMap<&str, usize> = HashMap::new();
        let mut new = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let count = now.entry(line).or_default();
            *count += 1;
            let said = self.said.entry(line.to_owned()).or_default();
            if *count > *said {
                *said = *count;
                new.push(line);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let mut growth = Growth::default();
        assert_eq!(growth.new_lines("a\nb\n"), ["a", "b"]);
        assert_eq!(growth.new_lines("a\nc\n\na\n"), ["c", "a"]);
        assert_eq!(growth.new_lines("a\nb\nc\na\n"), Vec::<&str>::new());
    }
}
