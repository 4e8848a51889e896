//! An agent that writes what no agent writes: it loses its own turn, with one plain word each time, and nobody else loses anything.

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, Options};

use crate::{
    hold::{Held, docker, held, play},
    stage::tell_alone,
    thread::Thread,
};

/// Does what the prompt's word says: without end, where it is clear which limit it meets.
const HOSTILE_AGENT: &str = r#"#!/bin/bash
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }
update() { printf '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"%s","update":%s}}\n' "$1" "$2"; }
words() { update "$1" '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"'"$2"'"}}'; }
while IFS= read -r line; do
    [[ $line =~ \"id\":(\"[^\"]*\"|[0-9]+) ]] && id="${BASH_REMATCH[1]}"
    case "$line" in
        *'"method":"initialize"'*) answer "$id" '{"protocolVersion":1,"agentCapabilities":{"loadSession":false,"promptCapabilities":{"image":false}}}' ;;
        *'"method":"session/new"'*) answer "$id" '{"sessionId":"ses_1"}' ;;
        *'"method":"session/prompt"'*garbage*) head -c 6000000 /dev/urandom ;;
        *'"method":"session/prompt"'*endless*) head -c 20000000 /dev/zero | tr '\0' x ;;
        *'"method":"session/prompt"'*flood*) tr '\0' '\n' </dev/zero ;;
        *'"method":"session/prompt"'*million*) yes "$(update ses_1 '{"sessionUpdate":"tool_call","toolCallId":"c","title":"again"}')" | head -n 1000000 ;;
        *'"method":"session/prompt"'*replies*) yes "$(answer '"initialize"' '{"protocolVersion":7}')" | head -n 20000 ;;
        *'"method":"session/prompt"'*begging*) yes '{"jsonrpc":"2.0","id":"same","method":"fs/read_text_file","params":{"path":"/etc/shadow"}}' | head -n 20000 ;;
        *'"method":"session/prompt"'*printing*) yes 'an error of no end' >&2 ;;
        *'"method":"session/prompt"'*strangers*)
            words ses_9 'of another conversation'
            answer '"prompt-2"' '{"stopReason":"end_turn"}'
            answer '"insert-1-p-1"' '{"stopReason":"end_turn"}'
            answer '"new-session-1"' '{"sessionId":"ses_9"}'
            answer '"load-session-ses_9"' '{}'
            words ses_9 'of another conversation'
            # A million values each.
            for _ in 1 2 3; do printf '{"method":"session/update","params":['; yes 0, | head -n 1000000 | tr -d '\n'; printf '0]}\n'; done
            words ses_1 'My own words.'
            answer "$id" '{"stopReason":"end_turn"}'
            answer "$id" '{"stopReason":"refusal"}'
            words ses_1 'Said after the end.' ;;
        *'"method"'*'"id"'*) answer "$id" '{}' ;;
    esac
done
"#;

/// What each is asked, and what its thread is told.
const ENDS: [(&str, &str); 7] = [
    ("garbage", "lines that make no sense"),
    ("endless", "a line of its output is longer than"),
    ("million", "things in one turn"),
    ("flood", "its output is larger than"),
    ("replies", "lines that make no sense"),
    ("begging", "it asked for more than"),
    ("printing", "bytes of errors"),
];

/// Of the service's memory, in KiB.
const GROWTH: u64 = 400 << 10;

#[test]
fn a_hostile_agent_costs_its_own_turn_and_nobody_elses() {
    let manifest = format!(
        "repository = \"acme/courier\"\ndescription = \"Parcels on their way.\"\n[image]\nsetup_root = ['''\ncat >/usr/local/bin/opencode <<'END'\n{HOSTILE_AGENT}END\n''']\n"
    );
    let mut options = Options::samples(&["acme/storefront", "acme/courier"]);
    options.manifests.insert("acme/courier".to_owned(), manifest);
    tell_alone(options, async |harness: &Harness| {
        harness.expect_errors("the agent is lost");
        // Somebody else's turn goes on meanwhile.
        play(harness, held(Script::for_prompt("stay"), "undisturbed").say("I stayed."));
        let other = Thread::open(harness, "U0BEN", "C0PLATFORM", "@longshore stay, in acme/storefront")?;
        let gate = Held::at(&other, 1, "undisturbed").await?;
        let before = memory(harness).await?;

        for (word, told) in ENDS {
            let thread = Thread::open(harness, "U0ANA", "C0CHECKOUT", &format!("@longshore {word}, in acme/courier"))?;
            let turn = thread.turn(1).await.with_context(|| format!("{word}: {}", thread.text()))?;
            assert_eq!(turn.outcome, "failed", "{word}: {}", thread.text());
            thread.shows(told).await?;
            assert_eq!(thread.messages("final").len(), 1, "{word}: {}", thread.text());
            let sandbox = turn.sandbox.with_context(|| format!("{word} had no sandbox"))?;
            gone(harness, &sandbox).await?;
        }

        let strangers = Thread::open(harness, "U0ANA", "C0CHECKOUT", "@longshore strangers, in acme/courier")?;
        strangers.done(1).await?;
        let text = strangers.shows("My own words.").await?;
        ensure!(!text.contains("another conversation") && !text.contains("after the end"), "{text}");
        assert_eq!(strangers.messages("final").len(), 1, "{text}");

        let grown = memory(harness).await?.saturating_sub(before);
        ensure!(grown < GROWTH, "the service took {grown} KiB more at its height");

        gate.let_go().await?;
        other.done(1).await?;
        other.shows("I stayed.").await?;
        assert_eq!(other.messages("final").len(), 1, "{}", other.text());
        Ok(())
    });
}

/// The most that the service ever held, in KiB.
async fn memory(harness: &Harness) -> Result<u64> {
    let pid = harness.service.pid().await.context("the service is not running")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Waits until neither the container nor what it wrote is there.
async fn gone(harness: &Harness, sandbox: &str) -> Result<()> {
    let name = format!("{}-{sandbox}", harness.namespace());
    let folder = harness.service.data_folder().join("carriers").join(sandbox);
    let look = async {
        while !docker(&["ps", "-aq", "--filter", &format!("name=^{name}$")]).await?.trim().is_empty() || folder.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(crate::thread::SOON, look).await.with_context(|| format!("{name} is still there"))?
}
