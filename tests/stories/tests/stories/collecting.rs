//! Images that nothing needs any more go; the others stay, and people see what they take.

use anyhow::{Context, Result, ensure};
use longshore_emulators::model::Script;
use longshore_harness::{Harness, ImageCache, Options};
use longshore_places::{Door, OwnRegistry};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    bad_images::{BUILD, image, images_command},
    bad_talk::{agent_repos, says},
    hold::{host_shell, play},
    stage::tell_alone,
    thread::Thread,
};

const SAMPLE: &str = "acme/courier";

/// Commits to the base branch, and has that built. Gives what the repository's image is called then.
async fn build_another(harness: &Harness, message: &str) -> Result<String> {
    let bare = harness.github.bare_path(SAMPLE)?;
    let commit = format!("git -c user.name=Ben -c user.email=ben@example.com commit-tree -p main -m '{message}' main^{{tree}}");
    host_shell(&format!("cd {} && git update-ref refs/heads/main $({commit})", bare.display())).await?;
    let head = harness.github.branch_head(SAMPLE, "main").await?.context("no branch")?;
    harness.service.post(&format!("/v1/images/{SAMPLE}/rebuild"), &json!({})).await?;
    let built = image(harness, SAMPLE, |image| image["commit"] == head.as_str() && image["building_since"].is_null()).await;
    Ok(built["reference"].as_str().context("no image")?.to_owned())
}

/// Digests that the registry has for the sample, by asking it as anybody would.
async fn pushed(registry: &OwnRegistry, reference: &str) -> Result<bool> {
    let (path, digest) = reference.split_once('@').context("no digest")?;
    let path = path.split_once('/').context("no registry")?.1;
    let url = format!("http://{}/v2/{path}/manifests/{digest}", registry.address());
    let accept = "application/vnd.docker.distribution.manifest.v2+json";
    let answer = host_shell(&format!("curl --silent --output /dev/null --write-out '%{{http_code}}' -H 'Accept: {accept}' {url}")).await?;
    Ok(answer.trim() == "200")
}

async fn on_engine(reference: &str) -> bool {
    host_shell(&format!("docker image inspect {reference}")).await.is_ok()
}

#[test]
fn an_image_that_was_replaced_twice_goes_and_the_one_before_stays() {
    let registry = OwnRegistry::start(Door::Open);
    let mut options = Options::samples(&[SAMPLE]);
    let collect = registry.collect_command();
    options.configuration = format!("[images]\nregistry = \"{}\"\nkeep = 1\nregistry_collect = {collect:?}\n", registry.address());
    options.images = ImageCache::Ignore;
    tell_alone(options, async |harness| {
        let first = harness.image(SAMPLE).await?;
        let second = build_another(harness, "Deliver on Sundays").await?;
        let third = build_another(harness, "Deliver at night").await?;
        let said = images_command(harness, &["gc"]).await;
        ensure!(said.starts_with("Everything is needed, or is too young to go."), "somebody may have chosen it a minute ago: {said}");

        // While no service runs, an operator who cannot wait looks, and then starts it again.
        harness.service.terminate().await?;
        let file = harness.service.config_file();
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, text.replace("[images]", "[images]\ngrace_minutes = 0.0001"))?;
        let before = registry.stored_bytes();
        let said = images_command(harness, &["gc", "--dry-run"]).await;
        let going = [format!("would remove from the engine {first}"), format!("would delete from the registry {first}")];
        assert_eq!(said.lines().take(2).collect::<Vec<_>>(), going, "{said}");
        ensure!(said.contains("That would free ") && said.contains("engine     ") && said.contains(" (3), up to 100.0 GB"), "{said}");
        ensure!(on_engine(&first).await && pushed(&registry, &first).await?, "it was only told");
        harness.service.start().await?;

        let deadline = Instant::now() + BUILD;
        while on_engine(&first).await || pushed(&registry, &first).await? {
            ensure!(Instant::now() < deadline, "it stays: {}", harness.service.log_tail(30));
            // A look for new commits keeps everything for a moment.
            images_command(harness, &["gc"]).await;
        }
        ensure!(registry.stored_bytes() < before, "the registry gave its space back: {} of {before}", registry.stored_bytes());
        for kept in [&second, &third] {
            ensure!(on_engine(kept).await && pushed(&registry, kept).await?, "{kept} is needed");
        }
        let now = image(harness, SAMPLE, |image| image["retired"] == json!([])).await;
        assert_eq!((now["reference"].as_str(), now["previous"][0]["reference"].as_str()), (Some(third.as_str()), Some(second.as_str())));

        let disk = harness.service.get("/v1/images").await?["disk"].clone();
        let count = |key: &str| disk[key]["count"].as_u64();
        assert_eq!((count("engine"), count("registry"), &disk["notes"]), (Some(2), Some(2), &Value::from(Vec::<Value>::new())), "{disk:#}");
        ensure!(disk["engine"]["bytes"].as_u64() > Some(100_000_000) && disk["registry"]["bytes"].as_u64() > Some(10_000_000), "{disk:#}");
        let listed = images_command(harness, &["list"]).await;
        ensure!(listed.contains("acme/courier  ") && listed.contains("registry   ") && listed.contains(" (2), up to 100.0 GB"), "{listed}");
        says(
            &agent_repos(harness, "Images take").await,
            &["Images take ", " in the registry (up to 100 GB each)", "snapshots ", "(up to 50 GB)."],
        );

        // With no room at all the one before goes too, and the newest stays: that is said, and sessions go on.
        harness.service.terminate().await?;
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, text.replace("[images]", "[images]\nmax_gb = 0.001"))?;
        harness.service.start().await?;
        let deadline = Instant::now() + BUILD;
        while on_engine(&second).await || pushed(&registry, &second).await? {
            ensure!(Instant::now() < deadline, "it stays: {}", harness.service.log_tail(30));
            images_command(harness, &["gc"]).await;
        }
        ensure!(on_engine(&third).await && pushed(&registry, &third).await?, "sessions start from it");
        let listed = images_command(harness, &["list"]).await;
        ensure!(listed.contains("note: what is needed takes ") && listed.contains("more than `images.max_gb`"), "{listed}");
        says(&agent_repos(harness, "That is more").await, &["That is more than the limit, and all of it is needed"]);
        play(harness, Script::for_prompt("say hello").say("Hello from the van."));
        let thread = Thread::open(harness, "U0ANA", "C0GENERAL", "@longshore in acme/courier, say hello")?;
        thread.done(1).await?;
        thread.shows("Hello from the van.").await.map(drop)
    });
}
