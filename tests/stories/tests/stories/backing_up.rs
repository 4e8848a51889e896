//! A backup that is taken while a turn runs, and a service that goes on from it.

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options};
use serde_json::Value;

use crate::{
    bad_ground::run,
    hold::{Held, held, play, shell},
    stage::tell_alone,
    thread::Thread,
};

const ROOM: &str = "C0CHECKOUT";

async fn longshore(harness: &Harness, arguments: &[&str]) -> Result<String> {
    let file = harness.service.config_file();
    let run = run(&[arguments, &["--config", file.to_str().context("a strange path")?]].concat(), harness.folder(), &[]).await;
    ensure!(run.success, "{run:?}");
    Ok(run.said)
}

#[test]
fn a_backup_of_a_running_turn_is_gone_on_with_and_nothing_is_said_twice() {
    let mut options = Options::samples(&["acme/storefront"]);
    options.environment = vec![("LONGSHORE_LOG_FORMAT".to_owned(), "json".to_owned())];
    tell_alone(options, async |harness| {
        let (tool, line) = shell("printf '\\n- One line\\n' >> CHANGELOG.md && git commit -qam 'Note one line'");
        play(harness, held(Script::for_prompt("one line, kept"), "backup").call(tool, line).say("The line is there."));
        for marker in ["first reply", "second reply"] {
            play(harness, Script::for_prompt(marker).say(&format!("To the {marker}.")));
        }
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore one line, kept, in acme/storefront")?;
        let agent = Held::at(&thread, 1, "backup").await?;
        thread.shows("Working").await?;
        let kept = harness.folder().join("kept");
        let said = longshore(harness, &["backup", kept.to_str().context("a strange path")?]).await?;
        ensure!(said.contains("backed up 1 session,") && said.contains("every database is sound"), "{said}");

        // It goes on, and what comes now is in no backup.
        agent.let_go().await?;
        thread.done(1).await?;
        thread.reply("U0ANA", "the first reply")?;
        thread.done(2).await?;
        thread.shows("To the first reply.").await?;
        let told = thread.messages("final").len();
        harness.service.kill().await?;

        let data = harness.service.data_folder();
        let refused = run(
            &[
                "restore",
                kept.to_str().context("a strange path")?,
                "--config",
                harness.service.config_file().to_str().context("a strange path")?,
            ],
            harness.folder(),
            &[],
        )
        .await;
        refused.refused_with(&["not empty", "a restore writes over nothing"]);
        std::fs::rename(&data, harness.folder().join("lost"))?;
        let said = longshore(harness, &["restore", kept.to_str().context("a strange path")?]).await?;
        ensure!(said.contains("restored 1 session,") && said.contains("It stands as of "), "{said}");

        harness.service.start().await?;
        // Its sandbox was another machine's; the turn ends, and its thread has the answer already.
        thread.turn(1).await?;
        assert_eq!(thread.messages("final").len(), told, "{}", thread.text());
        // The second turn of this memory is another one than the thread's second.
        thread.reply("U0ANA", "the second reply")?;
        thread.done(2).await?;
        thread.shows("To the second reply.").await?;
        assert_eq!((thread.messages("final").len(), thread.messages("card").len()), (told + 1, 3), "{}", thread.text());
        let session = thread.session().await?.id;
        let story = longshore(harness, &["session", "show", &session]).await?;
        for words in
            ["one line, kept", "turn 1 ended: failed", "the second reply", "says: To the second reply.", "turn 2 ended: done", "Messages"]
        {
            ensure!(story.contains(words), "`{words}` is not in {story}");
        }
        each_line_is_json_and_names_its_session(&harness.service.log(), &session)
    });
}

/// And nothing went wrong but what had to.
fn each_line_is_json_and_names_its_session(log: &str, session: &str) -> Result<()> {
    let mut of_session = 0;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        let is_of_session = spans.iter().any(|span| span["name"] == "session" && span["session"] == session);
        of_session += usize::from(is_of_session);
        let words = line["fields"]["message"].as_str().unwrap_or_default();
        ensure!(line["level"] != "ERROR" || (is_of_session && words == "the agent's carrier cannot be opened"), "{line}");
        ensure!(words != "took a snapshot" || is_of_session, "{line}");
    }
    ensure!(of_session > 3, "{of_session} lines name the session:\n{log}");
    Ok(())
}
