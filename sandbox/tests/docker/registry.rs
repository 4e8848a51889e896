//! A registry that asks who is there, and an engine that never saw the image.

use longshore_places::{Door, OwnEngine, OwnRegistry, PASSWORD, USER};
use longshore_sandbox::{
    BuildError, DockerConfig, DockerEngine, Engine, EngineError, ImageBuilder, ImageConfig, Rebuild, RegistryConfig, RegistryCredentials,
    Verdict, examine,
};
use longshore_session::SandboxId;

use crate::{
    fixture::{Fixture, base, config, docker, with_engine, with_engine_of},
    images::{ANSWERS, Origin, built, manifest, mark, request},
};

fn as_builder(registry: &OwnRegistry, password: &str) -> RegistryConfig {
    let credentials = RegistryCredentials { user: USER.to_owned(), password: password.to_owned().into() };
    RegistryConfig { credentials: Some(credentials), ..RegistryConfig::at(registry.address()) }
}

/// The fixture's engine, with other credentials.
async fn engine(fixture: &Fixture, registry: &RegistryConfig) -> (std::sync::Arc<DockerEngine>, DockerConfig) {
    let config = DockerConfig { registry: Some(registry.clone()), ..config(&fixture.namespace, fixture.folder.path().join("carriers")) };
    (std::sync::Arc::new(DockerEngine::connect(config.clone()).await.unwrap()), config)
}

#[test]
fn a_registry_that_wants_credentials_gets_them_and_nobody_reads_them() {
    with_engine(async |fixture| {
        let registry = OwnRegistry::start(Door::Password);
        let origin = Origin::serve(&fixture).await;
        let commit = origin.commit("README.md", "# Checkout\n");
        let recipe = manifest("setup = [\"date +%s%N >dependencies\"]\n");

        // Nobody, and somebody with another password: both are told, and neither is taken for an image that is lost.
        for (access, said) in [
            (RegistryConfig::at(registry.address()), "it wants credentials"),
            (as_builder(&registry, "wrong-horse-battery-0"), "does not take the user builder"),
        ] {
            let (engine, config) = engine(&fixture, &access).await;
            let images = ImageConfig { registry: access.clone(), base: base() };
            let findings = examine(&config, &images).await;
            let finding = findings.iter().find(|finding| finding.subject == "image registry").unwrap();
            assert!(finding.verdict == Verdict::Bad && finding.words.contains(said), "{finding:?}");
            assert!(finding.words.contains("images.registry_user"), "{finding:?}");
            let builder = ImageBuilder::new(engine.clone(), images, mark());
            let error = builder.build(request(&fixture, &recipe, &commit, Rebuild::Full), &ANSWERS).await.unwrap_err();
            assert!(matches!(&error, BuildError::Engine(EngineError::RegistryRefused { .. })), "{error}");
            assert!(!format!("{error} {error:?} {findings:?} {config:?}").contains("battery"), "{error:?}");
        }

        let access = as_builder(&registry, PASSWORD);
        let (engine, config) = engine(&fixture, &access).await;
        let images = ImageConfig { registry: access, base: base() };
        let findings = examine(&config, &images).await;
        let finding = findings.iter().find(|finding| finding.subject == "image registry").unwrap();
        assert!(finding.verdict == Verdict::Good && finding.words.contains("takes the user builder"), "{finding:?}");
        let builder = ImageBuilder::new(engine.clone(), images, mark());
        let image = built(builder.build(request(&fixture, &recipe, &commit, Rebuild::Full), &ANSWERS).await.unwrap());
        let log = std::fs::read_to_string(fixture.folder.path().join("logs/build.log")).unwrap();
        assert!(!log.contains(PASSWORD), "{log}");

        // Whoever has no credentials cannot start from it once the engine lost it; that is no lost image either.
        docker(&["image", "rm", "--force", image.reference.as_str()]);
        for tag in
            docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).lines().filter(|tag| tag.starts_with(&registry.address()))
        {
            docker(&["image", "rm", "--force", tag]);
        }
        let mut start = fixture.request(&SandboxId::random());
        start.image = image.reference.clone();
        let error = fixture.engine.start(start.clone()).await.unwrap_err();
        assert!(matches!(error, EngineError::RegistryRefused { .. }), "{error}");
        let sandbox = engine.start(start).await.unwrap();
        assert!(!fixture.text(&sandbox.id, "cat dependencies").await.is_empty());
    });
}

#[test]
fn another_engine_pulls_an_image_by_its_digest() {
    let registry = OwnRegistry::start(Door::Password);
    let access = as_builder(&registry, PASSWORD);
    let mut made = None;
    with_engine_of(
        |config| DockerConfig { registry: Some(access.clone()), ..config },
        async |fixture| {
            let origin = Origin::serve(&fixture).await;
            let commit = origin.commit("README.md", "# Checkout\n");
            let builder = ImageBuilder::new(fixture.engine.clone(), ImageConfig { registry: access.clone(), base: base() }, mark());
            let recipe = manifest("setup = [\"echo ready >dependencies\"]\n");
            made = Some(built(builder.build(request(&fixture, &recipe, &commit, Rebuild::Full), &ANSWERS).await.unwrap()));
        },
    );
    let image = made.unwrap();

    let other = OwnEngine::start();
    assert_eq!(other.docker(&["image", "ls", "-q"]), (true, String::new()), "it begins with nothing");
    with_engine_of(
        |config| DockerConfig { socket: Some(other.socket()), registry: Some(access.clone()), ..config },
        async |fixture| {
            let mut start = fixture.request(&SandboxId::random());
            start.image = image.reference.clone();
            let sandbox = fixture.engine.start(start).await.unwrap();
            assert_eq!(fixture.text(&sandbox.id, "cat dependencies; git rev-parse HEAD").await, format!("ready\n{}", image.commit));
        },
    );
    let (found, digests) = other.docker(&["image", "inspect", "--format", "{{.RepoDigests}}", image.reference.as_str()]);
    assert!(found && digests.contains(&image.digest), "{digests}");
}
