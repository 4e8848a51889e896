//! "Ask Longshore about this", from a message's menu.

use anyhow::{Context, Result, ensure};
use longshore_emulators::{
    model::Script,
    slack::{Channel, Fault, SubmitOutcome},
};
use longshore_harness::{Harness, Options};
use serde_json::{Value, json};

use crate::{
    hold::play,
    stage::{tell, tell_alone},
    thread::{SOON, Thread, whispers},
};

/// The window that the shortcut opened for this person.
async fn window(stage: &Harness, user: &str) -> Result<Value> {
    let person = stage.slack.person(user);
    let opened = stage.slack.wait_until(|_| person.views().pop(), SOON).await;
    opened.with_context(|| format!("no window opened; what was whispered: {:?}", person.ephemerals()))
}

fn id_of(view: &Value) -> Result<&str> {
    view["id"].as_str().context("the view has no id")
}

#[test]
fn a_message_can_be_asked_about_with_its_thread_as_context() {
    tell(async |stage| {
        let room = "C0ROOM63";
        let ben = stage.slack.person("U0BEN");
        play(stage, Script::for_prompt("find out what the courier should do").say("They should wait for the slot."));
        let talk = Thread::open(stage, "U0ANA", room, "the tours of acme/courier are late again")?;
        let message = talk.reply("U0CHIYO", "the second tour leaves before its slot opens")?;
        talk.reply("U0ANA", "and nobody tells the driver")?;

        ben.message_shortcut("ask_longshore", room, &message).await?;
        let view = window(stage, "U0BEN").await?;
        ensure!(view.to_string().contains("the second tour leaves before its slot opens"), "{view}");
        let typed = json!({"task": {"task": "acme/courier: find out what the courier should do"}});
        assert_eq!(ben.submit(id_of(&view)?, &typed).await?, SubmitOutcome::Closed);

        let said = talk.shows("asks me about").await?;
        ensure!(said.contains("@ben") && said.contains("find out what the courier should do"), "{said}");
        talk.done(1).await?;
        let session = talk.session().await?;
        assert_eq!(session.repository, "acme/courier");
        let requests = stage.model().requests();
        let knows = requests.iter().any(|request| {
            let conversation = request.body["messages"].to_string();
            conversation.contains("find out what the courier should do")
                && conversation.contains("the second tour leaves before its slot opens")
                && conversation.contains("nobody tells the driver")
        });
        ensure!(knows, "the agent was not told what the thread is about");
        ensure!(talk.said()[0].to_string().contains("asks me about"), "the first word is who asked for what:\n{}", talk.text());
        Ok(())
    });
}

#[test]
fn an_empty_answer_means_the_message_itself_and_a_public_channel_is_joined() {
    tell(async |stage| {
        let room = "C0OPEN";
        let ana = stage.slack.person("U0ANA");
        play(stage, Script::for_prompt("the courier's depot closes early").say("It is the depot's calendar."));
        let thread = Thread::open(stage, "U0ANA", room, "acme/courier: the courier's depot closes early")?;
        ana.message_shortcut("ask_longshore", room, &thread.ts).await?;
        let view = window(stage, "U0ANA").await?;
        ana.submit(id_of(&view)?, &json!({})).await?;
        thread.shows("asks me to do what").await?;
        thread.done(1).await?;
        assert_eq!(thread.session().await?.repository, "acme/courier");
        Ok(())
    });
}

#[test]
fn where_no_window_can_open_the_person_is_told_what_to_do() {
    let mut options = Options::samples(&["acme/courier"]);
    let closed = options.workspace.channels.iter().find(|channel| channel.id == "G0SECRET").cloned().unwrap();
    let members = vec!["U0ANA".to_owned()];
    options.workspace.channels.push(Channel { id: "G0CLOSED".to_owned(), name: "closed".to_owned(), members, ..closed });
    tell_alone(options, async |stage| {
        let ana = stage.slack.person("U0ANA");
        stage.expect_refusals("expired_trigger_id");
        stage.expect_refusals("channel_not_found");
        let late = ana.post("C0GENERAL", "why is this slow?")?;
        stage.slack.fail_next("views.open", Fault::Error { error: "expired_trigger_id".to_owned() }, 1);
        ana.message_shortcut("ask_longshore", "C0GENERAL", &late).await?;
        whispers(stage, "U0ANA", "C0GENERAL", "once more").await?;
        ana.message_shortcut("ask_longshore", "C0GENERAL", &late).await?;
        let view = window(stage, "U0ANA").await?;
        ana.close(id_of(&view)?).await?;

        let room = "G0CLOSED";
        let message = ana.post(room, "why is this slow?")?;
        ana.message_shortcut("ask_longshore", room, &message).await?;
        let refused = whispers(stage, "U0ANA", room, "I am not in this conversation").await?;
        ensure!(refused.contains("/invite"), "{refused}");
        ensure!(ana.views().is_empty(), "nothing is asked in vain");
        Ok(())
    });
}
