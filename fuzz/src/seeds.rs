//! Writes what the tests start from into `fuzz/corpus`, a folder for each target.

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("agent_message", longshore_agent::fuzz::MESSAGES),
        ("agent_id", longshore_agent::fuzz::IDS),
        ("agent_output", longshore_agent::fuzz::OUTPUTS),
        ("agent_conversation", longshore_agent::fuzz::OUTPUTS),
        ("slack_delivery", longshore_slack::fuzz::DELIVERIES),
        ("slack_words", longshore_slack::fuzz::WORDS),
        ("slack_request", longshore_slack::fuzz::REQUESTS),
        ("github_webhook", longshore_github::fuzz::WEBHOOKS),
        ("gateway_push", longshore_gateway::fuzz::PUSHES),
        ("gateway_question", longshore_gateway::fuzz::QUESTIONS),
        ("gateway_answer", longshore_gateway::fuzz::ANSWERS),
        ("gateway_host", longshore_gateway::fuzz::HOSTS),
        ("manifest", longshore_session::fuzz::MANIFESTS),
        ("id", longshore_session::fuzz::IDS),
        ("stored", longshore_session::fuzz::STORED),
        ("configuration", longshore_fuzz::config::fuzz::CONFIGURATIONS),
    ] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{index}")), seed)?;
        }
    }
    Ok(())
}
