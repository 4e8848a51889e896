use longshore_session::{MessageTs, Person, PromptId, RepoName, TeamId, Work};
use proptest::prelude::*;

use super::*;

fn record(session: &str) -> SessionRecord {
    SessionRecord {
        id: SessionId::parse(session).unwrap(),
        repo: RepoName::parse("acme/shop").unwrap(),
        thread: ThreadKey {
            team: TeamId::parse("T1").unwrap(),
            channel: ChannelId::parse("C1").unwrap(),
            thread: MessageTs::parse("1795400000.000100").unwrap(),
        },
        owner: SlackUserId::parse("U1").unwrap(),
        title: String::new(),
        why: String::new(),
        phase: "preparing".to_owned(),
        has_work: Work::Some,
        created: Timestamp(0),
        touched: Timestamp(0),
    }
}

fn prompt(person: &str, since: i64) -> Prompt {
    let author = Person { slack_user: SlackUserId::parse(person).unwrap(), name: String::new(), email: String::new() };
    Prompt {
        id: PromptId::parse("p-1").unwrap(),
        post: MessageTs::parse("1795400000.000100").unwrap(),
        author,
        text: "It.".to_owned(),
        context: Vec::new(),
        files: Vec::new(),
        received: Timestamp(since),
    }
}

fn sandbox(name: &str) -> SandboxId {
    SandboxId::parse(name).unwrap()
}

/// Asks, and says whether that was granted at once; if so, there is a sandbox then.
async fn starts(room: &Room, session: &str, person: &str) -> bool {
    let (record, prompt) = (record(session), prompt(person, 0));
    let asked = room.ask(&record, &prompt);
    tokio::select! {
        biased;
        place = asked => {
            room.enter(&sandbox(&format!("b-{session}")), &record.id);
            drop(place);
            true
        }
        () = tokio::task::yield_now() => false,
    }
}

#[tokio::test]
async fn a_turn_waits_until_somebody_leaves() {
    let room = Room::new(2);
    assert!(starts(&room, "s-a", "U1").await && starts(&room, "s-b", "U1").await);
    let (third, asked) = (record("s-c"), prompt("U1", 7));
    let mut waiting = std::pin::pin!(room.ask(&third, &asked));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert_eq!((room.place_of(&third.id), room.place_of(&record("s-d").id), room.place_of(&record("s-a").id)), (Some(1), Some(2), None));
    room.leave(&sandbox("b-s-a"));
    let place = waiting.await;
    assert_eq!((room.place_of(&third.id), room.waiting()), (None, Vec::new()));
    // A place that is not used goes back.
    assert!(!starts(&room, "s-d", "U1").await);
    drop(place);
    assert!(starts(&room, "s-d", "U1").await);
}

#[tokio::test]
async fn who_stops_waiting_is_forgotten() {
    let room = Room::new(1);
    assert!(starts(&room, "s-a", "U1").await);
    assert!(!starts(&room, "s-b", "U1").await);
    assert_eq!(room.waiting(), Vec::new());
}

#[tokio::test]
async fn whoever_has_a_sandbox_may_replace_it() {
    let room = Room::new(1);
    assert!(starts(&room, "s-a", "U1").await && starts(&room, "s-a", "U1").await);
}

#[tokio::test]
async fn the_pool_takes_no_sessions_place_and_has_none_where_somebody_waits() {
    let room = Room::new(2);
    assert!(room.enter_if_spare(&sandbox("b-p1")) && room.enter_if_spare(&sandbox("b-p2")) && !room.enter_if_spare(&sandbox("b-p3")));
    assert_eq!(room.spare_places(), 2);
    assert!(starts(&room, "s-a", "U1").await);
    assert!(room.is_too_full(), "an entry has to give way");
    room.leave(&sandbox("b-p1"));
    assert_eq!((room.is_too_full(), room.spare_places()), (false, 1));
    // What a session claims was counted before.
    let claimer = record("s-b");
    let place = room.ask(&claimer, &prompt("U1", 0)).await;
    room.enter(&sandbox("b-p2"), &claimer.id);
    drop(place);
    assert_eq!((room.is_too_full(), room.spare_places()), (false, 0));
}

#[tokio::test(start_paused = true)]
async fn the_session_that_rests_longest_is_asked_to_go_and_as_many_as_wait() {
    let room = Room::new(3);
    for session in ["s-a", "s-b", "s-c"] {
        assert!(starts(&room, session, "U1").await);
    }
    for session in ["b-s-b", "b-s-a"] {
        room.rest(&sandbox(session));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(room.next_to_go(), None, "nobody waits");
    let (next, asked) = (record("s-d"), prompt("U1", 0));
    let mut waiting = std::pin::pin!(room.ask(&next, &asked));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert_eq!((room.next_to_go(), room.next_to_go()), (Some(record("s-b").id), None));
    // It cannot: the other one is asked, and it not for a while.
    room.spare(&sandbox("b-s-b"));
    assert_eq!((room.next_to_go(), room.next_to_go()), (Some(record("s-a").id), None));
    room.work(&sandbox("b-s-a"), &SlackUserId::parse("U1").unwrap());
    assert_eq!(room.next_to_go(), None);
    tokio::time::advance(SPARED).await;
    assert_eq!(room.next_to_go(), Some(record("s-b").id));
    room.leave(&sandbox("b-s-b"));
    assert!(futures_util::poll!(waiting.as_mut()).is_ready());
}

#[tokio::test]
async fn what_is_at_work_counts_for_the_next_place() {
    let room = Room::new(2);
    assert!(starts(&room, "s-a", "U1").await && starts(&room, "s-b", "U2").await);
    let (first, second) = (record("s-c"), record("s-d"));
    let (of_busy, of_idle) = (prompt("U1", 1), prompt("U3", 2));
    let (mut busy, mut idle) = (Box::pin(room.ask(&first, &of_busy)), Box::pin(room.ask(&second, &of_idle)));
    assert!(futures_util::poll!(busy.as_mut()).is_pending() && futures_util::poll!(idle.as_mut()).is_pending());
    assert_eq!((room.place_of(&second.id), room.place_of(&first.id)), (Some(1), Some(2)));
    room.leave(&sandbox("b-s-b"));
    let place = idle.await;
    assert!(futures_util::poll!(busy.as_mut()).is_pending());
    drop(place);
    assert!(futures_util::poll!(busy.as_mut()).is_ready());
}

#[test]
fn the_usual_ceiling_follows_the_machine() {
    assert_eq!(usual_most(24_105, 2048, 1), 10);
    assert_eq!(usual_most(8_192, 2048, 1), 2);
    assert_eq!(usual_most(2_048, 2048, 1), 1);
    assert_eq!(usual_most(0, 0, 0), 1);
    assert!(machine_mb().is_some_and(|mb| mb > 256));
}

proptest! {
    /// Whatever comes and goes, sessions never have more places than there are, and nobody waits while one is free.
    #[test]
    fn places_are_never_too_many_and_never_idle(most in 1..4usize, steps in proptest::collection::vec((0..4u8, 0..8usize, 0..3usize), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let room = Room::new(most);
            let records: Vec<SessionRecord> = (0..8).map(|n| record(&format!("s-{n}"))).collect();
            let prompts: Vec<Prompt> = ["U1", "U2", "U3"].map(|person| prompt(person, 0)).to_vec();
            let mut asked: Vec<Option<std::pin::Pin<Box<dyn Future<Output = Place<'_>> + '_>>>> = (0..8).map(|_| None).collect();
            for (step, session, person) in steps {
                let id = sandbox(&format!("b-{session}"));
                match step {
                    0 if asked[session].is_none() => asked[session] = Some(Box::pin(room.ask(&records[session], &prompts[person]))),
                    1 => asked[session] = None,
                    2 => room.leave(&id),
                    _ => {}
                }
                for (session, slot) in asked.iter_mut().enumerate() {
                    if let Some(future) = slot && let std::task::Poll::Ready(place) = futures_util::poll!(future.as_mut()) {
                        room.enter(&sandbox(&format!("b-{session}")), &records[session].id);
                        drop(place);
                        *slot = None;
                    }
                }
                let (taken, waiting) = { let state = room.lock(); (state.sessions(), state.waiting.len()) };
                prop_assert!(taken <= most);
                prop_assert!(waiting == 0 || taken == most);
            }
            Ok(())
        });
        outcome?;
    }
}
