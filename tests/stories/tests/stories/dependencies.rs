//! Who may know whom: `bot` wires, its rooms and the capabilities know `session` and not each other, and a vendor's crate has one place.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Direct dependencies by package, those for tests left out.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() >= 13, "the workspace lost packages, or cargo metadata changed");
    packages
        .iter()
        .map(|package| {
            let direct = package["dependencies"].as_array().unwrap().iter();
            let direct = direct.filter(|dependency| dependency["kind"].is_null()).map(|dependency| dependency["name"].as_str().unwrap());
            (package["name"].as_str().unwrap().to_owned(), direct.map(str::to_owned).collect())
        })
        .collect()
}

fn ours(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| name.starts_with("longshore")).collect()
}

#[test]
fn only_bot_wires() {
    let dependencies = dependencies();
    assert_eq!(ours(&dependencies["longshore-session"]), Vec::<&str>::new(), "session knows nobody");
    for room in ["agent", "api", "classifier", "gateway", "github", "sandbox", "scheduler", "slack"] {
        let name = format!("longshore-{room}");
        assert_eq!(ours(&dependencies[&name]), ["longshore-session"], "{name} knows session's types and nothing else of ours");
    }
    assert_eq!(ours(&dependencies["longshore-emulators"]), Vec::<&str>::new(), "the emulators know the protocols, not the service");
    assert_eq!(
        ours(&dependencies["longshore"]),
        [
            "longshore-agent",
            "longshore-api",
            "longshore-classifier",
            "longshore-gateway",
            "longshore-github",
            "longshore-sandbox",
            "longshore-scheduler",
            "longshore-session",
            "longshore-slack"
        ]
    );
}

#[test]
fn a_vendors_crate_has_one_place() {
    let dependencies = dependencies();
    for (vendor, place) in [
        ("slack-morphism", "longshore-slack"),
        ("octocrab", "longshore-github"),
        ("bollard", "longshore-sandbox"),
        ("async-openai", "longshore-classifier"),
        ("rusqlite", "longshore-session"),
        ("cron", "longshore-scheduler"),
    ] {
        let users: Vec<&str> =
            dependencies.iter().filter(|(_, direct)| direct.iter().any(|name| name == vendor)).map(|(name, _)| name.as_str()).collect();
        assert_eq!(users, [place], "{vendor}");
    }
}
