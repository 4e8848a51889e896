//! `/agent …`

use std::sync::Arc;

use anyhow::Result;
use longshore_github::GitHubError;
use longshore_session::{ChannelId, Rejection, SlackUserId};
use longshore_slack::{
    AgentCommand, AgentHelp, AgentLink, AgentRepos, AgentStatus, AgentStop, AgentUnknown, CommandCall, Linked, Message, Notice, SlackError,
    StatusScope,
};

use super::access::{self, Direct, Place};
use crate::{
    app::App,
    conversation,
    overview::{self, Overview, Whose},
};

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
        AgentCommand::Status(scope) => status(app, scope, &call.user, &call.channel).await?,
        AgentCommand::Repos => {
            let repositories = overview::image_lines(app, app.manifests.keys().cloned()).await?;
            AgentRepos { repositories, disk: overview::disk_line(app) }.render()
        }
        AgentCommand::Link => link(app, &call.user).await.render(),
        AgentCommand::Help => AgentHelp { bot: app.bot.user.clone() }.render(),
        AgentCommand::Stop(None) => {
            let running = overview::overview(app, &Whose::Of(call.user.clone())).await?.running;
            AgentStop { mine: running.into_iter().filter(|line| line.stoppable).collect() }.render()
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

/// What runs, what waits and what can be gone on with.
pub async fn status(app: &Arc<App>, scope: StatusScope, user: &SlackUserId, channel: &ChannelId) -> Result<Message> {
    let whose = match scope {
        StatusScope::Mine => Whose::Of(user.clone()),
        StatusScope::Channel => Whose::In(channel.clone()),
        StatusScope::All => Whose::All,
    };
    let seen = overview::overview(app, &whose).await?;
    let images = overview::image_lines(app, seen.repositories()).await?;
    let Overview { running, asking, queued, idle, elsewhere } = seen;
    Ok(AgentStatus { scope, running, asking, queued, idle, elsewhere, images }.render())
}

/// Whose GitHub account stands for this person.
async fn link(app: &App, user: &SlackUserId) -> AgentLink {
    let linked = match app.config.people.get(user.as_str()) {
        None => Linked::No,
        Some(person) => match person.token() {
            None => Linked::TokenMissing,
            Some(token) => match app.github.login_of(&token).await {
                Ok(login) => Linked::To { url: format!("{}/{login}", app.github.web_url().as_str().trim_end_matches('/')), login },
                Err(GitHubError::Unauthenticated { .. } | GitHubError::Forbidden { .. }) => Linked::TokenRefused,
                Err(error) => {
                    tracing::warn!(%user, %error, "GitHub does not say whose token this is");
                    Linked::Unknown
                }
            },
        },
    };
    AgentLink { user: user.clone(), linked }
}
