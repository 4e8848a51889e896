//! One service, with all samples, for the stories that need none of their own.
//!
//! Each story is a test of its own, in a room of its own, and several are told at once. Whichever selected one ends last closes the stage, which
//! fails on what nobody expected; [`crate::when_all_is_told`] is that one where it is selected.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::Command,
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use longshore_emulators::slack::{Channel, ChannelKind, ChannelLife, User, WorkspaceSetup};
use longshore_harness::{Harness, Options, target_folder};
use tokio::runtime::Runtime;

/// Modules whose tests are told on this stage.
const TOLD_HERE: &[&str] = &[
    "asking",
    "choosing",
    "commanding",
    "direct",
    "files",
    "home",
    "questions",
    "queueing",
    "reading",
    "rerouting",
    "secrets",
    "services",
    "shortcut",
    "stopping",
    "talking",
    "verifying",
    "waiting",
    "working",
];
/// The test that closes the stage where it is selected.
const CLOSING: &str = "when_all_is_told::";
/// The whole run takes a few minutes.
const ALL_TOLD: Duration = Duration::from_secs(30 * 60);

/// Outlives every test, and with it the emulators that the first one starts.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
/// The reason is kept where it did not start, for every story that wanted it.
static STAGE: tokio::sync::Mutex<Option<Result<Arc<Harness>, String>>> = tokio::sync::Mutex::const_new(None);
static TOLD: Mutex<usize> = Mutex::new(0);
static ONE_MORE_TOLD: Condvar = Condvar::new();

/// Which of this binary's tests were asked for.
struct Selected {
    stories: usize,
    closing: bool,
}

impl Selected {
    /// Asks this very program, which knows best what its arguments mean.
    fn tests() -> &'static Self {
        static SELECTED: OnceLock<Selected> = OnceLock::new();
        SELECTED.get_or_init(|| {
            let mut program = Command::new(std::env::current_exe().unwrap());
            let listed = program.args(std::env::args_os().skip(1)).args(["--list", "--format=terse"]).output().unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            let names: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
            let is_told_here = |name: &&&str| name.split("::").next().is_some_and(|module| TOLD_HERE.contains(&module));
            Selected { stories: names.iter().filter(is_told_here).count(), closing: names.iter().any(|name| name.starts_with(CLOSING)) }
        })
    }
}

/// The demo's workspace with a room for each story, so that none hears another.
fn workspace() -> WorkspaceSetup {
    let mut setup = WorkspaceSetup::demo();
    // People of whom no other story hears: what they set for themselves counts for all that they do.
    for (id, name, real_name) in [("DANA", "dana", "Dana Weiss"), ("EMIL", "emil", "Emil Sørensen")] {
        let user = setup.users[0].clone();
        let email = format!("{name}@example.com");
        setup.users.push(User { id: format!("U0{id}"), name: name.to_owned(), real_name: real_name.to_owned(), email, ..user });
        setup.channels.push(Channel {
            id: format!("D0{id}"),
            name: String::new(),
            kind: ChannelKind::Im { user: format!("U0{id}") },
            life: ChannelLife::Open,
            members: vec![format!("U0{id}"), "U0LONGSHORE".to_owned()],
            topic: String::new(),
            purpose: String::new(),
        });
    }
    // The bot is not in there yet.
    setup.channels.push(Channel {
        id: "C0OPEN".to_owned(),
        name: "open".to_owned(),
        kind: ChannelKind::Public,
        life: ChannelLife::Open,
        members: vec!["U0ANA".to_owned()],
        topic: String::new(),
        purpose: String::new(),
    });
    let members = ["U0ANA", "U0BEN", "U0CHIYO", "U0GUS", "U0DANA", "U0EMIL", "U0LONGSHORE"].map(str::to_owned).to_vec();
    for number in 1..=80 {
        setup.channels.push(Channel {
            id: format!("C0ROOM{number}"),
            name: format!("room-{number}"),
            kind: ChannelKind::Public,
            life: ChannelLife::Open,
            members: members.clone(),
            topic: String::new(),
            purpose: String::new(),
        });
    }
    setup
}

async fn open() -> Result<Arc<Harness>> {
    let mut stage = STAGE.lock().await;
    if stage.is_none() {
        let mut options = Options::all();
        options.workspace = workspace();
        // The guest is not on the list.
        let access = "[access]\nusers = [\"U0ANA\", \"U0BEN\", \"U0CHIYO\", \"U0DANA\", \"U0EMIL\"]\n";
        options.configuration = format!("{access}[model]\nchoices = [\"longshore-scripted-too\"]\n");
        options.service_log = Some(target_folder().join("harness/stories.log"));
        *stage = Some(Harness::start(options).await.map(Arc::new).map_err(|error| format!("{error:#}")));
    }
    match stage.as_ref() {
        Some(Ok(harness)) => Ok(Arc::clone(harness)),
        Some(Err(error)) => anyhow::bail!("the stage did not open: {error}"),
        None => anyhow::bail!("the stage is closed already"),
    }
}

/// Tells a story on the shared stage.
#[track_caller]
pub fn tell(story: impl AsyncFnOnce(&Harness) -> Result<()>) {
    let module = calling_module();
    assert!(TOLD_HERE.contains(&module), "add `{module}` to TOLD_HERE");
    counted(|| RUNTIME.block_on(async { story(&*open().await?).await }));
}

/// The file of the story that calls.
#[track_caller]
fn calling_module() -> &'static str {
    let file = std::path::Path::new(std::panic::Location::caller().file());
    file.file_stem().and_then(|stem| stem.to_str()).unwrap()
}

/// Tells a story and counts it; whichever is last closes the stage.
fn counted(tell: impl FnOnce() -> Result<()>) {
    // Known before the first story ends.
    let selected = Selected::tests();
    let told = catch_unwind(AssertUnwindSafe(tell));
    let is_last = {
        let mut count = told_so_far();
        *count += 1;
        *count == selected.stories
    };
    ONE_MORE_TOLD.notify_all();
    let closed = if is_last && !selected.closing { RUNTIME.block_on(close(async |_| Ok(()))) } else { Ok(()) };
    match told {
        Err(panic) => resume_unwind(panic),
        Ok(Err(error)) => panic!("{error:#}"),
        Ok(Ok(())) => closed.unwrap(),
    }
}

/// Tells a story with a service of its own.
#[track_caller]
pub fn tell_alone(options: Options, story: impl AsyncFnOnce(&Harness) -> Result<()>) {
    let tell = || {
        RUNTIME.block_on(async {
            let harness = Harness::start(options).await?;
            match story(&harness).await {
                Ok(()) => harness.finish().await,
                Err(error) => {
                    let log = harness.service.log_tail(60);
                    harness.give_up().await;
                    bail!("{error:#}\nThe service's log ends with\n{log}");
                }
            }
        })
    };
    // Those beside stories of the stage are among the selected ones that it waits for.
    if TOLD_HERE.contains(&calling_module()) { counted(tell) } else { tell().unwrap() }
}

/// Waits for every selected story, looks at what all of them left, and closes the stage.
pub fn close_after_all(look: impl AsyncFnOnce(&Harness) -> Result<()>) {
    let selected = Selected::tests();
    let waiting = ONE_MORE_TOLD.wait_timeout_while(told_so_far(), ALL_TOLD, |told| *told < selected.stories);
    let (told, timeout) = waiting.unwrap_or_else(PoisonError::into_inner);
    assert!(!timeout.timed_out(), "{} of {} stories have ended", *told, selected.stories);
    drop(told);
    RUNTIME.block_on(close(look)).unwrap();
}

async fn close(look: impl AsyncFnOnce(&Harness) -> Result<()>) -> Result<()> {
    let Some(Ok(harness)) = STAGE.lock().await.take() else { return Ok(()) };
    let looked = look(&harness).await;
    let harness = Arc::into_inner(harness).context("a story holds the stage still")?;
    // Both are told: what is wrong in the end often explains the other.
    match (looked, harness.finish().await) {
        (Ok(()), finished) => finished,
        (Err(looked), Ok(())) => Err(looked),
        (Err(looked), Err(finished)) => Err(looked.context(format!("{finished:#}"))),
    }
}

fn told_so_far() -> MutexGuard<'static, usize> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}
