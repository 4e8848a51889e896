//! A session whose own database is damaged: its log is put together again from the index, its thread in Slack and its snapshot.
//!
//! What comes of it are ordinary events. What the thread does not tell (steps, tools, times, costs) is gone. A turn that has no final reply in the thread
//! ends as failed: nobody knows how far it came, and doing it twice would be worse than asking.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use anyhow::{Context, Result};
use longshore_session::{
    AgentActivity, AgentCursor, Append, Event, MessageTs, OutboxOwner, Phase, Prompt, PromptId, PullRequestRef, SandboxId, SandboxOrigin,
    SessionId, SessionRecord, StoreError, Timestamp, TurnFailure, TurnId, TurnOutcome,
};
use longshore_slack::{Notice, Reply};

use crate::{
    app::App,
    dispatch::prompt_id,
    outbox::Owed,
    snapshots::{self, Moment},
    thread::{self, Speaker},
};

/// Messages of the thread that are read.
const THREAD: usize = 1_000;

/// Whether this says that a session's database is damaged.
pub fn is_damage(app: &App, error: &anyhow::Error) -> bool {
    let sessions = app.store.folder().join("sessions");
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(StoreError::Corrupt { path, .. }) if path.starts_with(&sessions)))
}

/// Puts the damaged file aside and stores a new log. Errors where Slack cannot be asked now: then nothing was changed.
pub async fn rebuild(app: &Arc<App>, id: &SessionId, why: &anyhow::Error) -> Result<()> {
    let record = app.store.session(id.clone()).await?.context("the index does not know it")?;
    let first = app.store.first_ask(id.clone()).await?.context("the index has no first prompt")?.prompt;
    let posts = read_thread(app, &record, &first).await?;
    let rows = app.store.sandboxes().await?;
    let sandbox = rows.into_iter().rev().find(|row| row.session == *id).map(|row| row.id);
    let snapshot = app.store.newest_snapshot(id.clone()).await?;
    let kept = Kept {
        snapshot: snapshot.as_ref().map(|kept| (kept.facts.through, kept.facts.sandbox.clone())),
        sandbox: sandbox.clone(),
        pull_request: pull_request(app, &record).await,
    };
    let told = retell(id, &first, &posts, &kept, app.clock.now());
    if let (Some(sandbox), None) = (&sandbox, &told.broken_off) {
        // It rests. It may hold more than the snapshot, and goes, since nobody knows how far its agent was read.
        let conversation = snapshot.and_then(|kept| kept.facts.conversation);
        let moment = Moment { sandbox: sandbox.clone(), through: told.last, conversation };
        if let Err(error) = snapshots::take(app, id, moment).await {
            tracing::warn!(%sandbox, error = format!("{error:#}"), "the sandbox cannot be kept");
        }
    }
    let aside = app.store.set_session_aside(id).await?;
    tracing::error!(
        error = format!("{why:#}"), aside = %aside.display(), turns = told.last.0,
        "the session's database is damaged; it was put aside, and its log is put together from its thread"
    );
    let message = Notice::RecordRebuilt.render();
    let thread = Some(record.thread.thread.clone());
    let owed = Owed { channel: record.thread.channel.clone(), thread, message, asker: None };
    let cursor = sandbox.filter(|_| told.broken_off.is_some());
    let append = Append {
        events: told.events,
        cursor: cursor.map(|sandbox| AgentCursor { sandbox, offset: 0, agent_session: None }),
        outbox: vec![owed.draft("notice", format!("{id}:rebuilt:{}", app.clock.now().0))?],
    };
    // Cards can be changed and final replies are known to be there. Before the log: as long as that is empty, all this is done again.
    let found = posts.into_iter().filter_map(|post| match post {
        Post::Own { key, ts, .. } if key.starts_with(id.as_str()) => Some((key, ts)),
        Post::Own { .. } | Post::Asked(_) => None,
    });
    app.store.note_found(id, found.collect()).await?;
    app.store.append(id, append).await?;
    app.outbox.nudge(OutboxOwner::Session(id.clone()));
    Ok(())
}

/// A message of the thread.
#[derive(Debug, Clone, PartialEq)]
enum Post {
    Asked(Prompt),
    /// One of our own, by its key.
    Own {
        key: String,
        text: String,
        ts: MessageTs,
    },
}

/// What there is beside the thread.
#[derive(Debug, Clone, Default)]
struct Kept {
    snapshot: Option<(TurnId, SandboxId)>,
    sandbox: Option<SandboxId>,
    pull_request: Option<PullRequestRef>,
}

/// The log, told again.
#[derive(Debug)]
struct Told {
    events: Vec<Event>,
    last: TurnId,
    /// The turn that has no final reply.
    broken_off: Option<TurnId>,
}

async fn read_thread(app: &App, record: &SessionRecord, first: &Prompt) -> Result<Vec<Post>> {
    let page = match app.slack.replies(&record.thread.channel, &record.thread.thread, THREAD).await {
        Ok(page) => page.replies,
        // The thread is gone, and what it told with it.
        Err(longshore_slack::SlackError::Refused { code, .. }) => {
            tracing::warn!(code, "the thread cannot be read");
            Vec::new()
        }
        Err(error) => return Err(error).context("the thread cannot be read now"),
    };
    let mut posts = Vec::new();
    for reply in &page {
        posts.extend(post(app, record, first, reply).await);
    }
    Ok(posts)
}

async fn post(app: &App, record: &SessionRecord, first: &Prompt, reply: &Reply) -> Option<Post> {
    let text = thread::words(app, reply).await;
    match thread::speaker(app, reply).await {
        Speaker::Own => {
            let key = reply.raw.pointer("/metadata/event_payload/key")?.as_str()?.to_owned();
            Some(Post::Own { key, text, ts: reply.ts.clone() })
        }
        Speaker::OtherBot(_) => None,
        Speaker::Person(_) => {
            let author = app.person(reply.user.as_ref()?).await.ok()?;
            let received = first.received;
            let id = prompt_id(&record.thread.channel, &reply.ts);
            Some(Post::Asked(Prompt { id, author, text, context: Vec::new(), files: Vec::new(), post: reply.ts.clone(), received }))
        }
    }
}

async fn pull_request(app: &App, record: &SessionRecord) -> Option<PullRequestRef> {
    let base = &app.manifest(&record.repo)?.base_branch;
    match app.github.open_pull_request_of(&record.repo, &record.id.branch(), base).await {
        Ok(found) => found.map(|pull| PullRequestRef { number: pull.number, url: pull.url, title: record.title.clone() }),
        Err(error) => {
            tracing::warn!(%error, "GitHub does not say whether there is a pull request");
            None
        }
    }
}

/// What a turn was asked and what it answered, as far as the thread tells.
#[derive(Debug, Default)]
struct Turn {
    asked: Option<Prompt>,
    answer: Option<String>,
}

fn retell(session: &SessionId, first: &Prompt, posts: &[Post], kept: &Kept, now: Timestamp) -> Told {
    let mut turns: BTreeMap<u32, Turn> = BTreeMap::from([(1, Turn { asked: Some(first.clone()), answer: None })]);
    let mut open: VecDeque<&Prompt> = VecDeque::new();
    let queued: BTreeSet<PromptId> = posts.iter().filter_map(|post| waiting(session, post)).collect();
    for post in posts {
        match post {
            Post::Asked(prompt) if prompt.post == first.post => {}
            Post::Asked(prompt) => open.push_back(prompt),
            Post::Own { key, text, .. } => {
                let Some((turn, is_final)) = of_turn(session, key) else { continue };
                let turn = turns.entry(turn).or_insert_with(|| Turn { asked: next_asked(&mut open, &queued), answer: None });
                if is_final {
                    let answer = turn.answer.get_or_insert_default();
                    answer.push_str(text);
                    answer.push('\n');
                }
            }
        }
    }
    let through = kept.snapshot.as_ref().map_or(0, |(through, _)| through.0);
    let last = turns.keys().next_back().copied().unwrap_or(1).max(through);
    let mut told = Told { events: Vec::new(), last: TurnId(last), broken_off: None };
    for number in 1..=last {
        let seen = turns.remove(&number).unwrap_or_default();
        // Its message is gone from the thread.
        let asked = seen.asked.unwrap_or_else(|| forgotten(session, first, number));
        // Final replies are sent in order, so only the last one can be missing. Where the thread is gone, nobody waits for it.
        let is_over = number < last || (posts.is_empty() && number <= through);
        let answer = seen.answer.or_else(|| is_over.then(String::new));
        tell_turn(&mut told, (TurnId(number), asked), answer, kept, now);
    }
    // Not before the broken off one, whose queue it is.
    let waiting = open.into_iter().filter(|prompt| queued.contains(&prompt.id));
    told.events.extend(waiting.map(|prompt| Event::PromptAccepted { prompt: prompt.clone() }));
    told.events.extend(kept.pull_request.clone().map(|pull_request| Event::PullRequestOpened { pull_request }));
    told
}

fn tell_turn(told: &mut Told, (turn, asked): (TurnId, Prompt), answer: Option<String>, kept: &Kept, now: Timestamp) {
    let prompt = asked.id.clone();
    told.events.extend([Event::PromptAccepted { prompt: asked }, Event::TurnStarted { turn, prompt }]);
    let origin = SandboxOrigin::Kept;
    let Some(answer) = answer else {
        told.broken_off = Some(turn);
        if let Some(sandbox) = kept.sandbox.clone() {
            told.events.push(Event::TurnRunning { turn, sandbox, origin });
            // What is in it is to be saved.
            told.events.push(Event::PhaseReached { turn, phase: Phase::Synced, at: now });
        }
        let outcome = TurnOutcome::Failed { failure: TurnFailure::RecordLost };
        told.events.push(Event::TurnFinishing { turn, outcome });
        return;
    };
    let of_snapshot = kept.snapshot.as_ref().filter(|(through, _)| turn <= *through).map(|(_, sandbox)| sandbox.clone());
    // After the snapshot it was another one, or nobody knows: either way its agent's memory is not to be relied on.
    if let Some(sandbox) = of_snapshot.or_else(|| SandboxId::parse(format!("b-lost-{turn}")).ok()) {
        told.events.push(Event::TurnRunning { turn, sandbox, origin });
    }
    told.events.push(Event::Agent { turn, activity: AgentActivity::Text { delta: answer } });
    told.events.push(Event::TurnFinishing { turn, outcome: TurnOutcome::Done });
    told.events.push(Event::TurnEnded { turn, outcome: TurnOutcome::Done });
}

/// What begins next: the oldest that waited, else what was said last.
fn next_asked(open: &mut VecDeque<&Prompt>, queued: &BTreeSet<PromptId>) -> Option<Prompt> {
    let next = match open.iter().position(|prompt| queued.contains(&prompt.id)) {
        Some(index) => open.remove(index),
        None => open.pop_back(),
    };
    next.cloned()
}

fn forgotten(session: &SessionId, first: &Prompt, turn: u32) -> Prompt {
    let id = PromptId::parse(format!("p-forgotten-{session}-{turn}")).unwrap_or_else(|_| PromptId::random());
    let post = MessageTs::parse(format!("0000000000.{turn:06}")).unwrap_or_else(|_| first.post.clone());
    Prompt { id, post, text: "(a message that is not in the thread any more)".to_owned(), files: Vec::new(), ..first.clone() }
}

/// The turn that a message of ours belongs to, and whether it is (a part of) the final reply.
fn of_turn(session: &SessionId, key: &str) -> Option<(u32, bool)> {
    let mut parts = key.strip_prefix(session.as_str())?.strip_prefix(':')?.split(':');
    let is_final = match parts.next()? {
        "card" => false,
        "final" => true,
        _ => return None,
    };
    Some((parts.next()?.parse().ok()?, is_final))
}

/// The prompt that a notice says is waiting, or has waited: one that was withdrawn or joined a turn is none.
fn waiting(session: &SessionId, post: &Post) -> Option<PromptId> {
    let Post::Own { key, text, .. } = post else { return None };
    let prompt = key.strip_prefix(session.as_str())?.strip_prefix(":queued:")?;
    let waits = ["🕒", "▶"].iter().any(|begin| text.trim_start().starts_with(begin))
        || [":clock3:", ":arrow_forward:"].iter().any(|begin| text.trim_start().starts_with(begin));
    if waits { PromptId::parse(prompt).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use longshore_session::{Activity, Person, SessionState, SlackUserId};

    use super::*;
    use crate::conversation::view::View;

    fn session() -> SessionId {
        SessionId::parse("s-1").unwrap()
    }

    fn prompt(number: u32) -> Prompt {
        Prompt {
            id: PromptId::parse(format!("p-{number}")).unwrap(),
            author: Person { slack_user: SlackUserId::parse("U1").unwrap(), name: "Ana".to_owned(), email: "a@example.com".to_owned() },
            text: format!("request {number}"),
            context: Vec::new(),
            files: Vec::new(),
            post: MessageTs::parse(format!("1795400000.{number:06}")).unwrap(),
            received: Timestamp(0),
        }
    }

    fn own(key: &str, text: &str) -> Post {
        Post::Own { key: format!("s-1:{key}"), text: text.to_owned(), ts: prompt(9).post }
    }

    fn replayed(told: &Told) -> (SessionState, View) {
        let (mut state, mut view) = (SessionState::default(), View::default());
        for event in &told.events {
            state.evolve(event);
            view.take(event, Timestamp(0), &state);
        }
        (state, view)
    }

    fn sandbox(name: &str) -> SandboxId {
        SandboxId::parse(name).unwrap()
    }

    #[test]
    fn what_was_answered_is_known_again_and_done_no_second_time() {
        let posts = [
            Post::Asked(prompt(1)),
            own("card:1", "Done"),
            own("final:1", "First answer."),
            Post::Asked(prompt(2)),
            own("card:2", "Done"),
            own("final:2", "Second answer,"),
            own("final:2:1", "in two parts."),
            Post::Asked(prompt(3)),
        ];
        let kept = Kept { snapshot: Some((TurnId(1), sandbox("b-1"))), ..Kept::default() };
        let told = retell(&session(), &prompt(1), &posts, &kept, Timestamp(9));
        let (state, view) = replayed(&told);
        assert_eq!((&state.activity, state.turns, state.owed().len(), told.broken_off), (&Activity::Idle, 2, 0, None));
        assert!(state.knows(&prompt(1).post) && state.knows(&prompt(2).post));
        assert!(!state.knows(&prompt(3).post), "what nobody began may come again");
        let transcript = view.transcript(TurnId(1)..TurnId(3));
        assert_eq!(
            transcript,
            "They asked: request 1\nYou answered: First answer.\n\nThey asked: request 2\nYou answered: Second answer,\nin two parts.\n\n"
        );
        assert_eq!(view.last_given(TurnId(3)).map(|(turn, _)| turn), Some(TurnId(2)), "the snapshot lacks the second");
    }

    #[test]
    fn a_turn_without_a_final_reply_ends_as_failed_and_the_queue_follows() {
        let posts = [
            Post::Asked(prompt(1)),
            own("card:1", "Working"),
            Post::Asked(prompt(2)),
            own("queued:p-2", "🕒 *Next.* I start on this"),
            Post::Asked(prompt(3)),
            own("queued:p-3", "↩️ *Withdrawn* by"),
        ];
        let kept = Kept { sandbox: Some(sandbox("b-1")), ..Kept::default() };
        let told = retell(&session(), &prompt(1), &posts, &kept, Timestamp(9));
        let (state, _) = replayed(&told);
        let Activity::Finishing { turn, outcome, .. } = &state.activity else { panic!("{:?}", state.activity) };
        assert_eq!((*turn, outcome), (TurnId(1), &TurnOutcome::Failed { failure: TurnFailure::RecordLost }));
        assert_eq!(state.queue.iter().map(|prompt| prompt.text.as_str()).collect::<Vec<_>>(), ["request 2"]);
        assert_eq!(told.broken_off, Some(TurnId(1)));
    }

    #[test]
    fn prompts_that_waited_belong_to_the_turns_in_their_order() {
        let posts = [
            Post::Asked(prompt(1)),
            own("card:1", "Done"),
            Post::Asked(prompt(2)),
            own("queued:p-2", "▶️ *Started.*"),
            Post::Asked(prompt(3)),
            own("queued:p-3", "🕒 *Next.*"),
            own("final:1", "One."),
            own("card:2", "Done"),
            own("final:2", "Two."),
            own("card:3", "Working"),
        ];
        let told = retell(&session(), &prompt(1), &posts, &Kept::default(), Timestamp(9));
        let (state, view) = replayed(&told);
        assert_eq!((view.asked_in(TurnId(2)), view.asked_in(TurnId(3))), ("request 2".to_owned(), "request 3".to_owned()));
        assert!(state.queue.is_empty());
        assert_eq!(told.broken_off, Some(TurnId(3)));
    }

    #[test]
    fn a_thread_that_is_gone_leaves_the_numbers_of_its_turns() {
        let kept = Kept { snapshot: Some((TurnId(3), sandbox("b-1"))), ..Kept::default() };
        let told = retell(&session(), &prompt(1), &[], &kept, Timestamp(9));
        let (state, view) = replayed(&told);
        assert_eq!((&state.activity, state.turns, told.broken_off), (&Activity::Idle, 3, None));
        assert_eq!(view.last_given(TurnId(4)), Some((TurnId(3), &sandbox("b-1"))));
        // Other sessions of the thread are none of its business.
        let others = [Post::Own { key: "s-2:final:7".to_owned(), text: String::new(), ts: prompt(9).post }];
        assert_eq!(retell(&session(), &prompt(1), &others, &Kept::default(), Timestamp(9)).last, TurnId(1));
    }
}
