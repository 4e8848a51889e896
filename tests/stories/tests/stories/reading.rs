//! What the agent gets to know of the thread that it was called in.

use anyhow::ensure;
use longshore_emulators::{
    model::{PromptView, Script, ScriptStep},
    slack::{FilePlace, NewFile, NewPost},
};
use serde_json::json;

use crate::{hold::play, stage::tell, thread::Thread};

/// Says what the tools returned, so that the thread shows it.
fn repeat(prompt: &PromptView) -> ScriptStep {
    let results: Vec<String> = prompt.exchanges.iter().map(|exchange| exchange.result.clone()).collect();
    ScriptStep::Say(format!("```\n{}\n```", results.join("\n")))
}

#[test]
fn the_agent_reads_the_thread_with_names_and_files_and_without_asides() {
    tell(async |stage| {
        let room = "C0ROOM41";
        play(stage, Script::for_prompt("look at what we have on the courier map").call("read_thread", json!({})).decide(repeat));
        let thread = Thread::open(stage, "U0BEN", room, "the courier map is slow, @chiyo?")?;
        let file = NewFile { name: "trace.log".to_owned(), content: b"12 s".to_vec(), mimetype: None, place: FilePlace::default() };
        let post = NewPost { text: "here is a trace".to_owned(), thread_ts: Some(thread.ts.clone()), files: vec![file] };
        stage.slack.person("U0CHIYO").post_with(room, post)?;
        thread.reply("U0BEN", "aside: lunch?")?;
        thread.reply("U0ANA", "@longshore look at what we have on the courier map, in acme/courier")?;
        thread.done(1).await?;
        let text = thread.shows("UTC · Ben Okafor: the courier map is slow, @Chiyo Tanaka?").await?;
        for part in
            ["UTC · Chiyo Tanaka: here is a trace", "file: trace.log (text/plain)", "UTC · you: ", "UTC · Ana Kovač: look at what we have"]
        {
            ensure!(text.contains(part), "nothing says `{part}`: {text}");
        }
        ensure!(!text.contains("UTC · Ben Okafor: aside") && text.matches("lunch").count() == 1, "the aside was read: {text}");
        Ok(())
    });
}

#[test]
fn a_thread_of_900_replies_is_given_by_its_beginning_and_its_end() {
    tell(async |stage| {
        let room = "C0ROOM42";
        play(
            stage,
            Script::for_prompt("sum up the great courier debate")
                .call("read_thread", json!({ "limit": 3 }))
                .decide(|prompt| {
                    let page = prompt.exchanges.first().map(|exchange| exchange.result.clone()).unwrap_or_default();
                    match prompt.exchanges.len() {
                        1 => {
                            // The id of the oldest of the three: the page before it comes next.
                            let ids: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix('[')?.split(']').next()).collect();
                            let before = ids.get(1).copied().unwrap_or_default();
                            ScriptStep::Call(vec![("read_thread".to_owned(), json!({ "limit": 2, "before": before }))])
                        }
                        _ => repeat(prompt),
                    }
                })
                .decide(repeat),
        );
        let thread = Thread::open(stage, "U0BEN", room, "shall the courier sort its stops by time?")?;
        let note = |n: u32| format!("argument {n} of the debate");
        stage.slack.person("U0CHIYO").replied_before(room, &thread.ts, (1..=900).map(note))?;
        thread.reply("U0ANA", "@longshore sum up the great courier debate of acme/courier")?;
        thread.done(1).await?;

        let requests = stage.model().requests();
        let asked = requests
            .iter()
            .map(|request| request.body["messages"].to_string())
            .find(|body| body.contains("great courier debate") && body.contains("argument 900 "));
        let asked = asked.unwrap_or_default();
        for part in ["Ben Okafor: shall the courier sort", "870 messages, which the tool", "argument 871 of", "argument 900 of"] {
            ensure!(asked.contains(part), "the agent was not told `{part}`: {asked}");
        }
        ensure!(!asked.contains("argument 870 of") && !asked.contains("argument 1 of"), "more than the newest: {asked}");
        let text = thread.text();
        let is_told = |n: u32| text.contains(&format!("Chiyo Tanaka: {}", note(n)));
        ensure!(is_told(900) && is_told(899) && is_told(898) && !is_told(890) && !is_told(1), "{text}");
        ensure!(text.contains("messages are left out here"), "{text}");
        let calls = stage.slack.calls();
        let reads = calls.iter().filter(|call| call.method == "conversations.replies" && call.payload["channel"] == room);
        let reads = reads.count();
        ensure!((5..=40).contains(&reads), "the thread was read by {reads} calls");
        Ok(())
    });
}
