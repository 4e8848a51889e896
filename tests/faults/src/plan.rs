//! Which story each point is tested in.

use longshore_session::FAULT_POINTS;

use crate::{
    case::{Case, Place},
    scenarios::Scenario,
};

/// Beside its own story, a point may be worth it at a later time, or in another one.
const MORE: &[(&str, u32, Scenario)] = &[
    ("log.agent.before", 3, Scenario::Mention),
    ("log.agent.after", 3, Scenario::Mention),
    ("model.forwarded.before", 3, Scenario::Mention),
    ("model.forwarded.after", 3, Scenario::Mention),
    ("tool.called.before", 2, Scenario::Mention),
    ("tool.called.after", 2, Scenario::Mention),
    ("work.saved.after", 2, Scenario::Mention),
    ("inbox.stored.after", 1, Scenario::FollowUp),
    ("inbox.done.before", 1, Scenario::FollowUp),
    ("log.prompt_accepted.before", 1, Scenario::FollowUp),
    ("log.prompt_accepted.after", 1, Scenario::FollowUp),
    ("log.turn_ended.after", 1, Scenario::FollowUp),
    ("log.turn_started.after", 1, Scenario::FollowUp),
    ("prompt.handed.before", 1, Scenario::FollowUp),
    ("prompt.handed.after", 1, Scenario::FollowUp),
    ("outbox.final.sent", 1, Scenario::FollowUp),
    ("snapshot.taken.after", 1, Scenario::Restore),
    ("sandbox.started.after", 2, Scenario::Restore),
    ("log.turn_running.before", 2, Scenario::Restore),
    ("log.turn_running.after", 1, Scenario::Pool),
];

/// Deaths at moments that are seen from outside.
const OUTSIDE: &[(&str, Scenario)] = &[
    ("slack.acknowledged.after", Scenario::Mention),
    ("service.away.briefly", Scenario::Outage { seconds: 5 }),
    ("service.away.long", Scenario::Outage { seconds: 60 }),
];

/// The story of a point.
fn story(point: &str) -> Scenario {
    let (area, rest) = point.split_once('.').unwrap_or((point, ""));
    let (thing, _) = rest.split_once('.').unwrap_or((rest, ""));
    match (area, thing) {
        ("log", "prompt_inserted" | "prompt_handed") | ("insert", _) => Scenario::Joining,
        ("log", "stop_requested") | ("agent", "cancelled") => Scenario::Stop,
        ("log", "question_asked" | "question_answered") | ("outbox", "question") => Scenario::Question,
        ("log", "files_taken") | ("files" | "file", _) | ("outbox", "file") => Scenario::Files,
        ("log", "moved" | "cleaned_up") | ("move" | "leave", _) => Scenario::Move,
        ("outbox", "notice" | "change") => Scenario::FollowUp,
        ("sandbox", "paused" | "woken") | ("snapshot", "removed") => Scenario::Pause,
        ("sandbox", "removed" | "forgotten") | ("restore", _) => Scenario::Restore,
        ("pool", _) => Scenario::Pool,
        ("image", _) => Scenario::Build,
        ("start", _) => Scenario::Recovery,
        _ => Scenario::Mention,
    }
}

/// All cases, those on the same ground side by side.
pub fn all() -> Vec<Case> {
    let points = FAULT_POINTS.iter().map(|point| (point.name, 1, story(point.name)));
    let points = points.chain(MORE.iter().copied());
    let points = points.map(|(name, time, scenario)| Case { place: Place::Point { name, time }, scenario });
    let outside = OUTSIDE.iter().map(|(name, scenario)| Case { place: Place::Outside { name }, scenario: *scenario });
    let mut cases: Vec<Case> = points.chain(outside).collect();
    cases.sort_by_key(|case| case.scenario);
    cases
}

/// Protections that are switched off, where the service then dies, and what the suite must find.
pub fn self_tests() -> Vec<(&'static str, Case, &'static str)> {
    let at = |name, scenario| Case { place: Place::Point { name, time: 1 }, scenario };
    vec![
        ("inbox-deduplication", at("inbox.stored.after", Scenario::Mention), "the thread has "),
        ("outbox-reconciliation", at("outbox.card.sent", Scenario::Mention), "stands 2 times in the thread"),
        ("outbox-reconciliation", at("outbox.final.sent", Scenario::Mention), "stands 2 times in the thread"),
        ("outbox-reconciliation", at("outbox.file.sent", Scenario::Files), "stands 2 times in the thread"),
        ("", at("move.begun.after", Scenario::Mention), "the point was never reached"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_point_has_a_case_and_no_case_comes_twice() {
        let cases = all();
        for point in FAULT_POINTS {
            assert!(cases.iter().any(|case| case.place == Place::Point { name: point.name, time: 1 }), "{}", point.name);
        }
        let names: BTreeSet<String> = cases.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), cases.len());
        assert!(FAULT_POINTS.len() > 100);
        for (_, case, _) in self_tests() {
            assert!(longshore_session::is_fault_point(case.name()), "{case}");
        }
    }
}
