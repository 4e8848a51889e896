//! Buttons and pickers.

use std::sync::Arc;

use anyhow::Result;
use longshore_session::{Command, OutboxOwner, QuestionId, Rejection, SessionId, Which};
use longshore_slack::{Action, ActionClick, Message, Notice, PickerDone, SlackError};

use super::{
    access::{self, Direct, Place},
    moving,
    post::whisper,
};
use crate::{
    app::App,
    conversation::{self, AnswerTaken, GivenAnswer},
    home,
    outbox::Owed,
    routing,
};

pub async fn click(app: &Arc<App>, click: ActionClick) -> Result<()> {
    let Some(action) = click.action.clone() else { return Ok(()) };
    let direct = if click.channel.as_str().starts_with('D') { Direct::Yes } else { Direct::No };
    let place = Place { team: &click.team, channel: &click.channel, direct };
    if let Err(refusal) = access::check(&app.config.access, place, &click.user) {
        return answer(app, &click, refusal.render()).await;
    }
    match action {
        Action::Stop(session) => stop(app, &click, &session).await,
        Action::WrongRepository(session) => moving::ask(app, &click, &session).await,
        Action::MoveTo { session, repo } => moving::picked(app, &click, &session, repo).await,
        Action::OpenPullRequest(session) => open_pull_request(app, &click, &session).await,
        Action::PickRepository { prompt, repo } => {
            // Whoever is first decides; a second click finds the ask gone.
            let Some(ask) = app.store.ask(prompt).await? else { return answer(app, &click, Notice::Outdated.render()).await };
            if app.manifest(&repo).is_none() {
                return answer(app, &click, Notice::Outdated.render()).await;
            }
            // Who it was is worth a word, but not the prompt.
            let by = app.person(&click.user).await.map_or_else(|_| "a colleague".to_owned(), |person| person.name);
            let why = format!("picked by {by}");
            let prompt = ask.prompt.clone();
            match routing::settle(app, ask, repo.clone(), why).await? {
                Some(_) => {
                    app.store.put_pick(&prompt, repo.clone(), click.user.clone()).await?;
                    replace(app, &click, PickerDone::Picked { repo, by: click.user.clone() }.render()).await
                }
                None => answer(app, &click, Notice::Outdated.render()).await,
            }
        }
        Action::Withdraw(prompt) => match app.store.take_ask(prompt).await? {
            Some(ask) => {
                app.homes.changed([&ask.prompt.author.slack_user]);
                replace(app, &click, PickerDone::Withdrawn { by: click.user.clone() }.render()).await
            }
            None => answer(app, &click, Notice::Outdated.render()).await,
        },
        Action::SendNow { session, prompt } => queued(app, &click, &session, Command::Insert { prompt }).await,
        Action::WithdrawQueued { session, prompt } => {
            let command = Command::Withdraw { which: Which::Prompt(prompt), by: Some(click.user.clone()) };
            queued(app, &click, &session, command).await
        }
        Action::Answer { session, question, option } => give_answer(app, &click, &session, question, option).await,
        Action::Prefer(preference) => home::prefer(app, &click.user, preference).await,
        Action::Link => Ok(()),
    }
}

/// A button of a prompt that waits. What comes of it stands in the place of the button.
async fn queued(app: &Arc<App>, click: &ActionClick, session: &SessionId, command: Command) -> Result<()> {
    if app.store.session(session.clone()).await?.is_none() {
        return answer(app, click, Notice::Outdated.render()).await;
    }
    match conversation::command(app, session, command).await? {
        Ok(()) => Ok(()),
        Err(Rejection::TurnIsEnding) => answer(app, click, Notice::TooLateToJoin.render()).await,
        Err(_) => answer(app, click, Notice::Outdated.render()).await,
    }
}

async fn stop(app: &Arc<App>, click: &ActionClick, session: &SessionId) -> Result<()> {
    if app.store.session(session.clone()).await?.is_none() {
        return answer(app, click, Notice::Outdated.render()).await;
    }
    match conversation::stop(app, session, click.user.clone()).await? {
        // The card says that it is being stopped.
        Ok(()) => Ok(()),
        Err(Rejection::AlreadyStopping) => answer(app, click, Notice::EndingAlready.render()).await,
        Err(_) => answer(app, click, Notice::NothingToStop.render()).await,
    }
}

/// Whoever is first answers; the question's message then shows what was picked, by the session's outbox.
async fn give_answer(app: &Arc<App>, click: &ActionClick, session: &SessionId, question: QuestionId, option: usize) -> Result<()> {
    let Some(post) = click.message.clone() else { return Ok(()) };
    if app.store.session(session.clone()).await?.is_none() {
        return answer(app, click, Notice::Outdated.render()).await;
    }
    let by = app.person(&click.user).await?;
    match conversation::answer(app, session, GivenAnswer { question, option, by, post }).await? {
        AnswerTaken::Yes => Ok(()),
        AnswerTaken::Already { by } => answer(app, click, Notice::AnsweredAlready { by }.render()).await,
        AnswerTaken::Outdated => answer(app, click, Notice::Outdated.render()).await,
    }
}

async fn open_pull_request(app: &Arc<App>, click: &ActionClick, session: &SessionId) -> Result<()> {
    let Some(record) = app.store.session(session.clone()).await? else {
        return answer(app, click, Notice::Outdated.render()).await;
    };
    let pull = match conversation::open_pull_request(app, session, None, None).await? {
        Ok(pull) => pull,
        Err(why) => return answer(app, click, Notice::PullRequestRefused { why }.render()).await,
    };
    // A session may have one after the other.
    let key = format!("{session}:opened:{}", pull.number);
    let message = Notice::PullRequestOpened { number: pull.number, url: pull.url }.render();
    let owner = OutboxOwner::Session(session.clone());
    let owed = Owed { channel: record.thread.channel, thread: Some(record.thread.thread), message, asker: None };
    app.store.enqueue(&owner, owed.draft("notice", key)?).await?;
    app.outbox.nudge(owner);
    Ok(())
}

/// Tells the person who clicked.
pub(super) async fn answer(app: &App, click: &ActionClick, message: Message) -> Result<()> {
    whisper(app, &click.channel, click.thread_ts.clone(), &click.user, message).await
}

/// Puts something in the place of the message with the button.
pub(super) async fn replace(app: &App, click: &ActionClick, message: Message) -> Result<()> {
    let Some(response_url) = &click.response_url else { return Ok(()) };
    match app.slack.respond_replacing(response_url, &message).await {
        Err(error @ (SlackError::RateLimited { .. } | SlackError::Transient { .. })) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "the picker cannot be replaced");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
