//! Answers to requests without tools and without a schema.

use super::{conversation::Conversation, mend::SCRIPTED_NOTICE};

/// What the scripted model says of itself.
pub(super) const ABOUT: &str = "I am Longshore's scripted demo model. I can only mend the listed defects of the sample repositories: tell me about one of \
    them, for example that the checkout page double-charges on retry. With a real model's key, Longshore answers anything.";

/// A title for a conversation: its first prompt, shortened.
pub(super) fn title(conversation: &Conversation) -> String {
    let prompt = conversation.last_prompt();
    let line = prompt.lines().map(|line| line.trim().trim_matches('"')).rfind(|line| !line.is_empty()).unwrap_or("A conversation");
    let mut title = String::new();
    for word in line.split_whitespace() {
        if title.chars().count() + word.chars().count() >= 50 {
            break;
        }
        if !title.is_empty() {
            title.push(' ');
        }
        title.push_str(word);
    }
    if title.is_empty() { line.chars().take(50).collect() } else { title }
}

pub(super) fn answer() -> String {
    format!("{ABOUT}\n\n{SCRIPTED_NOTICE}")
}
