//! An answer to what needs no repository.

use super::{
    Message, block,
    words::{plain, quiet, split_markdown},
};

/// Longer than this is no short answer; the rest is left out.
const MOST: usize = 3_000;

/// What the fast model says where no sandbox is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Standard markdown.
    pub markdown: String,
}

impl Answer {
    pub fn render(&self) -> Message {
        let answer = split_markdown(&quiet(&self.markdown), MOST).into_iter().next().unwrap_or_else(|| "👋".to_owned());
        let text = plain(&answer, 300);
        let text = if text.is_empty() { "An answer".to_owned() } else { text };
        Message { text, blocks: vec![block::markdown(&answer)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_markdown_with_plain_words_beside_it() {
        let message = Answer { markdown: "# Hi\nI *mend* code.".to_owned() }.render();
        assert_eq!(message.blocks, [serde_json::json!({ "type": "markdown", "text": "# Hi\nI *mend* code." })]);
        assert_eq!(message.text, "Hi I mend code.");
        let long = Answer { markdown: "word ".repeat(5_000) }.render();
        assert!(long.blocks[0]["text"].as_str().unwrap().chars().count() <= MOST);
        assert!(!Answer { markdown: " ".to_owned() }.render().text.is_empty());
    }
}
