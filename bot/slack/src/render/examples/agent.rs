//! The answers to `/agent`.

use std::time::Duration;

use longshore_session::{SessionId, Timestamp};

use super::{Example, ana, ben, bot, for_one, repo};
use crate::{
    AgentCommand, StatusScope,
    render::{
        AgentHelp, AgentLink, AgentRepos, AgentStatus, AgentStop, AgentUnknown, CardPhase, DiskLine, ImageLine, ImageState, Linked,
        PoolLine, PullRequestLine, PullRequestStanding, Rest, Room, SessionLine, SessionStage, Spent,
    },
};

pub(super) fn all() -> Vec<Example> {
    let idle = status(StatusScope::Mine);
    let busy = AgentStatus {
        running: vec![
            line("s-7k2m9q4dxw", CardPhase::Working),
            SessionLine { session: None, stoppable: false, repo: None, ..line("s-3p8w1r6tzn", CardPhase::Choosing) },
        ],
        asking: vec![asking()],
        queued: vec![
            SessionLine { stage: SessionStage::Behind { place: 1 }, stoppable: false, ..line("s-9c5h2v7bqe", CardPhase::Working) },
            line("s-4d8n1k6rwt", CardPhase::Queued { place: 3 }),
        ],
        idle: vec![
            idle_line("s-2b6n8x4jka", PullRequestStanding::Open),
            resting("s-5d1f7h3mzp", Rest::Paused),
            resting("s-8r4t2y6wqc", Rest::Asleep { taken: Timestamp(1_795_354_812_123) }),
            resting("s-4v9g6k1xdm", Rest::Gone),
        ],
        elsewhere: 3,
        images: images(),
        ..status(StatusScope::Mine)
    };
    let channel = AgentStatus {
        running: vec![SessionLine { asker: ben(), stoppable: true, ..line("s-3p8w1r6tzn", CardPhase::Preparing) }],
        idle: vec![
            idle_line("s-2b6n8x4jka", PullRequestStanding::Draft),
            idle_line("s-5d1f7h3mzp", PullRequestStanding::Closed),
            idle_line("s-8r4t2y6wqc", PullRequestStanding::Unknown),
        ],
        elsewhere: 1,
        ..status(StatusScope::Channel)
    };
    let busiest =
        AgentStatus { running: (0..25).map(|n| line(&format!("s-{n:010}"), CardPhase::Working)).collect(), ..status(StatusScope::All) };
    let mine = AgentStop { mine: vec![line("s-7k2m9q4dxw", CardPhase::Working)] };
    let nothing = AgentStop { mine: Vec::new() };
    let disk = DiskLine {
        engine: 3_435_973_837,
        registry: Some(1_288_490_189),
        snapshots: 429_496_730,
        limit: 100 << 30,
        snapshot_limit: 50 << 30,
        room: Room::Enough,
    };
    let repositories = AgentRepos { repositories: images(), disk: Some(disk) };
    let full = DiskLine { limit: 2 << 30, registry: None, room: Room::TooLittle, ..disk };
    let full = AgentRepos { repositories: images().into_iter().take(1).collect(), disk: Some(full) };
    let none = AgentRepos { repositories: Vec::new(), disk: None };
    let help = AgentHelp { bot: bot() };
    let mut list = vec![
        for_one("agent-status", "`/agent status`: my sessions, and what I have to answer.", &busy, AgentStatus::render),
        for_one("agent-status-idle", "The same where I have none.", &idle, AgentStatus::render),
        for_one("agent-status-channel", "`/agent status channel`: those of the channel.", &channel, AgentStatus::render),
        for_one("agent-status-many", "`/agent status all`, with more sessions than a message can list.", &busiest, AgentStatus::render),
        for_one("agent-stop", "`/agent stop`: mine, to choose from.", &mine, AgentStop::render),
        for_one("agent-stop-nothing", "The same where nothing of mine runs.", &nothing, AgentStop::render),
        for_one("agent-repos", "`/agent repos`: the repositories, and how fresh their images are.", &repositories, AgentRepos::render),
        for_one("agent-repos-full", "The same where images take more than they may.", &full, AgentRepos::render),
        for_one("agent-repos-none", "The same before there is a manifest.", &none, AgentRepos::render),
        for_one("agent-help", "`/agent help`, and `/agent` alone.", &help, AgentHelp::render),
    ];
    list.extend(links());
    list.extend(unknown());
    list
}

fn links() -> impl Iterator<Item = Example> {
    let account = Linked::To { login: "ana".to_owned(), url: "https://github.com/ana".to_owned() };
    [
        ("agent-link", "`/agent link`: the configuration has a token of mine.", account),
        ("agent-link-none", "The same where it has none.", Linked::No),
        ("agent-link-missing", "The same where the token's variable is not set.", Linked::TokenMissing),
        ("agent-link-refused", "The same where GitHub does not take the token.", Linked::TokenRefused),
        ("agent-link-unknown", "The same while GitHub does not answer.", Linked::Unknown),
    ]
    .into_iter()
    .map(|(name, when, linked)| for_one(name, when, &AgentLink { user: ana(), linked }, AgentLink::render))
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
        AgentCommand::Status(_) | AgentCommand::Repos | AgentCommand::Link | AgentCommand::Help | AgentCommand::Stop(_) => None,
    })
}

/// Nothing at all.
fn status(scope: StatusScope) -> AgentStatus {
    let (running, asking, queued, idle) = Default::default();
    AgentStatus { scope, running, asking, queued, idle, elsewhere: 0, images: Vec::new() }
}

pub(super) fn line(session: &str, phase: CardPhase) -> SessionLine {
    SessionLine {
        session: Some(SessionId::parse(session).unwrap()),
        repo: Some(repo("acme/storefront")),
        title: "the checkout page double-charges on retry".to_owned(),
        asker: ana(),
        stage: SessionStage::Live(phase),
        since: Duration::from_secs(75),
        age: Duration::from_secs(4_000),
        spent: Spent { micros: 120_000, unpriced_tokens: 0 },
        pull_request: None,
        thread_url: Some("https://longshore-demo.slack.com/archives/C0CHECKOUT/p1790000000000100".to_owned()),
        stoppable: true,
    }
}

/// A prompt that waits for somebody to pick its repository.
pub(super) fn asking() -> SessionLine {
    let stage = SessionStage::Asking { question: "Which repository is this about?".to_owned() };
    SessionLine { session: None, repo: None, stage, spent: Spent::default(), stoppable: false, ..line("s-1", CardPhase::Choosing) }
}

pub(super) fn idle_line(session: &str, standing: PullRequestStanding) -> SessionLine {
    let url = "https://github.com/acme/storefront/pull/7".to_owned();
    let pull_request = Some(PullRequestLine { number: 7, url, standing });
    SessionLine { stage: SessionStage::Idle { rest: Rest::Awake }, pull_request, stoppable: false, ..line(session, CardPhase::Done) }
}

pub(super) fn resting(session: &str, rest: Rest) -> SessionLine {
    SessionLine { stage: SessionStage::Idle { rest }, ..idle_line(session, PullRequestStanding::Merged) }
}

fn images() -> Vec<ImageLine> {
    let commit = || "0123456789abcdef0123456789abcdef01234567".to_owned();
    let image = |name, state| ImageLine { repo: repo(name), state, last_failure: None, taken_back: None, pool: PoolLine::default() };
    vec![
        ImageLine {
            pool: PoolLine { waiting: 1, being_made: 1 },
            ..image("acme/storefront", ImageState::Ready { commit: commit(), age: Duration::from_secs(1_500) })
        },
        ImageLine {
            last_failure: Some(("`npm ci` ended with status 1".to_owned(), Duration::from_secs(600))),
            ..image("acme/dashboard", ImageState::Building { since: Duration::from_secs(30), earlier: Some(commit()) })
        },
        image("acme/courier", ImageState::Building { since: Duration::from_secs(30), earlier: None }),
        image("acme/website", ImageState::Missing),
    ]
}
