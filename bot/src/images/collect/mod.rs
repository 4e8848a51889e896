//! Removing images that nothing refers to any more, from the engine and from the registry, and saying what images take.
//!
//! What an image record, a sandbox or the pool does not refer to now, it never will: records only ever promote what was just built, and fall back to
//! what they still know. So the stock is read first and the references after it, builds under way keep everything of their repository, and the grace
//! covers whoever chose an image right before it was retired.

mod choice;
mod weight;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use longshore_api::Collect;
use longshore_sandbox::{DockerEngine, EngineImage, ImageBuilder, RegistryImage, Removal, Stocked};
use longshore_session::{Clock, RepoName, RepositoryManifest, Store, SystemClock, Timestamp};
use serde::Serialize;

use self::{
    choice::{Choice, Limits, Referrers, Stock, choose},
    weight::{Stacks, stored},
};
use crate::{app::App, config::Config, sandboxes, serve};

/// Rounds are at least so far apart, and at the most.
const SELDOM: Duration = Duration::from_secs(60);
const OFTEN: Duration = Duration::from_secs(3600);

/// Whether a round removes what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Remove,
    /// It tells what would go.
    DryRun,
}

/// What images take, as it was found at some time.
#[derive(Debug, Clone, Serialize)]
pub struct DiskUse {
    pub at: Timestamp,
    pub engine: Taken,
    /// What they add to the images.
    pub snapshots: Taken,
    /// None where it could not be asked.
    pub registry: Option<Taken>,
    /// Bytes that images may take, in the engine and in the registry each.
    pub limit: u64,
    pub snapshot_limit: u64,
    /// What is needed takes more than the limit.
    pub is_over: bool,
    /// What an operator should know.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Taken {
    pub count: usize,
    pub bytes: u64,
}

/// What a round did, or would do.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub dry_run: bool,
    pub engine: Vec<String>,
    pub registry: Vec<String>,
    /// Sessions cannot fall back to these any more.
    pub given_up: Vec<String>,
    pub freed_engine: u64,
    /// As soon as the registry's own collection ran.
    pub freed_registry: u64,
    pub disk: DiskUse,
}

/// Asks the service's own collector.
pub async fn answer(app: &App, how: Collect) -> Result<serde_json::Value, String> {
    let mode = match how {
        Collect::Remove => Mode::Remove,
        Collect::DryRun => Mode::DryRun,
    };
    let outcome = app.collector.round(mode).await.map_err(|error| format!("{error:#}"))?;
    serde_json::to_value(outcome).map_err(|error| error.to_string())
}

/// A round while no service runs.
pub async fn alone(config: &Config, mode: Mode) -> Result<Outcome> {
    let manifests = serve::manifests(config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(&config.data, Arc::clone(&clock))?;
    let engine = Arc::new(DockerEngine::connect(serve::docker_config(config)?).await?);
    let builder = ImageBuilder::new(engine, serve::image_config(config)?, sandboxes::tag_mark_in(&config.data)?);
    Collector::new(store, builder, clock, config, manifests.values()).round(mode).await
}

/// Collects images until shutdown: at the start, hourly, and when builds ended.
pub async fn keep(app: Arc<App>) {
    let mut builds = app.images.ended();
    let kept = async {
        loop {
            builds.borrow_and_update();
            look_after(&app).await;
            // One round is enough for builds that end one after the other.
            tokio::time::sleep(SELDOM).await;
            tokio::select! {
                changed = builds.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(OFTEN) => {}
            }
        }
    };
    app.shutdown.run_until_cancelled(kept).await;
}

async fn look_after(app: &App) {
    match app.collector.round(Mode::Remove).await {
        Ok(outcome) => {
            let disk = &outcome.disk;
            let registry = disk.registry.map_or_else(|| "unknown".to_owned(), |taken| gigabytes(taken.bytes));
            let (engine, snapshots) = (gigabytes(disk.engine.bytes), gigabytes(disk.snapshots.bytes));
            let removed = outcome.engine.len() + outcome.registry.len();
            tracing::info!(engine, snapshots, registry, limit = gigabytes(disk.limit), removed, "what images take");
        }
        Err(error) => tracing::warn!(error = format!("{error:#}"), "images cannot be collected; the next round tries again"),
    }
}

/// Collects images. One round at a time.
pub struct Collector {
    store: Store,
    builder: ImageBuilder,
    clock: Arc<dyn Clock>,
    grace: Duration,
    bytes: u64,
    snapshot_bytes: u64,
    command: Vec<String>,
    /// What manifests and the configuration name as a base.
    bases: BTreeSet<String>,
    round: tokio::sync::Mutex<Memory>,
    latest: Mutex<Option<DiskUse>>,
}

/// What one round knows of those before it.
#[derive(Default)]
struct Memory {
    /// Manifests were deleted, and their blobs are there still.
    blobs_left: bool,
    said_not_allowed: bool,
}

impl Collector {
    pub fn new<'a>(
        store: Store,
        builder: ImageBuilder,
        clock: Arc<dyn Clock>,
        config: &Config,
        manifests: impl IntoIterator<Item = &'a RepositoryManifest>,
    ) -> Self {
        let bases = manifests.into_iter().filter_map(|manifest| manifest.image.base.clone());
        Self {
            bases: bases.chain([config.images.base.clone()]).collect(),
            store,
            builder,
            clock,
            grace: config.images.grace(),
            bytes: config.images.max_bytes(),
            snapshot_bytes: config.snapshots.max_bytes(),
            command: config.images.registry_collect.clone(),
            round: tokio::sync::Mutex::default(),
            latest: Mutex::default(),
        }
    }

    /// What the last round found.
    pub fn latest(&self) -> Option<DiskUse> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds what is not needed, and removes it.
    pub async fn round(&self, mode: Mode) -> Result<Outcome> {
        let mut memory = self.round.lock().await;
        let mut notes = Vec::new();
        let stock = self.stock(&mut notes).await?;
        let referrers = referrers(&self.store, &self.bases).await?;
        let limits = Limits { now: self.clock.now(), grace: self.grace, bytes: self.bytes };
        let choice = choose(&stock, &referrers, &limits);
        if let Some(over) = choice.over {
            let (engine, registry) = (gigabytes(over.engine), gigabytes(over.registry));
            let note = format!(
                "what is needed takes {engine} in the engine and {registry} in the registry, more than `images.max_gb` ({}): raise it, or serve fewer or smaller images",
                gigabytes(self.bytes)
            );
            tracing::warn!("{note}");
            notes.push(note);
        }
        let outcome = match mode {
            Mode::DryRun => self.foretold(&stock, &choice, notes),
            Mode::Remove => self.remove(&stock, &choice, notes, &mut memory).await?,
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome.disk.clone());
        Ok(outcome)
    }

    async fn stock(&self, notes: &mut Vec<String>) -> Result<Stock> {
        let repositories: Vec<RepoName> = self.store.images().await?.into_iter().map(|(repo, _)| repo).collect();
        let (engine, stacks) = self.engine().await?;
        let registry = match self.builder.registry_images(repositories).await {
            Ok(images) => Some(images),
            Err(error) => {
                tracing::warn!(%error, "what the registry holds is not known; nothing is removed from it");
                notes.push(format!("what the registry holds is not known: {error}"));
                None
            }
        };
        Ok(Stock { engine, registry, stacks })
    }

    async fn engine(&self) -> Result<(Vec<EngineImage>, Stacks)> {
        let engine = self.builder.engine_images().await?;
        let stacks = Stacks::of(&engine, self.builder.base_layers().await?.as_ref());
        Ok((engine, stacks))
    }

    fn foretold(&self, stock: &Stock, choice: &Choice, notes: Vec<String>) -> Outcome {
        // A part without a name goes with the last image that is made of it.
        let all = || stock.engine.iter().enumerate().filter(|(_, image)| !image.names.is_empty());
        let staying = all().filter(|(index, _)| !choice.engine.contains(index)).map(|(_, image)| image);
        let before = stock.stacks.together(all().map(|(_, image)| image));
        let freed_engine = before.saturating_sub(stock.stacks.together(staying));
        Outcome {
            dry_run: true,
            engine: choice.engine.iter().map(|index| name(&stock.engine[*index])).collect(),
            registry: going(stock, choice).map(|image| image.reference.to_string()).collect(),
            given_up: choice.give_up.iter().map(|(_, reference)| reference.clone()).collect(),
            freed_engine,
            freed_registry: self.stored(stock).saturating_sub(stored(staying_in_registry(stock, choice))),
            disk: self.disk_use(
                choice,
                (&stock.engine, &stock.stacks),
                stock.registry.as_deref().map(|images| taken(images.iter())),
                notes,
            ),
        }
    }

    async fn remove(&self, stock: &Stock, choice: &Choice, mut notes: Vec<String>, memory: &mut Memory) -> Result<Outcome> {
        let given_up = self.give_up(choice).await?;
        let mut engine = Vec::new();
        for image in choice.engine.iter().map(|index| &stock.engine[*index]) {
            match self.builder.remove_from_engine(image).await? {
                Removal::Done => {
                    tracing::info!(image = name(image), "removed an image from the engine that nothing refers to");
                    engine.push(name(image));
                }
                Removal::InUse | Removal::NotAllowed => tracing::info!(image = name(image), "an image is in use after all, and stays"),
            }
        }
        let registry = self.remove_from_registry(stock, choice, &mut notes, memory).await;
        if memory.blobs_left && !self.command.is_empty() {
            match self.builder.collect_blobs(&self.command).await {
                Ok(()) => {
                    tracing::info!("the registry collected what no image of it needs");
                    memory.blobs_left = false;
                }
                Err(error) => {
                    tracing::warn!(%error, "the registry keeps what no image of it needs; the next round tries again");
                    notes.push(error.to_string());
                }
            }
        }
        let (after, stacks) = if engine.is_empty() { (None, None) } else { self.engine().await.map(|(a, b)| (Some(a), Some(b)))? };
        let (after, stacks) = (after.as_deref().unwrap_or(&stock.engine), stacks.as_ref().unwrap_or(&stock.stacks));
        self.forget(stock, after, &registry).await?;
        let is_left = |image: &&RegistryImage| !registry.contains(&image.reference.to_string());
        let left = stock.registry.as_ref().map(|images| taken(images.iter().filter(is_left)));
        let freed_registry = left.map_or(0, |left| self.stored(stock).saturating_sub(left.bytes));
        Ok(Outcome {
            dry_run: false,
            freed_engine: stock.stacks.together(&stock.engine).saturating_sub(stacks.together(after)),
            freed_registry,
            engine,
            registry,
            given_up,
            disk: self.disk_use(choice, (after, stacks), left, notes),
        })
    }

    async fn give_up(&self, choice: &Choice) -> Result<Vec<String>> {
        let now = self.clock.now();
        let mut given_up = Vec::new();
        for (repo, reference) in &choice.give_up {
            let wanted = reference.clone();
            if self.store.change_image(repo.clone(), move |record| record.give_up(&wanted, now)).await? {
                tracing::info!(%repo, image = reference, "gave up an earlier image: `images.max_gb` has no room for it");
                given_up.push(reference.clone());
            }
        }
        Ok(given_up)
    }

    /// Gives what is gone. A registry that lets nobody delete anything is no error, and is told of once.
    async fn remove_from_registry(&self, stock: &Stock, choice: &Choice, notes: &mut Vec<String>, memory: &mut Memory) -> Vec<String> {
        let mut gone = Vec::new();
        for image in going(stock, choice) {
            match self.builder.remove_from_registry(image).await {
                Ok(Removal::Done) => {
                    tracing::info!(image = %image.reference, "deleted an image from the registry that nothing refers to");
                    memory.blobs_left = true;
                    gone.push(image.reference.to_string());
                }
                Ok(Removal::NotAllowed | Removal::InUse) => {
                    let note = "the registry does not let Longshore delete images, so what it takes grows: switch deletion on in it (`storage.delete.enabled`), or give `images.registry_user` the right to";
                    if !memory.said_not_allowed {
                        tracing::warn!("{note}");
                    }
                    memory.said_not_allowed = true;
                    notes.push(note.to_owned());
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "images cannot be deleted from the registry; the next round tries again");
                    notes.push(error.to_string());
                    break;
                }
            }
        }
        gone
    }

    /// Of what is in neither place any more nothing has to be known.
    async fn forget(&self, stock: &Stock, engine: &[EngineImage], registry: &[String]) -> Result<()> {
        let Some(in_registry) = &stock.registry else { return Ok(()) };
        let known: BTreeSet<&str> = engine
            .iter()
            .flat_map(|image| image.names.iter().map(|name| name.as_str()))
            .chain(in_registry.iter().map(|image| image.reference.as_str()).filter(|image| !registry.iter().any(|gone| gone == image)))
            .collect();
        for (repo, record) in self.store.images().await? {
            let retired = record.retired.iter().map(|retired| retired.reference.clone());
            let gone: Vec<String> = retired.filter(|reference| !known.contains(reference.as_str())).collect();
            if !gone.is_empty() {
                self.store.change_image(repo, move |record| record.forget_retired(&gone)).await?;
            }
        }
        Ok(())
    }

    fn stored(&self, stock: &Stock) -> u64 {
        stored(stock.registry.iter().flatten())
    }

    fn disk_use(
        &self,
        choice: &Choice,
        (engine, stacks): (&[EngineImage], &Stacks),
        registry: Option<Taken>,
        notes: Vec<String>,
    ) -> DiskUse {
        let of = |kind: Stocked| engine.iter().filter(move |image| image.kind == kind);
        let images = stacks.together(of(Stocked::Image));
        // What only snapshots are made of is theirs, also where it was an image once.
        let snapshots = stacks.together(of(Stocked::Image).chain(of(Stocked::Snapshot))).saturating_sub(images);
        DiskUse {
            at: self.clock.now(),
            engine: Taken { count: of(Stocked::Image).count(), bytes: images },
            snapshots: Taken { count: of(Stocked::Snapshot).count(), bytes: snapshots },
            registry,
            limit: self.bytes,
            snapshot_limit: self.snapshot_bytes,
            is_over: choice.over.is_some(),
            notes,
        }
    }
}

/// Everything that may need an image.
async fn referrers(store: &Store, bases: &BTreeSet<String>) -> Result<Referrers> {
    // The pool first: a sandbox that is claimed meanwhile is seen twice rather than never.
    let pooled = store.pooled().await?.into_iter().map(|row| row.image);
    let sandboxes = store.sandboxes().await?.into_iter().filter_map(|row| row.body["image"].as_str().map(str::to_owned));
    let used = sandboxes.chain(pooled).chain(bases.iter().cloned()).collect();
    Ok(Referrers { records: store.images().await?, used })
}

fn going<'a>(stock: &'a Stock, choice: &'a Choice) -> impl Iterator<Item = &'a RegistryImage> {
    stock.registry.iter().flatten().enumerate().filter(|(index, _)| choice.registry.contains(index)).map(|(_, image)| image)
}

fn staying_in_registry<'a>(stock: &'a Stock, choice: &'a Choice) -> impl Iterator<Item = &'a RegistryImage> {
    stock.registry.iter().flatten().enumerate().filter(|(index, _)| !choice.registry.contains(index)).map(|(_, image)| image)
}

fn taken<'a>(images: impl Iterator<Item = &'a RegistryImage> + Clone) -> Taken {
    Taken { count: images.clone().count(), bytes: stored(images) }
}

/// By its digest where it has one, as records name it.
fn name(image: &EngineImage) -> String {
    let by_digest = image.names.iter().find(|name| name.digest().is_some());
    by_digest.or(image.names.first()).map_or_else(|| image.id.clone(), ToString::to_string)
}

/// For people: of 1024 × 1024 × 1024 bytes, as the configuration counts them.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use longshore_session::{ImageRecord, ManualClock, PoolRecord, SandboxId, SandboxRecord, SessionId};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn sessions_pool_records_and_bases_refer_to_images() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Arc::new(ManualClock::at(Timestamp(1)))).unwrap();
        let repo = RepoName::parse("acme/shop").unwrap();
        let of_session = SandboxRecord {
            id: SandboxId::parse("b-1").unwrap(),
            session: SessionId::parse("s-1").unwrap(),
            created: Timestamp(1),
            body: json!({ "image": "session" }),
        };
        store.put_sandbox(of_session).await.unwrap();
        // Also one that is still being made.
        let pooled = PoolRecord {
            sandbox: SandboxId::parse("b-2").unwrap(),
            repo: repo.clone(),
            image: "pool".to_owned(),
            created: Timestamp(1),
            ready: None,
        };
        store.put_pooled(pooled).await.unwrap();
        let record = ImageRecord { reference: Some("promoted".to_owned()), ..ImageRecord::default() };
        store.put_image(repo.clone(), record.clone()).await.unwrap();
        let found = referrers(&store, &BTreeSet::from(["base".to_owned()])).await.unwrap();
        assert_eq!(found.used, ["base", "pool", "session"].map(str::to_owned).into());
        assert_eq!(found.records, [(repo, record)]);
    }
}
