//! Where the bot is not sure which repository is meant.

use anyhow::ensure;
use longshore_emulators::slack::{Choice, PeopleError, Target};
use serde_json::json;

use crate::{
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
          the model's choice
          [This one]
          *acme/dashboard*
          the model's choice
          [This one]
          *acme/storefront*
          the model's choice
          [This one]
          [Never mind]
        "#);
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
