//! What people say to each other, and to the bot without words.

use anyhow::ensure;
use longshore_emulators::model::Script;

use crate::{
    hold::{Held, held, play, shell},
    stage::tell,
    thread::Thread,
};

fn begun(marker: &str, gate: &str) -> Script {
    let (tool, line) = shell("printf '\\n- Half a sentence' >> CHANGELOG.md");
    held(Script::for_prompt(marker).call(tool, line), gate).say("This is never said.")
}

#[test]
fn a_cross_on_the_card_stops_the_turn() {
    tell(async |stage| {
        let room = "C0ROOM26";
        play(stage, begun("sketch the courier changelog", "cross"));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore sketch the courier changelog of acme/courier")?;
        let _held = Held::at(&thread, 1, "cross").await?;
        let (card, _) = thread.button("stop").await?;
        let ben = stage.slack.person("U0BEN");
        ben.react(room, &card, "eyes")?;
        ben.react(room, &card, "x")?;
        assert_eq!(thread.turn(1).await?.outcome, "stopped");
        thread.shows("*Stopped* by @ben").await?;
        Ok(())
    });
}

#[test]
fn an_aside_is_for_people_and_the_talk_before_a_mention_is_for_the_agent() {
    tell(async |stage| {
        let room = "C0ROOM27";
        play(stage, Script::for_prompt("what they settled").say("They settled on Thursday."));
        play(stage, Script::for_prompt("and the second thing").say("Noted as well."));
        let thread = Thread::open(stage, "U0BEN", room, "when do we ship the new courier screen?")?;
        thread.reply("U0CHIYO", "Thursday, after the review")?;
        thread.reply("U0ANA", "@longshore what they settled, in acme/courier")?;
        thread.done(1).await?;
        thread.shows("They settled on Thursday.").await?;

        thread.reply("U0BEN", "aside: the cake is in the kitchen")?;
        thread.reply("U0ANA", "and the second thing")?;
        thread.done(2).await?;
        let requests = stage.model().requests();
        let bodies: Vec<String> =
            requests.iter().map(|request| request.body.to_string()).filter(|body| body.contains("what they settled")).collect();
        ensure!(
            bodies
                .iter()
                .any(|body| body.contains("Ben Okafor: when do we ship") && body.contains("Chiyo Tanaka: Thursday, after the review"))
        );
        ensure!(!bodies.iter().any(|body| body.contains("cake")), "the aside reached the agent");
        Ok(())
    });
}
