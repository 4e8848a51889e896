//! Ending a turn before its end.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use longshore_emulators::model::Script;

use crate::{
    hold::{Held, held, play, shell},
    stage::tell,
    thread::{Thread, redacted},
};

/// What a person feels as at once, on a machine that has other work.
const AT_ONCE: Duration = Duration::from_secs(15);

fn half_done(marker: &str, gate: &str) -> Script {
    let (tool, line) = shell("printf '\\n- Half a sentence' >> CHANGELOG.md");
    held(Script::for_prompt(marker).call(tool, line), gate).say("This is never said.")
}

#[test]
fn a_word_in_the_thread_stops_the_turn_and_the_next_reply_goes_on() {
    tell(async |stage| {
        play(stage, half_done("begin the storefront changelog", "word"));
        play(stage, Script::for_prompt("leave it at that").say("I leave it at that."));
        let thread = Thread::open(stage, "U0ANA", "C0ROOM11", "@longshore begin the storefront changelog of acme/storefront")?;
        let held = Held::at(&thread, 1, "word").await?;
        let asked = Instant::now();
        thread.reply("U0BEN", "Stop")?;
        let turn = thread.turn(1).await?;

        ensure!(asked.elapsed() < AT_ONCE, "it took {:?}", asked.elapsed());
        assert_eq!(turn.outcome, "stopped");
        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-11

        Ana Kovač  (clock)
        @longshore begin the storefront changelog of acme/storefront

          longshore APP  (clock) (edited)
          ⏹️ Stopped · acme/storefront
          *acme/storefront* on `longshore/s-…`
          Why here: the message names it
          Asked by @ana · (time) · (tokens) · session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…) [Wrong repository]

          Ben Okafor  (clock)
          Stop

          longshore APP  (clock)
          ⏹️ *Stopped* by @ben. What was done so far is kept. Reply in this thread to go on.
          1 file changed, 2 lines added, 0 lines removed
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Create pull request] [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);
        let session = thread.session().await?;
        let head = stage.github.branch_head("acme/storefront", &session.branch).await?.context("the work so far was pushed")?;
        ensure!(!head.is_empty());
        assert_eq!(thread.pulls().await?, []);

        thread.reply("U0ANA", "leave it at that")?;
        let next = thread.done(2).await?;
        assert_eq!(next.sandbox, turn.sandbox);
        thread.shows("I leave it at that.").await?;
        let still_held = crate::hold::docker(&["exec", &held.container, "pgrep", "-f", "cat /tmp/word"]).await;
        ensure!(still_held.is_err(), "the stopped command still runs");
        Ok(())
    });
}

#[test]
fn two_people_press_stop_at_once() {
    tell(async |stage| {
        let room = "C0ROOM12";
        play(stage, half_done("begin the dashboard changelog", "button"));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore begin the dashboard changelog of acme/dashboard")?;
        let _held = Held::at(&thread, 1, "button").await?;
        let (card, stop) = thread.button("stop").await?;
        let (ana, ben) = (stage.slack.person("U0ANA"), stage.slack.person("U0BEN"));
        let (one, two) = tokio::join!(ana.press(room, &card, &stop), ben.press(room, &card, &stop));
        one?;
        two?;
        let turn = thread.turn(1).await?;

        assert_eq!(turn.outcome, "stopped");
        assert_eq!(thread.messages("final").len(), 1, "{}", thread.text());
        let told = |_: &_| {
            let all = [ana.ephemerals(), ben.ephemerals()].concat();
            let is_told = |message: &&serde_json::Value| message["channel"] == room && message.to_string().contains("ending already");
            Some(all.iter().filter(is_told).count()).filter(|count| *count > 0)
        };
        assert_eq!(stage.slack.wait_until(told, crate::thread::SOON).await?, 1, "the second one is told that it ends already");
        thread.reply("U0BEN", "stop")?;
        thread.whispers("U0BEN", "nothing running here").await?;
        Ok(())
    });
}
