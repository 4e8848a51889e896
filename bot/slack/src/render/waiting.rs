//! What a channel is told where many of its turns wait for a sandbox.

use longshore_session::SlackUserId;
use serde_json::Value;

use super::{
    Message, block,
    words::{count, line, link},
};

/// One message for all of a channel's turns that wait: a post for each would be more than Slack takes. It is changed as they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingNotice {
    /// Sandboxes that there may be at once.
    pub most: usize,
    /// Those of the channel, in order; empty once all have begun.
    pub lines: Vec<WaitingLine>,
}

/// A turn that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLine {
    /// Among all that wait, in whatever channel. Place 1 is the next one.
    pub place: usize,
    pub asker: SlackUserId,
    /// The prompt's own words.
    pub asked: String,
    pub thread_url: Option<String>,
}

/// So many are shown with their words; the rest with place and name.
const WORDED: usize = 30;
/// So many in one block, which is far from Slack's 3,000 characters.
const WORDED_PER_BLOCK: usize = 10;
const NAMED: usize = 200;
const NAMED_PER_BLOCK: usize = 100;
const WORDS_SHOWN: usize = 50;

impl WaitingNotice {
    pub fn render(&self) -> Message {
        let waiting = self.lines.len();
        if waiting == 0 {
            let head = "✅ *Nobody waits for a sandbox any more.* Each thread shows how its turn goes.";
            return Message { text: "Nobody waits for a sandbox any more.".to_owned(), blocks: vec![block::section("waiting.head", head)] };
        }
        let (turns, verb) = (count(waiting, "turn"), if waiting == 1 { "waits" } else { "wait" });
        let most = if self.most == 1 { "1 sandbox".to_owned() } else { format!("{} sandboxes", self.most) };
        let rule = "Whoever has the fewest turns at work is next, then whoever waits longest.";
        let mut blocks = vec![block::section("waiting.head", &format!("🕒 *{turns} of this channel {verb} for a sandbox.* {rule}"))];
        let (worded, named) = self.lines.split_at(waiting.min(WORDED));
        let part = |id: String, lines: Vec<String>, between: &str| block::section(&id, &lines.join(between));
        for (index, lines) in worded.chunks(WORDED_PER_BLOCK).enumerate() {
            blocks.push(part(format!("waiting.{index}"), lines.iter().map(WaitingLine::worded).collect(), "\n"));
        }
        let (named, more) = named.split_at(named.len().min(NAMED));
        for (index, lines) in named.chunks(NAMED_PER_BLOCK).enumerate() {
            blocks.push(part(format!("waiting.more.{index}"), lines.iter().map(WaitingLine::named).collect(), " · "));
        }
        blocks.push(self.foot(&most, more.len()));
        let first = self.lines.first().map(|line| line.place).unwrap_or_default();
        Message { text: format!("{turns} of this channel {verb} for a sandbox, the first at place {first}. {most} at once."), blocks }
    }

    fn foot(&self, most: &str, more: usize) -> Value {
        let more = if more == 0 { String::new() } else { format!("… and {more} more. ") };
        block::context("waiting.foot", &format!("{more}There may be {most} at once. I change this message as turns begin."))
    }
}

impl WaitingLine {
    fn worded(&self) -> String {
        let words = line(&self.asked, WORDS_SHOWN);
        let thread = self.thread_url.as_ref().map(|url| format!(" · {}", link(url, "thread"))).unwrap_or_default();
        format!("*{}.* <@{}>: {words}{thread}", self.place, self.asker)
    }

    fn named(&self) -> String {
        format!("*{}.* <@{}>", self.place, self.asker)
    }
}
