//! Which images go. Pure: what there is and what refers to it goes in, what is to be done comes out.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use longshore_sandbox::{EngineImage, HeldBy, ImageRef, RegistryImage, Stocked};
use longshore_session::{ImageRecord, RepoName, Timestamp};

use super::weight::{Stacks, stored};

/// What there is.
#[derive(Debug)]
pub struct Stock {
    pub engine: Vec<EngineImage>,
    /// None where the registry could not be asked.
    pub registry: Option<Vec<RegistryImage>>,
    pub stacks: Stacks,
}

/// What refers to it, read after the stock: an image that is not referred to then never is again.
#[derive(Debug)]
pub struct Referrers {
    /// Of every repository.
    pub records: Vec<(RepoName, ImageRecord)>,
    /// Of sandboxes, those of the pool too, and what others are based on.
    pub used: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub now: Timestamp,
    /// What is younger, or was referred to that lately, stays: somebody may be about to use it.
    pub grace: Duration,
    /// What may be kept, in the engine and in the registry each.
    pub bytes: u64,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Their places in [`Stock::engine`].
    pub engine: Vec<usize>,
    /// Their places in [`Stock::registry`].
    pub registry: Vec<usize>,
    /// Earlier images that no session can fall back to any more; they themselves go when their grace is over.
    pub give_up: Vec<(RepoName, String)>,
    /// What is needed takes more than may be kept, whatever is given up.
    pub over: Option<Weight>,
}

/// Bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub engine: u64,
    pub registry: u64,
}

/// Why an image is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Needed,
    /// Nothing refers to it any more, but something may have chosen it a moment ago.
    Young,
    Unneeded,
}

/// Names of images, and the digests in them: the same image has other names where it was pulled from another address.
#[derive(Debug, Default)]
struct Names<'a>(HashSet<&'a str>);

impl<'a> Names<'a> {
    fn add(&mut self, name: &'a str) {
        self.0.insert(name);
        self.0.extend(digest_of(name));
    }

    fn have(&self, name: &ImageRef) -> bool {
        self.0.contains(name.as_str()) || name.digest().is_some_and(|digest| self.0.contains(digest))
    }
}

fn digest_of(name: &str) -> Option<&str> {
    name.split_once('@').map(|(_, digest)| digest)
}

/// Decides what goes.
pub fn choose(stock: &Stock, referrers: &Referrers, limits: &Limits) -> Choice {
    let mut given_up: Vec<(RepoName, String)> = Vec::new();
    let over = loop {
        let weight = weigh(stock, referrers, &given_up);
        let is_over = |weight: u64| weight > limits.bytes;
        if !is_over(weight.engine) && !is_over(weight.registry) {
            break None;
        }
        // The oldest one that makes a difference where it is needed: what shares all of its layers with others costs nothing.
        let lighter = candidates(referrers, &given_up).into_iter().find(|candidate| {
            let mut without = given_up.clone();
            without.push(candidate.clone());
            let after = weigh(stock, referrers, &without);
            (is_over(weight.engine) && after.engine < weight.engine) || (is_over(weight.registry) && after.registry < weight.registry)
        });
        match lighter {
            Some(candidate) => given_up.push(candidate),
            None => break Some(weight),
        }
    };
    let view = View::new(referrers, &given_up);
    let engine = stock.engine.iter().enumerate().filter(|(_, image)| view.of_engine(image, limits) == Standing::Unneeded);
    let registry = stock.registry.iter().flatten().enumerate();
    let registry = registry.filter(|(_, image)| view.of_registry(image, limits) == Standing::Unneeded);
    Choice {
        engine: engine.map(|(index, _)| index).collect(),
        registry: registry.map(|(index, _)| index).collect(),
        // What is given up now was fallen back to until now.
        give_up: given_up,
        over,
    }
}

/// Earlier images that could be given up, the oldest first.
fn candidates(referrers: &Referrers, given_up: &[(RepoName, String)]) -> Vec<(RepoName, String)> {
    let mut earlier: Vec<_> = referrers
        .records
        .iter()
        .flat_map(|(repo, record)| record.previous.iter().map(move |earlier| (earlier.built, repo, &earlier.reference)))
        .filter(|(_, repo, reference)| !given_up.iter().any(|(of, gone)| of == *repo && gone == *reference))
        .collect();
    earlier.sort();
    earlier.into_iter().map(|(_, repo, reference)| (repo.clone(), reference.clone())).collect()
}

/// What must be kept takes so much.
fn weigh(stock: &Stock, referrers: &Referrers, given_up: &[(RepoName, String)]) -> Weight {
    let view = View::new(referrers, given_up);
    Weight {
        engine: stock.stacks.together(stock.engine.iter().filter(|image| image.kind == Stocked::Image && view.needs_in_engine(image))),
        registry: stored(stock.registry.iter().flatten().filter(|image| view.needs(&image.reference))),
    }
}

/// What is referred to, once these are given up.
struct View<'a> {
    referrers: &'a Referrers,
    referred: Names<'a>,
    /// Their builds may be about to refer to something.
    building: HashSet<&'a RepoName>,
    given_up: HashSet<&'a str>,
}

impl<'a> View<'a> {
    fn new(referrers: &'a Referrers, given_up: &'a [(RepoName, String)]) -> Self {
        let mut referred = Names::default();
        for (repo, record) in &referrers.records {
            let earlier = record.previous.iter().map(|earlier| earlier.reference.as_str());
            let still = earlier.filter(|reference| !given_up.iter().any(|(of, gone)| of == repo && gone == reference));
            record.reference.as_deref().into_iter().chain(still).for_each(|reference| referred.add(reference));
        }
        referrers.used.iter().for_each(|name| referred.add(name));
        let building = referrers.records.iter().filter(|(_, record)| record.building_since.is_some()).map(|(repo, _)| repo).collect();
        Self { referrers, referred, building, given_up: given_up.iter().map(|(_, reference)| reference.as_str()).collect() }
    }

    fn needs(&self, name: &ImageRef) -> bool {
        self.referred.have(name)
    }

    fn needs_in_engine(&self, image: &EngineImage) -> bool {
        image.held_by == HeldBy::Container || image.names.iter().any(|name| self.needs(name))
    }

    fn is_building(&self, repository: Option<&RepoName>) -> bool {
        match repository {
            Some(repository) => self.building.contains(repository),
            None => !self.building.is_empty(),
        }
    }

    fn of_engine(&self, image: &EngineImage, limits: &Limits) -> Standing {
        match image.kind {
            Stocked::Snapshot | Stocked::Part => return Standing::Needed,
            Stocked::Image => {}
        }
        if self.needs_in_engine(image) || self.is_building(image.repository.as_ref()) {
            return Standing::Needed;
        }
        self.by_age(image.names.iter(), Some(image.created), limits)
    }

    fn of_registry(&self, image: &RegistryImage, limits: &Limits) -> Standing {
        if self.needs(&image.reference) || self.is_building(Some(&image.repository)) {
            return Standing::Needed;
        }
        self.by_age([&image.reference], image.created, limits)
    }

    /// Its time counts from when it was last referred to, as far as that is known.
    fn by_age<'n>(&self, names: impl IntoIterator<Item = &'n ImageRef>, created: Option<Timestamp>, limits: &Limits) -> Standing {
        let mut since = created;
        for name in names {
            if self.given_up.contains(name.as_str()) {
                return Standing::Young;
            }
            since = since.max(self.referrers.records.iter().filter_map(|(_, record)| record.retired_at(name.as_str())).max());
        }
        match since {
            Some(since) if limits.now.since(since) >= limits.grace => Standing::Unneeded,
            // Nobody knows how old it is.
            Some(_) | None => Standing::Young,
        }
    }
}

#[cfg(test)]
mod tests;
