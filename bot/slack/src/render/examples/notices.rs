//! Whatever takes a sentence or two.

use std::time::Duration;

use longshore_session::Unread;

use super::{Example, ana, ben, for_one, prompt, repo, session, thread};
use crate::render::{
    Answer, ImageNotReady, NotAllowed, Notice, QueuePlace, QueuedNotice, UnknownRepository, UnreadFiles, WaitingLine, WaitingNotice,
};

pub(super) fn all() -> Vec<Example> {
    let answer = Answer {
        markdown: "I mend code. *Mention me* with what is wrong, and I open a pull request.\n\n- `/agent help` says more".to_owned(),
    };
    let unknown = |named: Option<&str>| UnknownRepository { named: named.map(str::to_owned) };
    let mut list = vec![
        thread("answer", "A question that needs no repository is answered at once.", &answer, Answer::render),
        thread(
            "repository-unknown",
            "A repository was named that is none of ours, or not the asker's to use.",
            &unknown(Some("acme/nothing")),
            UnknownRepository::render,
        ),
        thread("repository-none", "There is no repository that the asker may use.", &unknown(None), UnknownRepository::render),
    ];
    list.extend(queued());
    list.extend(waiting());
    list.extend(unread_files());
    list.extend(image_not_ready());
    list.extend(not_allowed());
    list.extend(notices());
    list
}

fn waiting() -> [Example; 3] {
    let line = |place: usize, asker, asked: &str| WaitingLine {
        place,
        asker,
        asked: asked.to_owned(),
        thread_url: Some(format!("https://acme.slack.com/archives/C0SHOP/p17954000{place:05}000100")),
    };
    let lines = vec![
        line(1, ana(), "the checkout page double-charges on retry"),
        line(3, ben(), "please bump the linter and mend what it says about src/cart"),
        line(4, ana(), "why is <the> nightly job so slow?"),
        line(7, ben(), "the receipt shows a wrong total"),
    ];
    let crowd = (1..=250)
        .map(|place| line(place, if place % 2 == 0 { ana() } else { ben() }, "run the whole test suite, and mend what fails there"));
    [
        (
            "waiting",
            "Many turns of one channel wait for a sandbox: one message in the channel says it for all, and is changed as they begin.",
            WaitingNotice { most: 3, lines },
        ),
        (
            "waiting-crowd",
            "The same with very many: the later ones are named with their place.",
            WaitingNotice { most: 3, lines: crowd.collect() },
        ),
        ("waiting-none", "What that message turns into when all have begun.", WaitingNotice { most: 3, lines: Vec::new() }),
    ]
    .map(|(name, when, notice)| thread(name, when, &notice, WaitingNotice::render))
}

fn unread_files() -> [Example; 2] {
    let unread = |all, files: &[(&str, Unread)]| UnreadFiles {
        all,
        unread: files.iter().map(|(name, why)| ((*name).to_owned(), why.clone())).collect(),
    };
    let every_reason = [
        ("dump.sql", Unread::TooLarge { limit_mb: 20 }),
        ("eleventh.png", Unread::TooMany { limit: 10 }),
        ("video.mp4", Unread::TooMuch { limit_mb: 60 }),
        ("Plan for <spring>", Unread::Elsewhere),
        ("old.txt", Unread::Gone),
        ("secret.txt", Unread::NotAllowed),
        ("log.txt", Unread::Failed),
        ("data.csv", Unread::Unwritten),
    ];
    [
        thread("files-unread-one", "A file came with the prompt and cannot be read.", &unread(1, &every_reason[..1]), UnreadFiles::render),
        thread(
            "files-unread",
            "Some of a prompt's files cannot be read; each is named with the reason.",
            &unread(9, &every_reason),
            UnreadFiles::render,
        ),
    ]
}

fn queued() -> [Example; 9] {
    let withdrawn = |by| QueuePlace::Withdrawn { by };
    [
        ("queued-next", "A prompt came while a turn of its session runs.", QueuePlace::Waiting { place: 1 }),
        ("queued-second", "Another prompt waits before it.", QueuePlace::Waiting { place: 2 }),
        ("queued-third", "More than one waits before it.", QueuePlace::Waiting { place: 3 }),
        ("queued-started", "Its turn has begun.", QueuePlace::Started),
        ("queued-inserted", "It joined the turn of somebody else.", QueuePlace::Inserted { joined: ana() }),
        ("queued-inserted-own", "It joined the turn of the same person.", QueuePlace::Inserted { joined: ben() }),
        (
            "queued-moved",
            "The prompt before it went to another repository, and this one with it.",
            QueuePlace::Moved { to: repo("acme/courier") },
        ),
        ("queued-withdrawn", "Somebody pressed Withdraw.", withdrawn(Some(ana()))),
        ("queued-deleted", "Its message was deleted.", withdrawn(None)),
    ]
    .map(|(name, when, waiting)| {
        let asked = "and the receipts, please: they show <no> tax".to_owned();
        let notice = QueuedNotice { session: session(), prompt: prompt(), asker: ben(), asked, waiting };
        thread(name, when, &notice, QueuedNotice::render)
    })
}

fn image_not_ready() -> [Example; 3] {
    let repo = || repo("acme/storefront");
    [
        (
            "image-building",
            "The first image is being built; the prompt waits for it.",
            ImageNotReady::Building { repo: repo(), since: Duration::from_secs(200) },
        ),
        (
            "image-failed",
            "The image could not be built, and there is no earlier one.",
            ImageNotReady::Failed { repo: repo(), reference: "b-1".to_owned() },
        ),
        ("image-missing", "No image was built yet.", ImageNotReady::Missing { repo: repo() }),
    ]
    .map(|(name, when, what)| thread(name, when, &what, ImageNotReady::render))
}

fn not_allowed() -> [Example; 3] {
    [
        ("not-allowed-workspace", "Somebody of another workspace asks.", NotAllowed::Workspace),
        ("not-allowed-channel", "Somebody asks in a channel that is not on the list.", NotAllowed::Channel),
        ("not-allowed-user", "Somebody asks who is not on the list.", NotAllowed::User),
    ]
    .map(|(name, when, what)| for_one(name, when, &what, NotAllowed::render))
}

fn notices() -> Vec<Example> {
    let said = |name, when, notice| thread(name, when, &notice, Notice::render);
    let whispered = |name, when, notice| for_one(name, when, &notice, Notice::render);
    vec![
        whispered("notice-empty", "A mention with nothing in it.", Notice::Empty),
        whispered("notice-stop-asked", "After `/agent stop` with a session.", Notice::StopAsked { by: ben() }),
        whispered("notice-nothing-to-stop", "Stop was asked for where nothing runs.", Notice::NothingToStop),
        whispered("notice-ending-already", "Stop was asked for while the turn ends already.", Notice::EndingAlready),
        whispered("notice-too-late-to-join", "Send now was pressed while the turn ends already.", Notice::TooLateToJoin),
        whispered("notice-prompt-replaced", "A prompt was edited while it waited.", Notice::PromptReplaced),
        whispered("notice-edit-too-late", "A prompt was edited after its turn had begun.", Notice::EditTooLate),
        said("notice-prompt-withdrawn", "A prompt that waited for a repository was withdrawn.", Notice::PromptWithdrawn),
        whispered("notice-outdated", "A button was pressed whose time is over.", Notice::Outdated),
        whispered(
            "notice-answered-already",
            "A button of a question was pressed that has its answer.",
            Notice::AnsweredAlready { by: ben() },
        ),
        whispered("notice-no-other-repository", "Wrong repository was pressed, and there is only one.", Notice::NoOtherRepository),
        thread(
            "notice-disk-full",
            "What people write cannot be stored, since the service's disk is full.",
            &Notice::DiskFull,
            Notice::render,
        ),
        thread(
            "notice-record-rebuilt",
            "A session's database was damaged, and was put together again.",
            &Notice::RecordRebuilt,
            Notice::render,
        ),
        whispered("notice-pull-request-asked", "The button for a pull request was pressed.", Notice::PullRequestAsked),
        said(
            "notice-pull-request-opened",
            "The button's pull request is open.",
            Notice::PullRequestOpened { number: 12, url: "https://github.com/acme/storefront/pull/12".to_owned() },
        ),
        whispered(
            "notice-pull-request-refused",
            "The button's pull request cannot be opened.",
            Notice::PullRequestRefused { why: "there are no changes yet, so there is nothing to open a pull request for".to_owned() },
        ),
        said("notice-broken", "The service itself failed before a turn could begin.", Notice::Broken { reference: "r-1".to_owned() }),
        said(
            "notice-update",
            "The agent reports something on the way.",
            Notice::Update { words: "Half of the <tests> pass now; the other half waits for the database.".to_owned() },
        ),
    ]
}
