//! What becomes of a repository's image: promoted, taken back, lost.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{
    Database, ImageRecord, Store, StoreError,
    central::{from_json, json},
};
use crate::{RepoName, Timestamp};

/// Images that are remembered as bad.
const BAD_KEPT: usize = 8;
/// Retired images whose end is remembered. Any other counts from when it was built, which is longer ago.
const RETIRED_KEPT: usize = 200;

/// An image that sessions started from before the one of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierImage {
    pub reference: String,
    pub commit: Option<String>,
    pub inputs: Option<String>,
    pub built: Option<Timestamp>,
    pub size: Option<u64>,
    #[serde(default)]
    pub start_ms: Option<u64>,
}

/// An image that was promoted, and that sessions then could not start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadImage {
    pub reference: String,
    pub commit: Option<String>,
    /// The same inputs are not built again.
    pub inputs: Option<String>,
    pub why: String,
    pub at: Timestamp,
}

/// An image that no session starts from any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredImage {
    pub reference: String,
    /// Since when. A session that chose it right before may still be about to start from it.
    pub at: Timestamp,
}

impl ImageRecord {
    /// What sessions start from, and may fall back to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.reference.as_deref().into_iter().chain(self.previous.iter().map(|earlier| earlier.reference.as_str()))
    }

    /// Since when no session starts from this image; none where that is not known.
    pub fn retired_at(&self, reference: &str) -> Option<Timestamp> {
        self.retired.iter().find(|retired| retired.reference == reference).map(|retired| retired.at)
    }

    /// Gives up an earlier image that could be fallen back to. False where it is none (any more).
    pub fn give_up(&mut self, reference: &str, at: Timestamp) -> bool {
        let known = self.previous.len();
        self.previous.retain(|earlier| earlier.reference != reference);
        let was_there = self.previous.len() != known;
        if was_there {
            self.retire(reference.to_owned(), at);
        }
        was_there
    }

    /// Forgets retired images, of which nothing is left.
    pub fn forget_retired(&mut self, gone: &[String]) {
        self.retired.retain(|retired| !gone.contains(&retired.reference));
    }

    fn retire(&mut self, reference: String, at: Timestamp) {
        self.retired.retain(|retired| retired.reference != reference);
        self.retired.push(RetiredImage { reference, at });
        let surplus = self.retired.len().saturating_sub(RETIRED_KEPT);
        self.retired.drain(..surplus);
    }

    fn as_earlier(&self) -> Option<EarlierImage> {
        let reference = self.reference.clone()?;
        Some(EarlierImage {
            reference,
            commit: self.commit.clone(),
            inputs: self.inputs.clone(),
            built: self.built,
            size: self.size,
            start_ms: self.start_ms,
        })
    }

    /// Sessions start from this one. The vocabulary stays: it is of the repository, not of the image.
    fn take(&mut self, image: Option<EarlierImage>) {
        let image = image.map_or((None, None, None, None, None, None), |image| {
            (Some(image.reference), image.commit, image.inputs, image.built, image.size, image.start_ms)
        });
        (self.reference, self.commit, self.inputs, self.built, self.size, self.start_ms) = image;
    }

    /// Sessions start from a new image from now on; up to `keep` of those before it stay for a roll-back.
    pub fn promote(&mut self, image: EarlierImage, keep: usize, at: Timestamp) {
        let before = self.as_earlier().filter(|before| before.reference != image.reference);
        self.previous.retain(|earlier| earlier.reference != image.reference);
        self.previous.splice(0..0, before);
        for surplus in self.previous.split_off(keep.min(self.previous.len())) {
            self.retire(surplus.reference, at);
        }
        self.retired.retain(|retired| retired.reference != image.reference);
        self.take(Some(image));
    }

    /// Takes a promotion back: `good` was found to work where `bad` does not. False where that is so already, or was decided otherwise since.
    pub fn roll_back(&mut self, bad: &str, good: &str, why: &str, at: Timestamp) -> bool {
        let Some(index) = self.previous.iter().position(|earlier| earlier.reference == good) else { return false };
        if self.reference.as_deref() != Some(bad) {
            return false;
        }
        self.bad.push(BadImage {
            reference: bad.to_owned(),
            commit: self.commit.clone(),
            inputs: self.inputs.clone(),
            why: why.to_owned(),
            at,
        });
        let surplus = self.bad.len().saturating_sub(BAD_KEPT);
        self.bad.drain(..surplus);
        let mut passed: Vec<EarlierImage> = self.previous.drain(..=index).collect();
        let good = passed.pop();
        self.retire(bad.to_owned(), at);
        for worse in passed {
            self.retire(worse.reference, at);
        }
        self.take(good);
        true
    }

    /// Neither engine nor registry has this image any more: the one before it takes its place. False where nothing was made of it.
    pub fn lose(&mut self, reference: &str) -> bool {
        let known = self.previous.len();
        self.previous.retain(|earlier| earlier.reference != reference);
        if self.reference.as_deref() != Some(reference) {
            return self.previous.len() != known;
        }
        let next = if self.previous.is_empty() { None } else { Some(self.previous.remove(0)) };
        self.take(next);
        true
    }

    /// Why an image of these inputs must not be promoted again.
    pub fn bad_of(&self, inputs: &str) -> Option<&BadImage> {
        self.bad.iter().find(|bad| bad.inputs.as_deref() == Some(inputs))
    }
}

impl Store {
    /// Changes what is known of a repository's image, from how it stands at that moment.
    pub async fn change_image<T: Send + 'static>(
        &self,
        repo: RepoName,
        change: impl FnOnce(&mut ImageRecord) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(Database::Central, move |db| {
            let found =
                db.query_row("SELECT body FROM images WHERE repo = ?1", params![repo.as_str()], |row| from_json(row, 0)).optional()?;
            let mut record: ImageRecord = found.unwrap_or_default();
            let result = change(&mut record);
            db.execute(
                "INSERT INTO images (repo, body) VALUES (?1, ?2) ON CONFLICT (repo) DO UPDATE SET body = excluded.body",
                params![repo.as_str(), json(&record)?],
            )?;
            Ok(result)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> EarlierImage {
        EarlierImage {
            reference: name.to_owned(),
            commit: Some(format!("commit of {name}")),
            inputs: Some(format!("inputs of {name}")),
            built: Some(Timestamp(1)),
            size: Some(7),
            start_ms: Some(900),
        }
    }

    fn promoted(names: &[&str]) -> ImageRecord {
        let mut record = ImageRecord::default();
        names.iter().for_each(|name| record.promote(image(name), 2, Timestamp(5)));
        record
    }

    fn references(record: &ImageRecord) -> Vec<&str> {
        record.references().collect()
    }

    #[test]
    fn those_before_are_kept_up_to_a_number() {
        let record = promoted(&["a", "b", "c", "d"]);
        assert_eq!(references(&record), ["d", "c", "b"]);
        assert_eq!(references(&promoted(&["a", "b", "b"])), ["b", "a"], "the same again is no new one");
        assert_eq!(references(&promoted(&["a", "b", "a"])), ["a", "b"]);
        assert_eq!((record.retired_at("a"), record.retired_at("b")), (Some(Timestamp(5)), None), "it is known since when one is of no use");
    }

    #[test]
    fn what_is_given_up_is_retired_and_then_forgotten() {
        let mut record = promoted(&["a", "b", "c"]);
        assert!(!record.give_up("c", Timestamp(7)), "sessions start from it");
        assert!(record.give_up("a", Timestamp(7)) && !record.give_up("a", Timestamp(8)));
        assert_eq!((references(&record), record.retired_at("a")), (vec!["c", "b"], Some(Timestamp(7))));
        record.forget_retired(&["a".to_owned()]);
        assert_eq!(record.retired_at("a"), None);
    }

    #[test]
    fn whatever_a_roll_back_leaves_behind_is_retired() {
        let mut record = promoted(&["a", "b", "c"]);
        assert!(record.roll_back("c", "a", "it did not start", Timestamp(9)));
        assert_eq!(references(&record), ["a"]);
        assert_eq!(
            (record.retired_at("c"), record.retired_at("b"), record.retired_at("a")),
            (Some(Timestamp(9)), Some(Timestamp(9)), None)
        );
    }

    #[test]
    fn a_roll_back_happens_once_and_is_remembered() {
        let mut record = promoted(&["a", "b", "c"]);
        assert!(!record.roll_back("b", "a", "it did not start", Timestamp(2)), "b is not what sessions start from");
        assert!(!record.roll_back("c", "x", "it did not start", Timestamp(2)), "x was never good");
        assert!(record.roll_back("c", "b", "it did not start", Timestamp(2)));
        assert!(!record.roll_back("c", "b", "it did not start", Timestamp(3)), "somebody was faster");
        assert_eq!(references(&record), ["b", "a"]);
        assert_eq!(record.commit.as_deref(), Some("commit of b"));
        assert_eq!(record.bad_of("inputs of c").map(|bad| bad.why.as_str()), Some("it did not start"));
        assert_eq!(record.bad_of("inputs of b"), None);
        // A new image is promoted over it; the bad one is no image to roll back to.
        record.promote(image("d"), 2, Timestamp(6));
        assert_eq!(references(&record), ["d", "b", "a"]);
    }

    #[test]
    fn a_lost_image_gives_its_place_to_the_one_before() {
        let mut record = promoted(&["a", "b"]);
        assert!(record.lose("b"));
        assert_eq!(references(&record), ["a"]);
        assert!(!record.lose("b"), "that is known");
        assert!(record.lose("a"));
        assert_eq!(record, ImageRecord::default());
    }
}
