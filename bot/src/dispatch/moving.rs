//! A prompt that went to the wrong repository: where it belongs is asked, and it goes there.

use std::sync::Arc;

use anyhow::Result;
use longshore_classifier::Request;
use longshore_session::{OutboxOwner, RepoName, SessionId, SessionRecord};
use longshore_slack::{ActionClick, Candidate, Notice, UnknownRepository, ViewSubmission, WrongRepository};

use super::{
    access::{self, Direct, Place},
    click::{answer, replace},
    post::whisper,
};
use crate::{app::App, conversation, outbox::Owed, routing};

/// Somebody says that the session is in the wrong repository.
pub async fn ask(app: &Arc<App>, click: &ActionClick, session: &SessionId) -> Result<()> {
    let Some(record) = still_here(app, session).await? else { return answer(app, click, Notice::Outdated.render()).await };
    let asked = conversation::standing(app, session).await?.asked.map_or_else(|| record.title.clone(), |prompt| prompt.text);
    let profiles = routing::profiles(app).await?;
    // The words alone: a modal must be opened within three seconds of the click.
    let request = Request {
        message: asked.clone(),
        channel: Some(app.channel_name(&click.channel).await),
        corrections: routing::picks(app).await?,
        ..Request::default()
    };
    let likely = app.classifier.likely(&request, &profiles);
    let question = WrongRepository {
        session: session.clone(),
        repo: record.repo.clone(),
        by: click.user.clone(),
        asked,
        candidates: likely.into_iter().map(|candidate| Candidate { repo: candidate.repo, reason: candidate.reason }).collect(),
        others: profiles.into_iter().map(|profile| profile.repo).collect(),
    };
    if question.others.iter().all(|repo| *repo == record.repo) {
        return answer(app, click, Notice::NoOtherRepository.render()).await;
    }
    match app.slack.open_view(&click.trigger_id, &question.modal()).await {
        Ok(_) => Ok(()),
        // The click is handled a second time, and the modal is open.
        Err(error) if error.code() == Some("exchanged_trigger_id") => Ok(()),
        // Too late for a modal: then the question stands in the thread.
        Err(error) => {
            tracing::warn!(%session, %error, "no modal; asking in the thread");
            let owner = OutboxOwner::Session(session.clone());
            let owed = Owed {
                channel: record.thread.channel,
                thread: Some(record.thread.thread),
                message: question.message(),
                asker: Some(click.user.clone()),
            };
            app.store.enqueue(&owner, owed.draft("picker", format!("{session}:wrong"))?).await?;
            app.outbox.nudge(owner);
            Ok(())
        }
    }
}

/// The answer, in the modal.
pub async fn submitted(app: &Arc<App>, view: &ViewSubmission, session: SessionId) -> Result<()> {
    let (Some(record), Some(repo)) = (app.store.session(session.clone()).await?, view.repository()) else { return Ok(()) };
    let (channel, thread) = (record.thread.channel.clone(), Some(record.thread.thread.clone()));
    let direct = if channel.as_str().starts_with('D') { Direct::Yes } else { Direct::No };
    let place = Place { team: &view.team, channel: &channel, direct };
    let told = match access::check(&app.config.access, place, &view.user) {
        Err(refusal) => Some(refusal.render()),
        Ok(()) => match go(app, &session, repo, &view.user).await? {
            Went::Now => None,
            Went::Not(notice) => Some(notice),
        },
    };
    match told {
        Some(message) => whisper(app, &channel, thread, &view.user, message).await,
        None => Ok(()),
    }
}

/// The answer, in the thread.
pub async fn picked(app: &Arc<App>, click: &ActionClick, session: &SessionId, repo: RepoName) -> Result<()> {
    match go(app, session, repo.clone(), &click.user).await? {
        Went::Now => replace(app, click, longshore_slack::PickerDone::Picked { repo, by: click.user.clone() }.render()).await,
        Went::Not(notice) => answer(app, click, notice).await,
    }
}

enum Went {
    Now,
    Not(longshore_slack::Message),
}

async fn go(app: &Arc<App>, session: &SessionId, repo: RepoName, by: &longshore_session::SlackUserId) -> Result<Went> {
    // A handler that died half-way is run again: what it began goes on.
    if let Some(moved) = app.store.moved_to(session.clone()).await? {
        conversation::wake(app, session).await?;
        conversation::wake(app, &moved.to.id).await?;
        let mine = moved.by == *by && moved.to.repo == repo;
        return Ok(if mine { Went::Now } else { Went::Not(Notice::Outdated.render()) });
    }
    let Some(record) = still_here(app, session).await? else { return Ok(Went::Not(Notice::Outdated.render())) };
    if app.manifest(&repo).is_none() || repo == record.repo {
        return Ok(Went::Not(Notice::Outdated.render()));
    }
    if !routing::reachable(app, &repo).await {
        return Ok(Went::Not(UnknownRepository { named: Some(repo.to_string()) }.render()));
    }
    let person = app.person(by).await?;
    match conversation::move_to(app, session, repo, person).await? {
        Ok(to) => {
            conversation::wake(app, &to).await?;
            Ok(Went::Now)
        }
        Err(_) => Ok(Went::Not(Notice::Outdated.render())),
    }
}

/// The session, if its prompts were not moved before.
async fn still_here(app: &App, session: &SessionId) -> Result<Option<SessionRecord>> {
    if app.store.moved_to(session.clone()).await?.is_some() {
        return Ok(None);
    }
    Ok(app.store.session(session.clone()).await?)
}
