//! The answers to `/agent`.

use std::time::Duration;

use longshore_session::SessionId;

use super::{Example, ana, ben, bot, for_one, repo};
use crate::{
    AgentCommand,
    render::{AgentHelp, AgentRepos, AgentStatus, AgentStop, AgentUnknown, CardPhase, ImageLine, ImageState, SessionLine},
};

pub(super) fn all() -> Vec<Example> {
    let idle = AgentStatus { running: Vec::new(), queued: Vec::new() };
    let busy = AgentStatus {
        running: vec![
            line("s-7k2m9q4dxw", CardPhase::Working),
            SessionLine { stoppable: false, repo: None, asker: ben(), ..line("s-3p8w1r6tzn", CardPhase::Choosing) },
        ],
        queued: vec![line("s-9c5h2v7bqe", CardPhase::Queued { place: 1 })],
    };
    let busiest = AgentStatus { running: (0..25).map(|n| line(&format!("s-{n:010}"), CardPhase::Working)).collect(), queued: Vec::new() };
    let mine = AgentStop { mine: vec![line("s-7k2m9q4dxw", CardPhase::Working)] };
    let nothing = AgentStop { mine: Vec::new() };
    let repositories = AgentRepos { repositories: images() };
    let none = AgentRepos { repositories: Vec::new() };
    let help = AgentHelp { bot: bot() };
    let mut list = vec![
        for_one("agent-status", "`/agent status`: what runs and what waits.", &busy, AgentStatus::render),
        for_one("agent-status-idle", "The same where nothing does.", &idle, AgentStatus::render),
        for_one("agent-status-many", "The same with more sessions than a message can list.", &busiest, AgentStatus::render),
        for_one("agent-stop", "`/agent stop`: mine, to choose from.", &mine, AgentStop::render),
        for_one("agent-stop-nothing", "The same where nothing of mine runs.", &nothing, AgentStop::render),
        for_one("agent-repos", "`/agent repos`: the repositories, and how fresh their images are.", &repositories, AgentRepos::render),
        for_one("agent-repos-none", "The same before there is a manifest.", &none, AgentRepos::render),
        for_one("agent-help", "`/agent help`, and `/agent` alone.", &help, AgentHelp::render),
    ];
    list.extend(unknown());
    list
}

fn unknown() -> impl Iterator<Item = Example> {
    [
        ("agent-unknown", "A word that is nearly a command.", "stauts"),
        ("agent-unknown-task", "A task given to the command.", "fix the build"),
        ("agent-unknown-argument", "A command with something after it that it does not take.", "stop everything now"),
    ]
    .into_iter()
    .filter_map(|(name, when, typed)| match AgentCommand::parse(typed) {
        AgentCommand::Unknown { word, hint } => Some(for_one(name, when, &AgentUnknown { word, hint }, AgentUnknown::render)),
        AgentCommand::Status | AgentCommand::Repos | AgentCommand::Help | AgentCommand::Stop(_) => None,
    })
}

fn line(session: &str, phase: CardPhase) -> SessionLine {
    SessionLine {
        session: SessionId::parse(session).unwrap(),
        repo: Some(repo("acme/storefront")),
        asker: ana(),
        phase,
        since: Duration::from_secs(75),
        thread_url: Some("https://longshore-demo.slack.com/archives/C0CHECKOUT/p1790000000000100".to_owned()),
        stoppable: true,
    }
}

fn images() -> Vec<ImageLine> {
    let commit = || "0123456789abcdef0123456789abcdef01234567".to_owned();
    let image = |name, state| ImageLine { repo: repo(name), state, last_failure: None };
    vec![
        image("acme/storefront", ImageState::Ready { commit: commit(), age: Duration::from_secs(1_500) }),
        ImageLine {
            last_failure: Some(("`npm ci` ended with status 1".to_owned(), Duration::from_secs(600))),
            ..image("acme/dashboard", ImageState::Building { since: Duration::from_secs(30), earlier: Some(commit()) })
        },
        image("acme/courier", ImageState::Building { since: Duration::from_secs(30), earlier: None }),
        image("acme/website", ImageState::Missing),
    ]
}
