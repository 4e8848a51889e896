//! The app's Home tab: my sessions, and what I set for myself.

use anyhow::{Context, Result, ensure};
use longshore_emulators::{
    model::Script,
    slack::{Choice, Target},
};
use longshore_harness::{Harness, TURN_LIMIT};
use serde_json::{Value, json};

use crate::{
    hold::{Held, held, play, shell},
    stage::tell,
    thread::{Thread, whispers},
};

/// A person's Home tab, as soon as it holds this.
async fn home_shows(stage: &Harness, user: &str, text: &str) -> Result<Value> {
    let person = stage.slack.person(user);
    let look = |_: &_| person.home().filter(|view| view.to_string().contains(text));
    let shown = stage.slack.wait_until(look, TURN_LIMIT).await;
    shown.with_context(|| format!("the Home tab of {user} does not show `{text}`: {:?}", person.home()))
}

/// Uses an element of the tab as it stands.
async fn choose(stage: &Harness, user: &str, action_id: &str, value: Option<Value>) -> Result<()> {
    let person = stage.slack.person(user);
    let home = person.home().context("the tab was never opened")?;
    let choice = Choice { action_id: action_id.to_owned(), value, ..Choice::default() };
    Ok(person.act(Target::view(home["id"].as_str().context("no id")?), choice).await?)
}

#[test]
fn my_home_tab_follows_my_sessions_and_stops_them() {
    tell(async |stage| {
        let room = "C0ROOM61";
        stage.slack.person("U0EMIL").open_home()?;
        home_shows(stage, "U0EMIL", "Your sessions").await?;

        play(stage, held(Script::for_prompt("courier tour, held for a tab"), "tab").say("Never said."));
        let thread = Thread::open(stage, "U0EMIL", room, "@longshore acme/courier: courier tour, held for a tab")?;
        let _held = Held::at(&thread, 1, "tab").await?;
        let session = thread.session().await?.id;
        let shown = home_shows(stage, "U0EMIL", "· working ·").await?.to_string();
        let permalink = format!("/archives/{room}/p{}", thread.ts.replace('.', ""));
        for part in [&*session, "acme/courier", "courier tour, held for a tab", &permalink] {
            ensure!(shown.contains(part), "no `{part}`: {shown}");
        }

        choose(stage, "U0EMIL", &format!("stop:{session}"), None).await?;
        assert_eq!(thread.turn(1).await?.outcome, "stopped");
        let emil = stage.slack.person("U0EMIL");
        let is_idle = |view: &Value| {
            let text = view.to_string();
            text.contains(&session) && text.contains("· idle ·") && !text.contains(&format!("stop:{session}"))
        };
        stage.slack.wait_until(|_| emil.home().filter(is_idle), TURN_LIMIT).await.with_context(|| format!("{:?}", emil.home()))?;
        Ok(())
    });
}

#[test]
fn what_i_set_for_myself_counts_where_nothing_else_is_said() {
    tell(async |stage| {
        let room = "C0ROOM62";
        stage.slack.person("U0DANA").open_home()?;
        home_shows(stage, "U0DANA", "Your defaults").await?;
        choose(stage, "U0DANA", "prefer_model", Some(json!("longshore-scripted-too"))).await?;
        choose(stage, "U0DANA", "prefer_repository", Some(json!("acme/courier"))).await?;
        choose(stage, "U0DANA", "prefer_pull_requests", Some(json!(["draft"]))).await?;
        let all_set = |view: &Value| {
            let set = |block: &str, pointer: &str| {
                let blocks = view["blocks"].as_array().into_iter().flatten();
                blocks.filter(|one| one["block_id"] == block).find_map(|one| one.pointer(pointer)?.as_str().map(str::to_owned))
            };
            set("home.model", "/accessory/initial_option/value").as_deref() == Some("longshore-scripted-too")
                && set("home.repository", "/accessory/initial_option/value").as_deref() == Some("acme/courier")
                && set("home.pulls", "/accessory/initial_options/0/value").as_deref() == Some("draft")
        };
        let dana = stage.slack.person("U0DANA");
        stage.slack.wait_until(|_| dana.home().filter(all_set), TURN_LIMIT).await.with_context(|| format!("{:?}", dana.home()))?;

        let (tool, line) = shell("echo 'Looked at.' >> README.md");
        play(stage, Script::for_prompt("have a look for dana").call(tool, line).say("I noted it."));
        let thread = Thread::open(stage, "U0DANA", room, "@longshore something is off, please have a look for dana")?;
        thread.shows("Why here: your default").await?;
        thread.done(1).await?;
        assert_eq!(thread.session().await?.repository, "acme/courier");
        let requests = stage.model().requests();
        let asked: Vec<&str> = requests
            .iter()
            .filter(|request| request.body["tools"].is_array() && request.body["messages"].to_string().contains("have a look for dana"))
            .map(|request| request.model.as_str())
            .collect();
        ensure!(!asked.is_empty() && asked.iter().all(|model| *model == "longshore-scripted-too"), "the agent asked {asked:?}");

        let (message, action) = thread.button("open_pull_request").await?;
        dana.press(room, &message, &action).await?;
        thread.shows("Pull request #").await?;
        let pull = thread.pull().await?;
        ensure!(pull.draft, "it is ready for review: {pull:?}");
        dana.slash(room, "/agent status").await?;
        let status = whispers(stage, "U0DANA", room, &format!("PR #{}> draft", pull.number)).await?;
        ensure!(status.contains("acme/courier"), "{status}");

        play(stage, Script::for_prompt("elsewhere for dana").say("Nothing to do."));
        let named = Thread::open(stage, "U0DANA", room, "@longshore acme/storefront: elsewhere for dana")?;
        named.done(1).await?;
        assert_eq!(named.session().await?.repository, "acme/storefront", "what is typed wins");

        choose(stage, "U0DANA", "prefer_repository", Some(json!("-"))).await?;
        home_shows(stage, "U0DANA", "No default").await?;
        Ok(())
    });
}
