//! Many sessions at once, each with an agent that says something all the time.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use longshore_harness::Harness;
use tokio::time::sleep;

use crate::{
    docker::image_with_agent,
    figure::{Figure, Name},
    process, stage,
};

const SESSIONS: usize = 200;
/// Sessions that are being started at the same time: more only wait for each other.
const STARTING: usize = 8;
/// Two processors need about a second for a sandbox, its sync and its card.
const START_LIMIT: Duration = Duration::from_secs(15 * 60);
const SETTLED: Duration = Duration::from_secs(5);
const WINDOW: usize = 30;
/// The phase of a session whose agent has a prompt.
const AT_WORK: &str = "working";
/// Fewer events than the API gives at a time.
const SHORT_PAGE: usize = 50;
/// The base image with a small script in the agent's place.
const IMAGE: &str = "longshore/bench-agent:latest";
const AGENT: &str = include_str!("../../scripted/opencode");
const MANIFEST: &str = r#"repository = "acme/storefront"
description = "The online shop: shopping cart, checkout, card payments and receipts."
keywords = ["checkout", "order total", "shopping cart"]
image.base = "longshore/bench-agent:latest"
limits.memory_mb = 512
limits.pids = 64
"#;

/// Memory and processor time of the service while all sessions stream.
pub async fn measure() -> Result<Vec<Figure>> {
    image_with_agent(IMAGE, AGENT).await?;
    let mut options = stage::options();
    options.manifests.insert(stage::REPOSITORY.to_owned(), MANIFEST.to_owned());
    let harness = Harness::start(options).await?;
    let figures = with_sessions(&harness).await;
    // Nobody waits for the agents, which never end by themselves.
    harness.give_up().await;
    figures
}

async fn with_sessions(harness: &Harness) -> Result<Vec<Figure>> {
    let begun = Instant::now();
    let sessions = start_all(harness).await?;
    let started = begun.elapsed();
    sleep(SETTLED).await;

    let what = format!("{SESSIONS} sessions whose scripted agents each say two pieces of text a second");
    let mut memory = Figure::new(Name::ManyRss, format!("Resident memory of the service with {what}."));
    let mut time = Figure::new(Name::ManyCpu, format!("Processor time of the service with {what}, in per cent of one processor."));
    let watched = sessions.first().context("there is no session")?;
    let events_before = last_event(harness, watched, 0).await?;
    let pid = harness.service.pid().await.context("the service does not run")?;
    let window = Instant::now();
    let mut used = (Instant::now(), process::cpu_seconds(pid)?);
    for _ in 0..WINDOW {
        sleep(Duration::from_secs(1)).await;
        let now = (Instant::now(), process::cpu_seconds(pid)?);
        time.samples.push(100.0 * (now.1 - used.1) / (now.0 - used.0).as_secs_f64());
        used = now;
        memory.samples.push(process::rss_mb(pid)?);
    }
    let window = window.elapsed();
    let told = last_event(harness, watched, events_before).await? - events_before;
    if told == 0 {
        bail!("a session told nothing for {} s", window.as_secs());
    }
    all_live(harness, &sessions).await?;
    memory.notes.push(format!("All were at work {:.0} s after the first mention.", started.as_secs_f64()));
    memory.notes.push(format!("One of them got {told} events in {:.0} s.", window.as_secs_f64()));
    memory.notes.push("How long an event takes to a client's web socket is not measured: there is no such client yet.".to_owned());
    Ok(vec![memory, time])
}

/// Starts sessions a few at a time; their ids, once all of them are at work.
async fn start_all(harness: &Harness) -> Result<BTreeSet<String>> {
    let deadline = Instant::now() + START_LIMIT;
    let person = harness.slack.person(stage::ASKER);
    let (mut asked, mut told) = (0, 0);
    let (mut known, mut live) = (BTreeSet::new(), BTreeSet::new());
    loop {
        // The list holds the newest ones, all that are new among them.
        known.extend(harness.sessions().await?.into_iter().map(|session| session.id));
        for session in known.difference(&live.clone()) {
            if phase(harness, session).await? == AT_WORK {
                live.insert(session.clone());
            }
        }
        if live.len() >= SESSIONS {
            println!("· all {SESSIONS} are at work");
            return Ok(live);
        }
        while asked < SESSIONS && asked < live.len() + STARTING {
            let (text, _) = stage::question();
            person.post(&stage::room(asked), &format!("@longshore {text}"))?;
            asked += 1;
        }
        if live.len() >= told + 25 {
            told = live.len();
            println!("· {told} sessions are at work");
        }
        let problem = match harness.service.exit_status().await? {
            Some(status) => Some(format!("the service ended ({status})")),
            None if Instant::now() > deadline => Some(format!("{} min were too short", START_LIMIT.as_secs() / 60)),
            None => None,
        };
        if let Some(problem) = problem {
            bail!("{problem} with {} of {SESSIONS} sessions at work. The log ends with\n{}", live.len(), harness.service.log_tail(10));
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// Errors where one of them has ended.
async fn all_live(harness: &Harness, sessions: &BTreeSet<String>) -> Result<()> {
    for session in sessions {
        let phase = phase(harness, session).await?;
        if phase != AT_WORK {
            bail!("{session} is {phase} and not at work any more");
        }
    }
    Ok(())
}

async fn phase(harness: &Harness, session: &str) -> Result<String> {
    let answer = harness.service.get(&format!("/v1/sessions/{session}")).await?;
    Ok(answer["phase"].as_str().with_context(|| format!("{session} has no phase: {answer}"))?.to_owned())
}

/// The number of a session's last event. It gets more all the time: a short page is the end.
async fn last_event(harness: &Harness, session: &str, mut after: u64) -> Result<u64> {
    loop {
        let answer = harness.service.get(&format!("/v1/sessions/{session}/events?after={after}")).await?;
        let page = answer["events"].as_array().context("GET events has another shape")?;
        after = page.last().and_then(|event| event["seq"].as_u64()).unwrap_or(after);
        if page.len() < SHORT_PAGE {
            return Ok(after);
        }
    }
}
