//! Trying again what failed for a reason that passes: GitHub that does not answer or wants to be left alone for a moment, an engine that is started anew.

use std::time::Duration;

use longshore_session::TurnFailure;
use tokio::time::Instant;

/// An engine that is started anew is back within this, as a rule. One that is away for longer is said.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);
const ENGINE_PAUSE: Duration = Duration::from_secs(1);

/// Before the second and third try.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];
/// Who wants to be left alone for longer is not waited for.
const LONGEST: Duration = Duration::from_secs(90);
/// What the gateway's refusals, and git itself where it does not print those, say of what passes.
const PASSING: [&str; 6] =
    ["try again", "returned error: 5", "returned error: 429", "RPC failed; HTTP 5", "RPC failed; HTTP 429", "Empty reply from server"];

/// Does what may be done twice, and does it again as long as the engine may only be on its way back.
pub async fn past_engine_restart<T, F>(attempt: impl Fn() -> F) -> Result<T, TurnFailure>
where
    F: Future<Output = Result<T, TurnFailure>>,
{
    let deadline = Instant::now() + ENGINE_PATIENCE;
    loop {
        match attempt().await {
            Err(TurnFailure::EngineUnavailable) if Instant::now() < deadline => {
                tracing::warn!("the engine does not answer; trying again");
                tokio::time::sleep(ENGINE_PAUSE).await;
            }
            result => return result,
        }
    }
}

/// Whether what git printed tells of something that may be over soon.
pub fn is_passing(said: &str) -> bool {
    PASSING.iter().any(|sign| said.contains(sign))
}

/// How long to wait after this many failures, of which git said this last. None where another try is of no use.
pub fn pause(said: &str, failures: usize) -> Option<Duration> {
    let pause = *PAUSES.get(failures.checked_sub(1)?)?;
    if !is_passing(said) {
        return None;
    }
    let pause = pause.max(told(said).unwrap_or_default());
    (pause <= LONGEST).then_some(pause)
}

/// What a person is told of what git printed: the gateway's own words where there are any.
pub fn reason(said: &str) -> String {
    let ours = said.lines().rev().find_map(|line| line.split_once("longshore: "));
    match ours {
        Some((_, words)) => words.trim().to_owned(),
        None => super::prepare::tail(said.trim(), 400),
    }
}

/// The time in `try again in 30 s`.
fn told(said: &str) -> Option<Duration> {
    let (_, after) = said.rsplit_once("try again in ")?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}

/// git has words of its own for it where it writes a pack.
pub fn tells_of_full_disk(said: &str) -> bool {
    ["No space left", "Out of diskspace"].iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_a_few_times() {
        let failed = "remote: longshore: the repositories' host failed (502); try again\nfatal: unable to access …";
        assert_eq!(pause(failed, 1), Some(PAUSES[0]));
        assert_eq!(pause(failed, 2), Some(PAUSES[1]));
        assert_eq!(pause(failed, 3), None);
        assert_eq!(pause("fatal: couldn't find remote ref refs/heads/main", 1), None);
        let limited = "remote: longshore: the repositories' host asks to slow down; try again in 30 s\n";
        assert_eq!(pause(limited, 1), Some(Duration::from_secs(30)));
        assert_eq!(pause(&limited.replace("30", "3000"), 1), None);
    }
}
