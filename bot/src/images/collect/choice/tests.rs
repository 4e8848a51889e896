use std::collections::BTreeMap;

use longshore_session::EarlierImage;
use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Timestamp = Timestamp(1_000_000_000);

fn repo(name: &str) -> RepoName {
    RepoName::parse(format!("acme/{name}")).unwrap()
}

fn by_digest(name: &str) -> String {
    format!("r:1/team/acme-shop@sha256:{name}")
}

fn ago(hours: u32) -> Timestamp {
    NOW - HOUR * hours
}

/// Of one layer of its own above those of `below`, `hours` old.
fn engine(name: &str, hours: u32, below: &[&str], bytes: u64) -> EngineImage {
    let layers = below.iter().copied().chain([name]).map(str::to_owned).collect();
    EngineImage {
        id: format!("sha256:id-{name}"),
        kind: Stocked::Image,
        names: [format!("r:1/team/acme-shop:longshore-{name}"), by_digest(name)].map(|name| ImageRef::parse(name).unwrap()).to_vec(),
        repository: Some(repo("shop")),
        created: ago(hours),
        bytes,
        layers,
        held_by: HeldBy::Nobody,
    }
}

fn registry(name: &str, hours: u32, bytes: u64) -> RegistryImage {
    RegistryImage {
        reference: ImageRef::parse(by_digest(name)).unwrap(),
        repository: repo("shop"),
        created: Some(ago(hours)),
        blobs: vec![("base".to_owned(), 100), (name.to_owned(), bytes)],
    }
}

fn earlier(name: &str, hours: u32) -> EarlierImage {
    EarlierImage { reference: by_digest(name), commit: None, inputs: None, built: Some(ago(hours)), size: None, start_ms: None }
}

fn record(promoted: &str, previous: &[(&str, u32)]) -> ImageRecord {
    ImageRecord {
        reference: Some(by_digest(promoted)),
        previous: previous.iter().map(|(name, hours)| earlier(name, *hours)).collect(),
        ..ImageRecord::default()
    }
}

fn stock(engine: Vec<EngineImage>, registry: Vec<RegistryImage>) -> Stock {
    let stacks = Stacks::of(&engine, None);
    Stock { engine, registry: Some(registry), stacks }
}

fn referrers(record: ImageRecord, used: &[&str]) -> Referrers {
    Referrers { records: vec![(repo("shop"), record)], used: used.iter().map(|name| by_digest(name)).collect() }
}

const ROOM: Limits = Limits { now: NOW, grace: HOUR, bytes: u64::MAX };

fn gone(stock: &Stock, choice: &Choice) -> (Vec<String>, Vec<String>) {
    let short = |name: &ImageRef| name.as_str().rsplit(':').next().unwrap().to_owned();
    let engine = choice.engine.iter().map(|index| short(&stock.engine[*index].names[1])).collect();
    let registry = choice.registry.iter().map(|index| short(&stock.registry.as_ref().unwrap()[*index].reference)).collect();
    (engine, registry)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_nothing_refers_to_goes_and_the_rest_stays() {
    let all = ["promoted", "earlier", "pooled", "old"];
    let stock = stock(all.iter().map(|name| engine(name, 5, &[], 10)).collect(), all.iter().map(|name| registry(name, 5, 10)).collect());
    let choice = choose(&stock, &referrers(record("promoted", &[("earlier", 5)]), &["pooled"]), &ROOM);
    assert_eq!(gone(&stock, &choice), (names(&["old"]), names(&["old"])));
    assert_eq!((choice.give_up, choice.over), (Vec::new(), None));
}

#[test]
fn who_may_be_about_to_use_an_image_finds_it() {
    let mut young = engine("young", 0, &[], 10);
    young.created = NOW - (HOUR - Duration::from_secs(1));
    let mut in_container = engine("container", 5, &[], 10);
    in_container.held_by = HeldBy::Container;
    let unknown = RegistryImage { created: None, ..registry("unknown", 5, 10) };
    let stock = stock(vec![young, in_container, engine("retired", 5, &[], 10)], vec![registry("retired", 5, 10), unknown]);
    let mut of_shop = record("promoted", &[]);
    of_shop.retired = vec![serde_json::from_value(serde_json::json!({ "reference": by_digest("retired"), "at": NOW.0 - 1000 })).unwrap()];
    assert_eq!(choose(&stock, &referrers(of_shop.clone(), &[]), &ROOM), Choice::default());
    // An hour later only the container's, and the one whose age nobody knows, are left.
    let later = Limits { now: NOW + HOUR, ..ROOM };
    assert_eq!(
        gone(&stock, &choose(&stock, &referrers(of_shop.clone(), &[]), &later)),
        (names(&["young", "retired"]), names(&["retired"]))
    );
    // A build of the repository keeps everything of it: nobody knows what it is about to refer to.
    of_shop.building_since = Some(NOW);
    assert_eq!(choose(&stock, &referrers(of_shop, &[]), &later), Choice::default());
}

#[test]
fn a_build_keeps_what_names_no_repository_and_leaves_other_repositories_alone() {
    let nameless = EngineImage { repository: None, ..engine("nameless", 5, &[], 10) };
    let other = EngineImage { repository: Some(repo("web")), ..engine("web", 5, &[], 10) };
    let stock = stock(vec![nameless, other], Vec::new());
    let building = ImageRecord { building_since: Some(NOW), ..ImageRecord::default() };
    assert_eq!(gone(&stock, &choose(&stock, &referrers(building, &[]), &ROOM)).0, names(&["web"]));
}

#[test]
fn the_same_image_under_another_address_is_the_same() {
    let mut moved = engine("promoted", 5, &[], 10);
    moved.names = vec![ImageRef::parse("other:1/team/acme-shop@sha256:promoted").unwrap()];
    let stock = stock(vec![moved], Vec::new());
    assert_eq!(choose(&stock, &referrers(record("promoted", &[]), &[]), &ROOM), Choice::default());
}

#[test]
fn snapshots_and_what_is_no_image_of_ours_are_never_touched() {
    let of = |kind| EngineImage { kind, ..engine("other", 5, &[], 10) };
    let stock = stock(vec![of(Stocked::Snapshot), of(Stocked::Part)], Vec::new());
    assert_eq!(choose(&stock, &referrers(ImageRecord::default(), &[]), &ROOM), Choice::default());
}

#[test]
fn a_bound_takes_the_oldest_earlier_image_first_and_never_what_is_needed() {
    let stock = stock(
        vec![engine("new", 1, &[], 10), engine("older", 4, &[], 10), engine("oldest", 6, &[], 10), engine("pooled", 8, &[], 10)],
        Vec::new(),
    );
    let record = record("new", &[("older", 4), ("oldest", 6), ("pooled", 8)]);
    let within = |bytes| choose(&stock, &referrers(record.clone(), &["pooled"]), &Limits { bytes, ..ROOM });
    assert_eq!(within(40), Choice::default());
    let choice = within(30);
    assert_eq!(choice.give_up, [(repo("shop"), by_digest("oldest"))], "what the pool uses makes no room");
    assert_eq!((choice.engine, choice.over), (Vec::new(), None), "somebody may fall back to it in this moment");
    assert_eq!(within(20).give_up.len(), 2);
    assert_eq!(within(19).over, Some(Weight { engine: 20, registry: 0 }), "what is needed stays, and it is said");
}

#[test]
fn what_shares_its_layers_is_not_given_up_for_nothing() {
    // `new` was made of `older`: giving that up would free nothing.
    let stock = stock(
        vec![engine("new", 1, &["base", "older"], 130), engine("older", 4, &["base"], 120), engine("full", 6, &["base"], 150)],
        vec![registry("new", 1, 10), registry("older", 4, 60), registry("full", 6, 50)],
    );
    let record = record("new", &[("older", 4), ("full", 6)]);
    let within = |bytes| choose(&stock, &referrers(record.clone(), &[]), &Limits { bytes, ..ROOM });
    // The engine has 280 bytes (nobody knows the size of `base` alone), the registry 220.
    assert_eq!(within(280), Choice::default());
    let given_up = |choice: Choice| choice.give_up.into_iter().map(|(_, reference)| reference).collect::<Vec<_>>();
    assert_eq!(given_up(within(200)), [by_digest("full")], "then there are 130 and 170");
    assert_eq!(given_up(within(150)), [by_digest("full"), by_digest("older")], "in the registry it makes a difference");
}

#[derive(Debug, Clone)]
struct World {
    images: Vec<(u32, HeldBy, bool)>,
    promoted: Option<usize>,
    previous: Vec<usize>,
    used: Vec<usize>,
    retired: BTreeMap<usize, u32>,
    building: bool,
    bytes: u64,
}

fn worlds() -> impl Strategy<Value = World> {
    let held = prop_oneof![4 => Just(HeldBy::Nobody), 1 => Just(HeldBy::Container)];
    let image = (0_u32..6, held, any::<bool>());
    let place = 0_usize..8;
    (
        proptest::collection::vec(image, 8),
        proptest::option::of(place.clone()),
        proptest::collection::vec(place.clone(), 0..4),
        proptest::collection::vec(place.clone(), 0..3),
        proptest::collection::btree_map(place, 0_u32..4, 0..4),
        proptest::bool::weighted(0.2),
        prop_oneof![Just(u64::MAX), 0_u64..120],
    )
        .prop_map(|(images, promoted, previous, used, retired, building, bytes)| World {
            images,
            promoted,
            previous,
            used,
            retired,
            building,
            bytes,
        })
}

proptest! {
    /// Whatever there is: nothing goes that something refers to, that is held, or that is too young; and all else does.
    #[test]
    fn nothing_goes_that_is_referred_to_and_all_else_does(world in worlds()) {
        let name = |index: usize| format!("i{index}");
        let stocked = world.images.iter().enumerate().map(|(index, (hours, held_by, alone))| EngineImage {
            held_by: *held_by,
            ..engine(&name(index), *hours, if *alone { &[] } else { &["base"] }, 10 + index as u64)
        });
        let pushed = world.images.iter().enumerate().map(|(index, (hours, ..))| registry(&name(index), *hours, 10));
        let stock = stock(stocked.collect(), pushed.collect());
        let retired: Vec<_> = world.retired.iter().map(|(index, hours)| serde_json::json!({ "reference": by_digest(&name(*index)), "at": ago(*hours) })).collect();
        let record = ImageRecord {
            reference: world.promoted.map(|index| by_digest(&name(index))),
            previous: world.previous.iter().map(|index| earlier(&name(*index), world.images[*index].0)).collect(),
            retired: serde_json::from_value(serde_json::Value::Array(retired)).unwrap(),
            building_since: world.building.then_some(NOW),
            ..ImageRecord::default()
        };
        let used: Vec<String> = world.used.iter().map(|index| name(*index)).collect();
        let used: Vec<&str> = used.iter().map(String::as_str).collect();
        let limits = Limits { bytes: world.bytes, ..ROOM };
        let choice = choose(&stock, &referrers(record.clone(), &used), &limits);

        for (index, (hours, held_by, _)) in world.images.iter().enumerate() {
            let referred = world.promoted == Some(index) || world.previous.contains(&index) || world.used.contains(&index);
            let since = world.retired.get(&index).into_iter().chain([hours]).min().copied().unwrap();
            let free = !referred && !world.building && since >= 1;
            prop_assert_eq!(choice.engine.contains(&index), free && *held_by == HeldBy::Nobody, "engine: {}", index);
            prop_assert_eq!(choice.registry.contains(&index), free, "registry: {}", index);
        }
        for (_, reference) in &choice.give_up {
            prop_assert!(Some(reference) != record.reference.as_ref(), "the promoted one is never given up");
            prop_assert!(record.previous.iter().any(|earlier| earlier.reference == *reference));
        }
        if world.bytes == u64::MAX {
            prop_assert!(choice.give_up.is_empty() && choice.over.is_none());
        }
        // As soon as the records say so, the bound holds, or it is said that it cannot.
        if choice.over.is_none() {
            let mut after = record;
            for (_, reference) in &choice.give_up {
                after.give_up(reference, NOW);
            }
            let again = choose(&stock, &referrers(after, &used), &limits);
            prop_assert!(again.give_up.is_empty() && again.over.is_none());
        }
    }
}
