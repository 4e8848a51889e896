//! The living message of a turn: posted through the outbox, then painted over whenever something changed.

use std::{sync::Arc, time::Duration};

use longshore_session::{Activity, CheckEnd, OutboxOwner, Phase, SessionRecord, SessionState, TurnId, TurnOutcome, fault_point};
use longshore_slack::{CardPhase, Message, PlanItem, PlanStatus, Posted, Priority, Rerouting, SlackError, TurnCard};
use tokio::sync::watch;
use tracing::Instrument;

use super::{
    easel::Change,
    view::{Fate, View},
};
use crate::app::App;

/// One card is not changed more often than this.
const PACE: Duration = Duration::from_secs(3);
/// A card whose post Slack never took is not painted.
const POST_WAIT: Duration = Duration::from_millis(200);
const POST_WAITS: u32 = 3_000;
const QUEUE_WAIT: Duration = Duration::from_secs(2);
/// How often the last picture is tried, later each time: about half an hour. The next start of the service tries again.
const LAST_TRIES: u32 = 36;
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The newest picture of a card.
#[derive(Debug, Clone)]
struct Picture {
    message: Option<Message>,
    last: Last,
    /// How often the phase, and how often a step or the plan changed so far.
    phases: u32,
    steps: u32,
}

impl Picture {
    const NONE: Self = Self { message: None, last: Last::No, phases: 0, steps: 0 };

    fn change_since(&self, painted: &Self) -> Change {
        match (self.phases - painted.phases, self.steps - painted.steps) {
            (0, 0) => Change::Time,
            (0, steps) => Change::Steps(steps),
            (_, _) => Change::Phase,
        }
    }
}

/// What is new in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Phase,
    Step,
    /// Only the time.
    Time,
}

/// Whether anything will come after a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    Yes,
    No,
}

/// Paints one turn's card in the background.
#[derive(Debug)]
pub struct Painter {
    pub turn: TurnId,
    pictures: watch::Sender<Picture>,
}

pub fn card_key(record: &SessionRecord, turn: TurnId) -> String {
    format!("{}:card:{turn}", record.id)
}

impl Painter {
    pub fn start(app: &Arc<App>, record: &SessionRecord, turn: TurnId) -> Self {
        let (pictures, seen) = watch::channel(Picture::NONE);
        app.tasks.spawn(paint(Arc::clone(app), record.clone(), turn, seen).in_current_span());
        Self { turn, pictures }
    }

    /// The older picture, if it was not painted yet, never will be.
    pub fn show(&self, message: Message, news: News, last: Last) {
        self.pictures.send_if_modified(|picture| {
            let changed = picture.message.as_ref() != Some(&message) || picture.last != last;
            picture.message = Some(message);
            picture.last = last;
            match news {
                News::Phase => picture.phases += 1,
                News::Step => picture.steps += 1,
                News::Time => {}
            }
            changed
        });
    }
}

async fn paint(app: Arc<App>, record: SessionRecord, turn: TurnId, mut pictures: watch::Receiver<Picture>) {
    tokio::select! {
        () = app.shutdown.cancelled() => {}
        () = paint_all(&app, &record, turn, &mut pictures) => {}
    }
}

async fn paint_all(app: &App, record: &SessionRecord, turn: TurnId, pictures: &mut watch::Receiver<Picture>) {
    let Some(posted) = posted(app, record, turn, pictures).await else { return };
    let place = app.easel.enter();
    let mut painted = Picture::NONE;
    let mut tries = 0;
    loop {
        let news = |picture: &Picture| picture.message.is_some() && (picture.last == Last::Yes || picture.message != painted.message);
        // Closed without news: the session broke off, and whoever takes it up paints on.
        let Ok(picture) = pictures.wait_for(news).await.map(|picture| picture.clone()) else { return };
        if picture.last == Last::No {
            tokio::select! {
                () = place.turn(picture.change_since(&painted)) => {}
                // What changed meanwhile counts, and the last picture waits for nobody.
                changed = pictures.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
        }
        let Some(message) = &picture.message else { return };
        let priority = if picture.last == Last::Yes { Priority::Final } else { Priority::Progress };
        fault_point!("card.painted.before");
        let result = app.slack.update_message(&posted, message, priority).await;
        fault_point!("card.painted.after");
        let delay = match result {
            Ok(()) if picture.last == Last::Yes => return,
            Ok(()) => {
                painted = picture;
                PACE
            }
            Err(SlackError::Refused { code, .. }) => {
                tracing::warn!(session = %record.id, %turn, code, "Slack refuses a change of the card");
                return;
            }
            Err(error) => {
                tracing::debug!(session = %record.id, %turn, %error, "the card is late");
                if let SlackError::RateLimited { retry_after, .. } = &error {
                    app.easel.too_much(*retry_after);
                }
                if picture.last == Last::Yes {
                    tries += 1;
                    if tries > LAST_TRIES {
                        return;
                    }
                    tokio::time::sleep((PACE * tries).min(LONGEST_DELAY)).await;
                    continue;
                }
                PACE
            }
        };
        // The last picture does not wait for the pace.
        let _ = tokio::time::timeout(delay, pictures.wait_for(|picture| picture.last == Last::Yes)).await;
    }
}

/// The card's message, once the outbox has posted it.
async fn posted(app: &App, record: &SessionRecord, turn: TurnId, pictures: &watch::Receiver<Picture>) -> Option<Posted> {
    let owner = OutboxOwner::Session(record.id.clone());
    let mut waits = 0;
    loop {
        match app.store.message_of(&owner, card_key(record, turn)).await {
            Ok(Some(ts)) => return Some(Posted { channel: record.thread.channel.clone(), ts }),
            Ok(None) => {}
            Err(error) => tracing::warn!(session = %record.id, %error, "cannot look for the card"),
        }
        if app.room.is_waiting(&record.id) {
            // It may be posted no sooner than its turn begins.
            tokio::time::sleep(QUEUE_WAIT).await;
            continue;
        }
        let is_over = pictures.borrow().last == Last::Yes;
        waits += 1;
        if waits > POST_WAITS || (is_over && matches!(app.store.sending(&owner, card_key(record, turn)).await, Ok(None))) {
            return None;
        }
        tokio::time::sleep(POST_WAIT).await;
    }
}

/// The card of a turn as it stands.
pub fn draw(app: &App, record: &SessionRecord, state: &SessionState, view: &View, turn: TurnId) -> Message {
    let seen = view.turn(turn);
    let now = app.clock.now();
    // It is the newest turn's card that tells where the prompts went; the others are of what was done here before.
    let moved = state.moved.as_ref().filter(|_| turn.0 == state.turns);
    let phase = match (&state.activity, &seen.outcome) {
        _ if moved.is_some() => CardPhase::Moved,
        (_, Some(TurnOutcome::Done)) => match (view.question_of(turn), &seen.check) {
            (Some(Fate::Open), _) => CardPhase::Waiting,
            (Some(Fate::Dropped { .. }), _) => CardPhase::Stopped,
            (_, Some(check)) if !check.passed() && !matches!(check.end, CheckEnd::NotRun { .. }) => CardPhase::DoneButFailing,
            (Some(Fate::Answered { .. }) | None, _) => CardPhase::Done,
        },
        (_, Some(TurnOutcome::Stopped { .. })) => CardPhase::Stopped,
        (_, Some(TurnOutcome::Failed { .. })) => CardPhase::Failed,
        (Activity::Preparing { .. }, None) => match app.room.place_of(&record.id) {
            Some(place) => CardPhase::Queued { place },
            None => CardPhase::Preparing,
        },
        (Activity::Idle, None) => CardPhase::Preparing,
        (Activity::Working { .. }, None) => CardPhase::Working,
        (Activity::Stopping { .. }, None) => CardPhase::Stopping,
        (Activity::Finishing { .. }, None) if seen.checking.is_some() => CardPhase::Checking,
        (Activity::Finishing { .. }, None) => CardPhase::Finishing,
    };
    let asker = view.asked.get(&turn).map_or(&record.owner, |prompt| &prompt.author.slack_user).clone();
    let plan = seen.plan.iter().map(|entry| PlanItem {
        text: entry.text.clone(),
        status: match entry.status {
            longshore_session::PlanStatus::Pending => PlanStatus::Pending,
            longshore_session::PlanStatus::InProgress => PlanStatus::Doing,
            longshore_session::PlanStatus::Completed => PlanStatus::Done,
        },
    });
    let card = TurnCard {
        session: record.id.clone(),
        repo: Some(record.repo.clone()),
        branch: Some(record.id.branch()),
        why: Some(record.why.clone()),
        asker,
        phase,
        plan: plan.collect(),
        step: seen.step.clone(),
        hindrance: seen.hindrance,
        elapsed: seen.at(Phase::TurnEnded).unwrap_or(now).since(seen.started.unwrap_or(now)),
        spent: seen.spent,
        session_url: Some(app.session_url(&record.id)),
        rerouting: match moved {
            Some(moved) => Rerouting::Moved { to: moved.repo.clone() },
            None if turn == TurnId(1) && state.moved.is_none() => Rerouting::Offered,
            None => Rerouting::Closed,
        },
    };
    card.render()
}
