//! `longshore session show`: a session's whole story, read from its database.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use longshore_session::{
    AgentActivity, AnswerKind, CheckEnd, Event, FallBack, FileFate, Memory, ModelHindrance, PlanStatus, PullRequestEnd, Records,
    SandboxOrigin, SentMessage, SessionId, SessionRecord, StoredEvent, Timestamp, ToolResult, ToolRuling, TurnFailure, TurnOutcome, Unread,
};
use serde_json::json;

use crate::config::Config;

#[derive(Args)]
pub struct SessionArgs {
    #[command(subcommand)]
    verb: SessionVerb,
}

#[derive(Subcommand)]
enum SessionVerb {
    /// Print everything that happened in a session, from its database
    Show {
        /// As the thread's messages and the log name it (`s-…`)
        id: String,
        /// One JSON object a line: the session, its events, its messages
        #[arg(long)]
        json: bool,
    },
}

pub fn session(config: &Config, args: SessionArgs) -> Result<()> {
    let SessionVerb::Show { id, json } = args.verb;
    let records = Records::open(&config.data)?;
    let id = SessionId::parse(id).context("that is no session's id")?;
    let record = records.session(&id)?.with_context(|| format!("there is no session {id} in {}", config.data.display()))?;
    let (events, messages) = (records.events(&id)?, records.messages(&id)?);
    let lines = if json { as_json(&record, &events, &messages)? } else { as_text(&record, &events, &messages) };
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

fn as_json(record: &SessionRecord, events: &[StoredEvent], messages: &[SentMessage]) -> Result<Vec<String>> {
    let mut lines = vec![
        json!({ "session": record.id, "repository": record.repo, "thread": record.thread, "owner": record.owner, "title": record.title,
                "why": record.why, "phase": record.phase, "created": record.created, "touched": record.touched })
        .to_string(),
    ];
    lines.extend(events.iter().map(|stored| json!({ "seq": stored.seq, "at": stored.at, "event": stored.event }).to_string()));
    for message in messages {
        lines.push(json!({ "message": message }).to_string());
    }
    Ok(lines)
}

fn as_text(record: &SessionRecord, events: &[StoredEvent], messages: &[SentMessage]) -> Vec<String> {
    let mut lines = vec![
        format!("{}  {}  {}  {}", record.id, record.repo, record.thread, record.phase),
        format!("begun {} by {}: {}", record.created.second(), record.owner, record.title),
        format!("in this repository because: {}", record.why),
        String::new(),
    ];
    let mut events = events.iter().peekable();
    while let Some(stored) = events.next() {
        let mut words = words(&stored.event);
        // An answer comes in pieces, which are one to whoever reads it.
        while let Some(next) = events.peek()
            && let Some(more) = goes_on(&stored.event, &next.event)
        {
            words.push_str(more);
            events.next();
        }
        lines.push(line(stored.at, &format!("{:>5}", stored.seq), &words));
    }
    if !messages.is_empty() {
        lines.extend([String::new(), "Messages".to_owned()]);
        lines.extend(
            messages.iter().map(|message| line(message.sent.unwrap_or(message.due), &format!("{:>5}", message.kind), &sent(message))),
        );
    }
    lines
}

/// Further lines of a text stand under its first.
fn line(at: Timestamp, mark: &str, words: &str) -> String {
    let head = format!("{}  {mark}  ", at.second());
    let indent = format!("\n{}", " ".repeat(head.chars().count()));
    format!("{head}{}", words.trim_end().replace('\n', &indent))
}

fn sent(message: &SentMessage) -> String {
    let state = match (message.sent, &message.failure) {
        (_, Some(reason)) => format!("refused by Slack: {reason}"),
        (Some(_), None) => match &message.ts {
            Some(ts) => format!("in Slack as {ts}"),
            None => "in Slack".to_owned(),
        },
        (None, None) => format!("waits, {} sends were begun", message.attempts),
    };
    format!("{}  {state}", message.key)
}

/// The further words of the same answer or thought.
fn goes_on<'a>(event: &Event, next: &'a Event) -> Option<&'a str> {
    let (Event::Agent { turn, activity }, Event::Agent { turn: later, activity: more }) = (event, next) else { return None };
    match (activity, more) {
        _ if turn != later => None,
        (AgentActivity::Text { .. }, AgentActivity::Text { delta }) | (AgentActivity::Thought { .. }, AgentActivity::Thought { delta }) => {
            Some(delta)
        }
        _ => None,
    }
}

fn words(event: &Event) -> String {
    match event {
        Event::PromptAccepted { prompt } => {
            let files = if prompt.files.is_empty() { String::new() } else { format!(" with {} files", prompt.files.len()) };
            format!("prompt {} of {} ({}){files}: {}", prompt.id, prompt.author.name, prompt.author.slack_user, prompt.text)
        }
        Event::PromptEdited { prompt, text } => format!("prompt {prompt} edited: {text}"),
        Event::PromptWithdrawn { prompt, by: Some(by) } => format!("prompt {prompt} withdrawn by {by}"),
        Event::PromptWithdrawn { prompt, by: None } => format!("prompt {prompt} withdrawn: its message was deleted"),
        Event::PromptInserted { turn, prompt } => format!("turn {turn}: prompt {prompt} joins it"),
        Event::PromptHanded { turn, prompt, .. } => format!("turn {turn}: prompt {prompt} goes to the agent"),
        Event::PromptReturned { turn, prompt } => format!("turn {turn}: too late for prompt {prompt}, which is the next one now"),
        Event::TurnStarted { turn, prompt } => format!("turn {turn} starts, for prompt {prompt}"),
        Event::FilesTaken { turn, files } => {
            let taken = files.iter().map(|file| format!("{} ({})", file.name, fate(&file.fate)));
            format!("turn {turn}: files: {}", taken.collect::<Vec<_>>().join(", "))
        }
        Event::TurnRunning { turn, sandbox, origin } => format!("turn {turn}: sandbox {sandbox}, {}", from(*origin)),
        Event::SandboxGivenUp { turn, sandbox } => format!("turn {turn}: sandbox {sandbox} is of no use; another one is prepared"),
        Event::FellBack { turn, from } => format!("turn {turn}: an earlier image: {}", fell_back(from)),
        Event::Agent { turn, activity } => format!("turn {turn}: {}", did(activity)),
        Event::ToolRuled { turn, tool, ruling, .. } => match ruling {
            ToolRuling::Denied { reason } => format!("turn {turn}: a rule denies {tool}: {reason}"),
            ToolRuling::Changed { from, to } => format!("turn {turn}: a rule changes {tool}: `{from}` to `{to}`"),
            ToolRuling::Noted { text } => format!("turn {turn}: a rule adds to {tool}: {text}"),
        },
        Event::StopRequested { turn, by } => format!("turn {turn}: {by} asks it to stop"),
        Event::TurnFinishing { turn, outcome } => format!("turn {turn}: the agent is done: {}", ended(outcome)),
        Event::WorkSaved { turn, work } => format!(
            "turn {turn}: pushed as {}, {} commits ahead, {} files +{} -{}",
            work.commit, work.ahead, work.files, work.insertions, work.deletions
        ),
        Event::CheckStarted { turn, commit } => format!("turn {turn}: the check runs on {commit}"),
        Event::CheckEnded { turn, check } => format!("turn {turn}: the check `{}` {}", check.command, checked(&check.end)),
        Event::TurnEnded { turn, outcome } => format!("turn {turn} ended: {}", ended(outcome)),
        Event::PullRequestOpened { pull_request } => format!("pull request #{}: {}", pull_request.number, pull_request.url),
        Event::PullRequestEnded { number, how: PullRequestEnd::Merged } => format!("pull request #{number} was merged"),
        Event::PullRequestEnded { number, how: PullRequestEnd::Closed } => format!("pull request #{number} was closed"),
        Event::ModelHindered { turn, hindrance } => match hindrance {
            ModelHindrance::OverLimit => format!("turn {turn}: the model's provider wants to be asked less"),
            ModelHindrance::Failing { status } => format!("turn {turn}: the model's provider fails ({status})"),
            ModelHindrance::BrokeOff => format!("turn {turn}: the model's answer broke off"),
        },
        Event::QuestionAsked { turn, question } => format!("turn {turn}: the agent asks ({}): {}", question.id, question.text),
        Event::QuestionAnswered { question, prompt, by, answer } => match answer {
            AnswerKind::Picked { option } => format!("{by} answers {question} with option {}, as prompt {prompt}", option + 1),
            AnswerKind::Replied => format!("{by} answers {question} with prompt {prompt}"),
        },
        Event::QuestionDropped { question, by } => format!("{by} stops; {question} wants no answer any more"),
        Event::ModelUsed { turn, used } => {
            let cost = used.cost_micros.map(|micros| format!(", ${:.4}", micros as f64 / 1e6)).unwrap_or_default();
            format!("turn {turn}: {}: {} tokens in ({} cached), {} out{cost}", used.model, used.input, used.cached, used.output)
        }
        Event::Moved { to, repo, by } => format!("{by} moves it to {repo}: its prompts are in {to} from now on"),
        Event::CleanedUp => "what it left is taken away".to_owned(),
        Event::PhaseReached { turn, phase, at } => {
            format!("turn {turn}: {} at {}", tag(&serde_json::to_value(phase).unwrap_or_default()), at.second())
        }
    }
}

fn did(activity: &AgentActivity) -> String {
    match activity {
        AgentActivity::Text { delta } => format!("says: {delta}"),
        AgentActivity::MessageBegan => "begins another message".to_owned(),
        AgentActivity::Thought { delta } => format!("thinks: {delta}"),
        AgentActivity::ToolStarted { words, .. } => format!("begins: {words}"),
        AgentActivity::ToolEnded { words, result: ToolResult::Succeeded, .. } => format!("did: {words}"),
        AgentActivity::ToolEnded { words, result: ToolResult::Failed, .. } => format!("failed: {words}"),
        AgentActivity::Plan { entries } => {
            let entries = entries.iter().map(|entry| {
                let mark = match entry.status {
                    PlanStatus::Pending => " ",
                    PlanStatus::InProgress => ">",
                    PlanStatus::Completed => "x",
                };
                format!("\n[{mark}] {}", entry.text)
            });
            format!("plans:{}", entries.collect::<String>())
        }
    }
}

fn ended(outcome: &TurnOutcome) -> String {
    match outcome {
        TurnOutcome::Done => "done".to_owned(),
        TurnOutcome::Stopped { by } => format!("stopped by {by}"),
        TurnOutcome::Failed { failure } => format!("failed: {}", failed(failure)),
    }
}

/// The failure's name, and whatever else is known of it.
fn failed(failure: &TurnFailure) -> String {
    let value = serde_json::to_value(failure).unwrap_or_default();
    let details = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "kind");
    let details: Vec<String> =
        details.map(|(name, value)| format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect();
    let kind = tag(&value["kind"]);
    if details.is_empty() { kind } else { format!("{kind} ({})", details.join(", ")) }
}

fn from(origin: SandboxOrigin) -> String {
    match origin {
        SandboxOrigin::Kept => "kept from the turn before".to_owned(),
        SandboxOrigin::Restored { taken, through, memory } => {
            let memory = match memory {
                Memory::Whole => "the agent remembers",
                Memory::Lost => "the agent remembers nothing",
            };
            format!("restored from the snapshot of {} (through turn {through}); {memory}", taken.second())
        }
        SandboxOrigin::Claimed => "from the warm pool".to_owned(),
        SandboxOrigin::Started => "new, from the image".to_owned(),
        SandboxOrigin::Rebuilt { taken } => format!("new, from the image: the snapshot of {} could not be used", taken.second()),
    }
}

fn fell_back(from: &FallBack) -> String {
    match from {
        FallBack::RolledBack { commit, detail } => {
            format!("the newest one (of {}) cannot start a session: {detail}", commit.as_deref().unwrap_or("an unknown commit"))
        }
        FallBack::RegistryAway => "the registry cannot be asked for the newest one".to_owned(),
        FallBack::Lost => "the newest one is lost and is built again".to_owned(),
    }
}

fn fate(fate: &FileFate) -> String {
    match fate {
        FileFate::Placed { path, bytes, .. } => format!("{bytes} bytes at {path}"),
        FileFate::Unread { why } => format!("not read: {}", unread(why)),
    }
}

fn unread(why: &Unread) -> String {
    tag(&serde_json::to_value(why).unwrap_or_default()["why"])
}

fn checked(end: &CheckEnd) -> String {
    match end {
        CheckEnd::Exited { code: 0 } => "passed".to_owned(),
        CheckEnd::Exited { code } => format!("failed with {code}"),
        CheckEnd::TimedOut { seconds } => format!("was ended after {seconds} s"),
        CheckEnd::OutOfMemory => "ran out of memory".to_owned(),
        CheckEnd::NotRun { why } => format!("did not run: {why}"),
    }
}

/// `first_token` as `first token`.
fn tag(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or("unknown").replace('_', " ")
}

#[cfg(test)]
mod tests {
    use longshore_session::{ChannelId, MessageTs, Phase, RepoName, SandboxId, SlackUserId, TeamId, ThreadKey, TurnId, Work};

    use super::*;

    fn record() -> SessionRecord {
        SessionRecord {
            id: SessionId::parse("s-7k2m9q4dxw").unwrap(),
            repo: RepoName::parse("acme/shop").unwrap(),
            thread: ThreadKey {
                team: TeamId::parse("T1").unwrap(),
                channel: ChannelId::parse("C1").unwrap(),
                thread: MessageTs::parse("1795354812.000100").unwrap(),
            },
            owner: SlackUserId::parse("U1").unwrap(),
            title: "mend the cart".into(),
            why: "named outright".into(),
            phase: "idle".into(),
            has_work: Work::None,
            created: Timestamp(1_795_354_812_123),
            touched: Timestamp(1_795_354_812_123),
        }
    }

    fn story() -> Vec<StoredEvent> {
        let turn = TurnId(1);
        let says = |delta: &str| Event::Agent { turn, activity: AgentActivity::Text { delta: delta.into() } };
        let events = [
            Event::TurnRunning { turn, sandbox: SandboxId::parse("b-1").unwrap(), origin: SandboxOrigin::Claimed },
            Event::PhaseReached { turn, phase: Phase::FirstToken, at: Timestamp(1_795_354_813_000) },
            says("It was "),
            says("the rounding.\nMended."),
            Event::Agent { turn: TurnId(2), activity: AgentActivity::Text { delta: "Another turn.".into() } },
            Event::TurnEnded { turn, outcome: TurnOutcome::Failed { failure: TurnFailure::SandboxOutOfMemory { limit_mb: 512 } } },
        ];
        let stored = events.into_iter().zip(1..);
        stored.map(|(event, seq)| StoredEvent { seq, at: Timestamp(1_795_354_812_000 + seq as i64 * 1_000), event }).collect()
    }

    #[test]
    fn a_story_reads_from_the_top() {
        let message = SentMessage {
            key: "s-7k2m9q4dxw:final:1".into(),
            kind: "final".into(),
            due: Timestamp(1_795_354_819_000),
            attempts: 1,
            sent: None,
            ts: None,
            failure: None,
        };
        insta::assert_snapshot!(as_text(&record(), &story(), &[message]).join("\n"));
    }

    #[test]
    fn as_json_every_event_is_a_line_of_its_own() {
        let lines = as_json(&record(), &story(), &[]).unwrap();
        assert_eq!(lines.len(), 7);
        let first: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&first["seq"], &first["event"]["event"]), (&1.into(), &"turn_running".into()));
    }
}
