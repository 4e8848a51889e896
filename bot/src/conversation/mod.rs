//! Live sessions: one actor each, found by the session's id.

mod actor;
mod again;
mod agent_words;
mod attach;
mod card;
mod check;
mod credit;
mod easel;
mod files;
mod leave;
mod prepare;
mod rebuild;
mod reply;
mod view;
mod work;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Result, bail};
use longshore_session::{
    Command, MessageTs, ModelHindrance, ModelUse, Person, Phase, PullRequestRef, QuestionId, Rejection, RepoName, SessionId, SlackUserId,
    Timestamp, ToolRuling,
};
use tokio::sync::{mpsc, oneshot};

pub use attach::{Attachment, attach_file};
pub use easel::Easel;
pub use prepare::discard;
pub use view::Standing;
pub use work::shortened;

use self::attach::Taken;
use crate::{app::App, outbox::FileToSend};

/// Messages that may wait for one session's actor. A command waits for room; a note that finds none is dropped (see [`Note`]).
const MAILBOX: usize = 256;

/// Posts of the agent's own in one turn.
pub const POSTS_PER_TURN: u32 = 5;

/// Something that a session's actor is told and need not answer. Each may be lost without harm: the outbox tells again on its regular
/// round, and what the gateway saw and nobody noted is missing from the receipt only.
#[derive(Debug)]
pub enum Note {
    /// A message of the session's was sent.
    Sent { key: String, at: Timestamp },
    /// Nothing is owed to the thread any more.
    OutboxEmpty,
    /// The gateway saw the agent ask a model.
    Used(ModelUse),
    /// The gateway saw a model request come to nothing.
    Hindered(ModelHindrance),
    /// A rule of the manifest had a word in a tool call of the agent's.
    Ruled { call: String, tool: String, ruling: ToolRuling },
    /// The turn need not wait for a sandbox any more.
    Placed,
    /// The gateway saw the turn get this far.
    Reached { phase: Phase, at: Timestamp },
}

/// What somebody pressed to answer a question of the agent's.
#[derive(Debug)]
pub struct GivenAnswer {
    pub question: QuestionId,
    pub option: usize,
    pub by: Person,
    /// The question's own message: the answer has none.
    pub post: MessageTs,
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerTaken {
    /// The session goes on with it.
    Yes,
    Already {
        by: SlackUserId,
    },
    /// No such question, or no answer is wanted any more.
    Outdated,
}

#[derive(Debug)]
enum Letter {
    Do {
        command: Command,
        answer: oneshot::Sender<Result<(), Rejection>>,
    },
    Note(Note),
    /// Phases that were reached before the prompt came here.
    Phases(Vec<(Phase, Timestamp)>),
    Standing {
        answer: oneshot::Sender<Standing>,
    },
    /// The agent called its tool, or somebody pressed the button.
    OpenPullRequest {
        title: Option<String>,
        done: Option<String>,
        answer: oneshot::Sender<Result<PullRequestRef, String>>,
    },
    Say {
        text: String,
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// The agent attaches a file, whose content is kept; the fingerprint tells one content from another.
    Attach {
        fingerprint: String,
        file: Box<FileToSend>,
        answer: oneshot::Sender<Result<Taken, String>>,
    },
    /// The agent asks people something.
    Ask {
        text: String,
        options: Vec<String>,
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Somebody pressed a button of a question.
    Answer {
        given: GivenAnswer,
        answer: oneshot::Sender<AnswerTaken>,
    },
    /// The session is in the wrong repository.
    Move {
        repo: RepoName,
        by: Person,
        answer: oneshot::Sender<Result<SessionId, Rejection>>,
    },
    /// Others wait for a sandbox: whoever has one and nothing to do lets it go.
    GiveWay,
    /// Looks at what it owes, as an actor does that has just woken.
    Wake,
}

/// The actors of the sessions that are awake.
#[derive(Debug, Default)]
pub struct Conversations {
    awake: Mutex<HashMap<SessionId, mpsc::Sender<Letter>>>,
}

impl Conversations {
    /// Tells a session's actor, if it is awake.
    pub fn note(&self, session: &SessionId, note: Note) {
        if let Some(mailbox) = self.lock().get(session) {
            let _ = mailbox.try_send(Letter::Note(note));
        }
    }

    /// Whether somebody works on the session.
    pub fn is_awake(&self, session: &SessionId) -> bool {
        self.lock().get(session).is_some_and(|mailbox| !mailbox.is_closed())
    }

    /// Sessions that somebody works on.
    pub fn awake(&self) -> usize {
        self.lock().values().filter(|mailbox| !mailbox.is_closed()).count()
    }

    /// The actor is gone, unless a new one has taken its place.
    fn forget(&self, session: &SessionId) {
        let mut awake = self.lock();
        if awake.get(session).is_some_and(mpsc::Sender::is_closed) {
            awake.remove(session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, mpsc::Sender<Letter>>> {
        self.awake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a session: it takes up whatever it owes.
pub async fn wake(app: &Arc<App>, session: &SessionId) -> Result<()> {
    deliver(app, session, Letter::Wake).await
}

/// Asks a session that has nothing to do to let its sandbox go.
pub async fn give_way(app: &Arc<App>, session: &SessionId) -> Result<()> {
    deliver(app, session, Letter::GiveWay).await
}

/// Gives a session a command. The inner result is the state machine's.
pub async fn command(app: &Arc<App>, session: &SessionId, command: Command) -> Result<Result<(), Rejection>> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::Do { command, answer }).await?;
    Ok(answered.await?)
}

/// Hands over when the newest prompt's way was where.
pub async fn phases(app: &Arc<App>, session: &SessionId, phases: Vec<(Phase, Timestamp)>) -> Result<()> {
    deliver(app, session, Letter::Phases(phases)).await
}

/// Where a session stands now.
pub async fn standing(app: &Arc<App>, session: &SessionId) -> Result<Standing> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::Standing { answer }).await?;
    Ok(answered.await?)
}

/// Saves the session's work and opens its pull request. The inner error is for whoever asked.
pub async fn open_pull_request(
    app: &Arc<App>,
    session: &SessionId,
    title: Option<String>,
    done: Option<String>,
) -> Result<Result<PullRequestRef, String>> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::OpenPullRequest { title, done, answer }).await?;
    Ok(answered.await?)
}

/// Says something of the agent's in the thread. The inner error is for the agent.
pub async fn say(app: &Arc<App>, session: &SessionId, text: String) -> Result<Result<(), String>> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::Say { text, answer }).await?;
    Ok(answered.await?)
}

/// Asks people something for the agent, which is told at once whether it was put. The inner error is for the agent.
pub async fn ask(app: &Arc<App>, session: &SessionId, text: String, options: Vec<String>) -> Result<Result<(), String>> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::Ask { text, options, answer }).await?;
    Ok(answered.await?)
}

/// Takes the answer to a question.
pub async fn answer(app: &Arc<App>, session: &SessionId, given: GivenAnswer) -> Result<AnswerTaken> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::Answer { given, answer }).await?;
    Ok(answered.await?)
}

/// Takes a session's prompts to another repository. Gives the session that has them now, which is to be woken.
pub async fn move_to(app: &Arc<App>, session: &SessionId, repo: RepoName, by: Person) -> Result<Result<SessionId, Rejection>> {
    let (answer, answered) = oneshot::channel();
    deliver(app, session, Letter::Move { repo, by, answer }).await?;
    Ok(answered.await?)
}

/// Asks a session to stop its turn.
pub async fn stop(app: &Arc<App>, session: &SessionId, by: SlackUserId) -> Result<Result<(), Rejection>> {
    command(app, session, Command::Stop { by }).await
}

async fn deliver(app: &Arc<App>, session: &SessionId, letter: Letter) -> Result<()> {
    // Nobody is woken to be sent away again; what the letter is about is stored, and the next start takes it up.
    if app.shutdown.is_cancelled() {
        bail!("the service is shutting down");
    }
    let mut letter = letter;
    // An actor that fell asleep in this very moment hands the letter back; the next one takes it.
    for _ in 0..3 {
        let mailbox = mailbox(app, session);
        match mailbox.send(letter).await {
            Ok(()) => return Ok(()),
            Err(returned) => letter = returned.0,
        }
        if app.shutdown.is_cancelled() {
            bail!("the service is shutting down");
        }
    }
    bail!("session {session} cannot be woken")
}

fn mailbox(app: &Arc<App>, session: &SessionId) -> mpsc::Sender<Letter> {
    let mut awake = app.conversations.lock();
    if let Some(mailbox) = awake.get(session)
        && !mailbox.is_closed()
    {
        return mailbox.clone();
    }
    let (mailbox, letters) = mpsc::channel(MAILBOX);
    awake.insert(session.clone(), mailbox.clone());
    drop(awake);
    app.tasks.spawn(actor::run(Arc::clone(app), session.clone(), letters));
    mailbox
}
