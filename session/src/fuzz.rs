//! What holds whatever stands in a manifest, an id or a stored log. Each target takes any bytes and panics where something does not hold; the
//! tests here and `fuzz/` drive them. See `docs/fuzzing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails a test")]

use std::{
    fmt::Display,
    path::{Component, Path},
    str::FromStr,
    time::Instant,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{ChannelId, Event, ImageRecord, MessageTs, PromptId, RepoName, RepositoryManifest, SandboxId, SessionId, SlackUserId, TeamId};

pub const MANIFESTS: &[&[u8]] = &[include_bytes!("../../manifests/repositories/acme-storefront.toml"), MANIFEST.as_bytes()];

const MANIFEST: &str = r#"repository = "acme/shop"
description = "The shop."
base_branch = "main"
egress = ["*.example.com:443"]
[image]
setup = ["make"]
timeout_s = 600
[[image.secrets]]
name = "npm"
url = "https://npm.example.com/"
value_env = "NPM_TOKEN"
[[image.services]]
name = "db"
start = "postgres"
ready_s = 60
[check]
command = "make test"
timeout_s = 600
[limits]
memory_mb = 2048
cpus = 2.5
pids = 512
[pool]
size = 2
[[tool_rules]]
tool = ["commands"]
command = 'rm\s+-rf'
deny = "no"
"#;

/// A manifest that is taken is the same when it is written and read again, names a repository, and says only what can be done: times that a
/// clock can count to, sizes that a number of bytes can hold.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = Path::new("x.toml");
    let manifest = match RepositoryManifest::parse(path, text) {
        Ok(manifest) => manifest,
        Err(error) => {
            assert!(error.to_string().contains("x.toml"), "{error}");
            return;
        }
    };
    let printed = toml::to_string(&manifest).unwrap();
    assert_eq!(RepositoryManifest::parse(path, &printed).unwrap(), manifest);
    for time in [manifest.check.timeout(), manifest.image.timeout()] {
        assert!(Instant::now().checked_add(time).is_some(), "{time:?} is longer than a clock can count");
    }
    for limits in [Some(manifest.limits), manifest.image.limits].into_iter().flatten() {
        // In billionths it still is a number that the engine takes.
        assert!(limits.cpus > 0.0 && limits.cpus * 1e9 < 9e18, "{} processors", limits.cpus);
    }
}

pub const IDS: &[&[u8]] = &[b"acme/shop", b"1699999999.000100", b"s-0123456789abcdef", b"C0ROOM", b"U0ANA", b"T1", b"p-1"];

/// An id that is taken prints as it was written, and is one word; one of ours, or a repository's, is also one name within a folder, and
/// nothing that a shell reads.
pub fn id(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let foreign = [same::<ChannelId>(&text), same::<SlackUserId>(&text), same::<TeamId>(&text), same::<MessageTs>(&text)];
    let own = [same::<SessionId>(&text), same::<PromptId>(&text), same::<SandboxId>(&text), same::<RepoName>(&text)];
    for printed in foreign.iter().chain(&own).flatten() {
        assert!(printed.len() <= 201 && printed.bytes().all(|byte| byte.is_ascii_graphic()), "{printed:?}");
    }
    for printed in own.iter().flatten() {
        let names: Vec<Component<'_>> = Path::new(printed).components().collect();
        assert!(names.len() <= 2 && names.iter().all(|name| matches!(name, Component::Normal(_))), "{printed}");
        assert!(printed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte)), "{printed}");
    }
}

fn same<T: FromStr + Display>(text: &str) -> Option<String> {
    let printed = text.parse::<T>().ok()?.to_string();
    assert_eq!(printed, text);
    Some(printed)
}

/// As versions before wrote them: fields that came later are missing.
pub const STORED: &[&[u8]] = &[
    br#"{"event":"prompt_accepted","prompt":{"id":"p-1","author":{"slack_user":"U1","name":"Ana","email":"a@x"},"text":"fix","post":"1.1","received":5}}"#,
    br#"{"event":"prompt_withdrawn","prompt":"p-1"}"#,
    br#"{"event":"prompt_handed","turn":1,"prompt":"p-1","head":null}"#,
    br#"{"event":"turn_started","turn":1,"prompt":"p-1"}"#,
    br#"{"event":"turn_running","turn":1,"sandbox":"b-1"}"#,
    br#"{"event":"agent","turn":1,"activity":{"type":"text","delta":"a"}}"#,
    br#"{"event":"turn_ended","turn":1,"outcome":{"outcome":"done"}}"#,
    br#"{"reference":"r@sha256:00","commit":"c","inputs":"i","built":5,"size":7,"failures":0,"vocabulary":[]}"#,
];

/// What is read from a database is what was written: nothing is lost between two versions of a row.
pub fn stored(bytes: &[u8]) {
    stays::<Event>(bytes);
    stays::<ImageRecord>(bytes);
}

fn stays<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
    let printed = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&printed).expect("what was written is read"), value);
}

#[cfg(test)]
mod tests {
    use longshore_hostile::throw;

    use super::*;

    #[test]
    fn manifest() {
        throw(MANIFESTS, super::manifest);
    }

    #[test]
    fn id() {
        throw(IDS, super::id);
    }

    #[test]
    fn stored() {
        for seed in STORED {
            let text = String::from_utf8_lossy(seed);
            assert!(serde_json::from_slice::<Event>(seed).is_ok() || serde_json::from_slice::<ImageRecord>(seed).is_ok(), "{text}");
        }
        throw(STORED, super::stored);
    }

    #[test]
    fn all_seeds_are_good() {
        for seed in MANIFESTS {
            RepositoryManifest::parse(Path::new("x.toml"), std::str::from_utf8(seed).unwrap()).unwrap();
        }
    }
}
