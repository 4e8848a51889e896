//! What holds whatever Slack, or somebody who says to be Slack, sends. Each target takes any bytes and panics where something does not hold; the
//! tests here and `fuzz/` drive them. See `docs/fuzzing.md`.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use longshore_session::{SlackUserId, Timestamp};
use serde_json::Value;

use crate::{
    action::Action,
    command::AgentCommand,
    dialog::Dialog,
    inbound::{BotIdentity, Inbound, readable},
    intake::{Delivery, DeliveryKind},
};

pub use crate::intake::fuzz::{REQUESTS, request};

/// The first byte says by which way it came.
pub const DELIVERIES: &[&[u8]] = &[
    br#"0{"team_id":"T1","event_id":"Ev1","event":{"type":"app_mention","channel":"C1","ts":"1.2","thread_ts":"1.1","user":"U1","text":"<@UBOT> the page &amp; <https://a|more> <#C2|x>"}}"#,
    br#"0{"team_id":"T1","event":{"type":"message","subtype":"file_share","channel":"D1","channel_type":"im","ts":"5.1","user":"U1","text":"see","files":[{"id":"F1","name":"a.png","size":12,"url_private":"https://f"}]}}"#,
    br#"0{"team_id":"T1","event":{"type":"message","subtype":"message_changed","channel":"C1","message":{"ts":"1.2","user":"U1","text":"b"},"previous_message":{"text":"a"}}}"#,
    br#"0{"team_id":"T1","event":{"type":"message","channel":"C1","ts":"1.2","user":"UBOT","bot_id":"B1","text":"mine"}}"#,
    br#"0{"team_id":"T1","event":{"type":"reaction_added","user":"U1","reaction":"x","item":{"channel":"C1","ts":"1.2"}}}"#,
    br#"0{"team_id":"T1","event":{"type":"assistant_thread_started","assistant_thread":{"user_id":"U1","channel_id":"D1","thread_ts":"1.2","context":{"channel_id":"C7"}}}}"#,
    br#"1{"team_id":"T1","channel_id":"C1","user_id":"U1","command":"/agent","text":"stop s-1","response_url":"https://r","trigger_id":"t"}"#,
    br#"2{"type":"block_actions","team":{"id":"T1"},"user":{"id":"U1"},"channel":{"id":"C1"},"container":{"message_ts":"1.2"},"actions":[{"action_id":"stop","value":"s-1"}],"response_url":"https://r"}"#,
    br#"2{"type":"view_submission","team":{"id":"T1"},"user":{"id":"U1"},"view":{"callback_id":"wrong_repository","private_metadata":"s-1","state":{"values":{"a":{"b":{"value":"x"}}}}}}"#,
];

/// A payload of any shape: it means the same each time, what it means is no longer than what was said, and nothing of a bot's is taken for a
/// person's.
pub fn delivery(bytes: &[u8]) {
    let (way, json) = bytes.split_first().unwrap_or((&0, &[]));
    let kind = [DeliveryKind::Event, DeliveryKind::Command, DeliveryKind::Interaction][usize::from(*way) % 3];
    let Ok(payload) = serde_json::from_slice::<Value>(json) else { return };
    let delivery = Delivery::new(kind, payload, None, Timestamp(1));
    let stored: Delivery = serde_json::from_str(&serde_json::to_string(&delivery).unwrap()).unwrap();
    assert_eq!(stored.key, delivery.key);
    let bot = BotIdentity { user: SlackUserId::parse("UBOT").unwrap(), bot_id: Some("B1".to_owned()) };
    let meant = Inbound::parse(&delivery, &bot);
    assert_eq!(meant, Inbound::parse(&delivery, &bot));
    if let Inbound::Message(post) = &meant {
        let event = &delivery.payload["event"];
        assert_ne!(post.user, bot.user);
        assert!(event["bot_id"].as_str().is_none_or(str::is_empty), "a bot's post was taken");
        assert_eq!((Some(post.channel.as_str()), Some(post.ts.as_str())), (event["channel"].as_str(), event["ts"].as_str()));
        assert!(post.text.len() <= 4 * json.len(), "{} bytes were made of {}", post.text.len(), json.len());
    }
    if let Inbound::MessageChanged(post) = &meant {
        assert_ne!(post.user, bot.user);
    }
}

/// Lines: what stands in a button's id and value, in a dialog, behind a command.
pub const WORDS: &[&[u8]] = &[
    b"stop\ns-1",
    b"pick_repository:0:p-1\nacme/shop",
    b"move_to:0:s-1\nacme/shop",
    b"answer\ns-1/q-1/3",
    b"send_now\ns-1/p-1",
    b"prefer_model\n-",
    b"prefer_pull_requests\ndraft",
    b"wrong_repository\ns-1",
    br#"ask_about
{"channel":"C1","thread":"1.1","message":"1.2","text":"x","response_url":"https://r"}"#,
    b"<@UBOT|bot> &lt;b&gt; <!here> <https://a.b|c> <#C1|room> *x*",
    b"status all\n",
];

/// What buttons and dialogs carry comes back from Slack as it was sent, so what is taken is what we would send.
pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    if let Some(action) = Action::parse(first, second) {
        let (id, value) = action.encode("");
        assert_eq!(Action::parse(&id, &value), Some(action), "{id} {value}");
    }
    if let Some(dialog) = Dialog::parse(first, second)
        && let (id, metadata) = dialog.encode()
        && metadata.len() < 2_000
    {
        assert_eq!(Dialog::parse(id, &metadata), Some(dialog));
    }
    assert_eq!(AgentCommand::parse(first), AgentCommand::parse(first));
    let bot = SlackUserId::parse("UBOT").unwrap();
    assert_eq!(readable(&text, &bot), readable(&text, &bot));
}

#[cfg(test)]
mod tests {
    use longshore_hostile::throw;

    #[test]
    fn delivery() {
        throw(super::DELIVERIES, super::delivery);
    }

    #[test]
    fn words() {
        throw(super::WORDS, super::words);
    }

    #[test]
    fn request() {
        throw(super::REQUESTS, super::request);
    }
}
