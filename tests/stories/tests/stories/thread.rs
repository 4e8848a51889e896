//! A thread in Slack as the people in it see it, with what stands behind it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use longshore_emulators::github::PullRequestView;
use longshore_harness::{Harness, SessionSummary, TURN_LIMIT, TurnReport};
use longshore_session::Event;
use serde_json::Value;

/// What needs no sandbox comes soon, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Thread<'a> {
    pub harness: &'a Harness,
    pub channel: String,
    pub ts: String,
}

impl<'a> Thread<'a> {
    /// Posts a message that a thread can grow under.
    pub fn open(harness: &'a Harness, user: &str, channel: &str, text: &str) -> Result<Self> {
        let ts = harness.slack.person(user).post(channel, text)?;
        Ok(Self { harness, channel: channel.to_owned(), ts })
    }

    pub fn reply(&self, user: &str, text: &str) -> Result<String> {
        Ok(self.harness.slack.person(user).reply(&self.channel, &self.ts, text)?)
    }

    pub async fn session(&self) -> Result<SessionSummary> {
        self.harness.session_of(&self.channel, &self.ts).await
    }

    pub async fn sessions(&self) -> Result<Vec<SessionSummary>> {
        self.harness.sessions_of(&self.channel, &self.ts).await
    }

    /// Waits for a turn's end, its final reply, and the last picture of its card.
    pub async fn turn(&self, turn: u32) -> Result<TurnReport> {
        let report = self.harness.wait_for_turn(&self.channel, &self.ts, turn, TURN_LIMIT).await?;
        let key = format!(":card:{turn}");
        let is_over = |message: &Value| {
            let head = message.pointer("/blocks/0/text/text").and_then(Value::as_str).unwrap_or_default();
            key_of(message).ends_with(&key) && ["Done", "Stopped", "Failed"].iter().any(|word| head.contains(word))
        };
        let is_brought_to_its_end = |messages: &[Value]| messages.iter().any(is_over);
        self.harness.slack.wait_for_thread(&self.channel, &self.ts, is_brought_to_its_end, SOON).await.context("the card stays behind")?;
        Ok(report)
    }

    /// As [`Thread::turn`], and fails where the turn did not end well.
    pub async fn done(&self, turn: u32) -> Result<TurnReport> {
        let report = self.turn(turn).await?;
        ensure!(report.outcome == "done", "turn {turn} ended as {}:\n{}", report.outcome, self.text());
        Ok(report)
    }

    /// The thread as a person sees it.
    pub fn text(&self) -> String {
        self.harness.slack.render_thread_text(&self.channel, &self.ts)
    }

    /// The thread's text, as soon as it holds this.
    pub async fn shows(&self, text: &str) -> Result<String> {
        Ok(self.harness.wait_for_text(&self.channel, &self.ts, text, TURN_LIMIT).await?)
    }

    /// The bot's messages of a kind: `card`, `final`, `queued`, `say`, `picker`.
    pub fn messages(&self, kind: &str) -> Vec<Value> {
        let mut messages = self.harness.slack.thread(&self.channel, &self.ts);
        messages.retain(|message| key_of(message).split(':').nth(1) == Some(kind));
        messages
    }

    /// Everything that the bot said in the thread.
    pub fn said(&self) -> Vec<Value> {
        let mut messages = self.harness.slack.thread(&self.channel, &self.ts);
        messages.retain(|message| message["user"] == self.harness.slack.bot_user_id().as_str());
        messages
    }

    /// Waits for the button, and gives the message that it is on and its whole action id.
    pub async fn button(&self, action: &str) -> Result<(String, String)> {
        let find = |messages: &[Value]| {
            messages.iter().rev().find_map(|message| Some((message["ts"].as_str()?.to_owned(), action_id(message, action)?)))
        };
        let limit = TURN_LIMIT;
        let messages = self.harness.slack.wait_for_thread(&self.channel, &self.ts, |messages| find(messages).is_some(), limit).await;
        find(&messages.with_context(|| format!("there is no button `{action}`"))?).context("the button is gone again")
    }

    /// Pull requests of the thread's session.
    pub async fn pulls(&self) -> Result<Vec<PullRequestView>> {
        let session = self.session().await?;
        let mut pulls = self.harness.github.pull_requests(&session.repository);
        pulls.retain(|pull| pull.head == session.branch);
        Ok(pulls)
    }

    /// The thread's one pull request.
    pub async fn pull(&self) -> Result<PullRequestView> {
        let mut pulls = self.pulls().await?;
        match (pulls.pop(), pulls.len()) {
            (Some(pull), 0) => Ok(pull),
            (_, others) => bail!("there are {} pull requests:\n{}", others + 1, self.text()),
        }
    }

    pub async fn events(&self) -> Result<Vec<Event>> {
        self.harness.events(&self.session().await?.id).await
    }

    /// The text for one person's eyes, as soon as it holds this.
    pub async fn whispers(&self, user: &str, text: &str) -> Result<String> {
        whispers(self.harness, user, &self.channel, text).await
    }
}

/// What only this person sees in that room, as soon as one message holds this.
pub async fn whispers(harness: &Harness, user: &str, channel: &str, text: &str) -> Result<String> {
    Ok(whisper(harness, user, channel, text).await?.to_string())
}

/// As [`whispers`], the message itself.
pub async fn whisper(harness: &Harness, user: &str, channel: &str, text: &str) -> Result<Value> {
    let person = harness.slack.person(user);
    let look = |_: &_| person.ephemerals().into_iter().find(|message| message["channel"] == channel && message.to_string().contains(text));
    let found = harness.slack.wait_until(look, SOON).await;
    found.with_context(|| format!("nobody whispered `{text}` to {user} in {channel}; what was whispered: {:?}", person.ephemerals()))
}

/// The key by which the service finds its own message again.
pub fn key_of(message: &Value) -> &str {
    message.pointer("/metadata/event_payload/key").and_then(Value::as_str).unwrap_or_default()
}

/// The action id that begins so, of a button or select on the message.
pub fn action_id(message: &Value, begins: &str) -> Option<String> {
    let blocks = message["blocks"].as_array()?;
    let elements = blocks.iter().flat_map(|block| block["elements"].as_array().into_iter().flatten().chain(block.get("accessory")));
    let mut ids = elements.filter_map(|element| element["action_id"].as_str());
    ids.find(|id| id.starts_with(begins)).map(str::to_owned)
}

/// With whatever differs from run to run left out.
pub fn redacted(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<String> = line.split(' ').map(redacted_word).collect();
        let mut kept: Vec<String> = Vec::new();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let is_number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.');
            let unit = words.peek().map(|next| next.trim_end_matches([',', '.', ')']).to_owned()).unwrap_or_default();
            let is_count =
                word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(|c: char| c.is_ascii_digit() || "kM".contains(c));
            if is_count && unit == "tokens" {
                words.next();
                kept.push("(tokens)".to_owned());
                continue;
            }
            if !is_number || !["s", "min", "h"].contains(&&*unit) {
                kept.push(word);
                continue;
            }
            let mark = words.next().unwrap_or_default()[unit.len()..].to_owned();
            // `1 min 20 s` and `under 0.01 s` are durations like any other.
            if kept.last().is_some_and(|before| before == "under" || before == "(time)") {
                kept.pop();
            }
            kept.push(format!("(time){mark}"));
        }
        out.push_str(&kept.join(" "));
        out.push('\n');
    }
    out
}

fn redacted_word(word: &str) -> String {
    let is_clock =
        word.len() == 8 && word.bytes().enumerate().all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { byte.is_ascii_digit() });
    if is_clock {
        return "(clock)".to_owned();
    }
    // As the final reply names commits.
    if let Some(commit) = word.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'))
        && commit.len() == 7
        && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return "`(commit)`".to_owned();
    }
    let mut word = word.to_owned();
    for (begins, length) in [("s-", 10), ("127.0.0.1:", 5)] {
        let Some(at) = word.find(begins) else { continue };
        let rest = &word[at + begins.len()..];
        let run = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let is_id = if length == 10 { run == length && (at == 0 || !word.as_bytes()[at - 1].is_ascii_alphanumeric()) } else { true };
        if is_id {
            word.replace_range(at + begins.len()..at + begins.len() + run, "…");
        }
    }
    if let Some(at) = word.find("?key=") {
        let end = word[at..].find(')').map_or(word.len(), |end| at + end);
        word.replace_range(at + 5..end, "…");
    }
    if let Some(at) = word.find("/pull/") {
        let number = &word[at + 6..];
        let run = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        word.replace_range(at + 6..at + 6 + run, "N");
    }
    // `(#12` and `#12`: numbers are given in the order of other stories.
    if let Some(at) = word.find('#')
        && word[at + 1..].starts_with(|c: char| c.is_ascii_digit())
    {
        let run = word[at + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len() - at - 1);
        word.replace_range(at + 1..at + 1 + run, "N");
    }
    word
}

#[test]
fn what_differs_from_run_to_run_is_left_out() {
    let text = "ana  10:20:30\nsession `s-7k2m9q4dxw` took 1 min 20 s, under 0.01 s or 3.2 s\n[open](http://127.0.0.1:4711/a/b/pull/12) #12 is-fine `1a2b3c4`\n3 s · 12.3k tokens";
    let wanted = "ana  (clock)\nsession `s-…` took (time), (time) or (time)\n[open](http://127.0.0.1:…/a/b/pull/N) #N is-fine `(commit)`\n(time) · (tokens)\n";
    assert_eq!(redacted(text), wanted);
}
