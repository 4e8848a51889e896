//! Slack's documented limits: tiers per method and workspace, posts per channel.

use std::collections::{HashMap, VecDeque};

/// Which limits hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limits {
    Off,
    On {
        /// Posts a channel takes at once before one a second holds.
        post_burst: u32,
    },
}

impl Limits {
    /// Tiers 1–4 = 1/20/50/100 calls a minute; posts one a second per channel with a short burst.
    #[must_use]
    pub fn documented() -> Self {
        Self::On { post_burst: 4 }
    }

    #[must_use]
    pub fn off() -> Self {
        Self::Off
    }
}

/// A method's share, as its documentation page names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    PerMinute(usize),
    /// `chat.postMessage`: by channel, see [`Limits::On`].
    Posting,
}

pub(super) const TIER_2: Tier = Tier::PerMinute(20);
pub(super) const TIER_3: Tier = Tier::PerMinute(50);
pub(super) const TIER_4: Tier = Tier::PerMinute(100);
/// Methods with "special" limits: hundreds of calls a minute.
pub(super) const SPECIAL: Tier = Tier::PerMinute(600);

const MINUTE_MS: i64 = 60_000;

/// What was called lately.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    calls: HashMap<String, VecDeque<i64>>,
    posts: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at_ms: i64,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, calls: HashMap::new(), posts: HashMap::new() }
    }

    pub(super) fn set(&mut self, limits: Limits) {
        *self = Self::new(limits);
    }

    /// Takes one call out of the budget, or says after how many seconds to come back.
    pub(super) fn take(&mut self, method: &str, tier: Tier, channel: &str, now_ms: i64) -> Result<(), u64> {
        let Limits::On { post_burst } = self.limits else { return Ok(()) };
        match tier {
            Tier::PerMinute(most) => {
                let calls = self.calls.entry(method.to_owned()).or_default();
                while calls.front().is_some_and(|at| now_ms - at >= MINUTE_MS) {
                    calls.pop_front();
                }
                if calls.len() >= most {
                    let oldest = calls.front().copied().unwrap_or(now_ms);
                    return Err(whole_seconds(oldest + MINUTE_MS - now_ms));
                }
                calls.push_back(now_ms);
                Ok(())
            }
            Tier::Posting => {
                let most = f64::from(post_burst.max(1));
                let bucket = self.posts.entry(channel.to_owned()).or_insert(Bucket { tokens: most, at_ms: now_ms });
                let passed = i32::try_from((now_ms - bucket.at_ms).clamp(0, MINUTE_MS)).unwrap_or(0);
                bucket.tokens = (bucket.tokens + f64::from(passed) / 1000.0).min(most);
                bucket.at_ms = now_ms;
                if bucket.tokens < 1.0 {
                    return Err(1);
                }
                bucket.tokens -= 1.0;
                Ok(())
            }
        }
    }
}

fn whole_seconds(ms: i64) -> u64 {
    u64::try_from((ms + 999) / 1000).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_holds_for_a_minute_and_names_the_wait() {
        let mut budget = Budget::new(Limits::documented());
        for at in 0..20 {
            assert_eq!(budget.take("users.list", TIER_2, "", at * 1000), Ok(()));
        }
        assert_eq!(budget.take("users.list", TIER_2, "", 20_000), Err(40));
        assert_eq!(budget.take("team.info", TIER_3, "", 20_000), Ok(()), "each method has a budget of its own");
        assert_eq!(budget.take("users.list", TIER_2, "", 60_000), Ok(()));
    }

    #[test]
    fn posts_are_one_a_second_per_channel_after_a_burst() {
        let mut budget = Budget::new(Limits::On { post_burst: 2 });
        let mut post = |channel: &str, at| budget.take("chat.postMessage", Tier::Posting, channel, at);
        assert_eq!((post("C1", 0), post("C1", 0), post("C1", 0)), (Ok(()), Ok(()), Err(1)));
        assert_eq!(post("C2", 0), Ok(()), "another channel is not touched");
        assert_eq!(post("C1", 500), Err(1));
        assert_eq!(post("C1", 1_000), Ok(()));
    }

    #[test]
    fn nothing_is_refused_when_off() {
        let mut budget = Budget::new(Limits::off());
        assert!((0..1000).all(|_| budget.take("users.list", TIER_2, "", 0).is_ok()));
    }
}
