//! An answer before it takes a vendor's form.

use super::{
    conversation::{ToolCall, tokens_of},
    play::Move,
};

/// An answer with what every protocol needs to say about it.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// Unique among the emulator's answers.
    pub(super) number: usize,
    /// Seconds since 1970-01-01 UTC.
    pub(super) created_s: i64,
    pub(super) model: String,
    pub(super) answer: Move,
    pub(super) input_tokens: u64,
    /// The text ends after so many pieces, as at a token limit.
    pub(super) cut_after: Option<usize>,
}

/// One server-sent event, ready to go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) text: String,
    /// Whether it carries a piece of the answer (and so takes its time).
    pub(super) is_piece: bool,
}

impl Reply {
    /// The text of the answer, cut where it is to be cut.
    pub(super) fn text(&self) -> String {
        self.pieces().concat()
    }

    /// The text as a model would stream it.
    pub(super) fn pieces(&self) -> Vec<String> {
        let text = match &self.answer {
            Move::Say(text) | Move::Call { say: text, .. } => text.clone(),
            Move::Structured(value) => value.to_string(),
            Move::Refuse(_) => String::new(),
        };
        let pieces = text.split_inclusive(' ').map(str::to_owned);
        pieces.take(self.cut_after.unwrap_or(usize::MAX)).collect()
    }

    pub(super) fn calls(&self) -> &[ToolCall] {
        match &self.answer {
            Move::Call { calls, .. } => calls,
            _ => &[],
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut_after.is_some()
    }

    pub(super) fn output_tokens(&self) -> u64 {
        let calls: usize = self.calls().iter().map(|call| call.name.len() + call.arguments.to_string().len()).sum();
        tokens_of(self.text().len() + calls).max(1)
    }
}

/// Arguments of a call as a model would stream them: some characters at a time.
pub(super) fn argument_pieces(arguments: &serde_json::Value) -> Vec<String> {
    let characters: Vec<char> = arguments.to_string().chars().collect();
    characters.chunks(24).map(|piece| piece.iter().collect()).collect()
}
