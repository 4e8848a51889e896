use longshore_session::{PullRequestStyle, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::action::Preference;

fn bot() -> BotIdentity {
    BotIdentity { user: SlackUserId::parse("UBOT").unwrap(), bot_id: Some("BBOT".to_owned()) }
}

fn parse(kind: DeliveryKind, payload: Value) -> Inbound {
    Inbound::parse(&Delivery::new(kind, payload, Some("env"), Timestamp(1)), &bot())
}

fn parse_event(event: Value) -> Inbound {
    parse(DeliveryKind::Event, json!({"team_id": "T1", "event_id": "Ev1", "type": "event_callback", "event": event}))
}

fn ignored(event: Value) -> Ignored {
    match parse_event(event) {
        Inbound::Ignored(why) => why,
        other => panic!("{other:?}"),
    }
}

fn as_post(event: Value) -> Post {
    match parse_event(event) {
        Inbound::Message(post) => post,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_post_as_mention_and_as_message_has_one_key() {
    let fields = json!({"channel": "C1", "ts": "1.2", "user": "U1", "text": "<@UBOT> the page &amp; more", "team": "T1"});
    let with = |kind: &str, channel_type: Option<&str>| {
        let mut event = fields.clone();
        event["type"] = json!(kind);
        if let Some(channel_type) = channel_type {
            event["channel_type"] = json!(channel_type);
        }
        as_post(event)
    };
    let (mention, message) = (with("app_mention", None), with("message", Some("channel")));
    assert_eq!(mention, message);
    assert_eq!(mention.key().to_string(), "C1/1.2");
    assert_eq!((mention.text.as_str(), mention.mentions_bot, mention.is_direct()), ("the page & more", true, false));
    assert_eq!(mention.thread().as_str(), "1.2");
}

#[test]
fn a_reply_knows_its_thread_and_files() {
    let post = as_post(json!({
        "type": "message", "subtype": "file_share", "channel": "D1", "channel_type": "im", "ts": "5.1", "thread_ts": "1.2", "user": "U1", "text": "see",
        "files": [{"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 12, "url_private": "https://files.slack.com/a.png"}, {"nonsense": true}],
    }));
    assert_eq!((post.thread().as_str(), post.is_direct(), post.mentions_bot), ("1.2", true, false));
    assert_eq!(post.files.len(), 1);
    assert_eq!(post.files[0].size, Some(12));
}

#[test]
fn bots_and_what_means_nothing_are_ignored() {
    let base = json!({"type": "message", "channel": "C1", "ts": "1.2", "user": "U1", "text": "hi"});
    let with = |field: &str, value: Value| {
        let mut event = base.clone();
        event[field] = value;
        ignored(event)
    };
    assert_eq!(with("bot_id", json!("B9")), Ignored::Bot);
    assert_eq!(with("user", json!("UBOT")), Ignored::Bot);
    assert_eq!(with("subtype", json!("bot_message")), Ignored::Bot);
    assert_eq!(with("subtype", json!("channel_join")), Ignored::Kind("message/channel_join".to_owned()));
    assert_eq!(with("type", json!("channel_rename")), Ignored::Kind("channel_rename".to_owned()));
    assert_eq!(with("ts", json!(17)), Ignored::Malformed("/ts"));
}

#[test]
fn edits_and_deletions_speak_of_the_post() {
    let changed = |message: Value, before: &str| {
        parse_event(json!({"type": "message", "subtype": "message_changed", "hidden": true, "channel": "C1", "ts": "9.9",
            "message": message, "previous_message": {"text": before}}))
    };
    let message = json!({"user": "U1", "ts": "1.2", "text": "<@UBOT> new"});
    match changed(message.clone(), "old") {
        Inbound::MessageChanged(edit) => assert_eq!((edit.ts.as_str(), edit.text.as_str(), edit.mentions_bot), ("1.2", "new", true)),
        other => panic!("{other:?}"),
    }
    assert_eq!(changed(message, "<@UBOT> new"), Inbound::Ignored(Ignored::NothingChanged));
    assert_eq!(changed(json!({"user": "UBOT", "bot_id": "BBOT", "ts": "1.3", "text": "card"}), "x"), Inbound::Ignored(Ignored::Bot));
    let gone = |inbound: Inbound| match inbound {
        Inbound::MessageDeleted(post) => post.ts.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(gone(changed(json!({"subtype": "tombstone", "user": "USLACKBOT", "ts": "1.2"}), "old")), "1.2");
    assert_eq!(
        gone(parse_event(
            json!({"type": "message", "subtype": "message_deleted", "channel": "C1", "deleted_ts": "1.4", "previous_message": {"user": "U1"}})
        )),
        "1.4"
    );
}

#[test]
fn commands_and_clicks_are_read() {
    let command = json!({"team_id": "T1", "channel_id": "C1", "user_id": "U1", "command": "/agent", "text": " status ", "response_url": "https://r", "trigger_id": "9.9"});
    match parse(DeliveryKind::Command, command) {
        Inbound::Command(call) => assert_eq!((call.command.as_str(), call.text.as_str()), ("/agent", "status")),
        other => panic!("{other:?}"),
    }
    let click = |action: Value| {
        parse(
            DeliveryKind::Interaction,
            json!({"type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U1"}, "channel": {"id": "C1"}, "trigger_id": "t",
                "container": {"message_ts": "2.1", "thread_ts": "1.2"}, "response_url": "https://r", "actions": [action]}),
        )
    };
    match click(json!({"action_id": "pick_repository:select:p-abc", "selected_option": {"value": "acme/shop"}})) {
        Inbound::Action(click) => {
            let (prompt, repo) = ("p-abc".parse().unwrap(), "acme/shop".parse().unwrap());
            assert_eq!(click.action, Some(Action::PickRepository { prompt, repo }));
            assert_eq!(click.thread_ts.unwrap().as_str(), "1.2");
        }
        other => panic!("{other:?}"),
    }
    match click(json!({"action_id": "somebody_elses", "value": "x"})) {
        Inbound::Action(click) => assert_eq!((click.action, click.action_id.as_str()), (None, "somebody_elses")),
        other => panic!("{other:?}"),
    }
    assert_eq!(click(json!({"action_id": "link:session"})), Inbound::Ignored(Ignored::Link));
}

#[test]
fn the_apps_page_and_its_forms_are_read() {
    match parse_event(json!({"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "messages"})) {
        Inbound::HomeOpened(home) => assert_eq!((home.tab, home.channel.unwrap().as_str()), (HomeTab::Messages, "D1")),
        other => panic!("{other:?}"),
    }
    let click = |action: Value| {
        let view = json!({"type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U1"}, "trigger_id": "t", "actions": [action],
            "container": {"type": "view", "view_id": "V1"}, "view": {"type": "home", "id": "V1"}});
        match parse(DeliveryKind::Interaction, view) {
            Inbound::HomeClicked(click) => click.action,
            other => panic!("{other:?}"),
        }
    };
    let drafts = |options: Value| json!({"action_id": "prefer_pull_requests", "type": "checkboxes", "selected_options": options});
    assert_eq!(click(drafts(json!([{"value": "draft"}]))), Some(Action::Prefer(Preference::PullRequests(PullRequestStyle::Draft))));
    assert_eq!(click(drafts(json!([]))), Some(Action::Prefer(Preference::PullRequests(PullRequestStyle::Ready))));
    let none = json!({"action_id": "prefer_repository", "selected_option": {"value": "-"}});
    assert_eq!(click(none), Some(Action::Prefer(Preference::Repository(None))));
    let view = json!({"type": "view_submission", "team": {"id": "T1"}, "user": {"id": "U1"}, "trigger_id": "t",
        "view": {"callback_id": "cb", "private_metadata": "pm", "state": {"values": {"b": {"a": {"value": "x"}}}}}});
    match parse(DeliveryKind::Interaction, view) {
        Inbound::ViewSubmitted(view) => assert_eq!(view.values.pointer("/b/a/value"), Some(&json!("x"))),
        other => panic!("{other:?}"),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "message",
            "app_mention",
            "message_changed",
            "tombstone",
            "block_actions",
            "C1",
            "1.2",
            "U1",
            "<@UBOT> é<"
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "event",
        "type",
        "subtype",
        "team_id",
        "channel",
        "user",
        "ts",
        "thread_ts",
        "text",
        "message",
        "previous_message",
        "files",
        "actions",
        "id",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_delivered_is_read_without_a_panic(payload in any_json()) {
        for kind in [DeliveryKind::Event, DeliveryKind::Command, DeliveryKind::Interaction] {
            let _ = parse(kind, payload.clone());
        }
    }

    #[test]
    fn any_text_is_readable(raw in "\\PC{0,60}", markup in "[<>@#!|^&;a-zé]{0,40}") {
        let _ = (text::readable(&raw, &bot().user), text::readable(&markup, &bot().user), text::mentions(&markup, &bot().user));
    }
}

#[test]
fn a_reaction_names_the_message_that_it_was_put_to() {
    let event = |user: &str| json!({"type": "reaction_added", "user": user, "reaction": "x", "item": {"type": "message", "channel": "C1", "ts": "1.2"}, "event_ts": "3.4"});
    match parse_event(event("U1")) {
        Inbound::Reacted(reaction) => assert_eq!((reaction.name.as_str(), reaction.ts.as_str()), ("x", "1.2")),
        other => panic!("{other:?}"),
    }
    assert_eq!(ignored(event("UBOT")), Ignored::Bot);
    assert_eq!(ignored(json!({"type": "reaction_added", "user": "U1", "item": {"type": "file"}})), Ignored::Malformed("/item/channel"));
}

#[test]
fn a_thread_with_the_assistant_is_read() {
    let thread = |context: Value| json!({"user_id": "U1", "channel_id": "D1", "thread_ts": "1.2", "context": context});
    let event = |kind: &str, context| json!({"type": kind, "assistant_thread": thread(context), "event_ts": "1.3"});
    match parse_event(event("assistant_thread_started", json!({}))) {
        Inbound::AssistantOpened(opened) => {
            assert_eq!((opened.sign, opened.looks_at), (AssistantSign::Started, None));
            assert_eq!((opened.channel.as_str(), opened.thread.as_str()), ("D1", "1.2"));
        }
        other => panic!("{other:?}"),
    }
    match parse_event(event("assistant_thread_context_changed", json!({"channel_id": "C7", "team_id": "T1"}))) {
        Inbound::AssistantOpened(opened) => {
            assert_eq!((opened.sign, opened.looks_at.unwrap().as_str()), (AssistantSign::Moved, "C7"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_entry_of_a_messages_menu_is_read() {
    let used = |message: Value| {
        json!({"type": "message_action", "callback_id": "ask_longshore", "team": {"id": "T1"}, "user": {"id": "U1"}, "channel": {"id": "C1"},
            "message_ts": "2.1", "message": message, "response_url": "https://r", "trigger_id": "t"})
    };
    match parse(DeliveryKind::Interaction, used(json!({"ts": "2.1", "thread_ts": "1.2", "text": "a &lt;b&gt; <@UBOT>", "user": "U2"}))) {
        Inbound::ShortcutUsed(call) => {
            assert_eq!((call.callback_id.as_str(), call.message.as_str()), ("ask_longshore", "2.1"));
            assert_eq!((call.thread.unwrap().as_str(), call.text.trim()), ("1.2", "a <b>"));
        }
        other => panic!("{other:?}"),
    }
    match parse(DeliveryKind::Interaction, used(json!({"ts": "2.1", "thread_ts": "2.1"}))) {
        Inbound::ShortcutUsed(call) => assert_eq!((call.thread, call.text.as_str()), (None, "")),
        other => panic!("{other:?}"),
    }
}
