//! Who gets the next place.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
};

use longshore_session::{SlackUserId, Timestamp};

/// A turn that waits, as far as its place is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub person: SlackUserId,
    /// When the prompt came.
    pub since: Timestamp,
}

/// The order in which those who wait get places, as indices: whoever has the fewest turns at work goes first, where that is equal the one who waits
/// longest. What somebody gets counts as at work for the next place, so that people take turns whatever their number of prompts.
pub fn order(waiting: &[Candidate], at_work: &HashMap<SlackUserId, usize>) -> Vec<usize> {
    let mut by_person: BTreeMap<&SlackUserId, VecDeque<usize>> = BTreeMap::new();
    let mut oldest_first: Vec<usize> = (0..waiting.len()).collect();
    oldest_first.sort_by_key(|index| waiting.get(*index).map(|candidate| candidate.since));
    for index in oldest_first {
        if let Some(candidate) = waiting.get(index) {
            by_person.entry(&candidate.person).or_default().push_back(index);
        }
    }
    let mut next = BinaryHeap::new();
    let put = |next: &mut BinaryHeap<_>, count: usize, line: VecDeque<usize>| {
        if let Some((since, index)) = line.front().and_then(|index| Some((waiting.get(*index)?.since, *index))) {
            next.push(Reverse((count, since, index, line)));
        }
    };
    for (person, line) in by_person {
        put(&mut next, at_work.get(person).copied().unwrap_or(0), line);
    }
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(Reverse((count, _, index, mut line))) = next.pop() {
        order.push(index);
        line.pop_front();
        put(&mut next, count + 1, line);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(name: &str) -> SlackUserId {
        SlackUserId::parse(format!("U0{name}")).unwrap()
    }

    fn waiting(entries: &[(&str, i64)]) -> Vec<Candidate> {
        entries.iter().map(|(name, since)| Candidate { person: person(name), since: Timestamp(*since) }).collect()
    }

    #[test]
    fn people_take_turns_however_much_one_of_them_asks() {
        let waiting = waiting(&[("ANA", 1), ("ANA", 2), ("ANA", 3), ("BEN", 4), ("CY", 5), ("BEN", 6)]);
        assert_eq!(order(&waiting, &HashMap::new()), [0, 3, 4, 1, 5, 2]);
    }

    #[test]
    fn whoever_has_nothing_at_work_comes_before_whoever_has() {
        let waiting = waiting(&[("ANA", 1), ("BEN", 2)]);
        assert_eq!(order(&waiting, &HashMap::from([(person("ANA"), 2)])), [1, 0]);
        assert_eq!(order(&waiting, &HashMap::from([(person("ANA"), 1), (person("BEN"), 1)])), [0, 1]);
    }

    proptest! {
        #[test]
        fn everybody_gets_a_place_and_nobody_is_passed_over(
            asked in proptest::collection::vec((0..5usize, 0..50i64), 0..40),
            busy in proptest::collection::vec(0..4usize, 5),
        ) {
            let names = ["ANA", "BEN", "CY", "DI", "ED"];
            let waiting: Vec<Candidate> =
                asked.iter().map(|(who, since)| Candidate { person: person(names[*who]), since: Timestamp(*since) }).collect();
            let mut at_work: HashMap<SlackUserId, usize> = names.iter().zip(&busy).map(|(name, count)| (person(name), *count)).collect();
            let order = order(&waiting, &at_work);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..waiting.len()).collect::<Vec<_>>());
            let mut left: Vec<usize> = (0..waiting.len()).collect();
            for index in order {
                let taken = &waiting[index];
                let fewest = left.iter().map(|other| at_work[&waiting[*other].person]).min().unwrap();
                prop_assert_eq!(at_work[&taken.person], fewest, "somebody with fewer turns at work waits");
                let oldest = left.iter().filter(|other| at_work[&waiting[**other].person] == fewest).map(|other| waiting[*other].since).min();
                prop_assert_eq!(Some(taken.since), oldest, "somebody as good waits longer");
                left.retain(|other| *other != index);
                *at_work.get_mut(&taken.person).unwrap() += 1;
            }
        }

        /// However many prompts one person has waiting, somebody else's first one gets one of the next places.
        #[test]
        fn nobody_waits_behind_a_flood(flood in 1..60usize, others in 1..5usize) {
            let mut entries: Vec<(String, i64)> = (0..flood).map(|n| ("FLOOD".to_owned(), i64::try_from(n).unwrap())).collect();
            entries.extend((0..others).map(|n| (format!("P{n}"), 1_000)));
            let waiting: Vec<Candidate> =
                entries.iter().map(|(name, since)| Candidate { person: person(name), since: Timestamp(*since) }).collect();
            let order = order(&waiting, &HashMap::new());
            for other in flood..flood + others {
                prop_assert!(order.iter().position(|index| *index == other).unwrap() <= others);
            }
        }
    }
}
