//! What was typed after `/agent`.

use longshore_session::SessionId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentCommand {
    /// What runs, what waits and what can be gone on with.
    Status(StatusScope),
    /// How fresh each repository's image is.
    Repos,
    /// In whose name pull requests are opened.
    Link,
    Help,
    /// Stop this session, or list mine to choose from.
    Stop(Option<SessionId>),
    Unknown {
        word: String,
        hint: String,
    },
}

/// Whose sessions a status shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusScope {
    /// The asker's.
    Mine,
    /// Those of the channel that is asked in.
    Channel,
    All,
}

const WORDS: [(&str, &str); 5] = [
    ("status", "what runs and for whom"),
    ("repos", "the repositories and their images"),
    ("stop", "stop a session"),
    ("link", "in whose name your pull requests are opened"),
    ("help", "what I can do"),
];

const SCOPES: [&str; 3] = ["mine", "channel", "all"];

impl AgentCommand {
    /// Nothing typed means `help`. Letters' case and blanks don't matter.
    pub fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or("help").to_lowercase();
        let argument = words.next();
        match (word.as_str(), argument) {
            ("status" | "ps" | "sessions", scope) => match scope.map(str::to_lowercase).as_deref() {
                _ if words.next().is_some() => Self::Unknown { word: shown(text), hint: SCOPE_HINT.to_owned() },
                None | Some("mine" | "me" | "my") => Self::Status(StatusScope::Mine),
                Some("channel" | "here") => Self::Status(StatusScope::Channel),
                Some("all" | "everybody" | "everyone") => Self::Status(StatusScope::All),
                Some(other) => Self::Unknown { word: shown(text), hint: scope_hint(other) },
            },
            ("link" | "login", None) => Self::Link,
            ("repos" | "repositories" | "images", None) => Self::Repos,
            ("help" | "?", _) => Self::Help,
            ("stop" | "cancel", None) => Self::Stop(None),
            ("stop" | "cancel", Some(session)) => {
                let session = session.trim_matches(['`', '"', '\'']).to_lowercase();
                match SessionId::parse(session.as_str()) {
                    Ok(session) if words.next().is_none() => Self::Stop(Some(session)),
                    _ => Self::Unknown {
                        word: shown(text),
                        hint: "Give one session's id, such as `/agent stop s-7k2m9q4dxw`, or `/agent stop` alone to choose from a list."
                            .to_owned(),
                    },
                }
            }
            ("repos" | "repositories" | "images" | "link" | "login", Some(_)) => {
                Self::Unknown { word: shown(text), hint: format!("`/agent {word}` takes nothing after it.") }
            }
            _ => Self::Unknown { word: shown(&word), hint: hint(&word) },
        }
    }
}

const SCOPE_HINT: &str =
    "`/agent status` shows your sessions, `/agent status channel` those of this channel, `/agent status all` everybody's.";

fn scope_hint(word: &str) -> String {
    match SCOPES.iter().map(|known| (distance(word, known), known)).min() {
        Some((1 | 2, known)) if word.len() > 2 => format!("Did you mean `/agent status {known}`?"),
        _ => SCOPE_HINT.to_owned(),
    }
}

fn hint(word: &str) -> String {
    match WORDS.iter().map(|(known, _)| (distance(word, known), known)).min() {
        Some((steps, known)) if steps <= 2 => format!("Did you mean `/agent {known}`?"),
        _ => {
            let known: Vec<String> = WORDS.iter().map(|(word, meaning)| format!("`{word}` ({meaning})")).collect();
            format!("I know {}. To give me work, mention me in a channel.", known.join(", "))
        }
    }
}

/// What was typed, for repeating it to the person who typed it: short, on one line, without backquotes.
fn shown(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| *c != '`' && !c.is_control()).collect();
    let mut short: String = text.trim().chars().take(40).collect();
    if text.trim().chars().count() > 40 {
        short.push('…');
    }
    short
}

/// Levenshtein's distance, for words of a few letters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(32).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_word_is_known() {
        assert_eq!(AgentCommand::parse(" Status "), AgentCommand::Status(StatusScope::Mine));
        assert_eq!(AgentCommand::parse("status Channel"), AgentCommand::Status(StatusScope::Channel));
        assert_eq!(AgentCommand::parse("status all"), AgentCommand::Status(StatusScope::All));
        assert_eq!(AgentCommand::parse("link"), AgentCommand::Link);
        assert_eq!(AgentCommand::parse("repos"), AgentCommand::Repos);
        assert_eq!(AgentCommand::parse(""), AgentCommand::Help);
        assert_eq!(AgentCommand::parse("stop"), AgentCommand::Stop(None));
        let session = SessionId::parse("s-7k2m9q4dxw").unwrap();
        assert_eq!(AgentCommand::parse("stop `S-7k2m9q4dxw`"), AgentCommand::Stop(Some(session)));
    }

    #[test]
    fn a_wrong_word_gets_a_hint() {
        let hint = |text| match AgentCommand::parse(text) {
            AgentCommand::Unknown { word, hint } => format!("{word}: {hint}"),
            known => panic!("{known:?}"),
        };
        assert_eq!(hint("staus"), "staus: Did you mean `/agent status`?");
        assert_eq!(hint("lnik"), "lnik: Did you mean `/agent link`?");
        assert_eq!(hint("repos all"), "repos all: `/agent repos` takes nothing after it.");
        assert_eq!(hint("status chanel"), "status chanel: Did you mean `/agent status channel`?");
        assert!(hint("status s-1").contains("`/agent status all` everybody's"));
        assert!(hint("status all now").contains("`/agent status all` everybody's"));
        assert!(hint("fix the build").contains("mention me in a channel"));
        assert!(hint("stop everything now").contains("one session's id"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_command_or_a_hint(text in "\\PC{0,80}") {
            let _ = AgentCommand::parse(&text);
        }
    }
}
