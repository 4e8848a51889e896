//! `longshore doctor`, against everything that it looks at: all well, and each thing missing in turn.

use longshore_emulators::slack::WorkspaceSetup;
use longshore_harness::{Harness, Options, Wait};

use crate::bad_ground::{Run, run};

/// The emulators and a configuration; the service does not run.
async fn surroundings(change: impl FnOnce(&mut Options)) -> Harness {
    let mut options = Options::samples(&["acme/storefront"]);
    options.wait = Wait::Nothing;
    change(&mut options);
    Harness::start(options).await.unwrap()
}

async fn doctor(harness: &Harness) -> Run {
    let file = harness.service.config_file();
    let variables: Vec<(&str, &str)> = harness.service.environment().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    run(&["doctor", "--config", file.to_str().unwrap()], harness.folder(), &variables).await
}

/// Something is missing, and one line and its remedy say this.
#[track_caller]
fn finds(run: &Run, texts: &[&str]) {
    assert!(!run.success, "{}", run.said);
    let report: Vec<&str> = run.said.split("\nMISSING").skip(1).collect();
    let found = report.iter().find(|entry| texts.iter().all(|text| entry.contains(text)));
    assert!(found.is_some(), "no missing thing says {texts:?}: {}", run.said);
    assert!(run.said.contains("Something is missing"), "{}", run.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_all_well_or_says_what_is_missing_and_how_to_get_it() {
    let harness = surroundings(|_| ()).await;
    let good = doctor(&harness).await;
    assert!(good.success, "{good:#?}");
    assert!(good.said.contains("Nothing is missing") && !good.said.contains("MISSING"), "{}", good.said);
    for text in ["docker engine", "image registry", "base image", "GitHub App", "acme/storefront is within the App's reach", "model"] {
        assert!(good.said.contains(text), "`{text}`: {}", good.said);
    }

    // One thing spoiled at a time; the rest of the report stays good.
    let file = harness.service.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let line_of = |key: &str| text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap().to_owned();
    let (app_id, base, registry, agent) = (line_of("app_id"), line_of("base"), line_of("registry"), line_of("agent"));
    let cases: [(&str, &str, &[&str]); 5] = [
        (&app_id, "app_id = 424242", &["GitHub refuses the App", "github.app_id (424242) is the App's ID"]),
        (&base, "base = \"longshore/not-there:1\"", &["base image: longshore/not-there:1 is missing", "`make setup` builds it"]),
        (&registry, "registry = \"127.0.0.1:1\"", &["image registry 127.0.0.1:1 does not answer", "`images.registry`"]),
        (&agent, "agent = \"longshore-elsewhere\"", &["no model `longshore-elsewhere`", "correct `model` in"]),
        (
            "namespace = ",
            "docker_socket = \"/nowhere.sock\"\nnamespace = ",
            &["docker engine", "does not answer at /nowhere.sock", "start it"],
        ),
    ];
    for (good, bad, texts) in cases {
        std::fs::write(&file, text.replacen(good, bad, 1)).unwrap();
        finds(&doctor(&harness).await, texts);
    }
    std::fs::write(&file, &text).unwrap();

    // The App reaches other repositories only.
    harness.github.install_app("acme", longshore_emulators::github::Repositories::Selected(vec![]));
    finds(&doctor(&harness).await, &["acme/storefront has a manifest, but the App is not installed on it", "add the repository"]);
    harness.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_scope_that_slack_did_not_give() {
    let harness = surroundings(|options| {
        options.workspace = WorkspaceSetup::demo();
        options.workspace.app.bot_scopes.retain(|scope| scope != "chat:write" && scope != "files:read");
    })
    .await;
    let run = doctor(&harness).await;
    finds(&run, &["Slack scope chat:write", "cannot answer", "Bot Token Scopes"]);
    assert!(run.said.contains("doubt    Slack scope files:read"), "what can be done without is a doubt: {}", run.said);
    harness.finish().await.unwrap();
}
