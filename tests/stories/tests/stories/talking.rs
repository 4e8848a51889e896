//! What people say to each other, and to the bot without words.

use anyhow::{Context, Result, ensure};
use longshore_emulators::{model::Script, slack::OtherApp};
use longshore_session::Event;

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

#[test]
fn what_people_say_to_each_other_goes_along_with_the_next_prompt() {
    tell(async |stage| {
        let room = "C0ROOM33";
        play(stage, Script::for_prompt("the courier prices").say("The prices are in a table."));
        play(stage, Script::for_prompt("and what follows from that").say("The winter prices are doubled, so the table is right."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore acme/courier: the courier prices")?;
        thread.done(1).await?;
        thread.reply("U0BEN", "@chiyo does that hold for the winter?")?;
        thread.reply("U0CHIYO", "@ben yes, they are doubled then")?;
        thread.reply("U0CHIYO", "aside: the cake is in the kitchen")?;
        thread.reply("U0ANA", "and what follows from that?")?;
        thread.done(2).await?;
        thread.shows("so the table is right").await?;

        assert_eq!(prompts(&thread).await?, ["acme/courier: the courier prices", "and what follows from that?"]);
        let requests = stage.model().requests();
        let last = requests.iter().rev().map(|request| request.body.to_string()).find(|body| body.contains("what follows from that"));
        let last = last.context("the agent was not asked")?;
        for said in ["Ben Okafor: @Chiyo Tanaka does that hold for the winter?", "Chiyo Tanaka: @Ben Okafor yes, they are doubled then"] {
            ensure!(last.contains(said), "`{said}` is not in {last}");
        }
        ensure!(!last.contains("cake"), "the aside reached the agent");
        Ok(())
    });
}

#[test]
fn where_another_bot_speaks_only_a_name_makes_a_prompt() {
    tell(async |stage| {
        let room = "C0ROOM35";
        play(stage, Script::for_prompt("the storefront prices").say("The prices are in a table."));
        play(stage, Script::for_prompt("look again").say("I looked again."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore acme/storefront: the storefront prices")?;
        thread.done(1).await?;
        let deploys = OtherApp { user: "U0DEPLOYS".to_owned(), bot: "B0DEPLOYS".to_owned() };
        stage.slack.reply_as_other_app(&deploys, room, &thread.ts, "Deployed 1.2.3.");
        thread.reply("U0BEN", "thanks, that was quick")?;
        thread.reply("U0BEN", "@longshore look again, please")?;
        thread.done(2).await?;
        assert_eq!(prompts(&thread).await?, ["acme/storefront: the storefront prices", "look again, please"]);
        let requests = stage.model().requests();
        ensure!(requests.iter().any(|request| request.body.to_string().contains("Ben Okafor: thanks, that was quick")));
        Ok(())
    });
}

/// The words of every prompt that the thread's session accepted.
async fn prompts(thread: &Thread<'_>) -> Result<Vec<String>> {
    let events = thread.events().await?;
    let accepted = events.into_iter().filter_map(|event| match event {
        Event::PromptAccepted { prompt } => Some(prompt.text),
        _ => None,
    });
    Ok(accepted.collect())
}
