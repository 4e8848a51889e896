//! Block Kit's rules, as strict as Slack's: an unknown type or field refuses the whole message.
//!
//! `checker` holds the primitives and the words Slack answers with, `shapes` the tables of blocks, elements and composition objects,
//! `rich_text` the nested formatting, `view` what holds for modals and the home tab. Absent are the blocks that only Slack's own data
//! products use (cards, carousels, charts): they are refused as unsupported.

mod checker;
mod rich_text;
mod shapes;
#[cfg(test)]
mod tests;
mod view;

use serde_json::Value;

use checker::Checker;
pub(super) use shapes::is_interactive;
pub(super) use view::{ViewKind, check_view};

/// Most characters of all texts of a message's blocks together; found by measuring, documented nowhere.
const MOST_TEXT_IN_ALL: usize = 13_200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Message,
    Modal,
    Home,
}

impl Surface {
    const fn most_blocks(self) -> usize {
        match self {
            Self::Message => 50,
            Self::Modal | Self::Home => 100,
        }
    }
}

/// Why blocks were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `invalid_blocks_format`: not even a list of objects.
    Format,
    /// `invalid_blocks`, with one line for each fault, without the `[ERROR]` in front.
    Invalid(Vec<String>),
    /// `msg_blocks_too_long`
    TooLong,
    /// `only_one_table_allowed`
    SecondTable,
}

/// Checks a message's blocks. `pointer` is where they stand in the request (`/blocks`).
pub(super) fn check_message_blocks(blocks: &Value, pointer: &str) -> Result<Vec<Value>, Refusal> {
    let Value::Array(list) = blocks else { return Err(Refusal::Format) };
    if list.iter().any(|block| !block.is_object()) {
        return Err(Refusal::Format);
    }
    let mut checker = Checker::new(Surface::Message);
    checker.blocks(list, pointer);
    if !checker.errors.is_empty() {
        return Err(Refusal::Invalid(checker.errors));
    }
    if checker.tables > 1 {
        return Err(Refusal::SecondTable);
    }
    if checker.text_chars > MOST_TEXT_IN_ALL {
        return Err(Refusal::TooLong);
    }
    Ok(list.clone())
}
