//! A database that is there before anybody asks.

use anyhow::ensure;
use longshore_emulators::model::Script;

use crate::{
    hold::{container, docker, play, shell},
    stage::tell,
    thread::Thread,
};

const ASK: &str = "psql --quiet --tuples-only --no-align postgres://dashboard@127.0.0.1/postgres --command";

#[test]
fn the_agent_and_the_check_have_the_database_that_the_image_was_built_with() {
    tell(async |stage| {
        let line = format!(
            "/opt/longshore/services up && /opt/longshore/services status && \
             {ASK} \"INSERT INTO visits VALUES ('2026-03-05', '/', 5)\" && \
             {ASK} \"SELECT 'visits: ' || sum(count) FROM visits\" && printf '\\n- Visits are counted\\n' >>CHANGELOG.md"
        );
        let (tool, line) = shell(&line);
        play(stage, Script::for_prompt("count the visits").call(tool, line).say("Counted."));
        let thread = Thread::open(stage, "U0ANA", "C0ROOM70", "@longshore count the visits in acme/dashboard")?;
        thread.done(1).await?;
        let text = thread.text();
        // `node --test test/… test/visits.test.js`, which asks the database.
        ensure!(text.contains("✅ *Done*, @ana.") && text.contains("test/visits.test.js") && text.contains("exit 0 in "), "{text}");
        let container = container(&thread, 1).await?;
        let asked = docker(&["exec", &container, "bash", "-c", &format!("{ASK} 'SELECT sum(count) FROM visits'; id -u")]).await?;
        ensure!(asked.trim() == "1955\n1000", "what the build left and what the agent added, as nobody special: {asked}");
        Ok(())
    });
}
