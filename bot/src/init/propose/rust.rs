//! Rust: a toolchain of rustup's, crates from crates.io.

use toml::{Table, Value};

use super::super::{
    draft::Draft,
    survey::{Project, Survey},
};

/// Crates that build against a library of the system's, and the packages that hold it.
const SYSTEM_LIBRARIES: [(&str, &[&str]); 12] = [
    ("openssl-sys", &["libssl-dev", "pkg-config"]),
    ("native-tls", &["libssl-dev", "pkg-config"]),
    ("pq-sys", &["libpq-dev"]),
    ("mysqlclient-sys", &["default-libmysqlclient-dev"]),
    ("libudev-sys", &["libudev-dev", "pkg-config"]),
    ("alsa-sys", &["libasound2-dev", "pkg-config"]),
    ("libdbus-sys", &["libdbus-1-dev", "pkg-config"]),
    ("zmq-sys", &["libzmq3-dev", "pkg-config"]),
    ("prost-build", &["protobuf-compiler"]),
    ("bindgen", &["libclang-dev", "clang"]),
    ("cmake", &["cmake"]),
    ("rdkafka-sys", &["cmake", "zlib1g-dev"]),
];

/// Above this many crates a build is a large one.
const MANY_CRATES: usize = 250;

pub fn propose(survey: &Survey, draft: &mut Draft) {
    for folder in survey.projects(&["Cargo.toml"]) {
        project(survey.project(folder), draft);
    }
}

fn project(at: Project<'_>, draft: &mut Draft) {
    let manifest: Table = at.text("Cargo.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
    let lock = at.text("Cargo.lock").unwrap_or_default();
    draft.packages(&["build-essential"]);
    let named = |name: &str| lock.contains(&format!("name = \"{name}\"")) || depends_on(&manifest, name);
    for (_, packages) in SYSTEM_LIBRARIES.iter().filter(|(name, _)| named(name)) {
        draft.packages(packages);
    }
    if named("libsqlite3-sys") && !lock.contains("name = \"vcpkg\"") {
        draft.packages(&["libsqlite3-dev", "pkg-config"]);
    }

    let channel = pinned(at);
    let why = match &channel {
        Some(channel) => format!("Rust {channel}, as the repository pins it."),
        None => "Rust's stable toolchain.".to_owned(),
    };
    let channel = channel.unwrap_or_else(|| "stable".to_owned());
    draft.root(
        "curl -fsSL -o /tmp/rustup-init https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init && chmod 755 /tmp/rustup-init",
        why,
    );
    draft.root(
        format!(
            "RUSTUP_HOME=/opt/rustup CARGO_HOME=/opt/cargo /tmp/rustup-init -y --no-modify-path --profile minimal \
             --default-toolchain {channel} --component clippy --component rustfmt && ln -sf /opt/rustup/toolchains/*/bin/* /usr/local/bin/"
        ),
        "",
    );
    draft.egress(&["static.rust-lang.org:443"], "Rust's toolchain");
    draft.egress(&["index.crates.io:443", "static.crates.io:443"], "crates");
    if lock.contains("source = \"git+https://github.com/")
        || at.text("Cargo.toml").is_some_and(|text| text.contains("git = \"https://github.com/"))
    {
        draft.egress(&["github.com:443"], "crates from git");
    }

    let locked = if at.has("Cargo.lock") { " --locked" } else { "" };
    let workspace = if manifest.contains_key("workspace") { " --workspace" } else { "" };
    draft.setup(at.command(format!("cargo fetch{locked}")), "");
    draft.warm(at.command(format!("cargo test{workspace}{locked} --no-run")), "Compiles everything, tests included.");
    draft.check(at.command(format!("cargo test{workspace}{locked}")), "");
    if lock.matches("[[package]]").count() > MANY_CRATES {
        draft.memory_mb = draft.memory_mb.max(Some(4096));
        draft.timeout_s = draft.timeout_s.max(Some(3600));
        draft.note("It has many dependencies: memory and time for builds are set above the usual.");
    }
}

/// The toolchain that the repository names.
fn pinned(at: Project<'_>) -> Option<String> {
    let text = at.text("rust-toolchain.toml").or_else(|| at.text("rust-toolchain"))?;
    let channel = match text.parse::<Table>() {
        Ok(table) => table.get("toolchain")?.get("channel")?.as_str()?.to_owned(),
        Err(_) => text.trim().to_owned(),
    };
    let sound = !channel.is_empty() && channel.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    sound.then_some(channel)
}

fn depends_on(manifest: &Table, name: &str) -> bool {
    ["dependencies", "build-dependencies", "dev-dependencies"]
        .iter()
        .any(|section| manifest.get(*section).and_then(Value::as_table).is_some_and(|table| table.contains_key(name)))
}
