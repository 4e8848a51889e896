//! The living card of a turn, in each phase.

use std::time::Duration;

use longshore_session::ModelHindrance;

use super::{Example, ana, repo, session, thread};
use crate::render::{CardPhase, PlanItem, PlanStatus, Rerouting, Spent, TurnCard};

pub(super) fn all() -> Vec<Example> {
    let new = TurnCard { repo: None, branch: None, why: None, plan: Vec::new(), step: None, ..card(CardPhase::Choosing, 1) };
    let unplanned = |phase, seconds| TurnCard { plan: Vec::new(), step: None, ..card(phase, seconds) };
    let planned = card(CardPhase::Working, 80);
    let ended = |phase, last| TurnCard { plan: plan(PlanStatus::Done, last), step: None, ..card(phase, 214) };
    [
        ("card-queued", "The turn waits: as many sandboxes run as the service may start.", unplanned(CardPhase::Queued { place: 2 }, 12)),
        ("card-choosing", "Right after the mention, while the repository is worked out.", new),
        ("card-preparing", "The repository is known; its sandbox starts and is brought up to date.", unplanned(CardPhase::Preparing, 2)),
        ("card-working", "The agent works: its plan with what is done, and what it does now.", planned.clone()),
        ("card-plan-long", "A plan of many steps is shown in part.", TurnCard { plan: long_plan(), ..planned.clone() }),
        ("card-no-page", "The same where the service has no web address to link to.", TurnCard { session_url: None, ..planned }),
        (
            "card-follow-up",
            "The same on a later turn, where the repository is settled.",
            TurnCard { rerouting: Rerouting::Closed, ..card(CardPhase::Working, 31) },
        ),
        (
            "card-model-limit",
            "The model's provider wants to be asked less; the agent waits and asks again.",
            TurnCard { hindrance: Some(ModelHindrance::OverLimit), ..card(CardPhase::Working, 130) },
        ),
        (
            "card-model-failing",
            "The model's provider fails.",
            TurnCard { hindrance: Some(ModelHindrance::Failing { status: 502 }), ..card(CardPhase::Working, 130) },
        ),
        (
            "card-model-broke-off",
            "The model's answer broke off, or nothing more came of it.",
            TurnCard { hindrance: Some(ModelHindrance::BrokeOff), ..card(CardPhase::Working, 130) },
        ),
        ("card-waiting", "The agent asked something, and the turn waits for the answer.", card(CardPhase::Waiting, 95)),
        ("card-finishing", "The agent is done, and its work is being pushed.", ended(CardPhase::Finishing, PlanStatus::Done)),
        ("card-checking", "The repository's check runs on what was pushed.", ended(CardPhase::Checking, PlanStatus::Done)),
        ("card-stopping", "Somebody asked to stop, and the agent is being told.", card(CardPhase::Stopping, 96)),
        ("card-done", "What the card turns into when the turn ended well.", ended(CardPhase::Done, PlanStatus::Done)),
        ("card-done-failing", "The turn ended well, but the check fails on it.", ended(CardPhase::DoneButFailing, PlanStatus::Done)),
        ("card-stopped", "What it turns into when somebody stopped the turn.", ended(CardPhase::Stopped, PlanStatus::Dropped)),
        ("card-failed", "What it turns into when the turn failed.", ended(CardPhase::Failed, PlanStatus::Pending)),
        (
            "card-moved",
            "What it turns into when the prompt went to another repository.",
            TurnCard { rerouting: Rerouting::Moved { to: repo("acme/courier") }, ..card(CardPhase::Moved, 40) },
        ),
    ]
    .map(|(name, when, card)| thread(name, when, &card, TurnCard::render))
    .to_vec()
}

fn card(phase: CardPhase, seconds: u64) -> TurnCard {
    TurnCard {
        session: session(),
        repo: Some(repo("acme/storefront")),
        branch: Some("longshore/s-7k2m9q4dxw".to_owned()),
        why: Some("the message speaks of the checkout, decided by the model (0.92)".to_owned()),
        asker: ana(),
        phase,
        plan: plan(PlanStatus::Doing, PlanStatus::Pending),
        step: Some("reading src/checkout.py".to_owned()),
        hindrance: None,
        elapsed: Duration::from_secs(seconds),
        spent: Spent { micros: 4_200 * seconds, unpriced_tokens: 0 },
        session_url: Some("https://longshore.example.com/sessions/s-7k2m9q4dxw?key=k".to_owned()),
        rerouting: Rerouting::Offered,
    }
}

fn plan(second: PlanStatus, third: PlanStatus) -> Vec<PlanItem> {
    [("Find where the payment is sent", PlanStatus::Done), ("Send it once per order", second), ("Run the tests", third)]
        .map(|(text, status)| PlanItem { text: text.to_owned(), status })
        .to_vec()
}

fn long_plan() -> Vec<PlanItem> {
    let page = |n| PlanItem { text: format!("Translate page {n}"), status: if n < 5 { PlanStatus::Done } else { PlanStatus::Pending } };
    (1..=15).map(page).collect()
}
