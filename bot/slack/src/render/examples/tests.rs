//! Each message that there is has an example, and each example is sendable and looks as it did.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use insta::{assert_snapshot, with_settings};
use longshore_session::TurnFailure;

use super::{Example, Shape, examples};
use crate::render::{
    limits::{assert_publishable, assert_sendable},
    tests::show,
    *,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render")
}

fn shown(example: &Example) -> String {
    match &example.shape {
        Shape::Thread(messages) => messages.iter().map(show).collect::<Vec<_>>().join("\n\n"),
        Shape::ForOne(message) => show(message),
        Shape::Home(view) | Shape::Modal(view) => serde_json::to_string_pretty(view).unwrap(),
    }
}

/// `INSTA_UPDATE=always cargo test -p longshore-slack examples` takes new looks over, for reading them in the diff.
#[test]
fn every_example_looks_as_it_did() {
    with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        for example in examples() {
            assert_snapshot!(example.name, shown(&example));
        }
    });
    let kept: BTreeSet<String> = fs::read_dir(folder().join("snapshots"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".snap").map(str::to_owned))
        .collect();
    let named: BTreeSet<String> = examples().iter().map(|example| example.name.to_owned()).collect();
    assert_eq!(kept.difference(&named).collect::<Vec<_>>(), Vec::<&String>::new(), "snapshots of no example: delete them");
}

#[test]
fn every_example_can_be_sent() {
    for example in examples() {
        match &example.shape {
            Shape::Thread(messages) => messages.iter().for_each(assert_sendable),
            Shape::ForOne(message) => assert_sendable(message),
            Shape::Home(view) => assert_publishable(view),
            Shape::Modal(view) => assert_eq!(view["type"], "modal", "{}", example.name),
        }
    }
}

#[test]
fn names_are_unique_and_fit_for_files() {
    let mut seen = BTreeSet::new();
    for example in examples() {
        assert!(seen.insert(example.name), "{} is there twice", example.name);
        assert!(example.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", example.name);
        assert!(example.when.ends_with('.'), "{} is no sentence", example.when);
    }
}

/// Fails to compile where a variant is missing here, and fails where one has no example. `$before` is what stands before a variant in
/// [`Example::from`]: the enum's own name, or the field that holds it.
macro_rules! each_variant {
    ($kinds:ident; $($kind:ident after $before:literal: $($variant:ident),+;)+) => {$(
        let _ = |value: &$kind| match value { $($kind::$variant { .. } => {})+ };
        $kinds.insert(stringify!($kind).to_owned());
        $(
            let wanted = concat!($before, " ", stringify!($variant));
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
            let is_shown = examples().iter().any(|example| example.from.split(wanted).skip(1).any(ends));
            assert!(is_shown, "{}::{} has no example", stringify!($kind), stringify!($variant));
        )+
    )+};
}

#[test]
fn every_variant_has_an_example() {
    let mut kinds = BTreeSet::new();
    each_variant! { kinds;
        CardPhase after "phase:": Queued, Choosing, Preparing, Working, Finishing, Checking, Waiting, Stopping, Done, DoneButFailing, Stopped,
            Failed, Moved;
        PlanStatus after "status:": Pending, Doing, Done, Dropped;
        Rerouting after "rerouting:": Offered, Moved, Closed;
        Verification after "verified:": Nothing, NoCheck, Ran;
        CheckEnd after "end:": Exited, TimedOut, OutOfMemory, NotRun;
        Outcome after "outcome:": Done, Asked, Failed, Stopped;
        TurnFailure after "TurnFailure": NoImage, EngineUnavailable, DiskFull, SandboxStart, Sync, GitHubAway, RepositoryGone, SandboxOutOfMemory, SandboxKilled,
            AgentCrashed, AgentSilent, ConversationTooLong, ModelAway, TurnTimeout, ModelRefused, Push, RecordLost, Internal;
        Covers after "covers:": All, Earlier;
        PickerDone after "PickerDone": Picked, Withdrawn, Expired, Closed;
        Leftover after "Leftover": PullRequestClosed, PullRequestKept, BranchKept, NotLookedAt;
        QueuePlace after "waiting:": Waiting, Started, Inserted, Withdrawn, Moved;
        QuestionFate after "fate:": Picked, Replied, Dropped;
        NotAllowed after "NotAllowed": Workspace, Channel, User;
        ImageNotReady after "ImageNotReady": Building, Failed, Missing;
        ImageState after "state:": Ready, Building, Missing;
        SessionStage after "stage:": Live, Behind, Asking, Idle;
        Room after "room:": Enough, TooLittle;
        Rest after "rest:": Awake, Paused, Asleep, Gone;
        Continuation after "continuation:": Seamless, Restored, SnapshotLost, Replaced;
        Told after "told:": Nothing, Later, All;
        PullRequestStanding after "standing:": Open, Draft, Merged, Closed, Unknown;
        ShortcutRefused after "ShortcutRefused": NotHere, TooLate;
        Linked after "linked:": To, TokenMissing, TokenRefused, Unknown, No;
        Notice after "Notice": Empty, StopAsked, NothingToStop, EndingAlready, TooLateToJoin, PromptReplaced, EditTooLate, PromptWithdrawn, Outdated,
            AnsweredAlready, NoOtherRepository, PullRequestAsked, DiskFull, RecordRebuilt, PullRequestOpened, PullRequestRefused, Broken, Update;
    }
    let declared: BTreeSet<String> = sources().iter().flat_map(|text| after(text, "\npub enum ")).collect();
    assert!(declared.len() >= 8, "the enums of the messages were not found: {declared:?}");
    let missing: Vec<_> = declared.difference(&kinds).collect();
    assert!(missing.is_empty(), "name these above: {missing:?}");
}

#[test]
fn everything_that_is_rendered_has_an_example() {
    let mut rendered = 0;
    for text in sources() {
        for block in text.split("\nimpl ").skip(1).filter(|block| block.split("\n}\n").next().unwrap().contains("\n    pub fn render(")) {
            let name = block.split([' ', '<']).next().unwrap();
            assert!(examples().iter().any(|example| example.from.starts_with(&format!("{name} "))), "{name} has no example");
            rendered += 1;
        }
    }
    assert!(rendered >= 14, "only {rendered} of what is rendered was found");
}

/// The modules that render, as text.
fn sources() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

fn after(text: &str, mark: &str) -> Vec<String> {
    text.split(mark).skip(1).map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect()).collect()
}
