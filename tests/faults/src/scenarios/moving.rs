//! A prompt that went to the wrong repository.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use longshore_session::Event;
use serde_json::{Value, json};

use super::{COURIER, SHOP};
use crate::{
    case::Case,
    checks::{nobody_expected, nothing_owed, whole_log},
    deeds::Deeds,
    stage::{Stage, until},
    thread::{ASKER, Held, ROOM, TURN_LIMIT, Task, Thread, key_of},
};

pub async fn moving(stage: &Stage, case: &Case) -> Result<()> {
    let task = Task::new();
    // In the wrong repository it pushes something, and gets no further.
    let wrong = format!("printf '\\n- {}\\n' >> CHANGELOG.md && git commit -qam 'Note it' && git push -q origin HEAD", task.word);
    let line = format!("{}; if [ -d storefront ]; then {wrong}; touch /tmp/at-go; sleep 1000; fi", task.trace());
    stage.harness.model().push_script(Deeds::of(&task).shell(&line).script());
    let story = async {
        let thread = Thread::open(stage, &format!("@longshore in {SHOP}, note {}", task.word))?;
        Held::at(stage, "go").await?;
        let old = thread.session().await?;
        thread.press(ASKER, "wrong_repository").await?;
        let person = stage.harness.slack.person(ASKER);
        let look = |_: &_| person.views().into_iter().find(|view| view["callback_id"] == "wrong_repository");
        let modal = stage.harness.slack.wait_until(look, TURN_LIMIT).await?;
        let view = modal["id"].as_str().context("a modal without an id")?.to_owned();
        stage.arm(case)?;
        // Where the window is gone, somebody took what was chosen.
        while let Err(error) = person.submit(&view, &json!({ "repository": { "repository": COURIER } })).await
            && person.views().iter().any(|open| open["id"] == view.as_str())
        {
            tracing::debug!(%error, "submitting again");
            stage.harness.service.wait_until_ready().await?;
        }
        let is_told = |messages: &[Value]| messages.iter().filter(|message| key_of(message).ends_with(":final:1")).count() == 2;
        thread.until("the end of both sessions", is_told).await?;
        stage.survived().await?;
        moved_once(&thread, &old, &task).await
    };
    stage.keep(story).await
}

async fn moved_once(thread: &Thread<'_>, old: &str, task: &Task) -> Result<()> {
    let stage = thread.stage;
    let sessions = stage.harness.sessions_of(ROOM, &thread.ts).await?;
    ensure!(sessions.len() == 2, "the thread has {} sessions:\n{}", sessions.len(), thread.text());
    let new = sessions.iter().find(|session| session.id != old).context("no new session")?;
    ensure!(new.repository == COURIER, "{new:?}");
    let count = |events: &[Event], wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    until("what the old session left is dealt with", TURN_LIMIT, async || {
        Ok(count(&whole_log(stage, old).await?, |event| matches!(event, Event::CleanedUp)) == 1)
    })
    .await?;
    for session in [old, &new.id] {
        nothing_owed(stage, session).await?;
        let events = whole_log(stage, session).await?;
        let moved = usize::from(session == old);
        for (what, found, wanted) in [
            ("accepted prompts", count(&events, |event| matches!(event, Event::PromptAccepted { .. })), 1),
            ("begun turns", count(&events, |event| matches!(event, Event::TurnStarted { .. })), 1),
            ("ended turns", count(&events, |event| matches!(event, Event::TurnEnded { .. })), 1),
            ("moves", count(&events, |event| matches!(event, Event::Moved { .. })), moved),
            ("clean-ups", count(&events, |event| matches!(event, Event::CleanedUp)), moved),
        ] {
            ensure!(found == wanted, "the log of {session} has {found} {what}, not {wanted}");
        }
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for message in thread.all().iter().filter(|message| !key_of(message).is_empty()) {
        *seen.entry(key_of(message).to_owned()).or_default() += 1;
    }
    ensure!(seen.values().all(|count| *count == 1), "{seen:?}");
    let last = thread.messages("final").iter().map(Value::to_string).collect::<String>();
    ensure!(last.contains(&task.answer()), "the answer is not in the thread:\n{}", thread.text());
    let pulls = [SHOP, COURIER].map(|repository| stage.harness.github.pull_requests(repository));
    let mut mine = pulls.iter().flatten().filter(|pull| pull.head.ends_with(old) || pull.head.ends_with(&new.id));
    ensure!(mine.next().is_none(), "nobody asked for a pull request");
    let sandboxes = async || Ok(stage.sandboxes().await?.len() == 1 && stage.carriers() == stage.sandboxes().await?);
    until("the new session's sandbox is the only one", TURN_LIMIT, sandboxes).await?;
    nobody_expected(stage)
}
