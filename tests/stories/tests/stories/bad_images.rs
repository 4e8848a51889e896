//! Images that cannot be built, and those that are kept when a newer one cannot be.

use std::{net::SocketAddr, time::Duration};

use longshore_harness::{Harness, Options, Wait};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use crate::{
    bad_ground::run,
    bad_talk::{Talk, agent_repos, asked, says},
};

/// A build that fails, on a machine that has other work as well.
pub const BUILD: Duration = Duration::from_secs(240);

/// The service's own record of a repository's image, once it is as wanted.
pub async fn image(harness: &Harness, repository: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + BUILD;
    loop {
        let listed = harness.service.get("/v1/images").await.unwrap();
        let found = listed["images"].as_array().unwrap().iter().find(|one| one["repository"] == repository).map(|one| one["image"].clone());
        let found = found.unwrap_or_default();
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{repository}: {found:#}\n{}", harness.service.log_tail(20));
        // The API tells nobody of changes.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn failed(image: &Value) -> bool {
    image["failure"].is_string() && image["building_since"].is_null()
}

/// What `longshore images …` says.
pub async fn images_command(harness: &Harness, arguments: &[&str]) -> String {
    let config = harness.service.config_file();
    let all: Vec<&str> = ["images", "--config", config.to_str().unwrap()].into_iter().chain(arguments.iter().copied()).collect();
    let environment: Vec<(&str, &str)> = harness.service.environment().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let run = run(&all, harness.folder(), &environment).await;
    assert!(run.success, "{run:?}");
    run.said
}

const MEMBER: &str = "pk-31f6c0a2b8d94e7f";

/// A private registry: one file, for whoever shows the member's token. Its address.
async fn private_registry() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let member = head.starts_with("get /private/thing.txt ") && head.contains(&format!("\r\nauthorization: bearer {MEMBER}\r\n"));
            let (status, text) = if member { ("200 OK", "for members") } else { ("401 Unauthorized", "who are you") };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// A sample's manifest with another `[image]` section.
fn manifest(repository: &str, image: &str) -> String {
    let text = Options::manifest_text(repository).unwrap();
    format!("{}[image]\n{image}\n", text.split("[image]").next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_is_told_with_its_step_and_never_replaces_a_good_image() {
    let mut options = Options::samples(&["acme/storefront", "acme/dashboard", "acme/courier"]);
    options.manifests.insert("acme/storefront".to_owned(), manifest("acme/storefront", "base = \"longshore/not-there:1\""));
    let setup = "setup = [\"echo getting ready\", \"echo the compiler is missing >&2; exit 3\"]";
    options.manifests.insert("acme/dashboard".to_owned(), manifest("acme/dashboard", setup));
    options.wait = Wait::Ready;
    options.environment.push(("ACME_PACKAGES_TOKEN".to_owned(), MEMBER.to_owned()));
    let registry = private_registry().await;
    let harness = Harness::start(options).await.unwrap();
    harness.model().push_script(asked("say hello").say("Hello from the van."));
    harness.expect_errors("the build failed");
    harness.expect_errors("cannot start a sandbox");

    // The base image is not there.
    let nowhere = Talk::begin(&harness, "C0CHECKOUT", "in acme/storefront, say hello");
    // A command of `setup` fails.
    let broken = Talk::begin(&harness, "C0PLATFORM", "in acme/dashboard, say hello");
    nowhere.fails_with(&["There is no image to start from", "longshore/not-there:1", "`images.base`", "`/agent repos`"]).await;
    broken.fails_with(&["There is no image to start from", "`setup`", "the compiler is missing", "exit 3"]).await;
    let repos = agent_repos(&harness, "longshore/not-there:1").await;
    says(&repos, &["*acme/storefront* has no image yet", "*acme/dashboard* has no image yet", "last build failed", "exit 3", "`setup`"]);

    // A good image stays in use where the next one is built, but does not work in a sandbox as sessions have it.
    let good = image(&harness, "acme/courier", |image| image["reference"].is_string()).await["reference"].clone();
    harness.service.terminate().await.unwrap();
    let file = harness.folder().join("repositories/acme-courier.toml");
    let wheels = "setup = [\"touch /tmp/wheels\"]\ncheck = \"test -e /tmp/wheels || { echo no wheels; exit 4; }\"";
    std::fs::write(&file, manifest("acme/courier", wheels)).unwrap();
    harness.service.start().await.unwrap();
    let now = image(&harness, "acme/courier", failed).await;
    assert_eq!(now["reference"], good, "the good image is still the one");
    let repos = agent_repos(&harness, "exit 4").await;
    says(&repos, &["*acme/courier* ready at", "last build failed", "step `boot`", "no wheels"]);
    let talk = Talk::begin(&harness, "C0GENERAL", "in acme/courier, say hello");
    talk.ends_well_with(&["Hello from the van."]).await;

    // What became of its builds, as an operator asks; and one that is asked for, of a branch that is gone.
    let history = images_command(&harness, &["history", "acme/courier"]).await;
    assert!(
        history.lines().next().is_some_and(|newest| newest.contains("failed") && newest.contains("of step `boot` ended with status 4")),
        "{history}"
    );
    let log = images_command(&harness, &["log", "acme/courier"]).await;
    assert!(log.contains("== setup: touch /tmp/wheels") && log.contains("its agent answers after") && log.contains("no wheels"), "{log}");
    let bare = harness.github.bare_path("acme/courier").unwrap();
    let deleted = std::process::Command::new("git").args(["update-ref", "-d", "refs/heads/main"]).current_dir(bare).status().unwrap();
    assert!(deleted.success());
    images_command(&harness, &["rebuild", "acme/courier"]).await;
    let now = image(&harness, "acme/courier", |image| {
        failed(image) && image["failure"].as_str().is_some_and(|why| why.contains("no branch main"))
    })
    .await;
    assert_eq!(now["reference"], good, "the good image is still the one");
    let listed = images_command(&harness, &["list"]).await;
    assert!(listed.contains("acme/courier  ") && listed.contains("last build failed: acme/courier has no branch main"), "{listed}");

    // Mended, with a package from a private registry, whose credential the build never sees: the thread whose repository had no image goes on from a reply.
    let packages = format!(
        "setup = [\"curl -fsS $LONGSHORE_REGISTRY_ACME/thing.txt >~/thing.txt && grep 'for members' ~/thing.txt\", \"! env | grep pk-\"]\n\
         [[image.secrets]]\nname = \"acme\"\nurl = \"http://{registry}/private\"\nprefix = \"Bearer \"\nvalue_env = \"ACME_PACKAGES_TOKEN\"\n"
    );
    harness.service.terminate().await.unwrap();
    std::fs::write(harness.folder().join("repositories/acme-dashboard.toml"), manifest("acme/dashboard", &packages)).unwrap();
    harness.service.start().await.unwrap();
    let mut broken = broken;
    broken.reply("say hello");
    broken.ends_well_with(&["Hello from the van."]).await;
    let log = images_command(&harness, &["log", "acme/dashboard"]).await;
    assert!(log.contains("for members"), "{log}");
    harness.finish().await.unwrap();
}
