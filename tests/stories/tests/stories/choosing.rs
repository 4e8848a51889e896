//! Where the bot is not sure which repository is meant.

use anyhow::{Context, ensure};
use longshore_emulators::{
    model::Script,
    slack::{Choice, PeopleError, Target},
};
use serde_json::json;

use crate::{
    hold::play,
    stage::tell,
    thread::{Thread, action_id, redacted},
};

#[test]
fn a_click_goes_on_with_what_was_asked_and_the_next_one_is_too_late() {
    tell(async |stage| {
        let room = "C0ROOM7";
        let thread = Thread::open(stage, "U0ANA", room, "@longshore something is off, please have a look")?;
        let (picker, _) = thread.button("pick_repository").await?;
        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-7

        Ana Kovač  (clock)
        @longshore something is off, please have a look

          longshore APP  (clock)
          🧭 @ana, which repository is this about? I am not sure enough to start.
          > something is off, please have a look
          *acme/courier*
          nothing in the text points to it
          [This one]
          *acme/dashboard*
          nothing in the text points to it
          [This one]
          *acme/storefront*
          nothing in the text points to it
          [This one]
          [Never mind]
        "#);
        // Until somebody picks, the message itself is the prompt.
        stage.slack.person("U0ANA").edit(room, &thread.ts, "@longshore arrival times after midnight show as 25:10")?;
        // Two people at once: one of them is second.
        let select = action_id(&thread.messages("picker")[0], "pick_repository:select")
            .or_else(|| action_id(&thread.messages("picker")[0], "pick_repository"));
        let choice = Choice { action_id: select.unwrap(), block_id: None, value: Some(json!("acme/courier")) };
        let (ben, chiyo) = (stage.slack.person("U0BEN"), stage.slack.person("U0CHIYO"));
        let (one, two) =
            tokio::join!(ben.act(Target::message(room, &picker), choice.clone()), chiyo.act(Target::message(room, &picker), choice));
        one?;
        two?;
        thread.shows("*acme/courier*, picked by @").await?;
        let outdated = |_: &_| {
            let all = [ben.ephemerals(), chiyo.ephemerals()].concat();
            Some(all.iter().filter(|message| message["channel"] == room && message.to_string().contains("time is over")).count())
                .filter(|count| *count > 0)
        };
        assert_eq!(stage.slack.wait_until(outdated, crate::thread::SOON).await?, 1);
        let turn = thread.done(1).await?;

        ensure!(turn.prompt == "arrival times after midnight show as 25:10", "worked on `{}`", turn.prompt);
        assert_eq!(thread.session().await?.repository, "acme/courier");
        assert_eq!(thread.sessions().await?.len(), 1);
        let pull = thread.pull().await?;
        assert_eq!(pull.title, "Start the clock again after midnight");
        assert_eq!(pull.author, "ana", "it is still Ana's prompt");
        Ok(())
    });
}

#[test]
fn likely_repositories_come_first() {
    tell(async |stage| {
        let thread = Thread::open(stage, "U0ANA", "C0ROOM8", "@longshore the order is wrong")?;
        thread.button("pick_repository").await?;
        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-8

        Ana Kovač  (clock)
        @longshore the order is wrong

          longshore APP  (clock)
          🧭 @ana, which repository is this about? I am not sure enough to start.
          > the order is wrong
          *acme/courier*
          mentions order, wrong; the model thinks of it, too
          [This one]
          *acme/dashboard*
          mentions wrong; the model thinks of it, too
          [This one]
          *acme/storefront*
          mentions order; the model thinks of it, too
          [This one]
          [Never mind]
        "#);
        Ok(())
    });
}

#[test]
fn somebody_else_may_answer_but_not_somebody_who_may_not_use_the_bot() {
    tell(async |stage| {
        let room = "C0ROOM57";
        play(stage, Script::for_prompt("tidy the platypus shelf").say("The shelf is tidy."));
        let known = || -> Vec<String> { stage.slack.deliveries().into_iter().filter_map(|delivery| delivery.event_id).collect() };
        let before = known();
        let thread = Thread::open(stage, "U0ANA", room, "@longshore tidy the platypus shelf")?;
        let (picker, _) = thread.button("pick_repository").await?;
        // The same event five times makes no second picker. (Events of other rooms that came meanwhile are none the worse for it.)
        let events: Vec<String> = known().into_iter().filter(|id| !before.contains(id)).collect();
        for event in events.iter().cycle().take(4 * events.len()) {
            stage.slack.redeliver(event)?;
        }

        let choice = Choice { action_id: pick(&thread)?, block_id: None, value: Some(json!("acme/courier")) };
        stage.slack.person("U0GUS").act(Target::message(room, &picker), choice.clone()).await?;
        thread.whispers("U0GUS", "not on the list of people").await?;
        assert_eq!(thread.sessions().await?.len(), 0, "a stranger's click counts for nothing");

        stage.slack.person("U0BEN").act(Target::message(room, &picker), choice).await?;
        thread.shows("picked by @ben").await?;
        thread.done(1).await?;
        let session = thread.session().await?;
        assert_eq!((session.why.as_str(), thread.sessions().await?.len()), ("picked by Ben Okafor", 1));
        assert_eq!(thread.messages("picker").len(), 1, "{}", thread.text());
        assert_eq!(thread.messages("final").len(), 1, "{}", thread.text());
        Ok(())
    });
}

/// The action of the picker's first button or of its list.
fn pick(thread: &Thread<'_>) -> anyhow::Result<String> {
    thread.messages("picker").first().and_then(|picker| action_id(picker, "pick_repository")).context("there is no picker")
}

#[test]
fn a_picker_whose_prompt_is_deleted_is_closed() {
    tell(async |stage| {
        let room = "C0ROOM58";
        let thread = Thread::open(stage, "U0BEN", room, "does anybody know what this is?")?;
        let asked = thread.reply("U0ANA", "@longshore something about the wobbegong is off")?;
        let (picker, button) = thread.button("pick_repository").await?;
        stage.slack.person("U0ANA").delete(room, &asked)?;
        thread.shows("This question is closed").await?;
        thread.shows("Withdrawn.").await?;
        let late = stage.slack.person("U0BEN").press(room, &picker, &button).await;
        assert_eq!(late, Err(PeopleError::NoSuchAction(button)));
        assert_eq!(thread.sessions().await?.len(), 0);
        assert_eq!(thread.messages("final").len(), 1, "{}", thread.text());
        Ok(())
    });
}

#[test]
fn a_prompt_that_waits_for_a_choice_can_be_withdrawn() {
    tell(async |stage| {
        let room = "C0ROOM9";
        let by_button = Thread::open(stage, "U0ANA", room, "@longshore something is off here")?;
        let (picker, withdraw) = by_button.button("withdraw").await?;
        stage.slack.person("U0BEN").press(room, &picker, &withdraw).await?;
        let text = by_button.shows("Withdrawn by @ben").await?;
        ensure!(text.contains("Nothing was started"), "{text}");
        let gone = stage.slack.person("U0ANA").press(room, &picker, &withdraw).await;
        assert_eq!(gone, Err(PeopleError::NoSuchAction(withdraw)));

        let by_word = Thread::open(stage, "U0ANA", room, "@longshore something else is off")?;
        by_word.button("withdraw").await?;
        by_word.reply("U0ANA", "@longshore stop")?;
        by_word.shows("Withdrawn.").await?;
        for thread in [by_button, by_word] {
            assert_eq!(thread.sessions().await?.len(), 0);
        }
        Ok(())
    });
}
