//! The app's own page.

use std::sync::Arc;

use anyhow::Result;
use longshore_session::{ChannelId, SlackUserId, TeamId};
use longshore_slack::{Action, ClosedHomePage, HomeClick, HomeOpened, HomeTab, NotAllowed};

use super::access::{self, Direct, Place};
use crate::{
    app::App,
    conversation, home,
    warmup::{self, Sign},
};

pub async fn opened(app: &Arc<App>, opened: HomeOpened) -> Result<()> {
    match (opened.tab, admit(app, &opened.team, &opened.user)) {
        (HomeTab::Home, Ok(())) => home::opened(app, &opened.user).await,
        (HomeTab::Home, Err(why)) => home::show(app, &opened.user, &ClosedHomePage { why }.render()).await,
        (HomeTab::Messages, Ok(())) => {
            warmup::notice(app, Sign::MessagesOpened, &opened.user, opened.channel.as_ref(), None);
            Ok(())
        }
        // Whoever writes there is told why not.
        (HomeTab::Messages, Err(_)) => Ok(()),
    }
}

pub async fn clicked(app: &Arc<App>, click: HomeClick) -> Result<()> {
    if let Err(why) = admit(app, &click.team, &click.user) {
        return home::show(app, &click.user, &ClosedHomePage { why }.render()).await;
    }
    match click.action {
        Some(Action::Prefer(preference)) => home::prefer(app, &click.user, preference).await,
        Some(Action::Stop(session)) => {
            if app.store.session(session.clone()).await?.is_some() {
                // Where there is nothing to stop any more, the page says so by itself.
                let _ = conversation::stop(app, &session, click.user.clone()).await?;
            }
            home::opened(app, &click.user).await
        }
        // Of another place, or of a page of an older service.
        Some(_) | None => home::opened(app, &click.user).await,
    }
}

/// The tab is no channel that anybody could list.
fn admit(app: &App, team: &TeamId, user: &SlackUserId) -> Result<(), NotAllowed> {
    let Ok(channel) = ChannelId::parse("home") else { return Err(NotAllowed::Channel) };
    access::check(&app.config.access, Place { team, channel: &channel, direct: Direct::Yes }, user)
}
