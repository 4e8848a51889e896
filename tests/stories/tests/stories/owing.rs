//! What is owed to a thread gets there although the wake-up that it depended on is lost, and the ledger tells of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_emulators::{model::Script, slack::Fault};
use longshore_harness::{Harness, Options, TURN_LIMIT};
use serde_json::Value;

use crate::{
    bad_ground::run,
    hold::{Held, held, host_shell, play},
    stage::tell_alone,
    thread::Thread,
};

const ROOM: &str = "C0CHECKOUT";

/// What the ledger says of each prompt, oldest first.
async fn ledger(harness: &Harness, more: &[&str]) -> Result<Vec<Value>> {
    let file = harness.service.config_file();
    let arguments = [&["ledger", "--json", "--config", file.to_str().context("a strange path")?], more].concat();
    let run = run(&arguments, harness.folder(), &[]).await;
    ensure!(run.success, "{run:?}");
    Ok(run.said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn states(entries: &[Value]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry["state"].as_str()).collect()
}

/// Changes a database as nobody but damage does, while no service runs.
async fn damage(harness: &Harness, database: &str, sql: &str) -> Result<()> {
    let path = harness.service.data_folder().join(database);
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(sys.argv[2]); db.commit()";
    host_shell(&format!("python3 -c '{script}' '{}' \"{sql}\"", path.display())).await.map(drop)
}

async fn logged(harness: &Harness, words: &str) -> Result<()> {
    let find = async {
        while !harness.service.log().contains(words) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(TURN_LIMIT, find).await.with_context(|| format!("`{words}` is not in the log"))
}

#[test]
fn a_lost_wake_up_loses_no_answer() {
    let mut options = Options::samples(&["acme/storefront"]);
    options.configuration = "[sandboxes]\npause_minutes = 0.01\nidle_minutes = 0.02\n".to_owned();
    tell_alone(options, async |harness| {
        play(harness, held(Script::for_prompt("the first thing"), "owing").say("The first is done."));
        play(harness, Script::for_prompt("the second thing").say("The second is done."));
        let thread = Thread::open(harness, "U0ANA", ROOM, "@longshore the first thing, in acme/storefront")?;
        let agent = Held::at(&thread, 1, "owing").await?;
        thread.reply("U0BEN", "and the second thing")?;
        thread.shows("I start on this as soon as").await?;
        let entries = ledger(harness, &["--owed"]).await?;
        assert_eq!(states(&entries), ["working", "queued"]);
        let session = thread.session().await?.id;
        let metrics = harness.service.metrics().await?;
        for line in [
            "longshore_up{part=\"engine\"} 1.0",
            "longshore_sandboxes{state=\"running\"} 1.0",
            "longshore_prompts_total 2",
            "longshore_prompts_overdue{why=\"unsent\"} 0.0",
        ] {
            ensure!(metrics.lines().any(|told| told == line), "`{line}` is not in\n{metrics}");
        }
        ensure!(metrics.contains("longshore_phase_seconds_count{phase=\"sandbox_ready\"} 1") && metrics.ends_with("# EOF\n"), "{metrics}");
        for secret in ["acme", "U0ANA", &session, &thread.ts] {
            ensure!(!metrics.contains(secret), "`{secret}` is in\n{metrics}");
        }
        ensure!(entries.iter().all(|entry| entry["session"] == session.as_str() && entry["thread"] == thread.ts.as_str()), "{entries:?}");

        // When all is done and its sandbox sleeps, nothing but its log says anything of the session: no start opens it.
        agent.let_go().await?;
        thread.done(1).await?;
        thread.done(2).await?;
        logged(harness, "the sandbox was idle for long enough").await?;
        assert_eq!(states(&ledger(harness, &[]).await?), ["sent", "sent"]);
        harness.service.kill().await?;
        let database = format!("sessions/{session}.db");
        // Its sandbox may be going in this moment.
        damage(harness, "longshore.db", "UPDATE sessions SET has_work = 0; DELETE FROM sandboxes").await?;
        damage(harness, &database, "DELETE FROM outbox WHERE key LIKE '%:final:%'").await?;
        damage(harness, &database, "DELETE FROM events WHERE body LIKE '%final_reply%'").await?;
        assert_eq!(states(&ledger(harness, &[]).await?), ["missing", "missing"]);
        harness.service.start().await?;
        logged(harness, "nobody sees to what the session owes").await?;
        logged(harness, "a turn ended and its final reply is nowhere").await?;
        thread.done(1).await?;
        thread.done(2).await?;
        let entries = ledger(harness, &[]).await?;
        ensure!(states(&entries) == ["reconciled", "reconciled"], "{entries:?}: {}", thread.text());
        assert_eq!(thread.messages("final").len(), 2, "{}", thread.text());
        assert_eq!(thread.messages("card").len(), 2, "{}", thread.text());

        // A send whose answer is lost is looked for, and the ledger says so.
        harness.slack.fail_next("chat.postMessage", Fault::AnswerLost, 1);
        thread.reply("U0ANA", "@longshore in acme/nowhere, the third thing")?;
        thread.shows("acme/nowhere").await?;
        let last = async {
            loop {
                let entries = ledger(harness, &[]).await?;
                if states(&entries).contains(&"reconciled") && entries.len() == 3 && entries.iter().all(|entry| entry["owed"] == false) {
                    return anyhow::Ok(entries);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let entries = tokio::time::timeout(TURN_LIMIT, last).await.context("the third is owed still")??;
        let outside: Vec<&Value> = entries.iter().filter(|entry| entry["session"].is_null()).collect();
        assert_eq!((outside.len(), &outside[0]["state"]), (1, &"reconciled".into()), "{entries:?}");
        assert_eq!(ledger(harness, &["--owed"]).await?, Vec::<Value>::new());
        let metrics = harness.service.metrics().await?;
        ensure!(metrics.contains("longshore_messages_sent_total{by=\"reconciled\"}"), "{metrics}");
        Ok(())
    });
}
