//! What must hold of everything that the stories on the shared stage did, beside what the end of every harness looks at (errors in the log, and
//! messages that Slack's own SDK would not send).

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use longshore_harness::Harness;

use crate::{stage, thread::key_of};

/// Its module's name comes last, so that it begins when all others have.
#[test]
fn slack_took_every_call_and_everybody_got_one_answer() {
    stage::close_after_all(async |stage| {
        every_call_succeeded(stage)?;
        every_message_has_words(stage)?;
        every_turn_has_one_final_reply(stage).await
    });
}

fn every_call_succeeded(stage: &Harness) -> Result<()> {
    let failed: Vec<String> = stage
        .slack
        .calls()
        .into_iter()
        // A story deletes a file before it is read.
        .filter(|call| !call.ok && (&*call.method, call.error.as_deref()) != ("files.info", Some("file_deleted")))
        .map(|call| format!("{} {:?}: {}", call.method, call.error, call.payload))
        .collect();
    ensure!(failed.is_empty(), "{} calls failed:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// Screen readers and notifications read `text`; blocks alone are silent there.
fn every_message_has_words(stage: &Harness) -> Result<()> {
    let mut spoken = 0;
    for call in stage.slack.calls() {
        if !["chat.postMessage", "chat.update", "chat.postEphemeral", "response_url"].contains(&&*call.method) {
            continue;
        }
        let text = call.payload["text"].as_str().unwrap_or_default();
        ensure!(text.chars().filter(|c| c.is_alphabetic()).count() > 3, "{} has no words: {}", call.method, call.payload);
        spoken += 1;
    }
    ensure!(spoken > 0 || stage.slack.calls().is_empty(), "no message was looked at");
    Ok(())
}

async fn every_turn_has_one_final_reply(stage: &Harness) -> Result<()> {
    let listed = stage.service.get("/v1/sessions").await?;
    for session in listed["sessions"].as_array().into_iter().flatten() {
        let (id, thread) = (session["id"].as_str().unwrap_or_default(), &session["thread"]);
        let (channel, ts) = (thread["channel"].as_str().unwrap_or_default(), thread["thread"].as_str().unwrap_or_default());
        let mut finals: BTreeMap<String, usize> = BTreeMap::new();
        for message in stage.slack.thread(channel, ts) {
            *finals.entry(key_of(&message).to_owned()).or_default() += 1;
        }
        for turn in stage.turns(id).await?.into_iter().filter(|turn| !turn.outcome.is_empty()) {
            let key = format!("{id}:final:{}", turn.turn);
            ensure!(
                finals.get(&key) == Some(&1),
                "{key} stands {:?} times:\n{}",
                finals.get(&key),
                stage.slack.render_thread_text(channel, ts)
            );
        }
    }
    Ok(())
}
