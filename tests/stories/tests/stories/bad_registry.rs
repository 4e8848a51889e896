//! A promoted image that no session can start from, and images that engine and registry lose.

use std::{path::Path, sync::Arc};

use longshore_harness::{Harness, ImageCache, Options, Wait};
use longshore_places::{Door, OwnRegistry};
use longshore_session::{ImageRecord, RepoName, Store, SystemClock};
use serde_json::Value;

use crate::{
    bad_ground::docker,
    bad_images::image,
    bad_talk::{Talk, agent_repos, asked, says},
};

/// Changes what a service that does not run knows of a repository's image.
async fn change(data: &Path, repository: &str, change: impl FnOnce(&mut ImageRecord) + Send + 'static) {
    let store = Store::open(data, Arc::new(SystemClock)).unwrap();
    store.change_image(RepoName::parse(repository).unwrap(), change).await.unwrap();
}

/// An image like this one, but for its agent's start, in the same registry.
async fn spoilt(good: &str, harness: &Harness) -> String {
    let folder = tempfile::tempdir().unwrap();
    let recipe = format!("FROM {good}\nUSER root\nRUN printf '#!/bin/sh\\nexit 9\\n' >/opt/longshore/run\nUSER 1000:1000\n");
    std::fs::write(folder.path().join("Dockerfile"), recipe).unwrap();
    let repository = good.split('@').next().unwrap();
    let tag = format!("{repository}:spoilt-{}", harness.namespace());
    docker(&["build", "-q", "--network", "none", "-t", &tag, folder.path().to_str().unwrap()]).await;
    docker(&["push", "-q", &tag]).await;
    let digests = docker(&["image", "inspect", "--format", "{{join .RepoDigests \"\\n\"}}", &tag]).await;
    digests.lines().find(|digest| digest.starts_with(repository)).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_starts_no_session_is_taken_back_and_stays_so() {
    let harness = Harness::start(Options::samples(&["acme/storefront"])).await.unwrap();
    harness.model().push_script(asked("say hello").say("Hello."));
    for text in ["rolled back", "cannot start a sandbox", "cannot sync with the base branch"] {
        harness.expect_errors(text);
    }
    let good = harness.image("acme/storefront").await.unwrap();
    let bad = spoilt(&good, &harness).await;
    harness.service.terminate().await.unwrap();
    let newest = bad.clone();
    change(&harness.service.data_folder(), "acme/storefront", move |record| {
        let mut image = record.clone();
        image.reference = Some(newest);
        // Promoted last, with the good one before it.
        let earlier = serde_json::json!({
            "reference": record.reference, "commit": record.commit, "inputs": record.inputs, "built": record.built, "size": record.size,
        });
        image.previous = vec![serde_json::from_value(earlier).unwrap()];
        *record = image;
    })
    .await;
    harness.service.start().await.unwrap();

    // Two sessions meet it at once: both go on with the image before, in the same turn.
    let talks = [
        Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, say hello"),
        Talk::begin(&harness, "C0PLATFORM", "in acme/storefront, say hello"),
    ];
    for talk in &talks {
        talk.ends_well_with(&["Hello.", "did not start a session", "I went back to the one before it"]).await;
    }
    let now = image(&harness, "acme/storefront", |image| image["reference"] == good).await;
    let taken_back: Vec<&Value> = now["bad"].as_array().unwrap().iter().map(|one| &one["reference"]).collect();
    assert_eq!(taken_back, [&Value::from(bad.clone())], "once, whoever found it first");
    let repos = agent_repos(&harness, "taken back").await;
    says(&repos, &["*acme/storefront* ready at", "a newer image was taken back", "no session could start from it"]);

    // The next one has nothing to tell, and neither a restart nor a round of builds brings the bad one back.
    harness.service.terminate().await.unwrap();
    harness.service.start().await.unwrap();
    let talk = Talk::begin(&harness, "C0GENERAL", "in acme/storefront, say hello");
    let told = talk.ends_well_with(&["Hello."]).await;
    assert!(!told.contains("went back"), "{told}");
    let now = image(&harness, "acme/storefront", |image| image["building_since"].is_null()).await;
    assert_eq!(now["reference"], good);
    docker(&["image", "rm", "--force", &bad]).await;
    harness.finish().await.unwrap();
}

/// Takes an image from the engine, under every name that it has.
async fn lose_on_engine(reference: &str) {
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", reference]).await;
    docker(&["image", "rm", "--force", &id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_loses_comes_from_the_registry_and_what_both_lose_is_built_again() {
    let mut registry = OwnRegistry::start(Door::Open);
    registry.stop();
    let mut options = Options::samples(&["acme/courier"]);
    options.configuration = format!("[images]\nregistry = \"{}\"\n", registry.address());
    options.images = ImageCache::Ignore;
    options.wait = Wait::Ready;
    let harness = Harness::start(options).await.unwrap();
    harness.model().push_script(asked("say hello").say("Hello."));
    for text in ["the build failed", "cannot start a sandbox", "neither the engine nor the registry has the image"] {
        harness.expect_errors(text);
    }

    // Down during the push: the build says so, and leaves nothing on the engine.
    let failed = image(&harness, "acme/courier", |image| image["failure"].is_string() && image["building_since"].is_null()).await;
    says(failed["failure"].as_str().unwrap(), &["image registry", &registry.address(), "does not answer", "`images.registry`"]);
    let label = format!("label=dev.longshore.image.namespace={}", harness.namespace());
    assert_eq!(docker(&["image", "ls", "-q", "--filter", &label]).await, "", "what could not be pushed is not left behind");

    registry.start_again();
    harness.service.terminate().await.unwrap();
    harness.service.start().await.unwrap();
    let promoted = image(&harness, "acme/courier", |image| image["reference"].is_string()).await;
    let reference = promoted["reference"].as_str().unwrap().to_owned();

    // The engine loses it while it is promoted: the registry gives it back.
    lose_on_engine(&reference).await;
    let talk = Talk::begin(&harness, "C0GENERAL", "in acme/courier, say hello");
    talk.ends_well_with(&["Hello."]).await;
    docker(&["rm", "--force", &talk.container().await]).await;

    // Down during the pull: the thread says what to do, and the image stays promoted.
    lose_on_engine(&reference).await;
    registry.stop();
    let mut talk = Talk::begin(&harness, "C0PLATFORM", "in acme/courier, say hello");
    talk.fails_with(&["There is no image to start from", "image registry", "does not answer"]).await;
    assert_eq!(image(&harness, "acme/courier", |image| image["reference"].is_string()).await["reference"], reference);
    registry.start_again();
    talk.reply("say hello");
    talk.ends_well_with(&["Hello."]).await;
    docker(&["rm", "--force", &talk.container().await]).await;

    // Both lose it: it is built again, and the prompt waits for that.
    lose_on_engine(&reference).await;
    registry.lose_everything();
    let talk = Talk::begin(&harness, "C0CHECKOUT", "in acme/courier, say hello");
    talk.ends_well_with(&["Hello."]).await;
    let again = image(&harness, "acme/courier", |image| image["reference"].is_string()).await;
    assert_ne!(again["reference"], reference);
    harness.finish().await.unwrap();
}
