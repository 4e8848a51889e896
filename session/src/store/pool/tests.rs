use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::{Clock, ManualClock};

fn repo(name: &str) -> RepoName {
    RepoName::parse(format!("acme/{name}")).unwrap()
}

fn sandbox(number: usize) -> SandboxId {
    SandboxId::parse(format!("b-{number}")).unwrap()
}

fn session(number: usize) -> SessionId {
    SessionId::parse(format!("s-{number}")).unwrap()
}

fn entry(number: usize, repository: &str, image: &str) -> PoolRecord {
    let created = Timestamp(i64::try_from(number).unwrap());
    PoolRecord { sandbox: sandbox(number), repo: repo(repository), image: image.to_owned(), created, ready: None }
}

fn ready() -> PoolReady {
    PoolReady { at: Timestamp(9), models: vec!["large".to_owned(), "other".to_owned()], address: [10, 0, 0, 2].into(), output: 77 }
}

fn claim(number: usize, repository: &str) -> PoolClaim {
    PoolClaim {
        session: session(number),
        repo: repo(repository),
        model: "large".to_owned(),
        held: Vec::new(),
        spared: Vec::new(),
        image: Some("new".to_owned()),
    }
}

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    Bench { folder, store }
}

fn open(folder: &tempfile::TempDir) -> Store {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp(100)));
    Store::open(folder.path(), clock).unwrap()
}

async fn wait(store: &Store, number: usize, repository: &str, image: &str) {
    store.put_pooled(entry(number, repository, image)).await.unwrap();
    assert!(store.pooled_is_ready(sandbox(number), ready()).await.unwrap());
}

#[tokio::test]
async fn a_claim_moves_the_row_and_tells_where_the_session_begins() {
    let Bench { store, folder: _folder } = bench();
    store.put_pooled(entry(1, "shop", "new")).await.unwrap();
    assert_eq!(store.claim_pooled(claim(1, "shop")).await.unwrap(), None, "it is being made");
    assert!(store.pooled_is_ready(sandbox(1), ready()).await.unwrap());
    assert_eq!(store.claim_pooled(claim(1, "other")).await.unwrap(), None);
    let small = PoolClaim { model: "small".to_owned(), ..claim(1, "shop") };
    assert_eq!(store.claim_pooled(small).await.unwrap(), None, "its agent has other models");
    let other = PoolClaim { model: "other".to_owned(), ..claim(1, "shop") };
    let claimed = store.claim_pooled(other).await.unwrap().unwrap();
    assert_eq!(claimed, PoolRecord { ready: Some(ready()), ..entry(1, "shop", "new") });
    assert_eq!(store.pooled().await.unwrap(), []);
    let rows = store.sandboxes().await.unwrap();
    assert_eq!((rows.len(), &rows[0].id, &rows[0].session), (1, &sandbox(1), &session(1)));
    assert!(!store.take_pooled(sandbox(1)).await.unwrap());
    assert!(!store.pooled_is_ready(sandbox(1), ready()).await.unwrap());
}

#[tokio::test]
async fn what_is_held_comes_first_and_what_others_hold_last() {
    let Bench { store, folder: _folder } = bench();
    for number in 1..=4 {
        wait(&store, number, "shop", if number == 3 { "new" } else { "old" }).await;
    }
    let mut taken = Vec::new();
    for number in 1..=4 {
        let wanted = PoolClaim { held: vec![sandbox(4)], spared: vec![sandbox(1), sandbox(4)], ..claim(number, "shop") };
        taken.push(store.claim_pooled(wanted).await.unwrap().unwrap().sandbox);
    }
    assert_eq!(taken, [sandbox(4), sandbox(3), sandbox(2), sandbox(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_claim_at_once_no_two_get_the_same() {
    let Bench { store, folder: _folder } = bench();
    for number in 0..40 {
        wait(&store, number, "shop", "new").await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..60 {
        let store = store.clone();
        tasks.spawn(async move {
            // Whoever lets old entries go works beside those who claim.
            if number % 6 == 0 {
                store.take_pooled(sandbox(number / 2)).await.unwrap().then(|| sandbox(number / 2))
            } else {
                store.claim_pooled(claim(number, "shop")).await.unwrap().map(|record| record.sandbox)
            }
        });
    }
    let got = tasks.join_all().await;
    let owned: Vec<&SandboxId> = got.iter().flatten().collect();
    assert_eq!(owned.len(), 40, "there is somebody for each");
    assert_eq!(owned.iter().collect::<BTreeSet<_>>().len(), 40, "and nobody for two");
}

/// What may happen to a pool, in any order.
#[derive(Debug, Clone)]
enum Step {
    Fill(usize, bool),
    Ready(usize),
    Claim(usize),
    Expire(usize),
    /// The service dies and comes back: entries that were being made are removed.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..12usize, any::<bool>()).prop_map(|(n, new)| Step::Fill(n, new)),
        3 => (0..12usize).prop_map(Step::Ready),
        3 => (0..30usize).prop_map(Step::Claim),
        1 => (0..12usize).prop_map(Step::Expire),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever the order: a sandbox is in the pool, or one session's, or gone; and it never comes back.
    #[test]
    fn a_sandbox_has_one_owner_at_the_most(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let Bench { folder, mut store } = bench();
            let mut waiting: BTreeMap<SandboxId, bool> = BTreeMap::new();
            let mut owners: BTreeMap<SandboxId, SessionId> = BTreeMap::new();
            let mut used = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Fill(number, new) => {
                        if used.insert(number) {
                            store.put_pooled(entry(number, "shop", if new { "new" } else { "old" })).await.unwrap();
                            waiting.insert(sandbox(number), false);
                        }
                    }
                    Step::Ready(number) => {
                        let known = store.pooled_is_ready(sandbox(number), ready()).await.unwrap();
                        prop_assert_eq!(known, waiting.contains_key(&sandbox(number)));
                        if let Some(is_ready) = waiting.get_mut(&sandbox(number)) {
                            *is_ready = true;
                        }
                    }
                    Step::Claim(number) => match store.claim_pooled(claim(number, "shop")).await.unwrap() {
                        Some(record) => {
                            prop_assert_eq!(waiting.remove(&record.sandbox), Some(true));
                            prop_assert_eq!(owners.insert(record.sandbox, session(number)), None);
                        }
                        None => prop_assert!(waiting.values().all(|is_ready| !is_ready)),
                    },
                    Step::Expire(number) => {
                        let taken = store.take_pooled(sandbox(number)).await.unwrap();
                        prop_assert_eq!(taken, waiting.remove(&sandbox(number)).is_some());
                    }
                    Step::Crash => {
                        drop(store);
                        store = open(&folder);
                        for row in store.pooled().await.unwrap().into_iter().filter(|row| row.ready.is_none()) {
                            prop_assert!(store.take_pooled(row.sandbox.clone()).await.unwrap());
                            prop_assert_eq!(waiting.remove(&row.sandbox), Some(false));
                        }
                    }
                }
                let pooled: BTreeSet<_> = store.pooled().await.unwrap().into_iter().map(|row| row.sandbox).collect();
                prop_assert_eq!(&pooled, &waiting.keys().cloned().collect());
                let rows = store.sandboxes().await.unwrap();
                let stored: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id, row.session)).collect();
                prop_assert_eq!(&stored, &owners);
            }
            Ok(())
        })?;
    }
}
