//! Our share of Slack's limits: a pace per channel for posts, a bucket per method for the workspace, and whatever Slack says by `Retry-After`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Who goes first where a bucket runs low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Final replies and questions: may use the last of a bucket.
    Final,
    /// Cards on the way: leave a reserve for finals, and give up rather than wait long, since a newer picture comes anyway.
    Progress,
}

/// Which limit a call falls under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Posts into one channel: one a second.
    Channel(String),
    /// A method, over the whole workspace.
    Method(&'static str),
}

/// Tokens that come back steadily, up to `burst`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    per_minute: f64,
    burst: f64,
    /// What progress may not touch.
    reserve: f64,
}

impl Rate {
    fn of(lane: &Lane) -> Self {
        match lane {
            Lane::Channel(_) => Self { per_minute: 60.0, burst: 3.0, reserve: 0.0 },
            // Slack counts over any minute, so what comes back in one and the burst before it stay together within the tier. Tier 3, 50 a minute.
            Lane::Method("chat.update") => Self { per_minute: 42.0, burst: 6.0, reserve: 4.0 },
            // Tier 2, 20 a minute.
            Lane::Method("reactions.remove" | "users.list" | "conversations.list") => Self { per_minute: 13.0, burst: 5.0, reserve: 0.0 },
            // The rest of tier 3.
            Lane::Method(
                "chat.delete"
                | "conversations.history"
                | "conversations.info"
                | "conversations.join"
                | "conversations.open"
                | "conversations.replies"
                | "reactions.add"
                | "users.conversations"
                | "users.lookupByEmail",
            ) => Self { per_minute: 34.0, burst: 14.0, reserve: 0.0 },
            // Tier 4, 100 a minute, and "special" methods. Posts have their channel's pace on top.
            Lane::Method(_) => Self { per_minute: 72.0, burst: 24.0, reserve: 0.0 },
        }
    }
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    /// Slack said: not before.
    closed_until: Option<Instant>,
}

/// Over this many channel buckets, the full ones (which hold no memory of anything) are dropped.
const SWEEP_OVER: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    buckets: Mutex<HashMap<Lane, Bucket>>,
}

impl Pace {
    /// Waits for a turn in every lane, until `deadline`. Gives the wait that would still be needed where that is too long.
    pub(crate) async fn turn(&self, lanes: &[Lane], priority: Priority, deadline: Instant) -> Result<(), Duration> {
        loop {
            let now = Instant::now();
            let Err(wait) = self.try_take(lanes, priority, now) else { return Ok(()) };
            if now + wait > deadline {
                return Err(wait);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Slack answered 429: nobody goes through this lane before `retry_after` is over.
    pub(crate) fn close(&self, lane: &Lane, retry_after: Duration) {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(lane.clone()).or_insert(Bucket { tokens: 0.0, at: now, closed_until: None });
        bucket.closed_until = Some(bucket.closed_until.map_or(now + retry_after, |until| until.max(now + retry_after)));
    }

    /// Takes one token of each lane, or none and says how long until it is worth another try.
    fn try_take(&self, lanes: &[Lane], priority: Priority, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > SWEEP_OVER {
            buckets.retain(|lane, bucket| {
                let rate = Rate::of(lane);
                bucket.closed_until.is_some_and(|until| until > now) || bucket.refilled(rate, now) < rate.burst
            });
        }
        let mut wait = Duration::ZERO;
        for lane in lanes {
            let rate = Rate::of(lane);
            let bucket = buckets.entry(lane.clone()).or_insert(Bucket { tokens: rate.burst, at: now, closed_until: None });
            bucket.tokens = bucket.refilled(rate, now);
            bucket.at = now;
            if let Some(until) = bucket.closed_until {
                if until > now {
                    wait = wait.max(until - now);
                    continue;
                }
                bucket.closed_until = None;
            }
            let needed = 1.0 + if priority == Priority::Progress { rate.reserve } else { 0.0 };
            if bucket.tokens < needed {
                wait = wait.max(Duration::from_secs_f64((needed - bucket.tokens) * 60.0 / rate.per_minute));
            }
        }
        if wait > Duration::ZERO {
            // A little over, so that rounding does not make a second round.
            return Err(wait + Duration::from_millis(1));
        }
        for lane in lanes {
            if let Some(bucket) = buckets.get_mut(lane) {
                bucket.tokens -= 1.0;
            }
        }
        Ok(())
    }
}

impl Bucket {
    fn refilled(&self, rate: Rate, now: Instant) -> f64 {
        (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * rate.per_minute / 60.0).min(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `count` turns one after the other, waiting as told, in simulated time. Gives how long it took.
    fn turns(pace: &Pace, now: &mut Instant, lane: &Lane, priority: Priority, count: usize) -> Duration {
        let start = *now;
        for _ in 0..count {
            while let Err(wait) = pace.try_take(std::slice::from_ref(lane), priority, *now) {
                *now += wait;
            }
        }
        now.duration_since(start)
    }

    #[test]
    fn a_channel_gets_one_post_a_second_after_a_small_burst() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        let one = Lane::Channel("C1".to_owned());
        assert_eq!(turns(&pace, &mut now, &one, Priority::Final, 3), Duration::ZERO);
        let more = turns(&pace, &mut now, &one, Priority::Final, 5);
        assert!(more >= Duration::from_secs(5) && more < Duration::from_millis(5_200), "{more:?}");
        let other = Lane::Channel("C2".to_owned());
        assert_eq!(turns(&pace, &mut now, &other, Priority::Final, 3), Duration::ZERO, "another channel has its own pace");
    }

    #[test]
    fn a_minute_of_cards_stays_within_the_workspaces_limit_and_leaves_room_for_finals() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        let (lane, end) = (Lane::Method("chat.update"), now + Duration::from_secs(60));
        let mut cards = 0;
        while now < end {
            turns(&pace, &mut now, &lane, Priority::Progress, 1);
            cards += 1;
        }
        assert!((42..=48).contains(&cards), "{cards}");
        assert!(pace.try_take(std::slice::from_ref(&lane), Priority::Progress, now).is_err());
        assert_eq!(turns(&pace, &mut now, &lane, Priority::Final, 4), Duration::ZERO, "the reserve is there for finals");
    }

    #[test]
    fn no_minute_holds_more_than_slack_takes_in_one() {
        for (method, most) in [("chat.update", 50), ("users.list", 20), ("conversations.replies", 50), ("users.info", 100)] {
            let (pace, mut now, lane) = (Pace::default(), Instant::now(), Lane::Method(method));
            let times: Vec<Instant> = (0..5 * most)
                .map(|_| {
                    turns(&pace, &mut now, &lane, Priority::Final, 1);
                    now
                })
                .collect();
            let busiest =
                times.iter().map(|from| times.iter().filter(|at| (*from..*from + Duration::from_secs(60)).contains(at)).count()).max();
            assert!(busiest.is_some_and(|busiest| busiest < most && busiest > most * 8 / 10), "{method}: {busiest:?}");
        }
    }

    #[test]
    fn retry_after_holds_everybody_back_and_is_over_in_time() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        let lane = Lane::Method("chat.update");
        pace.close(&lane, Duration::from_secs(30));
        let waited = turns(&pace, &mut now, &lane, Priority::Final, 1);
        assert!(waited >= Duration::from_secs(29) && waited < Duration::from_secs(33), "{waited:?}");
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let (pace, now) = (Pace::default(), Instant::now());
        for channel in 0..2 * SWEEP_OVER {
            let later = now + Duration::from_secs(10 * channel as u64);
            pace.try_take(&[Lane::Channel(channel.to_string())], Priority::Final, later).unwrap();
        }
        assert!(pace.buckets.lock().unwrap().len() <= SWEEP_OVER + 1);
    }

    #[tokio::test]
    async fn who_cannot_wait_is_told_how_long_it_would_take() {
        let pace = Pace::default();
        let lane = Lane::Method("chat.update");
        pace.close(&lane, Duration::from_secs(30));
        let wait = pace.turn(&[lane], Priority::Progress, Instant::now() + Duration::from_secs(1)).await.unwrap_err();
        assert!(wait > Duration::from_secs(25), "{wait:?}");
    }
}
