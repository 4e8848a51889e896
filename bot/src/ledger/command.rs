//! `longshore ledger`: lists every accepted prompt with how far its final message is.

use anyhow::Result;
use clap::Args;
use longshore_session::{Clock, LedgerEntry, LedgerStanding, Records, SystemClock, Timestamp};

use crate::config::Config;

#[derive(Args)]
pub struct LedgerArgs {
    /// Only prompts whose final message is still to come
    #[arg(long)]
    owed: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Prompts at the most, the newest ones; 0 lists all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub fn ledger(config: &Config, args: &LedgerArgs) -> Result<()> {
    let records = Records::open(&config.data)?;
    let mut entries = records.ledger_outside()?.entries;
    let mut unreadable = Vec::new();
    for record in records.sessions()? {
        match records.ledger_of(&record) {
            Ok(ledger) => entries.extend(ledger.entries),
            Err(error) => unreadable.push(error),
        }
    }
    entries.retain(|entry| !args.owed || entry.standing.is_owed());
    entries.sort_by_key(|entry| entry.accepted);
    let skipped = if args.limit == 0 { 0 } else { entries.len().saturating_sub(args.limit) };
    let now = SystemClock.now();
    for entry in entries.iter().skip(skipped) {
        if args.json {
            println!("{}", json(entry, now)?);
        } else {
            println!("{}", line(entry, now));
        }
    }
    if !args.json {
        let (owed, overdue) =
            (entries.iter().filter(|entry| entry.standing.is_owed()), entries.iter().filter_map(|entry| entry.overdue(now)));
        println!("{}", summary(entries.len(), owed.count(), overdue.count(), skipped));
    }
    for error in &unreadable {
        eprintln!("longshore: not looked at: {error}");
    }
    Ok(())
}

fn summary(all: usize, owed: usize, overdue: usize, skipped: usize) -> String {
    let prompts = if all == 1 { "prompt" } else { "prompts" };
    let late = if overdue == 0 { String::new() } else { format!(", {overdue} for longer than a minute") };
    let left = if skipped == 0 { String::new() } else { format!("; {skipped} older ones are not shown (--limit)") };
    format!("{all} {prompts}, {owed} still owed a final message{late}{left}")
}

fn json(entry: &LedgerEntry, now: Timestamp) -> Result<serde_json::Value> {
    let mut value = serde_json::to_value(entry)?;
    // The same word that people read.
    value["state"] = entry.standing.word().into();
    value["owed"] = entry.standing.is_owed().into();
    value["overdue"] = serde_json::to_value(entry.overdue(now))?;
    Ok(value)
}

fn line(entry: &LedgerEntry, now: Timestamp) -> String {
    let accepted = entry.accepted.map_or_else(|| "-".to_owned(), Timestamp::second);
    let session = entry.session.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let late = if entry.overdue(now).is_some() { " OVERDUE" } else { "" };
    format!(
        "{accepted:<23}  {session:<14}  {:<20}  {:<30}  {:<10}  {}{late}",
        entry.prompt.to_string(),
        format!("{}/{}", entry.channel, entry.thread),
        entry.standing.word(),
        detail(&entry.standing)
    )
    .trim_end()
    .to_owned()
}

fn detail(standing: &LedgerStanding) -> String {
    match standing {
        LedgerStanding::Routing | LedgerStanding::Picking | LedgerStanding::Queued | LedgerStanding::Withdrawn => String::new(),
        LedgerStanding::Working { turn } => format!("turn {turn}"),
        LedgerStanding::Due { since, attempts } => format!("since {}, {attempts} begun", since.second()),
        LedgerStanding::Missing { since } => format!("since {}", since.second()),
        LedgerStanding::Sent { at, message, .. } => match message {
            Some(message) => format!("{} as {message}", at.second()),
            None => at.second(),
        },
        LedgerStanding::Refused { reason } => reason.clone(),
        LedgerStanding::Moved { to } => format!("to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use longshore_session::{ChannelId, MessageTs, Overdue, PromptId, SentBy, SessionId, TurnId};

    use super::*;

    fn entry(standing: LedgerStanding) -> LedgerEntry {
        LedgerEntry {
            prompt: PromptId::parse("p-0011223344556677").unwrap(),
            session: SessionId::parse("s-7k2m9q4dxw").ok(),
            channel: ChannelId::parse("C0SHOP").unwrap(),
            thread: MessageTs::parse("1795354812.000100").unwrap(),
            accepted: Some(Timestamp(1_795_354_812_123)),
            standing,
        }
    }

    #[test]
    fn a_line_tells_how_far_a_prompt_is() {
        let at = Timestamp(1_795_354_840_000);
        let ts = MessageTs::parse("1795354839.000200").ok();
        let lines = [
            LedgerStanding::Queued,
            LedgerStanding::Working { turn: TurnId(2) },
            LedgerStanding::Due { since: at, attempts: 2 },
            LedgerStanding::Sent { at, message: ts, by: SentBy::Reconciled },
            LedgerStanding::Moved { to: SessionId::parse("s-2").unwrap() },
        ];
        let lines: Vec<String> = lines.into_iter().map(|standing| line(&entry(standing), Timestamp(1_795_354_999_000))).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn json_says_what_is_late() {
        let due = entry(LedgerStanding::Due { since: Timestamp(0), attempts: 1 });
        let value = json(&due, Timestamp(60_001)).unwrap();
        assert_eq!((&value["state"], &value["owed"], &value["overdue"]), (&"due".into(), &true.into(), &"unsent".into()));
        assert_eq!(due.overdue(Timestamp(60_001)), Some(Overdue::Unsent));
    }
}
