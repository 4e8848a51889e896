//! `/agent …`

use anyhow::ensure;
use longshore_emulators::{
    model::Script,
    slack::{Choice, PeopleError, Target},
};

use crate::{
    hold::{Held, held, play},
    stage::tell,
    thread::{Thread, action_id, redacted, whisper, whispers},
};

#[test]
fn commands_tell_what_runs_and_stop_it() {
    tell(async |stage| {
        let room = "C0ROOM13";
        let ana = stage.slack.person("U0ANA");
        play(stage, held(Script::for_prompt("courier tour, held"), "status").say("Never said."));
        play(stage, held(Script::for_prompt("courier tour, once more"), "again").say("Never said."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore acme/courier: courier tour, held")?;
        let _held = Held::at(&thread, 1, "status").await?;
        let session = thread.session().await?.id;

        ana.slash(room, "/agent status").await?;
        let status = whispers(stage, "U0ANA", room, &session).await?;
        for part in ["acme/courier", "working", "<@U0ANA>", "running", "courier tour, held"] {
            ensure!(status.contains(part), "the status has no `{part}`: {status}");
        }
        ana.slash(room, &format!("/agent stop {session}")).await?;
        whispers(stage, "U0ANA", room, "asked me to stop").await?;
        assert_eq!(thread.turn(1).await?.outcome, "stopped");

        thread.reply("U0ANA", "courier tour, once more")?;
        let _held = Held::at(&thread, 2, "again").await?;
        ana.slash(room, "/agent stop").await?;
        let list = whisper(stage, "U0ANA", room, "Which one shall I stop?").await?;
        let stop = action_id(&list, &format!("stop:{session}")).or_else(|| action_id(&list, "stop"));
        let choice = Choice { action_id: stop.unwrap(), ..Choice::default() };
        ana.act(Target::message(room, list["ts"].as_str().unwrap()), choice).await?;
        assert_eq!(thread.turn(2).await?.outcome, "stopped");
        Ok(())
    });
}

#[test]
fn commands_explain_themselves() {
    tell(async |stage| {
        let room = "C0ROOM14";
        let ben = stage.slack.person("U0BEN");
        ben.slash(room, "/agent repos").await?;
        let repos = whispers(stage, "U0BEN", room, "repositories").await?;
        for repository in ["acme/storefront", "acme/dashboard", "acme/courier"] {
            // Asked in the moment in which the service looks for news, it is being rebuilt.
            let fresh = [format!("*{repository}* ready at"), format!("*{repository}* is being rebuilt")];
            ensure!(fresh.iter().any(|state| repos.contains(state)), "{repository} is missing: {repos}");
        }
        ben.slash(room, "/agent help").await?;
        whispers(stage, "U0BEN", room, "Reply in the thread to go on").await?;
        ben.slash(room, "/agent staus").await?;
        let hint = whisper(stage, "U0BEN", room, "Did you mean").await?;
        insta::assert_snapshot!(redacted(hint["text"].as_str().unwrap()), @"I don't know `staus`. Did you mean `/agent status`?");
        ben.slash(room, "/agent stop s-aaaaaaaaaa").await?;
        whispers(stage, "U0BEN", room, "nothing running here").await?;
        ben.slash(room, "/agent stop").await?;
        whispers(stage, "U0BEN", room, "There is nothing of yours running").await?;

        let talk = Thread::open(stage, "U0BEN", room, "just talk")?;
        talk.reply("U0ANA", "yes")?;
        let refused = ben.slash_in_thread(room, &talk.ts, "/agent status").await;
        assert_eq!(refused, Err(PeopleError::CommandInThread("/agent".to_owned())), "Slack itself refuses");
        Ok(())
    });
}

#[test]
fn status_shows_mine_the_channels_and_everybodys_with_what_came_of_them() {
    tell(async |stage| {
        let room = "C0ROOM59";
        let (ana, ben) = (stage.slack.person("U0ANA"), stage.slack.person("U0BEN"));
        let asked = Thread::open(stage, "U0ANA", room, "@longshore coupons are refused on their last valid day")?;
        asked.done(1).await?;
        let number = asked.pull().await?.number;
        let mine = asked.session().await?.id;
        play(stage, held(Script::for_prompt("courier tour, held for a list"), "list").say("Here I am."));
        play(stage, Script::for_prompt("courier tour, and this waits").say("It waited."));
        let running = Thread::open(stage, "U0BEN", room, "@longshore acme/courier: courier tour, held for a list")?;
        let held = Held::at(&running, 1, "list").await?;
        let bens = running.session().await?.id;
        running.reply("U0ANA", "courier tour, and this waits")?;
        running.shows("I start on this as soon as").await?;

        ana.slash(room, "/agent status").await?;
        let status = whispers(stage, "U0ANA", room, "Yours:").await?;
        let pull = format!("PR #{number}> open");
        let permalink = format!("/archives/{room}/p{}", asked.ts.replace('.', ""));
        for part in [&*mine, &*pull, &*permalink, "1 queued", "courier tour, and this waits", "idle", "*Images:*", "acme/storefront"] {
            ensure!(status.contains(part), "no `{part}`: {status}");
        }
        ensure!(!status.contains("courier tour, held for a list"), "ben's turn is not hers: {status}");
        ensure!(status.contains("of other people's"), "nothing says that others are at work: {status}");

        ben.slash(room, "/agent status channel").await?;
        let status = whispers(stage, "U0BEN", room, "This channel:").await?;
        for part in [&*mine, &*bens, "1 running", "1 queued", "1 idle", "There is no pool"] {
            ensure!(status.contains(part), "no `{part}`: {status}");
        }
        ben.slash("C0ROOM60", "/agent status all").await?;
        let status = whispers(stage, "U0BEN", "C0ROOM60", "Everybody:").await?;
        ensure!(status.contains(&bens), "{status}");
        held.let_go().await?;
        running.done(1).await?;
        running.turn(2).await?;
        Ok(())
    });
}

#[test]
fn link_says_whose_account_opens_the_pull_requests() {
    tell(async |stage| {
        let room = "C0ROOM60";
        let ana = stage.slack.person("U0ANA");
        ana.slash(room, "/agent link").await?;
        let linked = whispers(stage, "U0ANA", room, "You are linked to the GitHub account").await?;
        ensure!(linked.contains("/ana|ana>") && linked.contains("in your name"), "{linked}");
        let dana = stage.slack.person("U0DANA");
        dana.slash(room, "/agent link").await?;
        let unlinked = whispers(stage, "U0DANA", room, "You are not linked").await?;
        ensure!(unlinked.contains("people.U0DANA") && unlinked.contains("opened by the Longshore app"), "{unlinked}");
        ana.slash(room, "/agent status chanel").await?;
        whispers(stage, "U0ANA", room, "Did you mean `/agent status channel`?").await?;
        Ok(())
    });
}
