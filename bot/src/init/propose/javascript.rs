//! JavaScript and TypeScript: node of Debian or of npm's own package, and the package manager that the lock file is of.

use serde_json::Value;

use super::super::{
    draft::Draft,
    survey::{Project, Survey},
};

/// Debian 12's node.
const DEBIAN_MAJOR: u32 = 18;
const NPM: &str = "mkdir -p /usr/local/lib/node_modules/npm && \
     curl -fsSL https://registry.npmjs.org/npm/-/npm-10.9.4.tgz | tar -xz -C /usr/local/lib/node_modules/npm --strip-components=1 && \
     ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx";
/// Apart from Debian's own node, whose files npm would not replace.
const GLOBALLY: &str = "npm install --global --prefix /usr/local --no-audit --no-fund";
/// What is taken where a project wants a newer one and does not say which, or says nothing.
const USUAL_MAJOR: u32 = 22;

pub fn propose(survey: &Survey, draft: &mut Draft) {
    for folder in survey.projects(&["package.json"]) {
        project(survey.project(folder), draft);
    }
}

fn project(at: Project<'_>, draft: &mut Draft) {
    let Some(package) = at.text("package.json").and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return };
    let depends = |name: &str| {
        ["dependencies", "devDependencies", "optionalDependencies"].iter().any(|section| package[*section].get(name).is_some())
    };
    let has_dependencies = ["dependencies", "devDependencies", "optionalDependencies"]
        .iter()
        .any(|section| package[*section].as_object().is_some_and(|section| !section.is_empty()));
    let manager = Manager::of(at, &package);
    let wanted = wanted_major(at, &package);

    draft.packages(&["nodejs"]);
    if has_dependencies || wanted.is_some() || package["scripts"].is_object() || manager != Manager::Npm {
        draft.egress(&["registry.npmjs.org:443"], "JavaScript packages");
        draft.root(NPM, "npm by itself: Debian's brings some four hundred packages along.");
    }
    if let Some(major) = wanted {
        let why = format!("Node {major}; Debian has {DEBIAN_MAJOR}.");
        draft.root(format!("{GLOBALLY} node@{major}"), why);
    }
    if let Some(line) = manager.install_itself(&package) {
        draft.root(line, "");
    }
    if has_dependencies {
        draft.setup(at.command(format!("{}{}", without_browsers(&depends), manager.install(at))), "");
    }
    if ["node-gyp", "better-sqlite3", "bcrypt", "canvas", "node-sass", "sharp"].iter().any(|name| depends(name)) || at.has("binding.gyp") {
        draft.packages(&["build-essential", "python3"]);
    }
    if ["puppeteer", "playwright", "@playwright/test", "cypress"].iter().any(|name| depends(name)) {
        draft.note("It has tests that drive a browser, which is not in the image: install `chromium` in `image.setup_root` and name it to them, or let the check leave them out.");
    }

    let script = |name: &str| package["scripts"][name].as_str().map(str::trim).filter(|line| !line.is_empty());
    if let Some(line) = script("build").filter(|line| !line.contains("watch")) {
        draft.warm(at.command(manager.run("build")), format!("`{}`", short(line)));
    }
    match script("test").filter(|line| !line.contains("no test specified")) {
        Some(line) => draft.check(at.command(format!("CI=1 {}", manager.run("test"))), format!("`{}`", short(line))),
        None if at.paths().any(|path| path.ends_with(".test.js") || path.ends_with(".test.mjs")) && !has_dependencies => {
            draft.check(at.command("node --test"), "No script runs its tests; node's own runner finds them.");
        }
        None => {
            if let Some(name) = ["lint", "typecheck", "check"].into_iter().find(|name| script(name).is_some()) {
                draft.check(at.command(manager.run(name)), "It has no script for tests: this is the next best that it has.");
            } else if script("build").is_some() {
                draft.check(at.command(manager.run("build")), "It has no script for tests: this shows only that it builds.");
            }
        }
    }
}

/// The package manager, by the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Npm,
    Pnpm,
    /// The first version of yarn.
    Yarn,
    /// Later ones, which a project brings along or corepack fetches.
    Berry,
}

impl Manager {
    fn of(at: Project<'_>, package: &Value) -> Self {
        let named = package["packageManager"].as_str().unwrap_or_default();
        if named.starts_with("pnpm@") || at.has("pnpm-lock.yaml") {
            Self::Pnpm
        } else if named.starts_with("yarn@") && !named.starts_with("yarn@1.") || at.has(".yarnrc.yml") {
            Self::Berry
        } else if named.starts_with("yarn@") || at.has("yarn.lock") && !at.has("package-lock.json") {
            Self::Yarn
        } else {
            Self::Npm
        }
    }

    /// Whoever wants to be there first.
    fn install_itself(self, package: &Value) -> Option<String> {
        // `pnpm@9.1.0+sha512.…`
        let named = package["packageManager"].as_str().and_then(|name| name.split('+').next());
        let sound = named.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '-')));
        let install = |name: &str| Some(format!("{GLOBALLY} {name}"));
        match self {
            Self::Npm => None,
            Self::Pnpm => install(sound.unwrap_or("pnpm@9")),
            Self::Yarn => install(sound.unwrap_or("yarn@1")),
            Self::Berry => install("corepack").map(|line| format!("{line} && corepack enable")),
        }
    }

    fn install(self, at: Project<'_>) -> &'static str {
        match self {
            Self::Npm if at.has("package-lock.json") || at.has("npm-shrinkwrap.json") => "npm ci --no-audit --no-fund",
            Self::Npm => "npm install --no-audit --no-fund",
            Self::Pnpm if at.has("pnpm-lock.yaml") => "pnpm install --frozen-lockfile",
            Self::Pnpm => "pnpm install",
            Self::Yarn => "yarn install --frozen-lockfile --non-interactive",
            Self::Berry => "COREPACK_NPM_REGISTRY=https://registry.npmjs.org yarn install --immutable",
        }
    }

    fn run(self, script: &str) -> String {
        match (self, script) {
            (Self::Npm, "test") => "npm test".to_owned(),
            (Self::Npm, script) => format!("npm run {script}"),
            (Self::Pnpm, script) => format!("pnpm run {script}"),
            (Self::Yarn | Self::Berry, script) => format!("yarn run {script}"),
        }
    }
}

/// Packages that fetch a browser when they are installed can be told not to.
fn without_browsers(depends: &dyn Fn(&str) -> bool) -> String {
    let pairs = [
        ("puppeteer", "PUPPETEER_SKIP_DOWNLOAD=1 "),
        ("cypress", "CYPRESS_INSTALL_BINARY=0 "),
        ("playwright", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 "),
        ("@playwright/test", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 "),
    ];
    let mut found: Vec<&str> = pairs.iter().filter(|(name, _)| depends(name)).map(|(_, variable)| *variable).collect();
    found.dedup();
    found.concat()
}

/// The major version of node where Debian's does not do.
fn wanted_major(at: Project<'_>, package: &Value) -> Option<u32> {
    let named = [".nvmrc", ".node-version"].iter().find_map(|file| at.text(file)).and_then(first_number);
    if let Some(major) = named.or_else(|| package["volta"]["node"].as_str().and_then(first_number)) {
        return (major != DEBIAN_MAJOR).then_some(major);
    }
    match package["engines"]["node"].as_str() {
        // `^18 || >=20` is content with the first.
        Some(range) => {
            let suits = range.split("||").any(|part| allows(part, DEBIAN_MAJOR));
            let least = range.split("||").filter_map(first_number).max();
            (!suits).then(|| least.map_or(USUAL_MAJOR, |least| least.max(if range.contains('>') { USUAL_MAJOR } else { least })))
        }
        // What was written lately wants a newer one and does not say so; what is old says so in its dependencies' ages, which nobody sees here.
        None => is_recent(package).then_some(USUAL_MAJOR),
    }
}

/// Whether a part of a range takes in this major version.
fn allows(part: &str, major: u32) -> bool {
    let part = part.trim();
    let Some(bound) = first_number(part) else { return true };
    if part.starts_with(">=") || part.starts_with('>') {
        let below = part.split_once('<').and_then(|(_, rest)| first_number(rest));
        bound <= major && below.is_none_or(|below| major < below)
    } else if part.starts_with('<') {
        major < bound || part.starts_with("<=") && major == bound
    } else {
        bound == major
    }
}

/// Test runners and bundlers whose present versions want more than Debian's node.
fn is_recent(package: &Value) -> bool {
    let least =
        [("vitest", 3), ("vite", 6), ("eslint", 10), ("typescript", 7), ("jest", 30), ("mocha", 12), ("next", 15), ("react-router", 7)];
    let major = |name: &str| ["dependencies", "devDependencies"].iter().find_map(|section| first_number(package[*section][name].as_str()?));
    least.iter().any(|(name, least)| major(name).is_some_and(|major| major >= *least))
}

fn first_number(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn short(line: &str) -> String {
    let line = line.replace(['\n', '\r'], " ");
    if line.chars().count() <= 100 { line } else { format!("{} …", line.chars().take(97).collect::<String>()) }
}
