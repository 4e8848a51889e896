use std::{
    os::unix::fs::MetadataExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use longshore_session::{
    AgentActivity, Append, Ask, AskState, ChannelId, Event, MessageTs, OutboxDraft, OutboxLane, OutboxOwner, Person, Prompt, PromptId,
    RepoName, SandboxId, SandboxOrigin, SandboxRecord, SessionId, SessionRecord, SlackUserId, Store, TeamId, ThreadKey, TurnId, Work,
};

use super::*;

fn prompt(id: &str) -> Prompt {
    Prompt {
        id: PromptId::parse(id).unwrap(),
        author: Person { slack_user: SlackUserId::parse("U1").unwrap(), name: "Ada".into(), email: "ada@example.com".into() },
        text: "mend it".into(),
        context: Vec::new(),
        files: Vec::new(),
        post: MessageTs::parse(format!("{}.1", id.len())).unwrap(),
        received: Timestamp(5),
    }
}

/// A session in the index.
async fn begin(store: &Store, session: &SessionId, first: &str, has_work: Work) {
    let thread = ThreadKey {
        team: TeamId::parse("T1").unwrap(),
        channel: ChannelId::parse("C1").unwrap(),
        thread: MessageTs::parse("1.1").unwrap(),
    };
    let ask = Ask { prompt: prompt(first), thread: thread.clone(), state: AskState::Routing, candidates: Vec::new(), phases: Vec::new() };
    store.begin_ask(ask, format!("{first}:final")).await.unwrap();
    let record = SessionRecord {
        id: session.clone(),
        repo: RepoName::parse("acme/shop").unwrap(),
        thread,
        owner: SlackUserId::parse("U1").unwrap(),
        title: "mend it".into(),
        why: "named".into(),
        phase: "idle".into(),
        has_work,
        created: Timestamp(6),
        touched: Timestamp(6),
    };
    store.begin_session(PromptId::parse(first).unwrap(), record).await.unwrap().unwrap();
}

fn started(id: &str) -> Vec<Event> {
    vec![
        Event::PromptAccepted { prompt: prompt(id) },
        Event::TurnStarted { turn: TurnId(1), prompt: PromptId::parse(id).unwrap() },
        Event::TurnRunning { turn: TurnId(1), sandbox: SandboxId::parse("b-1").unwrap(), origin: SandboxOrigin::Started },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_backed_up_while_it_is_written_to_is_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let (data, kept, again) = (place.path().join("data"), place.path().join("kept"), place.path().join("again"));
    let store = Store::open(&data, Arc::new(SystemClock)).unwrap();
    let session = SessionId::parse("s-1").unwrap();
    begin(&store, &session, "p-1", Work::None).await;
    store.append(&session, Append { events: started("p-1"), ..Append::default() }).await.unwrap();
    let row = SandboxRecord {
        id: SandboxId::parse("b-1").unwrap(),
        session: session.clone(),
        created: Timestamp(7),
        body: serde_json::json!({}),
    };
    store.put_sandbox(row).await.unwrap();
    std::fs::write(data.join("sandbox-secret"), [7; 32]).unwrap();
    std::fs::set_permissions(data.join("sandbox-secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    for (folder, file) in [("files", "shot.png"), ("carriers/b-1", "env")] {
        std::fs::create_dir_all(data.join(folder)).unwrap();
        std::fs::write(data.join(folder).join(file), "x").unwrap();
    }

    // The service goes on meanwhile.
    let ended = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, session, ended) = (store.clone(), session.clone(), Arc::clone(&ended));
        async move {
            let mut written = 0u64;
            while !ended.load(Ordering::Relaxed) {
                let activity = AgentActivity::Text { delta: "word ".repeat(50) };
                let append = Append { events: vec![Event::Agent { turn: TurnId(1), activity }], ..Append::default() };
                store.append(&session, append).await.unwrap();
                written += 1;
            }
            written
        }
    });
    let (from, to) = (data.clone(), kept.clone());
    tokio::task::spawn_blocking(move || back_up(&from, &to)).await.unwrap().unwrap();
    ended.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);

    assert_eq!(kept.metadata().unwrap().mode() & 0o777, 0o700);
    assert!(!kept.join("carriers").exists() && !kept.join("lock").exists());
    let refused = back_up(&data, &kept).unwrap_err().to_string();
    assert!(refused.contains("not empty"), "{refused}");
    let refused = back_up(&data, &data.join("inside")).unwrap_err().to_string();
    assert!(refused.contains("in the data folder"), "{refused}");

    restore::restore(&kept, &again).unwrap();
    assert_eq!(std::fs::read(again.join("sandbox-secret")).unwrap(), [7; 32]);
    assert_eq!(again.join("sandbox-secret").metadata().unwrap().mode() & 0o777, 0o600);
    assert!(again.join("files/shot.png").exists());
    let restored = Store::open(&again, Arc::new(SystemClock)).unwrap();
    assert_eq!(restored.working_sessions().await.unwrap().len(), 1, "its log owes something, whatever the index said");
    assert_eq!(restored.sandboxes().await.unwrap(), [], "that one is not here");
    let log = restored.events(&session, 0, u32::MAX).await.unwrap();
    let whole = store.events(&session, 0, u32::MAX).await.unwrap();
    assert!(log.len() >= 3 && log[..] == whole[..log.len()], "what was committed when it was copied, and nothing torn");
    let owner = OutboxOwner::Session(session);
    let known = Restored::read(&again).unwrap();
    assert_eq!(known.before(&owner, "s-1:final:1"), Before::MaybeSent);
    assert!(matches!(known.before(&owner, "s-1:final:2"), Before::Renamed(_)));
    assert_eq!(Restored::read(&data).unwrap().before(&owner, "s-1:final:1"), Before::Nothing);

    let refused = restore::restore(&kept, &again).unwrap_err().to_string();
    assert!(refused.contains("writes over nothing"), "{refused}");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_or_not_what_it_was_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (data, kept, again) = (place.path().join("data"), place.path().join("kept"), place.path().join("again"));
    let store = Store::open(&data, Arc::new(SystemClock)).unwrap();
    let draft = OutboxDraft { key: "p-1:final".into(), kind: "final", body: serde_json::json!({}) };
    store.enqueue(&OutboxOwner::Service, draft).await.unwrap();
    back_up(&data, &kept).unwrap();
    let refused = |again: &Path| restore::restore(&kept, again).unwrap_err().to_string();

    let table = std::fs::read(kept.join(TABLE)).unwrap();
    std::fs::remove_file(kept.join(TABLE)).unwrap();
    assert!(refused(&again).contains("no whole backup"));
    std::fs::write(kept.join(TABLE), String::from_utf8(table.clone()).unwrap().replace("longshore.db", "../longshore.db")).unwrap();
    assert!(refused(&again).contains("leads out of the folder"));
    std::fs::write(kept.join(TABLE), table).unwrap();
    let database = std::fs::read(kept.join("longshore.db")).unwrap();
    let mut spoilt = database.clone();
    *spoilt.last_mut().unwrap() ^= 1;
    std::fs::write(kept.join("longshore.db"), spoilt).unwrap();
    assert!(refused(&again).contains("the backup is damaged"));
    assert!(std::fs::read_dir(&again).unwrap().next().is_none(), "nothing is half there");

    // And whole again, it is taken.
    std::fs::write(kept.join("longshore.db"), database).unwrap();
    restore::restore(&kept, &again).unwrap();
    let restored = Store::open(&again, Arc::new(SystemClock)).unwrap();
    assert_eq!(restored.begin_send(&OutboxOwner::Service, OutboxLane::Posts).await.unwrap().unwrap().key, "p-1:final");
}

#[tokio::test]
async fn a_damaged_session_is_backed_up_as_it_is_and_harms_no_other() {
    let place = tempfile::tempdir().unwrap();
    let (data, kept, again) = (place.path().join("data"), place.path().join("kept"), place.path().join("again"));
    let store = Store::open(&data, Arc::new(SystemClock)).unwrap();
    let (sick, sound) = (SessionId::parse("s-sick").unwrap(), SessionId::parse("s-sound").unwrap());
    begin(&store, &sick, "p-1", Work::Some).await;
    begin(&store, &sound, "p-02", Work::Some).await;
    store.append(&sound, Append { events: started("p-02"), ..Append::default() }).await.unwrap();
    std::fs::write(data.join("sessions/s-sick.db"), vec![7u8; 9000]).unwrap();
    back_up(&data, &kept).unwrap();
    restore::restore(&kept, &again).unwrap();
    assert_eq!(std::fs::read(again.join("sessions/s-sick.db")).unwrap(), vec![7u8; 9000], "not left out: it would begin anew");
    let restored = Store::open(&again, Arc::new(SystemClock)).unwrap();
    assert_eq!(restored.events(&sound, 0, 99).await.unwrap().len(), 3);
}
