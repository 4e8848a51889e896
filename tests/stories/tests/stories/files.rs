//! Files that come with a prompt, files of the agent's, and texts that are too long for a message.

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore_emulators::{
    model::Script,
    slack::{Call, Fault, FilePlace, NewFile, NewPost},
};
use longshore_harness::Harness;
use serde_json::{Value, json};

use crate::{
    hold::{play, shell},
    stage::tell,
    thread::{SOON, Thread},
};

/// One green point.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn file(name: &str, content: impl Into<Vec<u8>>) -> NewFile {
    NewFile { name: name.to_owned(), content: content.into(), ..NewFile::default() }
}

fn open<'a>(stage: &'a Harness, room: &str, text: &str, files: Vec<NewFile>) -> Result<Thread<'a>> {
    let post = NewPost { text: text.to_owned(), thread_ts: None, files };
    let ts = stage.slack.person("U0ANA").post_with(room, post)?;
    Ok(Thread { harness: stage, channel: room.to_owned(), ts })
}

/// What the model was sent for prompts that hold the marker, request by request.
fn sent(stage: &Harness, marker: &str) -> Vec<String> {
    stage.model().requests().iter().map(|request| request.body.to_string()).filter(|body| body.contains(marker)).collect()
}

#[test]
fn a_picture_and_a_text_reach_the_agent_and_no_commit() {
    tell(async |stage| {
        let (tool, line) =
            shell("cat /home/agent/files/*/notes.txt && printf '\\n- As the picture shows\\n' >> CHANGELOG.md && git add --all --verbose");
        play(stage, Script::for_prompt("as the picture of room 43 shows").call(tool, line).say("It is as the picture shows."));
        let (tool, line) = shell("cat /home/agent/files/*/second-of-room-43.txt");
        play(stage, Script::for_prompt("second-of-room-43.txt").call(tool, line).say("I have read the second one."));
        let picture = STANDARD.decode(PICTURE)?;
        let files = vec![file("screen shot.png", picture), file("notes.txt", "the till is in the cellar")];
        let text = "@longshore note it as the picture of room 43 shows, in acme/courier";
        let thread = open(stage, "C0ROOM43", text, files)?;
        thread.done(1).await?;
        thread.shows("1 file changed").await?;

        let bodies = sent(stage, "as the picture of room 43 shows");
        let whole = format!("data:image/png;base64,{PICTURE}");
        ensure!(bodies.iter().any(|body| body.contains(&whole)), "the model was shown no picture");
        ensure!(bodies.iter().any(|body| body.contains("/screen_shot.png") && body.contains("/notes.txt")), "no paths were told");
        ensure!(bodies.iter().any(|body| body.contains("the till is in the cellar")), "the agent could not read the text");
        ensure!(!bodies.iter().any(|body| body.contains("add 'notes.txt'") || body.contains("add 'files")), "the files were added");

        // A reply that is nothing but a file.
        let post = NewPost {
            text: String::new(),
            thread_ts: Some(thread.ts.clone()),
            files: vec![file("second-of-room-43.txt", "and the key is under the mat")],
        };
        stage.slack.person("U0BEN").post_with("C0ROOM43", post)?;
        thread.done(2).await?;
        let bodies = sent(stage, "See the attached file: second-of-room-43.txt");
        ensure!(bodies.iter().any(|body| body.contains("the key is under the mat")), "the reply's file did not come");
        Ok(())
    });
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    tell(async |stage| {
        // Slack says it of the file that was deleted.
        stage.expect_refusals("file_deleted");
        let (tool, line) = shell("cat /home/agent/files/*/small.txt /home/agent/files/*/hidden.txt");
        play(stage, Script::for_prompt("what is in the files of room 44").call(tool, line).say("That much I could read."));
        let placed = |name: &str, place: FilePlace| NewFile { place, ..file(name, "behind the curtain") };
        let files = vec![
            file("dump.bin", vec![7; (20 << 20) + 1]),
            file("small.txt", "small but here"),
            placed("plan.gdoc", FilePlace::Elsewhere("https://docs.google.com/document/d/1".to_owned())),
            placed("hidden.txt", FilePlace::Hidden),
            placed("gone.txt", FilePlace::Deleted),
        ];
        let thread = open(stage, "C0ROOM44", "@longshore what is in the files of room 44, acme/courier", files)?;
        thread.done(1).await?;
        let text = thread.shows("I could not read 3 of 5 files").await?;
        for line in
            ["`dump.bin`: it is larger than 20 MB", "`plan.gdoc`: it is a link to a file outside of Slack", "`gone.txt`: it was deleted"]
        {
            ensure!(text.contains(line), "nobody was told `{line}`: {text}");
        }
        assert_eq!(text.matches("I could not read").count(), 1, "said once: {text}");
        let bodies = sent(stage, "what is in the files of room 44");
        ensure!(bodies.iter().any(|body| body.contains("small but here") && body.contains("behind the curtain")), "the rest did not come");
        ensure!(bodies.iter().any(|body| body.contains("not there: `dump.bin`")), "the agent was not told");
        Ok(())
    });
}

#[test]
fn a_hostile_name_harms_nothing() {
    tell(async |stage| {
        let (tool, line) = shell(
            "cd /home/agent/files/* && ls -1 && cat * && git -C /workspace status --porcelain && ls -1 /tmp/owned /workspace/etc 2>&1; true",
        );
        play(stage, Script::for_prompt("odd names in room 45").call(tool, line).say("Odd names, plain files."));
        let files = vec![
            file("../../../workspace/etc/passwd", "first content"),
            file("line\nbreak $(touch /tmp/owned).txt", "second content"),
            file(&format!("{}.txt", "n".repeat(300)), "third content"),
            file("same.txt", "fourth content"),
            file("same.txt", "fifth content"),
            file("..", "sixth content"),
        ];
        let thread = open(stage, "C0ROOM45", "@longshore odd names in room 45, acme/courier", files)?;
        thread.done(1).await?;
        let bodies = sent(stage, "odd names in room 45");
        let last = bodies.iter().find(|body| body.contains("sixth content")).map(String::as_str).unwrap_or_default();
        for number in ["first", "second", "third", "fourth", "fifth", "sixth"] {
            ensure!(last.contains(&format!("{number} content")), "the {number} is not there: {last}");
        }
        ensure!(last.contains("\\npasswd\\n") && last.contains("same-2.txt"), "the names are not plain: {last}");
        ensure!(
            last.contains("cannot access '/tmp/owned'") && last.contains("cannot access '/workspace/etc'"),
            "a name did something: {last}"
        );
        Ok(())
    });
}

/// The thread's files, as messages show them.
fn shown(thread: &Thread<'_>) -> Vec<Value> {
    thread.said().iter().flat_map(|message| message["files"].as_array().cloned().unwrap_or_default()).collect()
}

async fn content(stage: &Harness, file: &Value) -> Result<String> {
    let address = file["url_private"].as_str().context("the file has no address")?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(client.get(address).bearer_auth(stage.slack.bot_token()).send().await?.error_for_status()?.text().await?)
}

#[test]
fn what_the_agent_attaches_is_in_the_thread_once() {
    tell(async |stage| {
        // Slack has it, and the service does not hear of it.
        stage.slack.fail_next("files.completeUploadExternal", Fault::AnswerLost, 1);
        let (tool, line) = shell("printf 'up and to the right' > /tmp/chart.txt && ln -s /tmp/chart.txt /tmp/link && mkfifo /tmp/pipe");
        let attach = |path: &str| json!({ "path": path, "title": "The chart", "comment": "Look <!channel>, it grows" });
        let script = Script::for_prompt("draw the chart of room 47")
            .call(tool, line)
            .call("attach_file", attach("/tmp/chart.txt"))
            .call("attach_file", attach("/tmp/chart.txt"))
            .call("attach_file", attach("/tmp/link"))
            .call("attach_file", attach("/tmp/pipe"))
            .call("attach_file", attach("nowhere.png"))
            .say("There it is.");
        play(stage, script);
        let thread = Thread::open(stage, "U0ANA", "C0ROOM47", "@longshore draw the chart of room 47, acme/courier")?;
        thread.done(1).await?;
        let files = shown(&thread);
        assert_eq!(files.len(), 1, "once, whatever happened: {}", thread.text());
        assert_eq!((files[0]["name"].as_str(), files[0]["title"].as_str()), (Some("chart.txt"), Some("The chart")));
        assert_eq!(content(stage, &files[0]).await?, "up and to the right");
        ensure!(thread.said().iter().any(|message| message["text"] == "Look &lt;!channel&gt;, it grows"), "no comment: {}", thread.text());
        let bodies = sent(stage, "draw the chart of room 47");
        let told = |words: &str| bodies.iter().any(|body| body.contains(words));
        for words in [
            "It is in the thread.",
            "It was in the thread already, and was not posted again.",
            "/tmp/pipe cannot be attached: it is no plain file",
            "/workspace/nowhere.png cannot be attached: there is no such file",
        ] {
            ensure!(told(words), "the agent was not told `{words}`");
        }
        let lost = |call: &Call| call.method == "files.completeUploadExternal" && call.answer_lost;
        ensure!(stage.slack.calls().iter().any(lost), "no answer was lost, so this shows less than it should");
        Ok(())
    });
}

#[test]
fn a_very_long_prompt_and_a_very_long_answer_lose_nothing() {
    tell(async |stage| {
        let room = "C0ROOM46";
        let mut text = "@longshore read the long note of room 46, acme/courier.\n".to_owned();
        let last = "and the very last word is xylophone";
        for line in 1.. {
            let line = format!("Line {line} of the note says that nothing may be cut.\n");
            if text.chars().count() + line.len() + last.len() > 40_000 {
                break;
            }
            text.push_str(&line);
        }
        text.push_str(last);
        let mut answer = "# What I found\n\n```python\n".to_owned();
        for line in 1.. {
            if answer.len() > 99_900 {
                break;
            }
            answer.push_str(&format!("assert line({line}) == \"kept\"\n"));
        }
        answer.push_str("```\n\nThat is the end of it.");
        play(stage, Script::for_prompt("read the long note of room 46").say(&answer));
        let thread = Thread::open(stage, "U0ANA", room, &text)?;
        thread.done(1).await?;

        let bodies = sent(stage, "Line 1 of the note says");
        let whole = |body: &String| body.contains("Line 400 of the note says") && body.contains(last);
        ensure!(bodies.iter().any(whole), "the agent was not given the whole prompt");
        let is_there = |messages: &[Value]| messages.iter().any(|message| message["files"][0]["name"] == "answer.md");
        stage.slack.wait_for_thread(room, &thread.ts, is_there, SOON).await.context("the rest does not come as a file")?;
        let finals = thread.messages("final");
        assert_eq!(finals.len(), 5, "four parts, and where the rest is: {}", thread.text());
        let heads = thread.text().matches("*Done*").count();
        assert_eq!(heads, 1, "one of them is the final reply");
        for part in &finals {
            let fences: usize =
                part["blocks"].as_array().into_iter().flatten().map(|block| block["text"].to_string().matches("```").count()).sum();
            assert_eq!(fences % 2, 0, "a block of code is cut: {part}");
        }
        ensure!(finals[4].to_string().contains("in the file below"), "nobody is told where the rest is");
        let files = shown(&thread);
        assert_eq!(files.len(), 1);
        ensure!(content(stage, &files[0]).await? == answer, "the file does not hold the whole answer");
        Ok(())
    });
}
