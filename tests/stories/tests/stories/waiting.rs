//! Prompts that wait for the running turn.

use anyhow::ensure;
use longshore_emulators::model::Script;

use crate::{
    hold::{Held, held, play},
    stage::tell,
    thread::Thread,
};

#[test]
fn a_prompt_waits_its_turn_and_can_be_changed_or_taken_back_until_then() {
    tell(async |stage| {
        let room = "C0ROOM10";
        play(stage, held(Script::for_prompt("storefront, the long work"), "long").say("The long work is done."));
        play(stage, Script::for_prompt("storefront, the edited words").say("I followed the edited words."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore acme/storefront, the long work")?;
        let held = Held::at(&thread, 1, "long").await?;

        let second = thread.reply("U0BEN", "storefront, the first words")?;
        thread.shows("I start on this as soon as the present work is done").await?;
        let third = thread.reply("U0CHIYO", "and another thing")?;
        thread.shows("1 prompt waits before this one").await?;
        stage.slack.person("U0BEN").edit(room, &second, "storefront, the edited words")?;
        thread.whispers("U0BEN", "I take the edited words").await?;
        stage.slack.person("U0CHIYO").delete(room, &third)?;
        stage.slack.person("U0ANA").edit(room, &thread.ts, "@longshore acme/storefront, something else")?;
        let late = thread.whispers("U0ANA", "I am working on this already").await?;
        ensure!(late.contains("Reply in this thread"), "{late}");
        held.let_go().await?;

        thread.done(1).await?;
        thread.shows("The long work is done.").await?;
        thread.done(2).await?;
        thread.shows("I followed the edited words.").await?;
        let asked = |words: &str| stage.model().requests().iter().any(|request| request.body["messages"].to_string().contains(words));
        ensure!(asked("storefront, the edited words") && !asked("storefront, the first words"), "the first words reached the model");
        let turns = stage.turns(&thread.session().await?.id).await?;
        assert_eq!(turns.len(), 2, "what was deleted is not worked on: {turns:?}");
        assert_eq!(thread.messages("final").len(), 2, "{}", thread.text());
        Ok(())
    });
}
