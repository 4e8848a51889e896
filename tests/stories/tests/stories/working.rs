//! What an agent does and shows on its way.

use anyhow::ensure;
use longshore_emulators::model::{Script, ScriptStep};
use serde_json::json;

use crate::{
    hold::{play, shell},
    stage::tell,
    thread::{Thread, redacted},
};

#[test]
fn changes_without_a_pull_request_are_offered_with_a_button() {
    tell(async |stage| {
        let room = "C0ROOM15";
        let (tool, line) = shell("printf '\\n- A line that nobody asked for twice\\n' >> CHANGELOG.md");
        play(stage, Script::for_prompt("quietly note it").call(tool, line).say("Noted, and that is all."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore quietly note it in the changelog of acme/dashboard")?;
        thread.done(1).await?;
        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-15

        Ana Kovač  (clock)
        @longshore quietly note it in the changelog of acme/dashboard

          longshore APP  (clock) (edited)
          ✅ Done · acme/dashboard
          *acme/dashboard* on `longshore/s-…`
          Why here: the message names it
          Asked by @ana · (time) · (tokens) · session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…) [Wrong repository]

          longshore APP  (clock)
          ✅ *Done*, @ana.
          Noted, and that is all.
          ✅ *Check* `node --test test/report.test.js test/summary.test.js test/chart.test.js test/month.test.js test/visits.test.js` exit 0 in (time) on `(commit)`
          1 file changed, 2 lines added, 0 lines removed
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Create pull request] [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);
        assert_eq!(thread.pulls().await?, []);

        let (reply, open) = thread.button("open_pull_request").await?;
        let (ana, ben) = (stage.slack.person("U0ANA"), stage.slack.person("U0BEN"));
        let (one, two) = tokio::join!(ana.press(room, &reply, &open), ben.press(room, &reply, &open));
        one?;
        two?;
        thread.shows("is open: ").await?;
        ana.press(room, &reply, &open).await?;
        // The room's deliveries are taken in order: when this is answered, all presses have been.
        ana.post(room, "@longshore")?;
        thread.whispers("U0ANA", "Tell me what to do").await?;

        let pull = thread.pull().await?;
        assert_eq!(pull.title, "quietly note it in the changelog of acme/dashboard");
        ensure!(pull.body.contains("Noted, and that is all."), "{}", pull.body);
        let announced =
            thread.said().iter().filter(|message| message["text"].as_str().is_some_and(|text| text.contains("is open: "))).count();
        assert_eq!(announced, 1, "{}", thread.text());
        Ok(())
    });
}

#[test]
fn an_agent_may_say_five_things_on_its_way_and_no_more() {
    tell(async |stage| {
        let mut script = Script::for_prompt("tell me everything");
        for number in 1..=6 {
            script = script.call("post_update", json!({ "text": format!("Turning point {number}") }));
        }
        let answer = |prompt: &longshore_emulators::model::PromptView| {
            let last = prompt.exchanges.last().map(|exchange| exchange.result.clone()).unwrap_or_default();
            ScriptStep::Say(format!("The last answer was: {last}"))
        };
        play(stage, script.decide(answer));
        let thread = Thread::open(stage, "U0BEN", "C0ROOM16", "@longshore tell me everything about acme/storefront")?;
        thread.done(1).await?;
        let text = thread.text();
        for number in 1..=5 {
            assert_eq!(text.matches(&format!("💡 Turning point {number}")).count(), 1, "{text}");
        }
        ensure!(!text.contains("Turning point 6"), "{text}");
        ensure!(text.contains("5 updates are enough for one turn"), "the agent was told: {text}");
        Ok(())
    });
}
