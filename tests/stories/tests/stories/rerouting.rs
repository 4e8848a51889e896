//! A prompt in the wrong repository, and a thread with work in two.

use anyhow::{Context, Result, ensure};
use longshore_emulators::{
    github::PullRequestView,
    model::Script,
    slack::{NewFile, NewPost, SubmitOutcome},
};
use longshore_harness::{Harness, SessionSummary, TURN_LIMIT, TurnReport};
use longshore_session::{Event, FileFate, TakenFile};
use serde_json::{Value, json};

use crate::{
    hold::{Held, docker, play},
    stage::tell,
    thread::{SOON, Thread, redacted},
};

/// The thread's session in this repository, as soon as there is one.
pub async fn session_in(thread: &Thread<'_>, repository: &str) -> Result<SessionSummary> {
    let find = async {
        loop {
            if let Some(found) = thread.sessions().await?.into_iter().find(|session| session.repository == repository) {
                return anyhow::Ok(found);
            }
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
    };
    tokio::time::timeout(TURN_LIMIT, find).await.with_context(|| format!("no session in {repository}:\n{}", thread.text()))?
}

/// A turn of a session, as soon as it has ended.
pub async fn ended(thread: &Thread<'_>, session: &SessionSummary, turn: u32) -> Result<TurnReport> {
    let find = async {
        loop {
            let turns = thread.harness.turns(&session.id).await?;
            if let Some(found) = turns.into_iter().find(|report| report.turn == turn && !report.outcome.is_empty()) {
                return anyhow::Ok(found);
            }
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
    };
    let found = tokio::time::timeout(TURN_LIMIT, find).await;
    found.with_context(|| format!("turn {turn} in {} has not ended:\n{}", session.repository, thread.text()))?
}

/// Presses the button, and gives the modal that opens.
pub async fn ask_where(thread: &Thread<'_>, user: &str) -> Result<Value> {
    let (card, button) = thread.button("wrong_repository").await?;
    let person = thread.harness.slack.person(user);
    person.press(&thread.channel, &card, &button).await?;
    let look = |_: &_| person.views().into_iter().find(|view| view["callback_id"] == "wrong_repository");
    Ok(thread.harness.slack.wait_until(look, SOON).await?)
}

pub async fn choose(harness: &Harness, user: &str, modal: &Value, repository: &str) -> Result<SubmitOutcome> {
    let view = modal["id"].as_str().context("a modal without an id")?;
    Ok(harness.slack.person(user).submit(view, &json!({ "repository": { "repository": repository } })).await?)
}

/// Plays a step in the storefront that lasts until the story lets it go, and none in any other repository.
pub fn held_in_storefront(script: Script, gate: &str) -> Script {
    let line = format!("if git remote get-url origin | grep -q storefront; then mkfifo /tmp/{gate} && cat /tmp/{gate}; fi");
    script.call("bash", json!({ "command": line, "description": "Wait for word" }))
}

fn pulls_of(harness: &Harness, session: &SessionSummary) -> Vec<PullRequestView> {
    let mut pulls = harness.github.pull_requests(&session.repository);
    pulls.retain(|pull| pull.head == session.branch);
    pulls
}

#[test]
fn a_prompt_in_the_wrong_repository_moves_with_its_file_and_what_waits() {
    tell(async |stage| {
        let room = "C0ROOM53";
        play(stage, held_in_storefront(Script::for_prompt("quokka report"), "quokka").say("The quokka report is planned."));
        play(stage, Script::for_prompt("numbat as well").say("The numbat is planned as well."));
        let file = NewFile {
            name: "quokka.txt".into(),
            mimetype: Some("text/plain".into()),
            content: b"quokkas hop".to_vec(),
            ..NewFile::default()
        };
        let post = NewPost { text: "@longshore quokka report, in acme/storefront".into(), thread_ts: None, files: vec![file] };
        let ts = stage.slack.person("U0ANA").post_with(room, post)?;
        let thread = Thread { harness: stage, channel: room.to_owned(), ts };
        let held = Held::at(&thread, 1, "quokka").await?;
        let old = session_in(&thread, "acme/storefront").await?;
        thread.reply("U0BEN", "the numbat as well, please")?;
        thread.shows("🕒").await?;

        let (modal, second) = (ask_where(&thread, "U0ANA").await?, ask_where(&thread, "U0BEN").await?);
        let now = modal.pointer("/blocks/0/text/text").and_then(Value::as_str).unwrap_or_default();
        ensure!(now.contains("*acme/storefront* now") && now.contains("quokka report"), "{now}");
        ensure!(
            !modal.pointer("/blocks/1").context("no question")?.to_string().contains("acme/storefront"),
            "it is there already: {modal}"
        );
        assert_eq!(choose(stage, "U0ANA", &modal, "acme/courier").await?, SubmitOutcome::Closed);
        thread.shows("↪️ Moved to acme/courier").await?;
        let new = session_in(&thread, "acme/courier").await?;
        choose(stage, "U0BEN", &second, "acme/dashboard").await?;
        thread.whispers("U0BEN", "time is over").await?;

        let (first, waited) = (ended(&thread, &new, 1).await?, ended(&thread, &new, 2).await?);
        assert_eq!((first.outcome.as_str(), first.prompt.as_str()), ("done", "quokka report, in acme/storefront"));
        assert_eq!((waited.outcome.as_str(), waited.prompt.as_str()), ("done", "the numbat as well, please"));
        thread.shows("The numbat is planned as well.").await?;
        let came_along = stage.events(&new.id).await?.into_iter().any(|event| {
            let placed = |file: &TakenFile| file.name == "quokka.txt" && matches!(file.fate, FileFate::Placed { .. });
            matches!(event, Event::FilesTaken { files, .. } if files.iter().any(placed))
        });
        ensure!(came_along, "the file stayed behind");
        assert_eq!(new.why, "Ana Kovač moved it here from acme/storefront");

        // The old session is over, and nothing is left of it.
        let gone = ended(&thread, &old, 1).await?;
        assert_eq!(gone.outcome, "stopped");
        ensure!(docker(&["inspect", &held.container]).await.is_err(), "its sandbox is still there");
        assert_eq!(stage.github.branch_head("acme/storefront", &old.branch).await?, None);
        let finals = thread.messages("final");
        assert_eq!(finals.len(), 3, "one for each prompt, and where the first one went: {}", thread.text());
        assert_eq!(thread.sessions().await?.len(), 2);
        let cards = thread.messages("card");
        insta::assert_snapshot!(redacted(&words(&cards[0])), @r#"
        ↪️ Moved to acme/courier
        *acme/storefront* was the wrong repository. The work has a card of its own below.
        Asked by <@U0ANA> · (time) · (tokens) · session `s-…`
        "#);
        // What comes now goes where the prompts went.
        play(stage, Script::for_prompt("bilby at last").say("The bilby is planned."));
        thread.reply("U0CHIYO", "and the bilby at last")?;
        assert_eq!(ended(&thread, &new, 3).await?.outcome, "done");
        Ok(())
    });
}

/// All that is written in a message's blocks, a line each.
fn words(message: &Value) -> String {
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    let lines: Vec<String> = blocks
        .iter()
        .filter_map(|block| block.pointer("/text/text").or_else(|| block.pointer("/elements/0/text")).and_then(Value::as_str))
        .map(str::to_owned)
        .collect();
    lines.join("\n")
}

/// Pushes a line and opens a pull request in the storefront; elsewhere there is nothing to do.
fn pushing_in_storefront(marker: &str) -> Script {
    let line = "if git remote get-url origin | grep -q storefront; then printf '\\n- One line\\n' >> CHANGELOG.md && git commit -qam 'Note one line'; fi";
    Script::for_prompt(marker)
        .call("bash", json!({ "command": line, "description": "Note one line" }))
        .call("open_pull_request", json!({ "title": "Note one line", "body": "One line more." }))
        .say("That is all.")
}

#[test]
fn a_pull_request_in_the_wrong_repository_is_closed_and_its_branch_goes() {
    tell(async |stage| {
        play(stage, pushing_in_storefront("wombat line"));
        let thread = Thread::open(stage, "U0ANA", "C0ROOM55", "@longshore wombat line, in acme/storefront")?;
        thread.done(1).await?;
        let old = session_in(&thread, "acme/storefront").await?;
        let pull = thread.pull().await?;
        let modal = ask_where(&thread, "U0BEN").await?;
        choose(stage, "U0BEN", &modal, "acme/courier").await?;
        let new = session_in(&thread, "acme/courier").await?;
        assert_eq!(ended(&thread, &new, 1).await?.outcome, "done");
        thread.shows("I closed my pull request").await?;
        thread.shows("↪️ Moved to acme/courier").await?;

        let closed = pulls_of(stage, &old).pop().context("the pull request is gone")?;
        ensure!(closed.state == "closed", "it is {}", closed.state);
        let comments = stage.github.comments("acme/storefront", pull.number);
        ensure!(comments.len() == 1 && comments[0].1.contains("wrong repository"), "{comments:?}");
        assert_eq!(stage.github.branch_head("acme/storefront", &old.branch).await?, None);
        assert_eq!(ended(&thread, &old, 1).await?.outcome, "done", "what was done there was done");
        Ok(())
    });
}

#[test]
fn a_pull_request_that_people_worked_on_stays_open() {
    tell(async |stage| {
        play(stage, pushing_in_storefront("potoroo line"));
        let thread = Thread::open(stage, "U0ANA", "C0ROOM56", "@longshore potoroo line, in acme/storefront")?;
        thread.done(1).await?;
        let old = session_in(&thread, "acme/storefront").await?;
        let pull = thread.pull().await?;
        let address = format!("{}/repos/acme/storefront/issues/{}/comments", stage.github.api_url, pull.number);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let said = client.post(address).bearer_auth(&stage.people.tokens["U0CHIYO"]).header("User-Agent", "story");
        said.body(json!({ "body": "I need this one." }).to_string()).send().await?.error_for_status()?;

        let modal = ask_where(&thread, "U0ANA").await?;
        choose(stage, "U0ANA", &modal, "acme/courier").await?;
        thread.shows("stays open, since people have worked on it").await?;
        let new = session_in(&thread, "acme/courier").await?;
        assert_eq!(ended(&thread, &new, 1).await?.outcome, "done");
        let kept = pulls_of(stage, &old).pop().context("the pull request is gone")?;
        ensure!(kept.state == "open", "it is {}", kept.state);
        ensure!(stage.github.branch_head("acme/storefront", &old.branch).await?.is_some(), "its branch is gone");
        Ok(())
    });
}

#[test]
fn two_mentions_about_two_repositories_make_two_sessions() {
    tell(async |stage| {
        play(stage, held_in_storefront(Script::for_prompt("bandicoot first"), "bandicoot").say("The bandicoot is first."));
        for (marker, answer) in [
            ("bilby second", "The bilby is second."),
            ("dunnart third", "The dunnart is third."),
            ("echidna fourth", "The echidna is fourth."),
            ("glider fifth", "The glider is fifth."),
        ] {
            play(stage, Script::for_prompt(marker).say(answer));
        }
        let thread = Thread::open(stage, "U0ANA", "C0ROOM54", "@longshore in acme/storefront bandicoot first")?;
        let shop = session_in(&thread, "acme/storefront").await?;
        let held = Held::in_session(&thread, &shop.id, 1, "bandicoot").await?;
        thread.reply("U0BEN", "@longshore in acme/courier bilby second")?;
        let courier = session_in(&thread, "acme/courier").await?;
        assert_eq!(ended(&thread, &courier, 1).await?.prompt, "in acme/courier bilby second");
        ensure!(courier.why.contains("the message names it"), "{}", courier.why);

        // Who was asked last is asked on; a name asks the other one.
        thread.reply("U0BEN", "and the dunnart third")?;
        assert_eq!(ended(&thread, &courier, 2).await?.prompt, "and the dunnart third");
        held.let_go().await?;
        assert_eq!(ended(&thread, &shop, 1).await?.outcome, "done");
        thread.reply("U0ANA", "@longshore the echidna fourth, in acme/storefront")?;
        assert_eq!(ended(&thread, &shop, 2).await?.prompt, "the echidna fourth, in acme/storefront");
        thread.reply("U0CHIYO", "the glider fifth, as acme/courier has it")?;
        assert_eq!(ended(&thread, &shop, 3).await?.prompt, "the glider fifth, as acme/courier has it");
        thread.shows("The glider is fifth.").await?;
        assert_eq!(thread.sessions().await?.len(), 2);

        thread.reply("U0ANA", "@longshore in acme/nowhere as well")?;
        thread.shows("I know no repository `acme/nowhere`").await?;
        assert_eq!(thread.sessions().await?.len(), 2);
        Ok(())
    });
}
