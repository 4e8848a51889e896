//! Shares Slack's budget for changed messages out among all living cards.
//!
//! Slack allows about fifty changes a minute in the whole workspace. Whoever wants to paint a card over asks here and waits for its turn; the
//! newest picture is drawn only then. Last pictures do not ask: they go at once, on what is kept back for them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Between two turns, over all cards: forty a minute. The rest of the budget is for last pictures and for questions.
const PACE: Duration = Duration::from_millis(1_500);
/// Turns that may be taken at once after a quiet time.
const BURST: u32 = 4;
/// How much slower than that it gets, each time that Slack says that it is too much, and how much at the most.
const SLOWER: u32 = 2;
const SLOWEST: u32 = 8;
/// A card that nothing happens to is painted this often, to show the time, where few are alive.
const LIVENESS: Duration = Duration::from_secs(30);

/// What changed since a card's last picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the time.
    Time,
    /// What the agent does, or its plan; so often.
    Steps(u32),
    /// Where the turn stands.
    Phase,
}

impl Change {
    /// So much longer a card with this change counts as having waited. Bounded, so that no card starves.
    fn head_start(self) -> Duration {
        match self {
            Self::Time => Duration::ZERO,
            Self::Steps(times) => Duration::from_secs(10) + Duration::from_millis(500) * times.min(10),
            Self::Phase => Duration::from_secs(30),
        }
    }
}

/// One for all cards of the service.
#[derive(Debug)]
pub struct Easel {
    inner: Mutex<Inner>,
    moved: Notify,
}

#[derive(Debug)]
struct Inner {
    next_place: u64,
    /// When each living card was painted last.
    alive: BTreeMap<u64, Instant>,
    waiting: BTreeMap<u64, Change>,
    /// The earliest time of the next turn; lies up to a burst in the past.
    next: Instant,
    /// How many times slower than usual.
    slowness: u32,
    /// Turns since it last got slower or quicker.
    smooth: u32,
}

impl Default for Easel {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner::at(Instant::now())), moved: Notify::new() }
    }
}

/// A living card's place. Leaving it makes the others quicker.
#[derive(Debug)]
pub struct Place<'a> {
    easel: &'a Easel,
    number: u64,
}

impl Easel {
    /// For a card that stands in its thread from now on.
    pub fn enter(&self) -> Place<'_> {
        let number = self.lock().enter(Instant::now());
        Place { easel: self, number }
    }

    /// After how long a card is worth a new picture although nothing happened: the more are alive, the rarer.
    pub fn liveness(&self) -> Duration {
        self.lock().liveness()
    }

    /// Slack said that it was too much: nobody paints for so long, and everybody more slowly after that.
    pub fn too_much(&self, retry_after: Duration) {
        self.lock().too_much(retry_after, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn at(now: Instant) -> Self {
        Self { next_place: 0, alive: BTreeMap::new(), waiting: BTreeMap::new(), next: now, slowness: 1, smooth: 0 }
    }

    fn enter(&mut self, now: Instant) -> u64 {
        let number = self.next_place;
        self.next_place += 1;
        self.alive.insert(number, now);
        number
    }

    fn liveness(&self) -> Duration {
        let all = u32::try_from(self.alive.len()).unwrap_or(u32::MAX);
        LIVENESS.max(self.pace().saturating_mul(all) + self.pace() * 4)
    }

    fn too_much(&mut self, retry_after: Duration, now: Instant) {
        self.next = self.next.max(now + retry_after);
        self.slowness = (self.slowness * SLOWER).min(SLOWEST);
        self.smooth = 0;
    }

    fn pace(&self) -> Duration {
        PACE * self.slowness
    }

    /// Who goes first: whoever waits longest, with a head start for what matters more.
    fn first(&self, now: Instant) -> Option<u64> {
        let waited = |number: &u64| self.alive.get(number).map_or(Duration::ZERO, |painted| now.duration_since(*painted));
        self.waiting
            .iter()
            .max_by_key(|(number, change)| (waited(number) + change.head_start(), std::cmp::Reverse(**number)))
            .map(|(n, _)| *n)
    }

    /// Takes the turn, if it is this card's; else says when to look again, where that is known.
    fn take(&mut self, number: u64, now: Instant) -> Result<(), Option<Instant>> {
        if self.first(now) != Some(number) {
            return Err(None);
        }
        if self.next > now {
            return Err(Some(self.next));
        }
        let pace = self.pace();
        self.next = self.next.max(now.checked_sub(pace * (BURST - 1)).unwrap_or(now)) + pace;
        self.waiting.remove(&number);
        self.alive.insert(number, now);
        self.smooth += 1;
        // What was too much once may be fine in a minute.
        if self.smooth >= 20 && self.slowness > 1 {
            self.slowness /= SLOWER;
            self.smooth = 0;
        }
        Ok(())
    }
}

impl Place<'_> {
    /// Waits for this card's turn. May be given up at any time, and asked for again with what has changed meanwhile.
    pub async fn turn(&self, change: Change) {
        let _waiting = Waiting { place: self };
        self.easel.lock().waiting.insert(self.number, change);
        // Whoever was first may not be any more.
        self.easel.moved.notify_waiters();
        loop {
            let moved = self.easel.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let taken = self.easel.lock().take(self.number, Instant::now());
            match taken {
                Ok(()) => return,
                Err(Some(next)) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next) => {}
                        () = moved => {}
                    }
                }
                Err(None) => moved.await,
            }
        }
    }
}

/// While a card waits; the others are told when it no longer does.
struct Waiting<'a> {
    place: &'a Place<'a>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.place.easel.lock().waiting.remove(&self.place.number);
        self.place.easel.moved.notify_waiters();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.easel.lock().alive.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    /// Cards to which something happens all the time, in simulated time: which was painted when.
    fn paint(cards: &[Change], too_much_at: Option<Duration>) -> Vec<(usize, Duration)> {
        let start = Instant::now();
        let (mut now, mut easel, mut painted) = (start, Inner::at(start), Vec::new());
        let numbers: Vec<u64> = cards.iter().map(|_| easel.enter(start)).collect();
        let mut too_much_at = too_much_at.map(|at| start + at);
        while now < start + TEN_MINUTES {
            easel.waiting.extend(numbers.iter().copied().zip(cards.iter().copied()));
            let first = easel.first(now).unwrap();
            match easel.take(first, now) {
                Ok(()) => painted.push((usize::try_from(first).unwrap(), now - start)),
                Err(next) => {
                    let next = next.unwrap();
                    if let Some(at) = too_much_at.take_if(|at| *at <= next) {
                        easel.too_much(Duration::from_secs(30), at);
                    } else {
                        now = next;
                    }
                }
            }
        }
        painted
    }

    /// The longest time without a picture, of any of these cards.
    fn longest_gap(painted: &[(usize, Duration)], cards: usize) -> Duration {
        let gaps = (0..cards).flat_map(|card| {
            let times = painted.iter().filter(|(of, _)| *of == card).map(|(_, at)| *at);
            let times: Vec<Duration> = [Duration::ZERO].into_iter().chain(times).chain([TEN_MINUTES]).collect();
            times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect::<Vec<_>>()
        });
        gaps.max().unwrap()
    }

    #[test]
    fn thirty_cards_that_change_all_the_time_stay_alive_within_the_budget() {
        let painted = paint(&[Change::Steps(3); 30], None);
        assert!((390..=405).contains(&painted.len()), "{} in ten minutes", painted.len());
        for minute in 0..10 {
            let during = painted.iter().filter(|(_, at)| at.as_secs() / 60 == minute).count();
            assert!(during <= 45, "{during} in minute {minute}");
        }
        let gap = longest_gap(&painted, 30);
        assert!(gap <= Duration::from_secs(50), "{gap:?}");
    }

    #[test]
    fn what_matters_more_comes_first_and_nobody_starves() {
        let mut cards = vec![Change::Time; 10];
        cards.extend([Change::Steps(20); 10]);
        cards.extend([Change::Phase; 10]);
        let painted = paint(&cards, None);
        let first: Vec<usize> = painted.iter().take(15).map(|(card, _)| card / 10).collect();
        assert!(first[..10].iter().all(|kind| *kind == 2) && !first.contains(&0), "{first:?}");
        let gap = longest_gap(&painted, 30);
        assert!(gap <= Duration::from_secs(75), "{gap:?}");
    }

    #[test]
    fn where_slack_says_too_much_cards_are_thinned_out_for_a_while() {
        let painted = paint(&[Change::Steps(1); 30], Some(Duration::from_secs(120)));
        let between = |from: u64, to: u64| painted.iter().filter(|(_, at)| (from..to).contains(&at.as_secs())).count();
        assert_eq!(between(121, 149), 0, "nobody may");
        assert!((15..=25).contains(&between(150, 210)), "{} in the minute after", between(150, 210));
        assert!((38..=42).contains(&between(400, 460)), "{} later", between(400, 460));
    }

    #[test]
    fn the_more_cards_live_the_rarer_each_shows_the_time() {
        let now = Instant::now();
        let mut easel = Inner::at(now);
        easel.enter(now);
        assert_eq!(easel.liveness(), LIVENESS);
        for _ in 1..30 {
            easel.enter(now);
        }
        assert!((Duration::from_secs(45)..=Duration::from_secs(60)).contains(&easel.liveness()), "{:?}", easel.liveness());
    }

    #[tokio::test]
    async fn a_turn_that_is_given_up_holds_nobody_back() {
        let easel = Easel::default();
        let (one, two) = (easel.enter(), easel.enter());
        easel.too_much(Duration::from_millis(300));
        let given_up = tokio::time::timeout(Duration::from_millis(50), one.turn(Change::Phase)).await;
        assert!(given_up.is_err());
        let generous = Duration::from_secs(30);
        tokio::time::timeout(generous, two.turn(Change::Time)).await.unwrap();
        // Both wait at once: each is woken by the other's turn.
        let both = async { tokio::join!(one.turn(Change::Time), two.turn(Change::Phase)) };
        tokio::time::timeout(generous, both).await.unwrap();
    }
}
