//! A thread with the assistant: opened before anything is asked, and from then on a direct message like any other.

use std::sync::Arc;

use anyhow::Result;
use longshore_slack::{AssistantOpened, AssistantSign, SlackError, suggested_prompts};

use super::access::{self, Direct, Place};
use crate::{
    app::App,
    warmup::{self, Sign},
};

pub async fn opened(app: &Arc<App>, opened: AssistantOpened) -> Result<()> {
    let place = Place { team: &opened.team, channel: &opened.channel, direct: Direct::Yes };
    // Whoever writes there is told why not.
    if access::check(&app.config.access, place, &opened.user).is_err() {
        return Ok(());
    }
    match opened.sign {
        AssistantSign::Started => {
            warmup::notice(app, Sign::AssistantOpened, &opened.user, opened.looks_at.as_ref(), None);
            suggest(app, &opened).await
        }
        AssistantSign::Moved => {
            warmup::notice(app, Sign::AssistantMoved, &opened.user, opened.looks_at.as_ref(), None);
            Ok(())
        }
    }
}

async fn suggest(app: &App, opened: &AssistantOpened) -> Result<()> {
    let likely = warmup::likely(app, &opened.user, opened.looks_at.as_ref(), None).await?;
    let prompts = suggested_prompts(likely.first().map(|likely| &likely.repository));
    match app.slack.suggest_prompts(&opened.channel, &opened.thread, &prompts).await {
        Err(error @ (SlackError::RateLimited { .. } | SlackError::Transient { .. })) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "no prompts can be suggested");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
