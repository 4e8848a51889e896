//! A harness for measuring: what all acts share.

use std::time::Duration;

use anyhow::{Context, Result};
use longshore_emulators::{
    model::{CallKind, RecordedRequest, Script},
    slack::{Channel, ChannelKind, ChannelLife, WorkspaceSetup},
};
use longshore_harness::{Harness, Options, Ranker};
use longshore_session::{Clock, RepositoryManifest, SystemClock};

/// The sample that sessions work in.
pub const REPOSITORY: &str = "acme/storefront";
/// Who asks.
pub const ASKER: &str = "U0ANA";
/// A prompt with these words is answered in one sentence.
const SHORT_ANSWER: &str = "benchmark";
/// For one request of the model's, on a machine that does much else.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(120);
/// Slack takes one post a second in a channel: sessions spread over so many.
pub const ROOMS: usize = 40;

/// Milliseconds since 1970, as the emulators count them.
pub fn now_ms() -> i64 {
    SystemClock.now().0
}

pub fn room(number: usize) -> String {
    format!("C0ROOM{}", number % ROOMS)
}

/// The demo's workspace with rooms.
pub fn workspace() -> WorkspaceSetup {
    let mut setup = WorkspaceSetup::demo();
    for number in 0..ROOMS {
        setup.channels.push(Channel {
            id: room(number),
            name: format!("room-{number}"),
            kind: ChannelKind::Public,
            life: ChannelLife::Open,
            members: [ASKER, "U0LONGSHORE"].map(str::to_owned).to_vec(),
            topic: String::new(),
            purpose: String::new(),
        });
    }
    setup
}

/// One sample, words instead of a fast model.
pub fn options() -> Options {
    let mut options = Options::samples(&[REPOSITORY]);
    options.workspace = workspace();
    options.ranker = Ranker::Words;
    options.progress = std::sync::Arc::new(|line| println!("· {line}"));
    options
}

/// What the service was configured with.
pub fn configuration(harness: &Harness) -> Result<toml::Table> {
    std::fs::read_to_string(harness.service.config_file())?.parse().context("the service's configuration")
}

/// The sample's manifest, as the service has it.
pub fn manifest() -> Result<RepositoryManifest> {
    let text = Options::manifest_text(REPOSITORY)?;
    Ok(RepositoryManifest::parse("storefront.toml".as_ref(), &text)?)
}

/// Makes the model answer prompts of [`question`] shortly.
pub fn answer_shortly(harness: &Harness) {
    harness.model().push_script(Script::for_prompt(SHORT_ANSWER).say("The total of the checkout page is right."));
}

/// A request that no other is like, and the word in it that tells it.
pub fn question() -> (String, String) {
    let mark = format!("ref{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
    (format!("the checkout page shows a wrong order total for the shopping cart ({SHORT_ANSWER} {mark})"), mark)
}

/// When the model got its first main request with this word: milliseconds since 1970. Looks at requests from number `from` on.
pub async fn model_request(harness: &Harness, from: usize, mark: &str) -> Result<i64> {
    let is_it = |request: &RecordedRequest| request.kind == Some(CallKind::Agent) && request.body.to_string().contains(mark);
    let at = |requests: &[RecordedRequest]| requests.get(from..)?.iter().find(|request| is_it(request)).map(|request| request.at_ms);
    let requests = harness.model().wait_for_requests(REQUEST_LIMIT, |requests| at(requests).is_some()).await;
    requests.as_deref().and_then(at).with_context(|| format!("no request reached the model within {} s", REQUEST_LIMIT.as_secs()))
}

#[expect(clippy::cast_precision_loss, reason = "a span of time, in milliseconds, is far below 2^52")]
pub fn span(from: i64, to: i64) -> f64 {
    (to - from) as f64
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub fn millis_to_seconds(millis: i64) -> f64 {
    span(0, millis) / 1000.0
}
