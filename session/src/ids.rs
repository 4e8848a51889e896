//! The names of things. Each is parsed once, where it enters the service, and from there on carries its type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not the id that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: {expected}")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
    expected: &'static str,
}

/// A text id with the rule that it must hold.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a text from outside. Errors when it does not hold the type's rule.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { kind: $kind, text, expected: $expected })
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
    };
}

/// Ids of other services: any short text without white space or control characters.
fn is_foreign_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.chars().all(|c| c.is_ascii_graphic())
}

/// Our own ids also become branch names, file names and container names.
fn is_own_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_repo_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name) && !name.ends_with(".git"))
}

text_id!(
    /// One line of work, bound to a thread. Also names its branch (`longshore/<id>`) and its database.
    SessionId, "session id", "lower-case letters, digits and `-`, such as `s-7k2m9q4d`", is_own_id
);
text_id!(
    /// What a person asked, once.
    PromptId, "prompt id", "lower-case letters, digits and `-`", is_own_id
);
text_id!(
    /// What an agent asked of people, once.
    QuestionId, "question id", "lower-case letters, digits and `-`", is_own_id
);
text_id!(
    /// A container with a repository and an agent in it.
    SandboxId, "sandbox id", "lower-case letters, digits and `-`", is_own_id
);
text_id!(
    /// A repository as GitHub names it.
    RepoName, "repository name", "`owner/name` as on GitHub", is_repo_name
);
text_id!(
    /// A Slack workspace (`T…`).
    TeamId, "Slack team id", "an id such as T024BE7LD", is_foreign_id
);
text_id!(
    /// A Slack user (`U…` or `W…`).
    SlackUserId, "Slack user id", "an id such as U024BE7LH", is_foreign_id
);
text_id!(
    /// A Slack channel, private channel or direct message (`C…`, `G…`, `D…`).
    ChannelId, "Slack channel id", "an id such as C024BE91L", is_foreign_id
);
text_id!(
    /// A Slack message's time stamp, its id within a channel (`1712345678.123456`).
    MessageTs, "Slack time stamp", "digits, a point, digits", |text| {
        text.split_once('.').is_some_and(|(a, b)| {
            !a.is_empty() && !b.is_empty() && (a.len() + b.len()) < 40
                && a.bytes().chain(b.bytes()).all(|c| c.is_ascii_digit())
        })
    }
);
text_id!(
    /// A Slack event's id (`Ev…`), the same for every delivery of that event.
    SlackEventId, "Slack event id", "an id such as Ev0PV52K25", is_foreign_id
);

impl RepoName {
    /// The part before the slash.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

/// The alphabet of our own ids: no letters that read alike, so that an id can be said on the phone.
const ALPHABET: &[u8] = b"23456789abcdefghjkmnpqrstvwxyz";

fn random_id(prefix: &str, length: usize) -> String {
    use rand::Rng;
    let mut rng = rand::rng();
    let tail = (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    prefix.chars().chain(tail).collect()
}

impl SessionId {
    pub fn random() -> Self {
        Self(random_id("s-", 10))
    }

    /// The only branch that the session's sandbox may push to.
    pub fn branch(&self) -> String {
        format!("longshore/{}", self.0)
    }
}

impl PromptId {
    pub fn random() -> Self {
        Self(random_id("p-", 12))
    }
}

impl SandboxId {
    pub fn random() -> Self {
        Self(random_id("b-", 12))
    }
}

/// A turn's number within its session, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TurnId(pub u32);

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The thread that a session lives in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ThreadKey {
    pub team: TeamId,
    pub channel: ChannelId,
    /// The time stamp of the thread's first message.
    pub thread: MessageTs,
}

impl fmt::Display for ThreadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.team, self.channel, self.thread)
    }
}

/// The person whose prompt causes work: commits carry this name and address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub slack_user: SlackUserId,
    /// As Slack shows it.
    pub name: String,
    /// From the Slack profile; a no-reply address where the profile shows none.
    pub email: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repository_names_are_owner_slash_name() {
        for good in ["acme/shop", "rust-lang/rust", "a/b.c_d-e"] {
            assert_eq!(RepoName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "shop", "a/b/c", "../etc", "a/..", "a b/c", "a/b.git", "/a", "a/"] {
            assert!(RepoName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_id_says_what_was_expected() {
        let error = RepoName::parse("shop").unwrap_err().to_string();
        assert_eq!(error, "`shop` is not a repository name: `owner/name` as on GitHub");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,60}") {
            let _ = (RepoName::parse(text.clone()), MessageTs::parse(text.clone()), SessionId::parse(text));
        }
    }

    #[test]
    fn new_ids_hold_their_own_rule() {
        for _ in 0..100 {
            assert!(SessionId::parse(SessionId::random().as_str()).is_ok());
        }
    }
}
