//! The vocabulary of modals: what each `callback_id` and its private metadata mean, in one place.

use longshore_session::{ChannelId, MessageTs, RepoName, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inbound::ViewSubmission;

/// What a modal asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialog {
    /// What is to be done about a message.
    AskAbout(AskAbout),
    /// Which repository the session's prompt belongs to.
    WrongRepository(SessionId),
}

/// A message that somebody wants to ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskAbout {
    pub channel: ChannelId,
    /// The thread's first message: the message itself where it is in no thread.
    pub thread: MessageTs,
    pub message: MessageTs,
    /// The message's words, shortened where they are many.
    pub text: String,
    /// Reaches the person also where the bot is not.
    pub response_url: String,
}

const ASK_ABOUT: &str = "ask_about";
/// The block and the action of a dialog that asks what to do.
pub(crate) const TASK: &str = "task";
/// Slack's limit is 3,000.
const METADATA: usize = 2_900;

const WRONG_REPOSITORY: &str = "wrong_repository";
/// The block and the action of a dialog that asks for a repository.
pub(crate) const REPOSITORY: &str = "repository";

impl Dialog {
    /// `(callback_id, private_metadata)`.
    pub fn encode(&self) -> (&'static str, String) {
        match self {
            Self::AskAbout(about) => (ASK_ABOUT, about.encode()),
            Self::WrongRepository(session) => (WRONG_REPOSITORY, session.to_string()),
        }
    }

    /// None for whatever is not of this vocabulary.
    pub fn parse(callback_id: &str, private_metadata: &str) -> Option<Self> {
        match callback_id {
            ASK_ABOUT => Some(Self::AskAbout(serde_json::from_str(private_metadata).ok()?)),
            WRONG_REPOSITORY => Some(Self::WrongRepository(SessionId::parse(private_metadata).ok()?)),
            _ => None,
        }
    }
}

impl AskAbout {
    fn encode(&self) -> String {
        let mut about = self.clone();
        loop {
            let text = serde_json::to_string(&about).unwrap_or_default();
            let letters = about.text.chars().count();
            if text.chars().count() <= METADATA || letters == 0 {
                return text;
            }
            about.text = about.text.chars().take(letters / 2).collect::<String>() + "…";
            if letters < 3 {
                about.text.clear();
            }
        }
    }
}

impl ViewSubmission {
    pub fn dialog(&self) -> Option<Dialog> {
        Dialog::parse(&self.callback_id, &self.private_metadata)
    }

    /// What was typed, in a dialog that asks what to do. None where nothing was.
    pub fn task(&self) -> Option<String> {
        let typed = self.values.pointer(&format!("/{TASK}/{TASK}/value")).and_then(Value::as_str)?.trim();
        (!typed.is_empty()).then(|| typed.to_owned())
    }

    /// The repository that was chosen, in a dialog that asks for one.
    pub fn repository(&self) -> Option<RepoName> {
        let chosen = self.values.pointer(&format!("/{REPOSITORY}/{REPOSITORY}/selected_option/value")).and_then(Value::as_str)?;
        RepoName::parse(chosen).ok()
    }
}

#[cfg(test)]
mod tests {
    use longshore_session::{SlackUserId, TeamId};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn submitted(callback_id: &str, private_metadata: &str, values: Value) -> ViewSubmission {
        ViewSubmission {
            team: TeamId::parse("T1").unwrap(),
            user: SlackUserId::parse("U1").unwrap(),
            callback_id: callback_id.to_owned(),
            private_metadata: private_metadata.to_owned(),
            values,
        }
    }

    fn about(text: &str) -> AskAbout {
        AskAbout {
            channel: ChannelId::parse("C1").unwrap(),
            thread: MessageTs::parse("1.1").unwrap(),
            message: MessageTs::parse("1.2").unwrap(),
            text: text.to_owned(),
            response_url: "https://hooks.slack.com/actions/T1/2/3".to_owned(),
        }
    }

    #[test]
    fn what_is_encoded_is_read_again() {
        let asked = about("why is \"this\" slow?");
        let (callback_id, metadata) = Dialog::AskAbout(asked.clone()).encode();
        let submission = submitted(callback_id, &metadata, json!({ TASK: { TASK: { "type": "plain_text_input", "value": " mend it " } } }));
        assert_eq!(submission.dialog(), Some(Dialog::AskAbout(asked)));
        assert_eq!(submission.task().as_deref(), Some("mend it"));
        let empty = submitted(callback_id, &metadata, json!({ TASK: { TASK: { "type": "plain_text_input", "value": null } } }));
        assert_eq!(empty.task(), None);
    }

    #[test]
    fn a_repository_is_read_again() {
        let dialog = Dialog::WrongRepository(SessionId::parse("s-abc").unwrap());
        let (callback_id, metadata) = dialog.encode();
        let chosen = json!({ REPOSITORY: { REPOSITORY: { "type": "static_select", "selected_option": { "value": "acme/maps" } } } });
        let submission = submitted(callback_id, &metadata, chosen);
        assert_eq!(submission.dialog(), Some(dialog));
        assert_eq!(submission.repository(), RepoName::parse("acme/maps").ok());
    }

    #[test]
    fn what_is_of_another_vocabulary_is_not_read() {
        for (callback_id, metadata) in [("other", "{}"), ("", ""), (ASK_ABOUT, "no JSON at all")] {
            assert_eq!(submitted(callback_id, metadata, json!(null)).dialog(), None, "{callback_id}");
        }
    }

    #[test]
    fn a_repository_of_another_vocabulary_is_not_read() {
        for (callback_id, metadata, values) in
            [("other", "s-abc", json!({})), ("", "", json!(null)), (WRONG_REPOSITORY, "no id at all", json!({ REPOSITORY: [] }))]
        {
            let submission = submitted(callback_id, metadata, values);
            assert_eq!((submission.dialog(), submission.repository()), (None, None), "{callback_id}");
        }
    }

    proptest! {
        #[test]
        fn long_messages_are_shortened_until_they_fit(text in "[\"\\\\a-zé\\n\u{1}]{0,4000}") {
            let (callback_id, metadata) = Dialog::AskAbout(about(&text)).encode();
            prop_assert!(metadata.chars().count() <= 3_000);
            let read = submitted(callback_id, &metadata, json!(null)).dialog();
            prop_assert!(read.is_some(), "{}", metadata);
        }
    }
}
