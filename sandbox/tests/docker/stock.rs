//! What there is of images in a real engine and a real registry, and taking it away for good.

use longshore_places::{Door, OwnEngine, OwnRegistry};
use longshore_sandbox::{
    Engine, EngineImage, HeldBy, ImageBuilder, ImageConfig, ImageRef, Rebuild, RegistryConfig, RegistryImage, Removal, Stocked, TagMark,
};
use longshore_session::{RepoName, SandboxId};

use crate::{
    fixture::{Fixture, base, docker, with_engine},
    images::{ANSWERS, Origin, built, manifest, mark, request},
};

/// Megabytes that each image alone has.
const OWN_MB: u64 = 8;

fn builder(fixture: &Fixture, registry: &OwnRegistry, mark: TagMark) -> ImageBuilder {
    let images = ImageConfig { registry: RegistryConfig::at(registry.address()), base: base() };
    ImageBuilder::new(fixture.engine.clone(), images, mark)
}

fn shop() -> RepoName {
    RepoName::parse("acme/shop").unwrap()
}

/// Those of the engine that are images, by their reference.
async fn in_engine(builder: &ImageBuilder) -> Vec<EngineImage> {
    let images = builder.engine_images().await.unwrap();
    images.into_iter().filter(|image| image.kind == Stocked::Image).collect()
}

fn of<'a>(images: &'a [EngineImage], reference: &ImageRef) -> &'a EngineImage {
    images.iter().find(|image| image.names.contains(reference)).unwrap_or_else(|| panic!("no {reference}: {images:?}"))
}

async fn in_registry(builder: &ImageBuilder) -> Vec<RegistryImage> {
    builder.registry_images([shop()]).await.unwrap()
}

fn references(images: &[RegistryImage]) -> Vec<&ImageRef> {
    let mut references: Vec<&ImageRef> = images.iter().map(|image| &image.reference).collect();
    references.sort();
    references
}

#[test]
fn a_deleted_image_is_gone_from_every_disk_and_the_others_work_on() {
    with_engine(async |fixture| {
        let mut registry = OwnRegistry::start(Door::Open);
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let builder = builder(&fixture, &registry, mark());
        // Nothing that any compression makes smaller.
        let recipe = manifest(&format!("setup = [\"head -c {OWN_MB}000000 /dev/urandom >dependencies\"]\n"));
        let build = async || built(builder.build(request(&fixture, &recipe, &commit, Rebuild::Full), &ANSWERS).await.unwrap());
        let (old, kept) = (build().await, build().await);
        assert_eq!(old.input_hash, kept.input_hash, "the same inputs, as after a rebuild that somebody asked for");
        assert_ne!(old.tagged, kept.tagged, "one does not take the other's tag");

        let stock = in_engine(&builder).await;
        assert_eq!(stock.len(), 2, "{stock:?}");
        let (old_here, kept_here) = (of(&stock, &old.reference), of(&stock, &kept.reference));
        assert_eq!((old_here.repository.as_ref(), old_here.held_by), (Some(&shop()), HeldBy::Nobody));
        let (layers, bytes) = builder.base_layers().await.unwrap().unwrap();
        assert!(old_here.layers.starts_with(&layers) && old_here.bytes > bytes, "{old_here:?}");
        let pushed = in_registry(&builder).await;
        let mut both = [&old.reference, &kept.reference];
        both.sort();
        assert_eq!(references(&pushed), both);
        let age = |image: &RegistryImage| image.created.unwrap();
        let (old_there, kept_there) =
            if pushed[0].reference == old.reference { (&pushed[0], &pushed[1]) } else { (&pushed[1], &pushed[0]) };
        assert!(age(old_there) < age(kept_there) && old_there.blobs.iter().any(|(_, bytes)| *bytes >= OWN_MB * 1_000_000), "{pushed:?}");

        // What a container was made of stays, whoever thinks otherwise.
        let mut start = fixture.request(&SandboxId::random());
        start.image = old.reference.clone();
        let sandbox = fixture.engine.start(start).await.unwrap();
        assert_eq!(of(&in_engine(&builder).await, &old.reference).held_by, HeldBy::Container);
        assert_eq!(builder.remove_from_engine(old_here).await.unwrap(), Removal::InUse);
        assert!(fixture.image_exists(old.reference.as_str()));
        fixture.engine.remove(&sandbox.id).await.unwrap();

        // Deleted and collected, its bytes are gone from the registry's disk.
        let before = registry.stored_bytes();
        assert_eq!(builder.remove_from_registry(old_there).await.unwrap(), Removal::Done);
        assert_eq!(builder.remove_from_registry(old_there).await.unwrap(), Removal::Done, "it is gone already");
        assert!(before - registry.stored_bytes() < 1_000_000, "its layers wait for the registry's own collection");
        builder.collect_blobs(&registry.collect_command()).await.unwrap();
        let freed = before - registry.stored_bytes();
        assert!((OWN_MB * 1_000_000..(OWN_MB + 2) * 1_000_000).contains(&freed), "{freed}");
        assert_eq!(references(&in_registry(&builder).await), [&kept.reference]);
        let other = OwnEngine::start();
        let (pulled, said) = other.docker(&["pull", "--quiet", kept.reference.as_str()]);
        assert!(pulled, "{said}");
        let (pulled, said) = other.docker(&["pull", "--quiet", old.reference.as_str()]);
        assert!(!pulled && said.contains("manifest unknown"), "{said}");

        // A push of the very layers that were collected brings them back: nobody remembers that they were there.
        let again = docker(&["push", "--quiet", old.tagged.as_str()]);
        assert!(registry.stored_bytes() >= before - 100_000, "{again}");
        let (pulled, said) = other.docker(&["pull", "--quiet", old.reference.as_str()]);
        assert!(pulled, "{said}");
        let next = build().await;
        assert!(references(&in_registry(&builder).await).contains(&&next.reference), "and builds go on");

        // The engine gives its own up, and nothing of the other one.
        let size = |reference: &ImageRef| docker(&["image", "inspect", "--format", "{{.Size}}", reference.as_str()]);
        let whole = size(&kept.reference);
        assert_eq!(builder.remove_from_engine(of(&in_engine(&builder).await, &old.reference)).await.unwrap(), Removal::Done);
        assert!(docker(&["image", "inspect", &old_here.id]).contains("No such image"));
        assert_eq!(size(&kept.reference), whole);
        assert!(!kept_here.names.is_empty() && fixture.image_exists(kept.tagged.as_str()));

        // The last image of a repository goes as well, and a registry that holds nothing has nothing to collect.
        for image in in_registry(&builder).await {
            assert_eq!(builder.remove_from_registry(&image).await.unwrap(), Removal::Done);
        }
        assert_eq!(in_registry(&builder).await, []);
        builder.collect_blobs(&registry.collect_command()).await.unwrap();
        assert!(registry.stored_bytes() < 100_000, "{}", registry.stored_bytes());
        let last = build().await;
        assert_eq!(references(&in_registry(&builder).await), [&last.reference]);

        // A registry that lets nobody delete anything says so, and goes on.
        registry.keep_everything();
        let pushed = in_registry(&builder).await;
        assert_eq!(builder.remove_from_registry(&pushed[0]).await.unwrap(), Removal::NotAllowed);
        assert_eq!(references(&in_registry(&builder).await), [&last.reference]);
        let error = builder.collect_blobs(&["false".to_owned()]).await.unwrap_err().to_string();
        assert!(error.starts_with("`images.registry_collect` failed"), "{error}");
    });
}

#[test]
fn what_others_named_or_pushed_is_nobody_elses_to_take() {
    with_engine(async |fixture| {
        let registry = OwnRegistry::start(Door::Open);
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let recipe = manifest("setup = [\"date +%s%N >dependencies\"]\n");
        let (ours, theirs) = (builder(&fixture, &registry, mark()), builder(&fixture, &registry, TagMark::of(b"another installation")));
        let build = async |builder: &ImageBuilder| {
            built(builder.build(request(&fixture, &recipe, &commit, Rebuild::Full), &ANSWERS).await.unwrap())
        };
        let (mine, named, foreign) = (build(&ours).await, build(&ours).await, build(&theirs).await);
        let repository = mine.reference.as_str().split('@').next().unwrap();

        // Somebody gives one of ours a name of their own, here and in the registry, and derives another one.
        let release = format!("{repository}:release");
        docker(&["tag", named.reference.as_str(), &release]);
        docker(&["push", "--quiet", &release]);
        let folder = fixture.folder.path().join("derived");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("Dockerfile"), format!("FROM {}\nENV MORE=1\n", mine.reference)).unwrap();
        let derived = format!("{repository}:longshore-lookalike");
        let local = format!("{}/tools:1", fixture.namespace);
        docker(&["build", "--quiet", "--network", "none", "--tag", &local, folder.to_str().unwrap()]);
        docker(&["tag", &local, &derived]);
        docker(&["push", "--quiet", &derived]);
        docker(&["rmi", &derived]);

        let here = in_engine(&ours).await;
        assert!(here.iter().any(|image| image.names.contains(&mine.reference)), "{here:?}");
        assert!(!here.iter().any(|image| image.names.contains(&named.reference)), "it has another's name too: {here:?}");
        assert!(!here.iter().any(|image| image.names.iter().any(|name| name.as_str() == local)), "it carries our label: {here:?}");
        assert_eq!(references(&in_registry(&ours).await), [&mine.reference], "not what has another's tag, nor another installation's");
        assert_eq!(references(&in_registry(&theirs).await), [&foreign.reference]);
        assert_eq!(ours.registry_images([RepoName::parse("acme/nothing").unwrap()]).await.unwrap(), []);

        // With another's name gone it is ours again.
        docker(&["rmi", &release]);
        assert!(in_engine(&ours).await.iter().any(|image| image.names.contains(&named.reference)));
        docker(&["rmi", "--force", &local]);
    });
}
