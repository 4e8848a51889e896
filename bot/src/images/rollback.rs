//! Which image a session starts from when the promoted one does not do.
//!
//! An image is taken back only where it is the image's fault: two starts of one turn failed on it, and a third one worked on the image before. A machine
//! that is overloaded, or an engine in trouble, fails with the one before as well, and nothing is taken back.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use longshore_sandbox::ImageRef;
use longshore_session::{FallBack, RepoName, SandboxId, SessionId, SessionRecord};

use super::{Images, NotReady};
use crate::app::App;

/// Starts on one image before another one is tried.
const TRIES: usize = 2;

/// What is being tried, by session. Losing it with a restart costs the tries once more.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<SessionId, Vec<Failed>>>);

/// A start that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failed {
    image: String,
    why: String,
}

/// What a session starts from.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    Start(String),
    /// Nothing is left to try, or it is not the image's fault. What the first start failed of.
    GiveUp(String),
}

impl Attempts {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<SessionId, Vec<Failed>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `earlier` are those that could be fallen back to, newest first.
fn choose(failed: &[Failed], current: &str, earlier: &[String]) -> Choice {
    let Some(first) = failed.first() else { return Choice::Start(current.to_owned()) };
    let tries = |image: &str| failed.iter().filter(|failed| failed.image == image).count();
    let give_up = || Choice::GiveUp(first.why.clone());
    // One from before the newest does not start either.
    if failed.iter().any(|failed| earlier.contains(&failed.image)) {
        return give_up();
    }
    match (tries(current), earlier.first()) {
        // Somebody else has taken the bad one back.
        (0, _) => Choice::Start(current.to_owned()),
        // Nothing to compare with: a second try would only delay what is to be told.
        (_, None) => give_up(),
        (tries, Some(_)) if tries < TRIES => Choice::Start(current.to_owned()),
        (_, Some(earlier)) => Choice::Start(earlier.clone()),
    }
}

impl Images {
    /// What this session's next sandbox starts from. Waits for the first build, if that is still to come.
    pub async fn choose(&self, session: &SessionRecord) -> Result<Choice, NotReady> {
        let current = self.ready(&session.repo).await?;
        let record = self.store.image(session.repo.clone()).await.map_err(|error| NotReady::Failed { detail: error.to_string() })?;
        let earlier: Vec<String> = record.previous.into_iter().map(|earlier| earlier.reference).collect();
        let choice = self.attempts.with(|all| choose(all.get(&session.id).map_or(&[], Vec::as_slice), &current, &earlier));
        if matches!(choice, Choice::GiveUp(_)) {
            self.attempts.with(|all| all.remove(&session.id));
        }
        Ok(choice)
    }

    /// A sandbox of this image came to nothing.
    pub fn failed_start(&self, session: &SessionId, image: &str, why: impl Into<String>) {
        let failed = Failed { image: image.to_owned(), why: why.into() };
        tracing::warn!(%session, image, "a sandbox of this image is of no use; trying on");
        self.attempts.with(|all| all.entry(session.clone()).or_default().push(failed));
    }

    /// The sandbox's agent answers. What the thread is told, where it is not of the newest image.
    pub async fn settled(&self, app: &App, session: &SessionRecord, sandbox: &SandboxId) -> Result<Option<FallBack>> {
        let noted = self.fallen_back.lock().unwrap_or_else(PoisonError::into_inner).remove(sandbox);
        let Some(failed) = self.attempts.with(|all| all.remove(&session.id)) else { return Ok(noted) };
        let (Some(last), Some(image)) = (failed.last(), image_of(app, sandbox).await?) else { return Ok(noted) };
        let bad = last.clone();
        if bad.image == image || failed.iter().filter(|failed| failed.image == bad.image).count() < TRIES {
            return Ok(noted);
        }
        let (good, why, at) = (image.clone(), bad.why.clone(), app.clock.now());
        let (commit, done) = app
            .store
            .change_image(session.repo.clone(), {
                let bad = bad.image.clone();
                move |record| {
                    let done = record.roll_back(&bad, &good, &why, at);
                    (record.bad.iter().find(|known| known.reference == bad).and_then(|known| known.commit.clone()), done)
                }
            })
            .await?;
        if done {
            // Who keeps sandboxes of it ready hears of it.
            self.ended.send_modify(|count| *count += 1);
            tracing::error!(repo = %session.repo, bad = bad.image, good = image, "rolled back: no session starts from the newest image");
        }
        Ok(Some(FallBack::RolledBack { commit, detail: bad.why }))
    }

    /// The registry cannot be asked: an earlier image that the engine still has. None where it has none.
    pub async fn on_engine(&self, app: &App, repo: &RepoName) -> Option<String> {
        let record = self.store.image(repo.clone()).await.ok()?;
        for earlier in record.previous {
            let Ok(image) = ImageRef::parse(&earlier.reference) else { continue };
            if let Ok(true) = app.engine.has_image(&image).await {
                return Some(earlier.reference);
            }
        }
        None
    }

    /// Remembers that this sandbox is not of the newest image, for whoever tells the thread.
    pub fn note_fall_back(&self, sandbox: &SandboxId, why: FallBack) {
        self.fallen_back.lock().unwrap_or_else(PoisonError::into_inner).insert(sandbox.clone(), why);
    }
}

/// What a session's sandbox was started from.
pub async fn image_of(app: &App, sandbox: &SandboxId) -> Result<Option<String>> {
    let rows = app.store.sandboxes().await?;
    let row = rows.into_iter().find(|row| row.id == *sandbox);
    Ok(row.and_then(|row| row.body["image"].as_str().map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(images: &[&str]) -> Vec<Failed> {
        images.iter().map(|image| Failed { image: (*image).to_owned(), why: format!("{image} is broken") }).collect()
    }

    fn start(image: &str) -> Choice {
        Choice::Start(image.to_owned())
    }

    #[test]
    fn the_newest_is_tried_twice_and_one_from_before_it_once() {
        let earlier = ["old".to_owned(), "older".to_owned()];
        assert_eq!(choose(&[], "new", &earlier), start("new"));
        assert_eq!(choose(&failed(&["new"]), "new", &earlier), start("new"));
        assert_eq!(choose(&failed(&["new", "new"]), "new", &earlier), start("old"));
        let given_up = Choice::GiveUp("new is broken".to_owned());
        assert_eq!(choose(&failed(&["new", "new", "old"]), "new", &earlier), given_up, "it is no fault of the image");
        assert_eq!(choose(&failed(&["new"]), "new", &[]), given_up, "there is nothing to compare with");
    }

    #[test]
    fn what_others_decided_meanwhile_holds() {
        // Another session took `new` back, or a newer one was promoted.
        assert_eq!(choose(&failed(&["new"]), "old", &["older".to_owned()]), start("old"));
        assert_eq!(choose(&failed(&["new", "new"]), "newer", &["new".to_owned()]), Choice::GiveUp("new is broken".to_owned()));
    }
}
