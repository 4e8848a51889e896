//! The queue in the thread, and prompts that do not wait in it.

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::Harness;
use serde_json::{Value, json};

use crate::{
    hold::{Held, docker, held, play, shell},
    stage::tell,
    thread::{Thread, action_id, redacted},
};

/// Words of everything that the agent's model was asked in conversations that hold this.
fn asked(stage: &Harness, marker: &str) -> Vec<String> {
    let requests = stage.model().requests().into_iter().filter(|request| !request.tools.is_empty());
    requests.map(|request| request.body["messages"].to_string()).filter(|messages| messages.contains(marker)).collect()
}

/// The notice of the prompt with these words.
fn notice(thread: &Thread<'_>, words: &str) -> Result<Value> {
    let found = thread.messages("queued").into_iter().find(|message| message["text"].to_string().contains(words));
    found.with_context(|| format!("no notice holds `{words}`:\n{}", thread.text()))
}

/// Waits until the agent has noted what it was given: it keeps its conversation in the sandbox.
async fn noted(held: &Held, words: &str) -> Result<()> {
    let line = format!("until grep -rqs '{words}' /home/agent/.local/share/opencode; do sleep 0.1; done");
    docker(&["exec", &held.container, "sh", "-c", &line]).await.map(drop)
}

#[test]
fn a_prompt_with_now_joins_the_running_turn_and_one_reply_answers_both() {
    tell(async |stage| {
        let room = "C0ROOM31";
        play(stage, held(Script::for_prompt("the storefront totals, slowly"), "totals").say("This is never said."));
        play(stage, Script::for_prompt("mention the tax, too").say("The totals are looked at, and the tax is mentioned."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore acme/storefront: the storefront totals, slowly")?;
        let held = Held::at(&thread, 1, "totals").await?;
        thread.reply("U0BEN", "@longshore NOW: mention the tax, too")?;
        thread.shows("Handed over.").await?;
        noted(&held, "mention the tax, too").await?;
        held.let_go().await?;
        thread.done(1).await?;
        thread.shows("the tax is mentioned").await?;

        let steps = asked(stage, "mention the tax, too");
        ensure!(steps.iter().all(|step| step.contains("the storefront totals, slowly")), "it is the same conversation: {steps:?}");
        ensure!(steps.iter().all(|step| step.contains("Ben Okafor says to you: mention the tax, too")), "{steps:?}");
        assert_eq!(stage.turns(&thread.session().await?.id).await?.len(), 1);
        assert_eq!(thread.messages("final").len(), 1, "{}", thread.text());
        insta::assert_snapshot!(redacted(&thread.text()), @r#"
        #room-31

        Ana Kovač  (clock)
        @longshore acme/storefront: the storefront totals, slowly

          longshore APP  (clock) (edited)
          ✅ Done · acme/storefront
          *acme/storefront* on `longshore/s-…`
          Why here: the message names it
          Asked by @ana · (time) · (tokens) · session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…) [Wrong repository]

          Ben Okafor  (clock)
          @longshore NOW: mention the tax, too

          longshore APP  (clock)
          📨 *Handed over.* The agent gets this at its next step; the reply to @ana's work answers it, too.
          @ben: mention the tax, too

          longshore APP  (clock)
          ✅ *Done*, @ana and @ben.
          The totals are looked at, and the tax is mentioned.
          This answers the prompt that joined the work on the way, too.
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);
        Ok(())
    });
}

#[test]
fn who_waits_moves_up_can_be_sent_now_and_can_be_taken_back() {
    tell(async |stage| {
        let room = "C0ROOM32";
        play(stage, held(Script::for_prompt("the dashboard colours, slowly"), "colours").say("This is never said."));
        play(stage, Script::for_prompt("the second wish").say("Colours and the second wish are done."));
        play(stage, Script::for_prompt("the fourth wish").say("The fourth wish is done."));
        let thread = Thread::open(stage, "U0ANA", room, "@longshore acme/dashboard: the dashboard colours, slowly")?;
        let held = Held::at(&thread, 1, "colours").await?;
        for (person, words, place) in [
            ("U0BEN", "the second wish", "I start on this as soon as"),
            ("U0CHIYO", "the third wish", "1 prompt waits before"),
            ("U0ANA", "the fourth wish", "2 prompts wait before"),
        ] {
            thread.reply(person, words)?;
            thread.shows(place).await?;
        }
        let press = async |words: &str, person: &str, button: &str| {
            let notice = notice(&thread, words)?;
            let button = action_id(&notice, button).context("no such button")?;
            let ts = notice["ts"].as_str().context("no ts")?.to_owned();
            anyhow::Ok(stage.slack.person(person).press(room, &ts, &button).await?)
        };
        press("the third wish", "U0BEN", "withdraw_queued").await?;
        thread.shows("*Withdrawn* by @ben.").await?;
        stage
            .slack
            .wait_for_thread(
                room,
                &thread.ts,
                |_| notice(&thread, "the fourth wish").is_ok_and(|it| it["text"].to_string().contains("1 prompt waits")),
                crate::thread::SOON,
            )
            .await?;
        press("the second wish", "U0CHIYO", "send_now").await?;
        thread.shows("the reply to @ana's work answers it, too").await?;
        stage
            .slack
            .wait_for_thread(
                room,
                &thread.ts,
                |_| notice(&thread, "the fourth wish").is_ok_and(|it| it["text"].to_string().contains("*Next.*")),
                crate::thread::SOON,
            )
            .await?;
        held.let_go().await?;

        thread.done(1).await?;
        thread.shows("Colours and the second wish are done.").await?;
        thread.done(2).await?;
        thread.shows("The fourth wish is done.").await?;
        thread.shows("*Started.*").await?;
        for notice in thread.messages("queued") {
            assert_eq!(action_id(&notice, "send_now"), None, "no button is left: {notice}");
        }
        assert_eq!(thread.messages("queued").len(), 3, "{}", thread.text());
        assert_eq!(thread.messages("final").len(), 2, "{}", thread.text());
        ensure!(asked(stage, "the third wish").is_empty(), "what was withdrawn reached the agent");
        Ok(())
    });
}

#[test]
fn commits_after_a_prompt_joined_name_its_author_too() {
    tell(async |stage| {
        let room = "C0ROOM34";
        let (tool, first) = shell("printf '\\n- First line\\n' >> CHANGELOG.md && git commit -qam 'Note the first line'");
        play(stage, held(Script::for_prompt("the courier lines, slowly").call(tool, first), "lines").say("This is never said."));
        let (_, second) =
            shell("printf '\\n- Second line\\n' >> CHANGELOG.md && git commit -qam 'Note the second line' && echo >> CHANGELOG.md");
        let joined = Script::for_prompt("a second line, too").call(tool, second);
        play(
            stage,
            joined.call("open_pull_request", json!({ "title": "Note two lines", "body": "Two lines." })).say("Two lines are noted."),
        );
        let thread = Thread::open(stage, "U0ANA", room, "@longshore acme/courier: the courier lines, slowly")?;
        let held = Held::at(&thread, 1, "lines").await?;
        thread.reply("U0BEN", "now: a second line, too")?;
        thread.shows("Handed over.").await?;
        noted(&held, "a second line, too").await?;
        held.let_go().await?;
        thread.done(1).await?;

        let pull = thread.pull().await?;
        let commits = stage.github.pull_request_commits("acme/courier", pull.number).await?;
        let told: Vec<(String, String)> = commits
            .iter()
            .map(|commit| {
                let ben = if commit.message.contains("Co-authored-by: Ben Okafor <ben@example.com>") { " with Ben" } else { "" };
                (commit.author.email.clone(), format!("{}{ben}", commit.message.lines().next().unwrap_or_default()))
            })
            .collect();
        let ana = |subject: &str| ("ana@example.com".to_owned(), subject.to_owned());
        let wanted = [ana("Note the first line"), ana("Note the second line with Ben"), ana("Note two lines with Ben")];
        assert_eq!(told, wanted, "{commits:#?}");
        Ok(())
    });
}
