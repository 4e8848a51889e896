//! People's Home tabs: published when somebody opens theirs, and again when something of theirs changes while they may still be looking.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use longshore_session::{PersonDefaults, SlackUserId, Timestamp};
use longshore_slack::{HomePage, Preference, SlackError};
use tokio::sync::Notify;

use crate::{
    app::App,
    overview::{Overview, Whose, overview},
};

/// Slack does not say when somebody leaves the tab: it counts as open for this long.
const OPEN: Duration = Duration::from_secs(10 * 60);
/// One person's tab is published again no sooner than this. Slack allows far more for all of them.
const PAUSE: Duration = Duration::from_secs(4);
/// Tabs that are remembered; one more, and those that were opened longest ago go stale.
const REMEMBERED: usize = 500;

/// The tabs that may be open now.
#[derive(Default)]
pub struct Homes {
    open: Mutex<HashMap<SlackUserId, Tab>>,
    changed: Notify,
}

struct Tab {
    opened: Timestamp,
    published: Timestamp,
    freshness: Freshness,
    /// Whoever publishes holds it, so that an older page never replaces a newer one.
    publishing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Shown,
    /// Something changed that it does not show yet.
    Stale,
}

impl Homes {
    fn opened(&self, user: &SlackUserId, now: Timestamp) {
        let mut open = self.lock();
        open.retain(|_, tab| now.since(tab.opened) < OPEN);
        if open.len() >= REMEMBERED
            && let Some(oldest) = open.iter().min_by_key(|(_, tab)| tab.opened).map(|(user, _)| user.clone())
        {
            open.remove(&oldest);
        }
        let tab = open.entry(user.clone()).or_insert_with(|| Tab {
            opened: now,
            published: Timestamp(0),
            freshness: Freshness::Shown,
            publishing: Arc::default(),
        });
        tab.opened = now;
    }

    /// Something of these people's sessions changed.
    pub fn changed<'a>(&self, people: impl IntoIterator<Item = &'a SlackUserId>) {
        let mut open = self.lock();
        let mut any = false;
        for user in people {
            if let Some(tab) = open.get_mut(user) {
                tab.freshness = Freshness::Stale;
                any = true;
            }
        }
        if any {
            self.changed.notify_one();
        }
    }

    /// Whose tab is to be published now, and when the next one is due.
    fn due(&self, now: Timestamp) -> (Vec<SlackUserId>, Option<Duration>) {
        let mut open = self.lock();
        open.retain(|_, tab| now.since(tab.opened) < OPEN);
        let (mut due, mut next): (Vec<SlackUserId>, Option<Duration>) = (Vec::new(), None);
        for (user, tab) in open.iter().filter(|(_, tab)| tab.freshness == Freshness::Stale) {
            match PAUSE.saturating_sub(now.since(tab.published)) {
                Duration::ZERO => due.push(user.clone()),
                wait => next = Some(next.map_or(wait, |next| next.min(wait))),
            }
        }
        (due, next)
    }

    /// Takes the right to publish, and calls the tab fresh: what changes from here on makes it stale again.
    fn begin(&self, user: &SlackUserId, now: Timestamp) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let mut open = self.lock();
        let tab = open.get_mut(user)?;
        (tab.published, tab.freshness) = (now, Freshness::Shown);
        Some(Arc::clone(&tab.publishing))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SlackUserId, Tab>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody opened their tab.
pub async fn opened(app: &Arc<App>, user: &SlackUserId) -> Result<()> {
    app.homes.opened(user, app.clock.now());
    publish(app, user).await
}

/// Sets one of a person's defaults and shows it.
pub async fn prefer(app: &Arc<App>, user: &SlackUserId, preference: Preference) -> Result<()> {
    let mut defaults = app.store.defaults(user.clone()).await?;
    match preference {
        Preference::Model(model) => defaults.model = model.filter(|model| app.config.model.models().contains(model)),
        Preference::Repository(repo) => defaults.repository = repo.filter(|repo| app.manifest(repo).is_some()),
        Preference::PullRequests(style) => defaults.pull_requests = style,
    }
    tracing::info!(%user, ?defaults, "defaults set");
    app.store.put_defaults(user.clone(), defaults).await?;
    // Whoever clicks there has it open.
    opened(app, user).await
}

/// A person's defaults, as far as they can be followed still.
pub async fn defaults(app: &App, user: &SlackUserId) -> Result<PersonDefaults> {
    let mut defaults = app.store.defaults(user.clone()).await?;
    defaults.model = defaults.model.filter(|model| app.config.model.models().contains(model));
    defaults.repository = defaults.repository.filter(|repo| app.manifest(repo).is_some());
    Ok(defaults)
}

/// Keeps open tabs true until shutdown.
pub async fn keep(app: Arc<App>) {
    loop {
        let (due, next) = app.homes.due(app.clock.now());
        for user in &due {
            if let Err(error) = publish(&app, user).await {
                tracing::warn!(%user, error = format!("{error:#}"), "a Home tab stays as it was");
            }
        }
        if !due.is_empty() {
            continue;
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.homes.changed.notified() => {}
            () = tokio::time::sleep(next.unwrap_or(OPEN)) => {}
        }
    }
}

async fn publish(app: &Arc<App>, user: &SlackUserId) -> Result<()> {
    let Some(publishing) = app.homes.begin(user, app.clock.now()) else { return Ok(()) };
    let _publishing = publishing.lock().await;
    let Overview { running, asking, queued, idle, elsewhere: _ } = overview(app, &Whose::Of(user.clone())).await?;
    let page = HomePage {
        running,
        asking,
        queued,
        idle,
        defaults: defaults(app, user).await?,
        models: app.config.model.models(),
        repositories: app.manifests.keys().cloned().collect(),
        web_url: None,
    };
    show(app, user, &page.render()).await
}

/// Puts a view onto the tab. What Slack refuses outright is not worth failing for.
pub async fn show(app: &App, user: &SlackUserId, view: &serde_json::Value) -> Result<()> {
    match app.slack.publish_home(user, view).await {
        Err(error @ (SlackError::RateLimited { .. } | SlackError::Transient { .. })) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%user, %error, "the Home tab cannot be published");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> SlackUserId {
        SlackUserId::parse(id).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn a_tab_is_published_again_when_something_changed_and_not_too_often() {
        let homes = Homes::default();
        homes.changed([&user("U1")]);
        assert_eq!(homes.due(at(0)), (vec![], None), "nobody has it open");
        homes.opened(&user("U1"), at(0));
        homes.begin(&user("U1"), at(0));
        assert_eq!(homes.due(at(1)), (vec![], None), "nothing changed");
        homes.changed([&user("U1"), &user("U2")]);
        assert_eq!(homes.due(at(1)), (vec![], Some(Duration::from_secs(3))));
        assert_eq!(homes.due(at(4)), (vec![user("U1")], None));
        homes.begin(&user("U1"), at(4));
        assert_eq!(homes.due(at(9)), (vec![], None));
    }

    #[test]
    fn a_tab_that_was_opened_long_ago_is_let_be() {
        let homes = Homes::default();
        homes.opened(&user("U1"), at(0));
        homes.changed([&user("U1")]);
        assert_eq!(homes.due(at(601)), (vec![], None));
        assert!(homes.begin(&user("U1"), at(601)).is_none());
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let homes = Homes::default();
        for n in 0..REMEMBERED + 10 {
            homes.opened(&user(&format!("U{n}")), at(n.try_into().unwrap()));
        }
        assert!(homes.lock().len() <= REMEMBERED);
        assert!(homes.begin(&user(&format!("U{}", REMEMBERED + 9)), at(0)).is_some());
    }
}
