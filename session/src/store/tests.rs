use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{central::Work, *};
use crate::{
    AgentActivity, ChannelId, Event, ManualClock, MessageTs, Person, Prompt, PromptId, RepoName, SandboxId, SentBy, SessionId, SlackUserId,
    TeamId, ThreadKey, Timestamp, TurnId,
};

struct Bench {
    folder: tempfile::TempDir,
    clock: ManualClock,
    store: Store,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp(1_000_000));
    let store = Store::open(folder.path(), Arc::new(clock.clone())).unwrap();
    Bench { folder, clock, store }
}

fn delivery(key: &str, lane: &str) -> Delivery {
    Delivery { key: key.into(), kind: DeliveryKind::Event, lane: lane.into(), payload: json!({"n": key}), received: Timestamp(5) }
}

fn thread() -> ThreadKey {
    ThreadKey { team: TeamId::parse("T1").unwrap(), channel: ChannelId::parse("C1").unwrap(), thread: MessageTs::parse("1.1").unwrap() }
}

fn ask() -> Ask {
    let author = Person { slack_user: SlackUserId::parse("U1").unwrap(), name: "Ada".into(), email: "ada@example.com".into() };
    let prompt = Prompt {
        id: PromptId::parse("p-1").unwrap(),
        author,
        text: "mend it".into(),
        context: Vec::new(),
        files: Vec::new(),
        post: MessageTs::parse("1.1").unwrap(),
        received: Timestamp(5),
    };
    Ask { prompt, thread: thread(), state: AskState::Picking, candidates: vec![RepoName::parse("acme/shop").unwrap()], phases: vec![] }
}

fn record(id: &str) -> SessionRecord {
    SessionRecord {
        id: SessionId::parse(id).unwrap(),
        repo: RepoName::parse("acme/shop").unwrap(),
        thread: thread(),
        owner: SlackUserId::parse("U1").unwrap(),
        title: "mend it".into(),
        why: "picked".into(),
        phase: "queued".into(),
        has_work: Work::Some,
        created: Timestamp(6),
        touched: Timestamp(6),
    }
}

#[tokio::test]
async fn the_same_event_five_times_is_one() {
    let bench = bench();
    assert_eq!(bench.store.put_delivery(delivery("Ev1", "t"), Some("C1/1.1".into())).await.unwrap(), Delivered::New);
    for _ in 0..4 {
        let again = bench.store.put_delivery(delivery("Ev1", "t"), Some("C1/1.1".into())).await.unwrap();
        assert_eq!(again, Delivered::Duplicate);
    }
    // The same post as another event.
    let twin = bench.store.put_delivery(delivery("Ev2", "t"), Some("C1/1.1".into())).await.unwrap();
    assert_eq!(twin, Delivered::Duplicate);
    assert_eq!(bench.store.open_deliveries().await.unwrap(), 1);
}

#[tokio::test]
async fn a_lane_is_handled_in_order_and_a_dead_handlers_claim_comes_back() {
    let bench = bench();
    for (key, lane) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        bench.store.put_delivery(delivery(key, lane), None).await.unwrap();
    }
    let lease = Duration::from_secs(60);
    let claim = async || bench.store.claim_delivery(lease).await.unwrap().map(|row| (row.delivery.key, row.attempts));
    assert_eq!(claim().await, Some(("a1".into(), 1)));
    assert_eq!(claim().await, Some(("b1".into(), 1)));
    assert_eq!(claim().await, None, "a2 waits for a1");
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(claim().await, Some(("a1".into(), 2)));
    bench.store.delivery_done("a1".into()).await.unwrap();
    assert_eq!(claim().await, Some(("a2".into(), 1)), "its turn has come, though b1's lease ended before");
}

#[tokio::test]
async fn a_second_service_on_the_same_folder_is_refused() {
    let bench = bench();
    let second = Store::open(bench.folder.path(), Arc::new(bench.clock.clone()));
    assert!(matches!(second, Err(StoreError::InUse { by: Some(by), .. }) if by == std::process::id()), "{second:?}");
    let error = Store::open(bench.folder.path(), Arc::new(bench.clock.clone())).unwrap_err().to_string();
    assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
}

#[tokio::test]
async fn a_lock_that_a_killed_service_left_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    // A process that is not there, or is something else by now.
    std::fs::write(folder.path().join("lock"), "123456789\n").unwrap();
    let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1))));
    assert!(store.is_ok(), "{store:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("lock")).unwrap(), format!("{}\n", std::process::id()));
}

#[tokio::test]
async fn a_prompt_that_was_dealt_with_is_known() {
    let bench = bench();
    let begin = async |ask: Ask| bench.store.begin_ask(ask, "p-1:final".to_owned()).await.unwrap();
    assert_eq!(begin(ask()).await, Asked::New);
    assert_eq!(begin(ask()).await, Asked::Known, "it is on its way");
    bench.store.begin_session(ask().prompt.id, record("s-1")).await.unwrap();
    assert_eq!(begin(ask()).await, Asked::Known, "it is a session");
    bench.store.change_ask(ask()).await.unwrap();
    assert_eq!(bench.store.asks().await.unwrap(), [], "a change that comes late brings nothing back");
    assert_eq!(bench.store.begin_session(ask().prompt.id, record("s-2")).await.unwrap(), None);

    let other = |id: &str| {
        let mut other = ask();
        other.prompt.id = PromptId::parse(id).unwrap();
        other
    };
    assert_eq!(begin(other("p-2")).await, Asked::New, "another prompt of the same thread");
    let end = OutboxDraft { key: "p-3:final".to_owned(), kind: "final", body: json!({}) };
    bench.store.enqueue(&OutboxOwner::Service, end).await.unwrap();
    let ended = bench.store.begin_ask(other("p-3"), "p-3:final".to_owned()).await.unwrap();
    assert_eq!(ended, Asked::Known, "it had its final message");
}

#[tokio::test]
async fn two_picks_make_one_session() {
    let bench = bench();
    bench.store.begin_ask(ask(), "p:final".to_owned()).await.unwrap();
    let first = bench.store.begin_session(ask().prompt.id, record("s-1")).await.unwrap();
    let second = bench.store.begin_session(ask().prompt.id, record("s-2")).await.unwrap();
    assert_eq!(first, Some(ask()));
    assert_eq!(second, None);
    let sessions = bench.store.sessions_of(thread()).await.unwrap();
    assert_eq!(sessions, [record("s-1")]);
    assert_eq!(bench.store.first_ask(sessions[0].id.clone()).await.unwrap(), Some(ask()));
}

#[tokio::test]
async fn events_cursor_and_outbox_are_one_transaction_and_survive_a_restart() {
    let Bench { folder, clock, store } = bench();
    let session = SessionId::parse("s-1").unwrap();
    let cursor = AgentCursor { sandbox: SandboxId::parse("b-1").unwrap(), offset: 77, agent_session: Some("ses_1".into()) };
    let event = |delta: &str| Event::Agent { turn: TurnId(1), activity: AgentActivity::Text { delta: delta.into() } };
    let draft = OutboxDraft { key: "final:1".into(), kind: "final", body: json!({"text": "done"}) };
    store
        .append(&session, Append { events: vec![event("a"), event("b")], cursor: Some(cursor.clone()), outbox: vec![draft.clone()] })
        .await
        .unwrap();
    store.append(&session, Append { outbox: vec![draft], ..Append::default() }).await.unwrap();
    drop(store);
    let store = reopen(folder.path(), &clock);
    let log = store.events(&session, 0, 10).await.unwrap();
    assert_eq!(log.iter().map(|stored| stored.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(log[1].event, event("b"));
    assert_eq!(store.agent_cursor(&session).await.unwrap(), Some(cursor));
    let owner = OutboxOwner::Session(session);
    let row = store.begin_send(&owner, OutboxLane::Posts).await.unwrap().unwrap();
    assert_eq!((row.key.as_str(), row.attempts), ("final:1", 0));
    let again = store.begin_send(&owner, OutboxLane::Posts).await.unwrap().unwrap();
    assert_eq!(again.attempts, 1, "a send that was begun and not ended may have reached Slack");
    store.send_later(&owner, "final:1".into(), Duration::from_secs(3)).await.unwrap();
    assert_eq!(store.begin_send(&owner, OutboxLane::Posts).await.unwrap(), None);
    clock.advance(Duration::from_secs(4));
    store.begin_send(&owner, OutboxLane::Posts).await.unwrap().unwrap();
    let ts = MessageTs::parse("2.2").unwrap();
    assert_eq!(store.sent_at(&owner, "final:1".into()).await.unwrap(), None);
    store.sent(&owner, "final:1".into(), Some(ts.clone()), SentBy::Answer).await.unwrap();
    assert!(store.sent_at(&owner, "final:1".into()).await.unwrap().is_some());
    assert_eq!(store.begin_send(&owner, OutboxLane::Posts).await.unwrap(), None);
    assert_eq!(store.message_of(&owner, "final:1".into()).await.unwrap(), Some(ts));
}

#[tokio::test]
async fn of_the_changes_to_a_message_the_newest_is_made_once_the_message_is_there() {
    let Bench { folder: _folder, clock: _clock, store } = bench();
    let owner = OutboxOwner::Service;
    let begin = async |lane| store.begin_send(&owner, lane).await.unwrap();
    let change = |words: &str| OutboxDraft::change("notice:1", json!({ "text": words }));
    store.enqueue(&owner, OutboxDraft { key: "notice:1".into(), kind: "notice", body: json!({"text": "second"}) }).await.unwrap();
    store.enqueue(&owner, change("first in line")).await.unwrap();
    assert_eq!(begin(OutboxLane::Changes).await, None, "there is nothing to change yet");
    assert_eq!(store.next_due(&owner, OutboxLane::Changes).await.unwrap(), None);
    assert_eq!(begin(OutboxLane::Posts).await.unwrap().key, "notice:1");
    let ts = MessageTs::parse("2.2").unwrap();
    store.sent(&owner, "notice:1".into(), Some(ts.clone()), SentBy::Answer).await.unwrap();

    let early = begin(OutboxLane::Changes).await.unwrap();
    assert_eq!((&early.body, &early.ts), (&json!({"text": "first in line"}), &Some(ts)));
    // Another one comes while this one is being made.
    store.enqueue(&owner, change("begun")).await.unwrap();
    store.changed(&owner, early).await.unwrap();
    let late = begin(OutboxLane::Changes).await.unwrap();
    assert_eq!(late.body, json!({"text": "begun"}));
    store.changed(&owner, late).await.unwrap();
    assert_eq!(begin(OutboxLane::Changes).await, None);
    assert_eq!(begin(OutboxLane::Posts).await, None);
}

/// The lock goes with the store's last handle, which a writer thread may hold a moment longer.
fn reopen(folder: &Path, clock: &ManualClock) -> Store {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        match Store::open(folder, Arc::new(clock.clone())) {
            Ok(store) => return store,
            Err(StoreError::InUse { .. }) if std::time::Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_session_database_is_named_and_harms_no_other() {
    let bench = bench();
    let (sick, sound) = (SessionId::parse("s-sick").unwrap(), SessionId::parse("s-sound").unwrap());
    std::fs::write(bench.folder.path().join("sessions/s-sick.db"), vec![7u8; 9000]).unwrap();
    let error = bench.store.append(&sick, Append::default()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("s-sick.db"), "{error}");
    bench.store.append(&sound, Append::default()).await.unwrap();
}

#[tokio::test]
async fn a_file_that_waits_keeps_nothing_behind_it_waiting() {
    let bench = bench();
    let owner = OutboxOwner::Service;
    for (key, kind) in [("f", "file"), ("m1", "final"), ("m2", "card")] {
        bench.store.enqueue(&owner, OutboxDraft { key: key.into(), kind, body: json!({"of": key}) }).await.unwrap();
    }
    let begun = async || bench.store.begin_send(&owner, OutboxLane::Posts).await.unwrap().map(|row| (row.key, row.body));
    assert_eq!(begun().await.unwrap().0, "f");
    bench.store.note_upload(&owner, "f".into(), "F1".into()).await.unwrap();
    bench.store.send_later(&owner, "f".into(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(begun().await.unwrap().0, "m1");
    // A message waits, and what is behind it with it; the file is due first then.
    bench.store.send_later(&owner, "m1".into(), Duration::from_secs(90)).await.unwrap();
    assert_eq!(begun().await, None);
    assert_eq!(bench.store.next_due(&owner, OutboxLane::Posts).await.unwrap(), Some(bench.clock.now() + Duration::from_secs(60)));
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(begun().await.unwrap(), ("f".to_owned(), json!({"of": "f", "upload": "F1"})));
    assert_eq!(bench.store.sending(&owner, "f".into()).await.unwrap(), Some(Sending::Owed));
    bench.store.sent(&owner, "f".into(), None, SentBy::Answer).await.unwrap();
    assert_eq!(bench.store.sending(&owner, "f".into()).await.unwrap(), Some(Sending::Sent));
    assert_eq!(bench.store.next_due(&owner, OutboxLane::Posts).await.unwrap(), Some(bench.clock.now() + Duration::from_secs(29)));
    bench.store.cannot_send(&owner, "m1".into(), "gone".into()).await.unwrap();
    assert_eq!(bench.store.sending(&owner, "m1".into()).await.unwrap(), Some(Sending::Refused { reason: "gone".into() }));
    assert_eq!(begun().await.unwrap().0, "m2");
    assert_eq!(bench.store.sending(&owner, "x".into()).await.unwrap(), None);
}

#[tokio::test]
async fn many_writers_at_once_lose_nothing() {
    let bench = bench();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = bench.store.clone();
            tokio::spawn(async move { store.put_delivery(delivery(&format!("Ev{n}"), &n.to_string()), None).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Delivered::New);
    }
    assert_eq!(bench.store.open_deliveries().await.unwrap(), 200);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let Bench { folder, clock, store } = bench();
    drop(store);
    let connection = Connection::open(folder.path().join("longshore.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = loop {
        match Store::open(folder.path(), Arc::new(clock.clone())) {
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            other => break other.unwrap_err(),
        }
    };
    assert!(error.to_string().contains("newer longshore"), "{error}");
}

#[tokio::test]
async fn picks_are_kept_in_order_and_the_latest_choice_counts() {
    let bench = bench();
    let repo = |name: &str| RepoName::parse(name).unwrap();
    let mut second = ask().prompt;
    second.id = PromptId::parse("p-2").unwrap();
    second.text = "another".into();
    let (one, two) = (SlackUserId::parse("U1").unwrap(), SlackUserId::parse("U2").unwrap());
    bench.store.put_pick(&ask().prompt, repo("acme/shop"), one.clone()).await.unwrap();
    bench.store.put_pick(&second, repo("acme/maps"), one.clone()).await.unwrap();
    bench.clock.advance(Duration::from_millis(5));
    bench.store.put_pick(&ask().prompt, repo("acme/bank"), two.clone()).await.unwrap();
    let at = bench.clock.now();
    let picks = bench.store.picks(10).await.unwrap();
    let wanted = [
        Pick { text: "mend it".into(), repo: repo("acme/bank"), by: Some(two), at },
        Pick { text: "another".into(), repo: repo("acme/maps"), by: Some(one), at: Timestamp(at.0 - 5) },
    ];
    assert_eq!(picks, wanted);
    assert_eq!(bench.store.picks(1).await.unwrap().len(), 1);
    assert_eq!(Store::picks_in(bench.folder.path(), 10).unwrap(), wanted, "and beside the service that works on it");
}

#[tokio::test]
async fn an_empty_folder_has_taught_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Store::picks_in(folder.path(), 10).unwrap(), []);
}

#[tokio::test]
async fn two_moves_make_one_session_which_takes_what_comes_after() {
    let bench = bench();
    bench.store.begin_ask(ask(), "p:final".to_owned()).await.unwrap();
    bench.store.begin_session(ask().prompt.id, record("s-1")).await.unwrap();
    let elsewhere = |id: &str, repo: &str| SessionRecord { repo: RepoName::parse(repo).unwrap(), ..record(id) };
    let mut second = ask().prompt;
    second.id = PromptId::parse("p-2").unwrap();
    let old = SessionId::parse("s-1").unwrap();
    let begin = async |by: &str, to: SessionRecord| {
        let prompts = (ask().prompt, vec![second.clone()]);
        bench.store.begin_move(old.clone(), SlackUserId::parse(by).unwrap(), prompts, to, Lesson::Learn).await.unwrap()
    };
    assert_eq!(bench.store.moved_to(old.clone()).await.unwrap(), None);
    let moved = begin("U1", elsewhere("s-2", "acme/maps")).await;
    assert_eq!(begin("U2", elsewhere("s-3", "acme/bank")).await, moved, "the first one counts");
    assert_eq!(moved, MovedSession { to: elsewhere("s-2", "acme/maps"), by: SlackUserId::parse("U1").unwrap() });
    assert_eq!(bench.store.moved_to(old).await.unwrap(), Some(moved.clone()));
    assert_eq!(bench.store.sessions_of(thread()).await.unwrap(), std::slice::from_ref(&moved.to));
    assert_eq!(bench.store.first_ask(moved.to.id.clone()).await.unwrap().map(|ask| ask.prompt), Some(ask().prompt));
    assert_eq!(bench.store.moved_here(moved.to.id).await.unwrap(), [second]);
    let picks = bench.store.picks(5).await.unwrap();
    assert_eq!(picks.iter().map(|pick| pick.repo.as_str()).collect::<Vec<_>>(), ["acme/maps"], "it is an example from now on");
}

#[tokio::test]
async fn a_thread_answers_to_whom_was_asked_last() {
    let bench = bench();
    for (prompt, id) in [("p-1", "s-1"), ("p-2", "s-2")] {
        let mut one = ask();
        one.prompt.id = PromptId::parse(prompt).unwrap();
        bench.store.begin_ask(one.clone(), "p:final".to_owned()).await.unwrap();
        let record = SessionRecord { created: bench.clock.now(), ..record(id) };
        bench.store.begin_session(one.prompt.id, record).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
    }
    let first = async || bench.store.sessions_of(thread()).await.unwrap()[0].id.to_string();
    assert_eq!(first().await, "s-2");
    bench.store.prompted(SessionId::parse("s-1").unwrap()).await.unwrap();
    bench.store.mark_session(SessionId::parse("s-2").unwrap(), "idle", Work::None).await.unwrap();
    assert_eq!(first().await, "s-1");
}

/// A database as the first version left it, with a row in it.
#[tokio::test]
async fn data_of_the_version_before_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("longshore.db")).unwrap();
    connection.execute_batch(include_str!("../../migrations/central_1.sql")).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let insert = "INSERT INTO inbox (key, kind, lane, payload, received) VALUES ('Ev1', '\"event\"', 'C1', '{}', 5)";
    connection.execute(insert, []).unwrap();
    drop(connection);
    let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(9)))).unwrap();
    assert_eq!(store.open_deliveries().await.unwrap(), 1);
    store.put_pick(&ask().prompt, RepoName::parse("acme/shop").unwrap(), SlackUserId::parse("U1").unwrap()).await.unwrap();
    assert_eq!(store.picks(5).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_person_has_everybodys_defaults_until_they_set_their_own() {
    let bench = bench();
    let user = SlackUserId::parse("U1").unwrap();
    assert_eq!(bench.store.defaults(user.clone()).await.unwrap(), PersonDefaults::default());
    let mine = PersonDefaults {
        model: Some("large".into()),
        repository: Some(RepoName::parse("acme/shop").unwrap()),
        pull_requests: PullRequestStyle::Draft,
    };
    for defaults in [PersonDefaults::default(), mine.clone()] {
        bench.store.put_defaults(user.clone(), defaults).await.unwrap();
    }
    assert_eq!(bench.store.defaults(user).await.unwrap(), mine);
    assert_eq!(bench.store.defaults(SlackUserId::parse("U2").unwrap()).await.unwrap(), PersonDefaults::default());
}

#[tokio::test]
async fn a_session_keeps_the_model_that_it_began_with() {
    let bench = bench();
    let session = |id: &str| SessionId::parse(id).unwrap();
    assert_eq!(bench.store.model_of(session("s-1")).await.unwrap(), None);
    assert_eq!(bench.store.keep_model(session("s-1"), "large".into()).await.unwrap(), "large");
    assert_eq!(bench.store.model_of(session("s-1")).await.unwrap().as_deref(), Some("large"));
    assert_eq!(bench.store.keep_model(session("s-1"), "small".into()).await.unwrap(), "large");
    assert_eq!(bench.store.keep_model(session("s-2"), "small".into()).await.unwrap(), "small");
}

#[tokio::test]
async fn sessions_are_found_by_who_began_them_and_by_their_channel() {
    let bench = bench();
    let other = SessionRecord {
        owner: SlackUserId::parse("U2").unwrap(),
        thread: ThreadKey { channel: ChannelId::parse("C2").unwrap(), ..thread() },
        ..record("s-2")
    };
    for (index, record) in [record("s-1"), other, record("s-3")].into_iter().enumerate() {
        let mut ask = ask();
        ask.prompt.id = PromptId::parse(format!("p-{index}")).unwrap();
        bench.store.begin_ask(ask.clone(), "p:final".to_owned()).await.unwrap();
        bench.store.begin_session(ask.prompt.id, record).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
    }
    bench.store.mark_session(SessionId::parse("s-1").unwrap(), "idle", Work::None).await.unwrap();
    let ids = |records: Vec<SessionRecord>| records.into_iter().map(|record| record.id.to_string()).collect::<Vec<_>>();
    let by = |user: &str| bench.store.sessions_begun_by(SlackUserId::parse(user).unwrap(), 10);
    assert_eq!(ids(by("U1").await.unwrap()), ["s-1", "s-3"], "the one touched last first");
    assert_eq!(ids(by("U2").await.unwrap()), ["s-2"]);
    let within = |channel: &str, most| bench.store.sessions_in(ChannelId::parse(channel).unwrap(), most);
    assert_eq!(ids(within("C1", 1).await.unwrap()), ["s-1"]);
    assert_eq!(ids(within("C2", 10).await.unwrap()), ["s-2"]);
}

#[tokio::test]
async fn sessions_begun_lately_are_counted_by_repository() {
    let bench = bench();
    for (number, created) in [4, 6, 7].into_iter().enumerate() {
        let id = PromptId::parse(format!("p-{number}")).unwrap();
        let mut ask = ask();
        ask.prompt.id = id.clone();
        bench.store.begin_ask(ask, "p:final".to_owned()).await.unwrap();
        let begun = SessionRecord { created: Timestamp(created), ..record(&format!("s-{number}")) };
        assert!(bench.store.begin_session(id, begun).await.unwrap().is_some());
    }
    assert_eq!(bench.store.sessions_since(Timestamp(6)).await.unwrap(), [(RepoName::parse("acme/shop").unwrap(), 2)]);
    assert_eq!(bench.store.sessions_since(Timestamp(8)).await.unwrap(), []);
}

#[tokio::test]
async fn the_newest_snapshot_of_a_session_is_what_it_is_restored_from() {
    let bench = bench();
    let session = SessionId::parse("s-1").unwrap();
    let snapshot = |session: &str, image: &str, taken: i64| SnapshotRecord {
        session: SessionId::parse(session).unwrap(),
        image: image.to_owned(),
        bytes: 7,
        taken: Timestamp(taken),
        facts: SnapshotFacts { sandbox: SandboxId::parse("b-1").unwrap(), through: TurnId(2), conversation: Some("c".into()), layers: 3 },
    };
    for (of, image, taken) in [("s-1", "a", 10), ("s-1", "b", 20), ("s-1", "c", 20), ("s-2", "d", 30)] {
        bench.store.put_snapshot(snapshot(of, image, taken)).await.unwrap();
    }
    assert_eq!(bench.store.newest_snapshot(session.clone()).await.unwrap(), Some(snapshot("s-1", "c", 20)));
    // One that was put together anew is the same snapshot in another image.
    bench.store.replace_snapshot("c".to_owned(), snapshot("s-1", "e", 99)).await.unwrap();
    assert_eq!(bench.store.newest_snapshot(session.clone()).await.unwrap(), Some(snapshot("s-1", "e", 20)));
    bench.store.forget_snapshot("e".to_owned()).await.unwrap();
    let left: Vec<String> = bench.store.snapshots().await.unwrap().into_iter().map(|snapshot| snapshot.image).collect();
    assert_eq!(left, ["a", "b", "d"]);
}

#[tokio::test]
async fn what_was_put_off_is_due_whatever_the_clock_does() {
    let bench = bench();
    let (store, clock) = (&bench.store, &bench.clock);
    let start = Timestamp(1_700_000_000_000);
    clock.set(start);
    let owner = OutboxOwner::Service;
    store.enqueue(&owner, OutboxDraft { key: "m".into(), kind: "notice", body: json!({}) }).await.unwrap();
    let put_off = async || {
        store.begin_send(&owner, OutboxLane::Posts).await.unwrap().expect("due");
        store.send_later(&owner, "m".into(), Duration::from_secs(30)).await.unwrap();
        assert!(store.begin_send(&owner, OutboxLane::Posts).await.unwrap().is_none(), "put off");
    };
    let an_hour = Duration::from_secs(3_600);
    put_off().await;
    clock.set(start - an_hour);
    assert!(store.next_due(&owner, OutboxLane::Posts).await.unwrap().unwrap() <= clock.now(), "nobody waits for the hour to come back");
    put_off().await;
    clock.set(start + an_hour);
    put_off().await;

    clock.set(start);
    store.put_delivery(delivery("Ev1", "lane"), None).await.unwrap();
    let lease = Duration::from_secs(300);
    for jump in [start - an_hour, start + an_hour] {
        assert!(store.claim_delivery(lease).await.unwrap().is_some());
        assert!(store.claim_delivery(lease).await.unwrap().is_none(), "it is claimed");
        clock.set(jump);
    }
    assert!(store.claim_delivery(lease).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_session_database_is_put_aside_and_a_new_one_begins() {
    let bench = bench();
    let id = SessionId::parse("s-1").unwrap();
    let append = || Append { events: vec![Event::CleanedUp], ..Append::default() };
    bench.store.append(&id, append()).await.unwrap();
    let file = bench.store.session_file(&id);
    // A text that nobody wrote is damage like a page that nobody wrote; what a newer version wrote is none.
    let garble = |body: &str| {
        let db = Connection::open(&file).unwrap();
        db.execute("UPDATE events SET body = ?1", [body]).unwrap();
    };
    garble(r#"{"event":"of_next_year"}"#);
    assert!(matches!(bench.store.events(&id, 0, 10).await, Err(StoreError::Database { .. })));
    garble("{\"event\":\"cle\u{0}");
    assert!(matches!(bench.store.events(&id, 0, 10).await, Err(StoreError::Corrupt { .. })));
    let aside = bench.store.set_session_aside(&id).await.unwrap();
    assert_eq!(aside.parent(), file.parent());
    assert!(aside.exists() && aside.display().to_string().contains("s-1.db.damaged-"), "{}", aside.display());
    assert_eq!(bench.store.events(&id, 0, 10).await.unwrap().len(), 0);
    bench.store.append(&id, append()).await.unwrap();
    assert_eq!(bench.store.events(&id, 0, 10).await.unwrap().len(), 1);
    // As often as it takes.
    bench.clock.advance(Duration::from_secs(1));
    assert_ne!(bench.store.set_session_aside(&id).await.unwrap(), aside);
}

#[tokio::test]
async fn what_is_owed_of_a_kind_is_what_was_neither_sent_nor_refused() {
    let bench = bench();
    let owner = OutboxOwner::Session(SessionId::parse("s-1").unwrap());
    for (key, kind) in [("a", "file"), ("b", "final"), ("c", "file"), ("d", "file")] {
        bench.store.enqueue(&owner, OutboxDraft { key: key.to_owned(), kind, body: json!({}) }).await.unwrap();
    }
    bench.store.cannot_send(&owner, "c".to_owned(), "gone".to_owned()).await.unwrap();
    let owed = async || bench.store.owed(&owner, "file").await.unwrap().into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(owed().await, ["a", "d"]);
    bench.store.sent(&owner, "a".to_owned(), None, SentBy::Answer).await.unwrap();
    assert_eq!(owed().await, ["d"]);
}
