//! A message whose place is closed, said to its asker in private.

use super::{Message, block};

/// What was owed to a thread that takes nothing any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Detour {
    /// As it was meant for the thread.
    pub message: Message,
    /// Why it could not be said there, as a part of a sentence.
    pub why: String,
    /// The thread's channel, as an id.
    pub channel: String,
}

/// Slack takes this many blocks.
const BLOCKS: usize = 50;

impl Detour {
    pub fn render(&self) -> Message {
        let head = format!("📮 This belongs into a thread in <#{}>, and I cannot say it there: {}.", self.channel, self.why);
        let mut blocks = vec![block::context("detour.head", &head)];
        blocks.extend(self.message.blocks.iter().take(BLOCKS - 1).cloned());
        Message { text: format!("I could not say this in its thread, since {}. {}", self.why, self.message.text), blocks }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::limits::assert_sendable, *};

    #[test]
    fn a_detour_says_why_and_then_the_message() {
        let message = Message::of_words("✅ Done.".to_owned());
        let detour = Detour { message, why: "its channel is archived".to_owned(), channel: "C1".to_owned() }.render();
        assert_sendable(&detour);
        let head = "📮 This belongs into a thread in <#C1>, and I cannot say it there: its channel is archived.";
        assert_eq!(detour.blocks[0]["elements"][0]["text"], head);
        assert_eq!((detour.blocks.len(), &detour.blocks[1]["text"]["text"]), (2, &"✅ Done.".into()));
        let long = Message { text: "long".to_owned(), blocks: (0..50).map(|n| block::section(&format!("b{n}"), "words")).collect() };
        assert_sendable(&Detour { message: long, why: "it is".to_owned(), channel: "C1".to_owned() }.render());
    }
}
