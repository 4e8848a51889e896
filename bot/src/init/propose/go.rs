//! Go: modules from the usual proxy.

use super::super::{
    draft::Draft,
    survey::{Project, Survey},
};

/// Debian 12's is Go 1.19.
const DEBIAN_MINOR: u32 = 19;

pub fn propose(survey: &Survey, draft: &mut Draft) {
    for folder in survey.projects(&["go.mod"]) {
        project(survey.project(folder), draft);
    }
}

fn project(at: Project<'_>, draft: &mut Draft) {
    let text = at.text("go.mod").unwrap_or_default();
    let version = text.lines().find_map(|line| line.trim().strip_prefix("go ")).map(str::trim);
    let minor = version.and_then(|version| version.split('.').nth(1)?.parse::<u32>().ok());
    match version.filter(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.')) {
        Some(version) if minor.is_some_and(|minor| minor > DEBIAN_MINOR) => {
            // From 1.21 on, releases have three numbers.
            let full = if version.matches('.').count() == 1 && minor.is_some_and(|minor| minor >= 21) {
                format!("{version}.0")
            } else {
                version.to_owned()
            };
            draft.root(
                format!(
                    "curl -fsSL https://go.dev/dl/go{full}.linux-$(dpkg --print-architecture).tar.gz | tar -C /usr/local -xz && \
                     ln -sf /usr/local/go/bin/* /usr/local/bin/"
                ),
                format!("Go {full}, as go.mod says; Debian has 1.{DEBIAN_MINOR}."),
            );
            draft.egress(&["go.dev:443", "dl.google.com:443"], "Go itself");
        }
        Some(_) | None => draft.packages(&["golang-go"]),
    }
    draft.packages(&["gcc", "libc6-dev"]);
    if text.contains("require") {
        draft.egress(&["proxy.golang.org:443", "sum.golang.org:443"], "Go modules");
        draft.setup(at.command("go mod download"), "");
    }
    draft.warm(at.command("go build ./... && go test -run '^$' ./..."), "Compiles everything, tests included.");
    draft.check(at.command("go test ./..."), "");
}
