//! File systems that are kept, listed, put together and removed.

use longshore_sandbox::{Engine, EngineError, ImageRef, SandboxState, Snapshot};
use longshore_session::SandboxId;

use crate::fixture::{Fixture, base, docker, with_engine};

/// Starts from the image, runs a line, keeps the result and removes the sandbox.
async fn keep(fixture: &Fixture, image: &ImageRef, line: &str) -> Snapshot {
    let mut request = fixture.request(&SandboxId::random());
    request.image = image.clone();
    let sandbox = fixture.engine.start(request).await.unwrap();
    fixture.text(&sandbox.id, line).await;
    let snapshot = fixture.engine.snapshot(&sandbox.id, vec![("session".to_owned(), "s-1".to_owned())]).await.unwrap();
    fixture.engine.remove(&sandbox.id).await.unwrap();
    snapshot
}

fn settings(image: &ImageRef) -> String {
    docker(&["image", "inspect", "--format", "{{json .Config.Env}} {{.Config.User}} {{.Config.WorkingDir}}", image.as_str()])
}

#[test]
fn a_chain_of_snapshots_is_put_together_and_loses_nothing() {
    with_engine(async |fixture| {
        let mut last = base();
        let mut layers = Vec::new();
        for turn in ["echo one >note; mkdir deep; echo gone >deep/gone; chmod 750 deep", "rm deep/gone; echo two >>note", "ln -s note link"]
        {
            let snapshot = keep(&fixture, &last, turn).await;
            layers.push(snapshot.layers);
            last = snapshot.image;
        }
        assert_eq!(layers, [layers[0], layers[0] + 1, layers[0] + 2]);

        let flat = fixture.engine.flatten(&last).await.unwrap();
        assert!(flat.layers <= 2 && flat.image != last, "{flat:?}");
        assert_eq!(settings(&flat.image), settings(&last));
        assert_eq!(fixture.engine.list(None).await.unwrap(), [], "no container is left");

        let mut request = fixture.request(&SandboxId::random());
        request.image = flat.image.clone();
        let sandbox = fixture.engine.start(request).await.unwrap();
        let line = "cat note; readlink link; ls deep; stat -c '%U %a' deep note; id -un; opencode --version >/dev/null && echo works";
        assert_eq!(fixture.text(&sandbox.id, line).await, "one\ntwo\nnote\nagent 750\nagent 644\nagent\nworks");

        // Each is found by its label, and goes by itself although others came of it.
        let found = async || fixture.engine.snapshots(Some(("session", "s-1"))).await.unwrap();
        let images: Vec<ImageRef> = found().await.into_iter().map(|snapshot| snapshot.image).collect();
        assert_eq!(images.len(), 4, "{images:?}");
        assert!(images.contains(&last) && images.contains(&flat.image));
        assert_eq!(fixture.engine.snapshots(Some(("session", "s-2"))).await.unwrap(), []);
        let refused = fixture.engine.remove_image(&flat.image).await;
        assert!(matches!(refused, Err(EngineError::Refused { .. })), "a sandbox runs from it: {refused:?}");
        for image in images.iter().filter(|image| **image != flat.image) {
            fixture.engine.remove_image(image).await.unwrap();
        }
        let left: Vec<ImageRef> = found().await.into_iter().map(|snapshot| snapshot.image).collect();
        assert_eq!(left, std::slice::from_ref(&flat.image));
        fixture.engine.remove(&sandbox.id).await.unwrap();
        fixture.engine.remove_image(&flat.image).await.unwrap();
        let filter = format!("label=dev.longshore.image.namespace={}", fixture.namespace);
        assert_eq!(docker(&["image", "ls", "-aq", "--filter", &filter]), "", "nothing of them stays on the disk");
    });
}

#[test]
fn a_parent_goes_before_its_child() {
    with_engine(async |fixture| {
        let first = keep(&fixture, &base(), "echo one >note").await;
        let second = keep(&fixture, &first.image, "echo two >>note").await;
        fixture.engine.remove_image(&first.image).await.unwrap();
        let mut request = fixture.request(&SandboxId::random());
        request.image = second.image.clone();
        let sandbox = fixture.engine.start(request).await.unwrap();
        assert_eq!(fixture.text(&sandbox.id, "cat note").await, "one\ntwo");
        fixture.engine.remove(&sandbox.id).await.unwrap();
        fixture.engine.remove_image(&second.image).await.unwrap();
        let filter = format!("label=dev.longshore.image.namespace={}", fixture.namespace);
        assert_eq!(docker(&["image", "ls", "-aq", "--filter", &filter]), "");
    });
}

#[test]
fn a_snapshot_holds_one_moment_whatever_comes_meanwhile() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        // Large enough for what follows to come in the middle of it.
        fixture.text(&sandbox.id, "head -c 150000000 /dev/urandom >blob; echo before >note").await;
        let keep = async { fixture.engine.snapshot(&sandbox.id, Vec::new()).await.unwrap() };
        let disturb = async {
            // Standing still is what the snapshot does first.
            while !matches!(fixture.engine.inspect(&sandbox.id).await.unwrap().state, SandboxState::Paused { .. }) {
                tokio::task::yield_now().await;
            }
            fixture.engine.resume(&sandbox.id).await.unwrap();
            fixture.text(&sandbox.id, "echo after >note; cat note").await
        };
        let (snapshot, said) = tokio::join!(keep, disturb);
        assert_eq!(said, "after");
        let mut request = fixture.request(&SandboxId::random());
        request.image = snapshot.image;
        let restored = fixture.engine.start(request).await.unwrap();
        assert_eq!(fixture.text(&restored.id, "cat note; stat -c %s blob").await, "before\n150000000");
    });
}
