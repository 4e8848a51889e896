//! What the service itself finds out about a turn's work, and says in the final reply.

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::Options;
use longshore_session::{CheckEnd, CheckRecord, Event};
use serde_json::json;

use crate::{
    hold::{docker, host_shell, play, shell},
    stage::{tell, tell_alone},
    thread::{Thread, redacted},
};

const STOREFRONT: &str = "acme/storefront";

/// The newest final reply, as a person sees it.
fn newest_reply(thread: &Thread<'_>) -> Result<String> {
    let text = thread.text();
    let reply = text.rsplit("longshore APP").next().context("nobody said anything")?;
    Ok(redacted(reply))
}

async fn checks(thread: &Thread<'_>) -> Result<Vec<CheckRecord>> {
    let events = thread.events().await?.into_iter();
    Ok(events.filter_map(|event| if let Event::CheckEnded { check, .. } = event { Some(check) } else { None }).collect())
}

#[test]
fn the_check_runs_on_what_was_pushed_and_its_end_is_told() {
    tell(async |stage| {
        let (tool, line) = shell("printf '\\n- A line that holds\\n' >> CHANGELOG.md");
        play(stage, Script::for_prompt("write a line that holds").call(tool, line).say("I ran nothing at all."));
        let thread = Thread::open(stage, "U0ANA", "C0ROOM48", "@longshore write a line that holds in acme/storefront")?;
        thread.done(1).await?;
        insta::assert_snapshot!(newest_reply(&thread)?, @r#"
          (clock)
          ✅ *Done*, @ana.
          I ran nothing at all.
          ✅ *Check* `python3 -m compileall -q storefront && python3 -m unittest tests.test_money tests.test_catalog tests.test_checkout` exit 0 in (time) on `(commit)`
          1 file changed, 2 lines added, 0 lines removed
          classified (time) · sandbox (time) · sync (time) · first token (time) · turn (time)
          Models: (tokens)
          session `s-…`
          [Create pull request] [Open session](http://127.0.0.1:…/sessions/s-…?key=…)
        "#);
        let session = thread.session().await?;
        let head = stage.github.branch_head(STOREFRONT, &session.branch).await?.context("nothing was pushed")?;
        let found = checks(&thread).await?;
        ensure!(found.len() == 1 && found[0].commit == head && found[0].passed(), "{found:?}, the branch is at {head}");

        play(stage, Script::for_prompt("why that line").say("Because it holds."));
        thread.reply("U0BEN", "why that line?")?;
        thread.done(2).await?;
        ensure!(!newest_reply(&thread)?.contains("Check"), "nothing was changed: {}", thread.text());
        assert_eq!(checks(&thread).await?.len(), 1);
        Ok(())
    });
}

#[test]
fn a_check_that_fails_is_told_with_the_end_of_its_output_whatever_the_agent_says() {
    tell(async |stage| {
        let (tool, line) = shell("printf 'def broken(:\\n' >> storefront/money.py && git commit -qam 'Break the money'");
        play(stage, Script::for_prompt("break the money").call(tool, line).say("All tests pass."));
        let thread = Thread::open(stage, "U0CHIYO", "C0ROOM49", "@longshore break the money of acme/storefront")?;
        thread.done(1).await?;
        let text = thread.text();
        for wanted in [
            "⚠️ Done, but the check fails · acme/storefront",
            "⚠️ *Done, but the check fails*, @chiyo.",
            "All tests pass.",
            "❌ *Check* `python3 -m compileall",
            "exit 1 in ",
            "def broken(:",
            "SyntaxError: invalid syntax",
        ] {
            ensure!(text.contains(wanted), "`{wanted}` is not there: {text}");
        }

        let (tool, line) = shell("git revert --no-edit HEAD");
        play(stage, Script::for_prompt("mend it again").call(tool, line).say("Mended."));
        thread.reply("U0CHIYO", "mend it again")?;
        thread.done(2).await?;
        let reply = newest_reply(&thread)?;
        ensure!(reply.contains("✅ *Done*") && reply.contains("exit 0 in (time) on `(commit)`"), "{reply}");
        let found = checks(&thread).await?;
        ensure!(found.len() == 2 && !found[0].passed() && found[1].passed(), "{found:?}");
        Ok(())
    });
}

#[test]
fn a_pull_request_is_told_with_where_it_stands() {
    tell(async |stage| {
        let (tool, line) = shell("printf '\\n- A line to be merged\\n' >> CHANGELOG.md");
        let opened = json!({ "title": "Add a line to be merged", "body": "A line." });
        let script = Script::for_prompt("write a line to be merged").call(tool, line).call("open_pull_request", opened).say("Opened.");
        play(stage, script);
        let thread = Thread::open(stage, "U0ANA", "C0ROOM50", "@longshore write a line to be merged in acme/dashboard")?;
        thread.done(1).await?;
        let reply = newest_reply(&thread)?;
        ensure!(reply.contains("Add a line to be merged (") && reply.contains(") · open\n"), "{reply}");

        let number = thread.pull().await?.number;
        stage.github.merge_pull_request("acme/dashboard", number, &stage.people.logins["U0BEN"]).await?;
        play(stage, Script::for_prompt("is it in").say("It is."));
        thread.reply("U0BEN", "is it in?")?;
        thread.done(2).await?;
        let reply = newest_reply(&thread)?;
        ensure!(reply.contains(") · merged\n") && !reply.contains("Check"), "{reply}");
        Ok(())
    });
}

/// Leaves files behind, is slow where a file says so, and waits where there is a pipe.
const SPOILS: &str = r#"
[check]
command = '''
date >left-behind.txt; echo spoilt >>README.md
if [ -e slow ]; then echo still at it; sleep 60001 & sleep 60001; fi
[ ! -p /tmp/check ] || cat /tmp/check
'''
timeout_s = 20
"#;

#[test]
fn a_check_that_hangs_or_is_broken_off_leaves_nothing_behind() {
    let mut options = Options::samples(&[STOREFRONT]);
    let manifest = Options::manifest_text(STOREFRONT).unwrap() + SPOILS;
    options.manifests.insert(STOREFRONT.to_owned(), manifest);
    options.configuration = "[model.prices.longshore-scripted]\ninput = 100\noutput = 1000\n".to_owned();
    tell_alone(options, async |harness| {
        let (tool, line) = shell("touch slow");
        play(harness, Script::for_prompt("make it slow").call(tool, line).say("It is slow."));
        let thread = Thread::open(harness, "U0ANA", "C0CHECKOUT", "@longshore make it slow, in acme/storefront")?;
        let first = thread.done(1).await?;
        let text = thread.text();
        ensure!(text.contains("was ended at its limit of 20 s on") && text.contains("still at it"), "{text}");
        ensure!(text.contains("Models: $"), "the model has a price: {text}");
        let container = format!("{}-{}", harness.namespace(), first.sandbox.context("no sandbox")?);
        let inside = async |line: &str| docker(&["exec", &container, "sh", "-c", line]).await;
        assert_eq!(inside("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o 'sleep 6000[1]' || true").await?, "");
        assert_eq!(inside("cd /workspace && git status --porcelain").await?, "");

        let (tool, line) = shell("git rm -q slow && mkfifo /tmp/check");
        play(harness, Script::for_prompt("make it quick").call(tool, line).say("It is quick."));
        thread.reply("U0ANA", "make it quick")?;
        thread.shows("🧪 Running the check").await?;
        harness.service.kill().await?;
        inside("rm /tmp/check").await?;
        harness.service.start().await?;
        thread.done(2).await?;
        let found = checks(&thread).await?;
        let ends: Vec<&CheckEnd> = found.iter().map(|check| &check.end).collect();
        assert_eq!(ends, [&CheckEnd::TimedOut { seconds: 20 }, &CheckEnd::Exited { code: 0 }], "{}", thread.text());
        assert_eq!(thread.messages("final").len(), 2, "{}", thread.text());

        let session = thread.session().await?;
        assert_eq!(harness.github.branch_head(STOREFRONT, &session.branch).await?, Some(found[1].commit.clone()));
        let bare = harness.github.bare_path(STOREFRONT)?;
        let changed = host_shell(&format!("git -C {} diff --name-only main {}", bare.display(), session.branch)).await?;
        assert_eq!(changed, "", "what the check wrote was committed");
        assert_eq!(inside("cd /workspace && git status --porcelain").await?, "");
        Ok(())
    });
}

#[test]
fn a_sessions_page_opens_by_its_link_and_not_without_the_key() {
    tell(async |stage| {
        let (tool, line) = shell("printf '\\n- A line to look at\\n' >> CHANGELOG.md");
        let script = Script::for_prompt("write a line to look at").call(tool, line).say("Look: <b>bold</b> & brave.");
        play(stage, script);
        let thread = Thread::open(stage, "U0ANA", "C0ROOM51", "@longshore write a line to look at in acme/courier")?;
        thread.done(1).await?;
        let links: Vec<String> = ["card", "final"]
            .iter()
            .flat_map(|kind| thread.messages(kind))
            .flat_map(|message| message["blocks"].as_array().cloned().unwrap_or_default())
            .flat_map(|block| block["elements"].as_array().cloned().unwrap_or_default())
            .filter(|element| element["action_id"] == "link:session")
            .filter_map(|element| element["url"].as_str().map(str::to_owned))
            .collect();
        ensure!(links.len() == 2 && links[0] == links[1], "card and reply have the link: {links:?}");
        let page = reqwest::get(&links[0]).await?;
        assert_eq!(page.status(), 200);
        let policy = page.headers()["content-security-policy"].to_str()?.to_owned();
        ensure!(policy.starts_with("default-src 'none'"), "{policy}");
        let text = page.text().await?;
        let shown =
            ["Ana Kovač asked:", "write a line to look at", "Look: &lt;b&gt;bold&lt;/b&gt; &amp; brave.", "The check `", "exit code 0"];
        for wanted in shown {
            ensure!(text.contains(wanted), "`{wanted}` is not on the page: {text}");
        }
        ensure!(!text.contains("<script") && !text.contains("<b>"), "{text}");

        let (address, key) = links[0].split_once("?key=").context("no key")?;
        for wrong in [address.to_owned(), format!("{address}?key="), format!("{address}?key={}", key.to_lowercase())] {
            let refused = reqwest::get(&wrong).await?;
            assert_eq!(refused.status(), 404, "{wrong}");
            ensure!(!refused.text().await?.contains("look at"), "{wrong} tells something");
        }
        Ok(())
    });
}
