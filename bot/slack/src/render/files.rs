//! What is said of the files that came with a prompt.

use longshore_session::Unread;

use super::{
    Message, block,
    words::{code, count, line, one_line},
};

/// Files of a prompt that the agent does without, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadFiles {
    /// Files that came, read or not.
    pub all: usize,
    /// Name and reason of each that could not be read. Never empty.
    pub unread: Vec<(String, Unread)>,
}

/// Lines that the notice has room for.
const MOST_LINES: usize = 12;

impl UnreadFiles {
    pub fn render(&self) -> Message {
        let head = match (self.unread.len(), self.all) {
            (1, 1) => "📎 I could not read the file and go on without it:".to_owned(),
            (unread, all) => format!("📎 I could not read {unread} of {} and go on without:", count(all, "file")),
        };
        let mut lines = vec![head];
        lines.extend(self.unread.iter().take(MOST_LINES).map(|(name, why)| format!("• {}: {}", file_name(name), words(why))));
        if self.unread.len() > MOST_LINES {
            lines.push(format!("• and {} more", self.unread.len() - MOST_LINES));
        }
        let text = lines.join("\n");
        Message { blocks: vec![block::section("files.unread", &text)], text }
    }
}

/// What is said above a file of the agent's: its words, which call nobody. None where it says nothing.
pub fn file_comment(words: &str) -> Option<String> {
    let words = line(words, 1_000);
    (!words.is_empty()).then_some(words)
}

/// As code, so that no name is read as markup.
fn file_name(name: &str) -> String {
    let name = code(&one_line(name), 80);
    if name.is_empty() { "a file without a name".to_owned() } else { name }
}

/// Why a file could not be read, for the end of a sentence; plain text.
pub fn words(why: &Unread) -> String {
    match why {
        Unread::TooLarge { limit_mb } => format!("it is larger than {limit_mb} MB, the most that I take"),
        Unread::TooMany { limit } => format!("I take {} with one message", count(usize::try_from(*limit).unwrap_or(usize::MAX), "file")),
        Unread::TooMuch { limit_mb } => format!("the files of one message may have {limit_mb} MB together"),
        Unread::Elsewhere => {
            "it is a link to a file outside of Slack, which I cannot open: paste what matters of it, or upload it".to_owned()
        }
        Unread::Gone => "it was deleted, or Slack hides it from me".to_owned(),
        Unread::NotAllowed => "I may not read files here: whoever runs Longshore must give the Slack app `files:read`".to_owned(),
        Unread::Failed => "Slack did not give it to me, although I asked several times: send it again".to_owned(),
        Unread::Unwritten => "it could not be written in the sandbox".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::limits::assert_sendable;

    #[test]
    fn each_file_is_named_with_its_reason() {
        let unread = vec![
            ("huge.log".to_owned(), Unread::TooLarge { limit_mb: 20 }),
            ("plan <!here>\n`x`".to_owned(), Unread::Elsewhere),
            (String::new(), Unread::Gone),
        ];
        let message = UnreadFiles { all: 4, unread }.render();
        assert_sendable(&message);
        insta::assert_snapshot!(message.text, @r"
        📎 I could not read 3 of 4 files and go on without:
        • `huge.log`: it is larger than 20 MB, the most that I take
        • `plan &lt;!here&gt; 'x'`: it is a link to a file outside of Slack, which I cannot open: paste what matters of it, or upload it
        • a file without a name: it was deleted, or Slack hides it from me
        ");
    }

    #[test]
    fn however_many_there_are_it_can_be_sent() {
        let reasons = [
            Unread::TooLarge { limit_mb: 20 },
            Unread::TooMany { limit: 1 },
            Unread::TooMuch { limit_mb: 60 },
            Unread::Elsewhere,
            Unread::Gone,
            Unread::NotAllowed,
            Unread::Failed,
            Unread::Unwritten,
        ];
        let name = "<&>".repeat(100);
        let unread: Vec<_> = (0..200).map(|n| (name.clone(), reasons[n % reasons.len()].clone())).collect();
        assert_sendable(&UnreadFiles { all: 200, unread: unread.clone() }.render());
        assert_sendable(&UnreadFiles { all: 1, unread: unread[..1].to_vec() }.render());
    }
}
