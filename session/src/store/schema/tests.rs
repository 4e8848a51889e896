//! Data of every version before, with rows as that version wrote them: all of it is still there, and is gone on with.

use std::sync::Arc;

use rusqlite::params;
use serde_json::json;

use super::*;
use crate::{
    AgentActivity, Append, ChannelId, Delivered, Delivery, DeliveryKind, Event, ManualClock, MessageTs, OutboxDraft, OutboxLane,
    OutboxOwner, PersonDefaults, PromptId, RepoName, SandboxId, SessionId, SlackUserId, Store, TeamId, ThreadKey, Timestamp, TurnId, Work,
};

/// A database as the version that knew this many migrations left it.
fn left_by(path: &Path, migrations: &[&str], fill: impl FnOnce(&Connection)) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;").unwrap();
    for migration in migrations {
        connection.execute_batch(migration).unwrap();
    }
    connection.pragma_update(None, "user_version", i64::try_from(migrations.len()).unwrap()).unwrap();
    fill(&connection);
}

/// As the first version wrote it: without context and files.
fn prompt(id: &str) -> serde_json::Value {
    json!({
        "id": id, "author": { "slack_user": "U1", "name": "Ada", "email": "ada@example.com" }, "text": "mend the cart",
        "post": "1.1", "received": 5,
    })
}

fn ask(id: &str, state: &str) -> String {
    let thread = json!({ "team": "T1", "channel": "C1", "thread": "1.1" });
    json!({ "prompt": prompt(id), "thread": thread, "state": state, "candidates": ["acme/shop"], "phases": [["acknowledged", 6]] })
        .to_string()
}

/// Rows of all tables that this version has.
fn fill_central(db: &Connection, version: usize) {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| assert_eq!(db.execute(sql, values).unwrap(), 1, "{sql}");
    let inbox = "INSERT INTO inbox (key, kind, lane, payload, received, attempts, leased_until, done) VALUES (?1, '\"event\"', 'C1', '{\"n\":1}', 5, ?2, ?3, ?4)";
    run(inbox, params!["Ev-open", 1, 99_999, None::<i64>]);
    run(inbox, params!["Ev-done", 1, 0, 7]);
    run("INSERT INTO posts (post, inbox_key) VALUES ('C1/1.1', 'Ev-done')", &[]);
    let session = "INSERT INTO sessions (id, repo, team, channel, thread, owner, title, why, phase, has_work, created, touched, first_ask)
                   VALUES (?1, 'acme/shop', 'T1', 'C1', ?2, 'U1', 'mend the cart', 'named', ?3, ?4, ?5, ?5, ?6)";
    run(session, params!["s-works", "1.1", "working", 1, 10, ask("p-1", "routing")]);
    run(session, params!["s-rests", "2.2", "idle", 0, 20, ask("p-2", "routing")]);
    let asks = "INSERT INTO asks (prompt, team, channel, thread, post, state, body, created) VALUES ('p-3', 'T1', 'C1', '1.1', '1.1', '\"picking\"', ?1, 5)";
    run(asks, params![ask("p-3", "picking")]);
    let image = json!({
        "reference": "r@sha256:1", "commit": "c0ffee", "inputs": "i", "built": 4, "size": 700, "building_since": null, "failure": null,
        "failed_at": null, "failures": 0, "vocabulary": ["cart"],
    });
    run("INSERT INTO images (repo, body) VALUES ('acme/shop', ?1)", params![image.to_string()]);
    run("INSERT INTO sandboxes (id, session, body, created) VALUES ('b-1', 's-works', '{\"image\":\"r\"}', 11)", &[]);
    let outbox = "INSERT INTO outbox (key, kind, body, attempts, due, sent, ts) VALUES (?1, 'final', '{\"text\":\"so\"}', ?2, 8, ?3, ?4)";
    run(outbox, params!["p-0:final", 1, 9, "3.3"]);
    run(outbox, params!["p-9:final", 1, None::<i64>, None::<String>]);
    if version >= 2 {
        run("INSERT INTO picks (prompt, text, repo, at) VALUES ('p-0', 'the cart', 'acme/shop', 5)", &[]);
    }
    if version >= 3 {
        run("INSERT INTO defaults (user, body) VALUES ('U1', '{\"model\":\"large\"}')", &[]);
        run("INSERT INTO models (session, model) VALUES ('s-works', 'large')", &[]);
    }
    if version >= 4 {
        run("INSERT INTO moves (old, new, by, rest, at) VALUES ('s-rests', 's-works', 'U1', '[]', 12)", &[]);
        run("UPDATE sessions SET prompted = 30 WHERE id = 's-works'", &[]);
    }
    if version >= 5 {
        let facts = json!({ "sandbox": "b-1", "through": 1, "conversation": null, "layers": 3 });
        run("INSERT INTO snapshots (session, image, bytes, taken, body) VALUES ('s-works', 'snap', 5, 13, ?1)", params![facts.to_string()]);
        run("INSERT INTO pool (sandbox, repo, image, created) VALUES ('b-9', 'acme/shop', 'r', 14)", &[]);
    }
}

#[tokio::test]
async fn a_central_database_of_every_version_before_is_gone_on_with() {
    for version in 1..CENTRAL.len() {
        let folder = tempfile::tempdir().unwrap();
        left_by(&folder.path().join("longshore.db"), &CENTRAL[..version], |db| fill_central(db, version));
        let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1_000)))).unwrap();
        let session = |id: &str| SessionId::parse(id).unwrap();

        // What Slack delivered is known, and what was open is open.
        let again =
            Delivery { key: "Ev-new".into(), kind: DeliveryKind::Event, lane: "C1".into(), payload: json!({}), received: Timestamp(5) };
        assert_eq!(store.put_delivery(again, Some("C1/1.1".into())).await.unwrap(), Delivered::Duplicate, "version {version}");
        assert_eq!(store.open_deliveries().await.unwrap(), 1);
        store.release_deliveries().await.unwrap();
        let claimed = store.claim_delivery(Duration::from_secs(60)).await.unwrap().unwrap();
        assert_eq!((claimed.delivery.key.as_str(), claimed.attempts), ("Ev-open", 2));

        // Sessions, and what they began with.
        let works = store.session(session("s-works")).await.unwrap().unwrap();
        assert_eq!((works.has_work, works.title.as_str()), (Work::Some, "mend the cart"));
        let first = store.first_ask(session("s-works")).await.unwrap().unwrap();
        assert_eq!((first.prompt.id.as_str(), first.prompt.files.len()), ("p-1", 0));
        let thread = ThreadKey {
            team: TeamId::parse("T1").unwrap(),
            channel: ChannelId::parse("C1").unwrap(),
            thread: MessageTs::parse("1.1").unwrap(),
        };
        assert_eq!(store.sessions_of(thread).await.unwrap().len(), 1);
        assert_eq!(store.working_sessions().await.unwrap().len(), 1);
        let ask = store.take_ask(PromptId::parse("p-3").unwrap()).await.unwrap().unwrap();
        assert_eq!(ask.candidates, [RepoName::parse("acme/shop").unwrap()]);

        // Images and sandboxes.
        let (repo, image) = store.images().await.unwrap().remove(0);
        assert_eq!((repo.as_str(), image.commit.as_deref(), image.previous.len()), ("acme/shop", Some("c0ffee"), 0));
        let sandboxes = store.sandboxes().await.unwrap();
        assert_eq!(sandboxes[0].id, SandboxId::parse("b-1").unwrap());

        // What was being sent is looked for, and what was sent is sent.
        let owed = store.begin_send(&OutboxOwner::Service, OutboxLane::Posts).await.unwrap().unwrap();
        assert_eq!((owed.key.as_str(), owed.attempts), ("p-9:final", 1));
        assert_eq!(store.message_of(&OutboxOwner::Service, "p-0:final".into()).await.unwrap(), MessageTs::parse("3.3").ok());

        // What came later is there where that version had it, and empty where not.
        assert_eq!(store.picks(9).await.unwrap().len(), usize::from(version >= 2), "version {version}");
        let defaults = store.defaults(SlackUserId::parse("U1").unwrap()).await.unwrap();
        assert_eq!(defaults, PersonDefaults { model: (version >= 3).then(|| "large".to_owned()), ..PersonDefaults::default() });
        assert_eq!(store.model_of(session("s-works")).await.unwrap().is_some(), version >= 3);
        assert_eq!(store.moved_to(session("s-rests")).await.unwrap().is_some(), version >= 4);
        assert_eq!(store.newest_snapshot(session("s-works")).await.unwrap().is_some(), version >= 5);
        assert_eq!(store.pooled().await.unwrap().len(), usize::from(version >= 5));

        // Opened once more, it is this version's.
        drop(store);
        let found: i64 =
            Connection::open(folder.path().join("longshore.db")).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(found).unwrap(), CENTRAL.len());
    }
}

#[tokio::test]
async fn a_sessions_database_of_every_version_is_gone_on_with() {
    for version in 1..=SESSION.len() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sessions")).unwrap();
        left_by(&folder.path().join("sessions/s-1.db"), &SESSION[..version], |db| {
            let events = [
                json!({ "event": "prompt_accepted", "prompt": prompt("p-1") }),
                json!({ "event": "turn_started", "turn": 1, "prompt": "p-1" }),
                // Before it was kept where a sandbox came from.
                json!({ "event": "turn_running", "turn": 1, "sandbox": "b-1" }),
            ];
            for event in events {
                db.execute("INSERT INTO events (at, body) VALUES (7, ?1)", params![event.to_string()]).unwrap();
            }
            db.execute("INSERT INTO agent (one, sandbox, offset, agent_session) VALUES (1, 'b-1', 77, 'ses_1')", []).unwrap();
            let outbox = "INSERT INTO outbox (key, kind, body, attempts, due) VALUES ('s-1:card:1', 'card', '{}', 1, 8)";
            db.execute(outbox, []).unwrap();
        });
        let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1_000)))).unwrap();
        let session = SessionId::parse("s-1").unwrap();
        let log: Vec<Event> = store.events(&session, 0, 99).await.unwrap().into_iter().map(|stored| stored.event).collect();
        let state = crate::SessionState::replay(&log);
        assert_eq!((log.len(), state.activity.turn(), state.owed().is_empty()), (3, Some(TurnId(1)), false), "version {version}");
        assert_eq!(store.agent_cursor(&session).await.unwrap().unwrap().offset, 77);
        let owner = OutboxOwner::Session(session.clone());
        assert_eq!(store.begin_send(&owner, OutboxLane::Posts).await.unwrap().unwrap().attempts, 1);
        let said = Event::Agent { turn: TurnId(1), activity: AgentActivity::Text { delta: "so".into() } };
        let draft = OutboxDraft { key: "s-1:final:1".into(), kind: "final", body: json!({}) };
        let stored = store.append(&session, Append { events: vec![said], cursor: None, outbox: vec![draft] }).await.unwrap();
        assert_eq!(stored[0].seq, 4);
    }
}

#[tokio::test]
async fn a_sessions_database_of_a_newer_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sessions")).unwrap();
    left_by(&folder.path().join("sessions/s-1.db"), SESSION, |db| db.pragma_update(None, "user_version", 99).unwrap());
    let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1)))).unwrap();
    let error = store.append(&SessionId::parse("s-1").unwrap(), Append::default()).await.unwrap_err().to_string();
    for words in ["s-1.db", "newer longshore", "schema 99", "upgrade this one"] {
        assert!(error.contains(words), "`{words}` in {error}");
    }
}
