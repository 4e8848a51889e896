//! The Home tab.

use longshore_session::{PersonDefaults, PullRequestStyle};

use super::{
    Example, Shape,
    agent::{asking, idle_line, line},
    repo, source,
};
use crate::render::{CardPhase, ClosedHomePage, HomePage, NotAllowed, PullRequestStanding, SessionLine, SessionStage};

pub(super) fn all() -> Vec<Example> {
    let (running, asking_lines, queued, idle) = Default::default();
    let fresh = HomePage {
        running,
        asking: asking_lines,
        queued,
        idle,
        defaults: PersonDefaults::default(),
        models: vec!["gpt-5.1".to_owned()],
        repositories: vec![repo("acme/courier"), repo("acme/storefront")],
        web_url: None,
    };
    let busy = HomePage {
        running: vec![line("s-7k2m9q4dxw", CardPhase::Working)],
        asking: vec![asking()],
        queued: vec![SessionLine {
            stage: SessionStage::Behind { place: 1 },
            stoppable: false,
            ..line("s-9c5h2v7bqe", CardPhase::Working)
        }],
        idle: vec![idle_line("s-2b6n8x4jka", PullRequestStanding::Open), idle_line("s-5d1f7h3mzp", PullRequestStanding::Merged)],
        defaults: PersonDefaults {
            model: Some("gpt-5-codex".to_owned()),
            repository: Some(repo("acme/storefront")),
            pull_requests: PullRequestStyle::Draft,
        },
        models: vec!["gpt-5.1".to_owned(), "gpt-5-codex".to_owned()],
        web_url: Some("https://longshore.example.com".to_owned()),
        ..fresh.clone()
    };
    let closed = ClosedHomePage { why: NotAllowed::User };
    vec![
        home("home", "My sessions and what I set for myself.", &busy, HomePage::render),
        home("home-fresh", "The same on the first day, where there is one model and no web client.", &fresh, HomePage::render),
        home("home-closed", "For somebody who is not on the list.", &closed, ClosedHomePage::render),
    ]
}

fn home<T: std::fmt::Debug>(name: &'static str, when: &'static str, from: &T, render: impl FnOnce(&T) -> serde_json::Value) -> Example {
    Example { name, when, from: source(from), shape: Shape::Home(render(from)) }
}
