//! `/agent …`

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use longshore_session::{Activity, ImageRecord, Rejection, RepoName, SlackUserId, Timestamp};
use longshore_slack::{
    AgentCommand, AgentHelp, AgentRepos, AgentStatus, AgentStop, AgentUnknown, CardPhase, CommandCall, ImageLine, ImageState, Message,
    Notice, SessionLine, SlackError,
};

use super::access::{self, Direct, Place};
use crate::{app::App, conversation, images};

pub async fn command(app: &Arc<App>, call: CommandCall) -> Result<()> {
    let direct = if call.channel.as_str().starts_with('D') { Direct::Yes } else { Direct::No };
    let place = Place { team: &call.team, channel: &call.channel, direct };
    let message = match access::check(&app.config.access, place, &call.user) {
        Err(refusal) => refusal.render(),
        Ok(()) => answer(app, &call).await?,
    };
    match app.slack.respond(&call.response_url, &message).await {
        Err(error @ (SlackError::RateLimited { .. } | SlackError::Transient { .. })) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "cannot answer a slash command");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn answer(app: &Arc<App>, call: &CommandCall) -> Result<Message> {
    Ok(match AgentCommand::parse(&call.text) {
        AgentCommand::Status => status(app).await?,
        AgentCommand::Repos => repos(app).await?,
        AgentCommand::Help => AgentHelp { bot: app.bot.user.clone() }.render(),
        AgentCommand::Stop(None) => {
            let mine = lines(app).await?.into_iter().filter(|line| line.asker == call.user).collect();
            AgentStop { mine }.render()
        }
        AgentCommand::Stop(Some(session)) => {
            let stopped = match app.store.session(session.clone()).await? {
                Some(_) => conversation::stop(app, &session, call.user.clone()).await?,
                None => Err(Rejection::NothingToStop),
            };
            match stopped {
                Ok(()) => Notice::StopAsked { by: call.user.clone() }.render(),
                Err(Rejection::AlreadyStopping) => Notice::EndingAlready.render(),
                Err(_) => Notice::NothingToStop.render(),
            }
        }
        AgentCommand::Unknown { word, hint } => AgentUnknown { word, hint }.render(),
    })
}

/// What runs and what waits.
pub async fn status(app: &Arc<App>) -> Result<Message> {
    let lines = lines(app).await?;
    let (queued, running) = lines.into_iter().partition(|line| matches!(line.phase, CardPhase::Queued { .. }));
    Ok(AgentStatus { running, queued }.render())
}

/// Every session with work, a line for what it does and one for each prompt that waits in it.
async fn lines(app: &Arc<App>) -> Result<Vec<SessionLine>> {
    let now = app.clock.now();
    let mut lines = Vec::new();
    for record in app.store.working_sessions().await? {
        let standing = conversation::standing(app, &record.id).await?;
        let phase = match &standing.state.activity {
            Activity::Idle => continue,
            Activity::Preparing { .. } => CardPhase::Preparing,
            Activity::Working { .. } => CardPhase::Working,
            Activity::Stopping { .. } => CardPhase::Stopping,
            Activity::Finishing { .. } => CardPhase::Finishing,
        };
        let thread_url = app.slack.permalink(&record.thread.channel, &record.thread.thread).await.ok();
        let line = |asker: &SlackUserId, phase: CardPhase, since: Timestamp| SessionLine {
            session: record.id.clone(),
            repo: Some(record.repo.clone()),
            asker: asker.clone(),
            phase,
            since: now.since(since),
            thread_url: thread_url.clone(),
            stoppable: phase.is_live() && !matches!(phase, CardPhase::Queued { .. }),
        };
        lines.push(line(standing.asker().unwrap_or(&record.owner), phase, standing.since));
        for (index, prompt) in standing.state.queue.iter().enumerate() {
            lines.push(line(&prompt.author.slack_user, CardPhase::Queued { place: index + 1 }, prompt.received));
        }
    }
    Ok(lines)
}

async fn repos(app: &Arc<App>) -> Result<Message> {
    let now = app.clock.now();
    let mut repositories = Vec::new();
    for repo in app.manifests.keys() {
        let record = app.store.image(repo.clone()).await?;
        repositories.push(image_line(app, repo, record, now));
    }
    Ok(AgentRepos { repositories }.render())
}

fn image_line(app: &App, repo: &RepoName, record: ImageRecord, now: Timestamp) -> ImageLine {
    let age = images::age(&record, now);
    let state = match (app.images.is_building(repo), record.building_since, record.commit) {
        (true, since, earlier) => ImageState::Building { since: since.map_or(Duration::ZERO, |since| now.since(since)), earlier },
        (false, _, Some(commit)) => ImageState::Ready { commit, age },
        (false, _, None) => ImageState::Missing,
    };
    let last_failure = record.failure.zip(record.failed_at).map(|(failure, at)| (failure, now.since(at)));
    ImageLine { repo: repo.clone(), state, last_failure }
}
