//! Python: a virtual environment in the checkout, packages from PyPI, pytest where there is any sign of it.

mod requirements;

use toml::{Table, Value};

use self::requirements::{Needs, needs};
use super::super::{
    draft::Draft,
    survey::{Project, Survey},
};

const MARKERS: [&str; 6] = ["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "manage.py"];
/// Debian 12's.
const DEBIAN_MINOR: u32 = 11;
const PYTHON: &str = ".venv/bin/python";
/// With the programs of the environment in reach: tests commonly start the package's own.
const ACTIVATED: &str = ". .venv/bin/activate && python";

/// Packages that build against a library of the system's where PyPI has no wheel for them.
const SYSTEM_LIBRARIES: [(&str, &[&str]); 6] = [
    ("psycopg2", &["libpq-dev", "build-essential", "python3-dev"]),
    ("mysqlclient", &["default-libmysqlclient-dev", "build-essential", "python3-dev", "pkg-config"]),
    ("python-ldap", &["libldap2-dev", "libsasl2-dev", "build-essential", "python3-dev"]),
    ("pycairo", &["libcairo2-dev", "build-essential", "python3-dev", "pkg-config"]),
    ("uwsgi", &["build-essential", "python3-dev"]),
    ("psycopg", &["libpq5"]),
];

pub fn propose(survey: &Survey, draft: &mut Draft) {
    for folder in survey.projects(&MARKERS) {
        project(survey.project(folder), draft);
    }
}

/// How its dependencies are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Uv,
    Poetry,
    Pdm,
    Pip,
}

fn project(at: Project<'_>, draft: &mut Draft) {
    let pyproject: Table = at.text("pyproject.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
    let needs = needs(at, &pyproject);
    draft.packages(&["python3", "python3-venv"]);
    draft.egress(&["pypi.org:443", "files.pythonhosted.org:443"], "Python packages");
    for (_, packages) in SYSTEM_LIBRARIES.iter().filter(|(name, _)| needs.names.iter().any(|needed| needed == name)) {
        draft.packages(packages);
    }
    if compiles(at) {
        draft.packages(&["build-essential", "python3-dev"]);
    }
    if needs.from_git {
        draft.note(
            "Some requirements come from git: a build reaches the repository itself only, so they need another source (a wheel, an index).",
        );
    }
    let tool = if at.has("uv.lock") {
        Tool::Uv
    } else if at.has("poetry.lock") || pyproject.get("tool").and_then(|tool| tool.get("poetry")?.get("dependencies")).is_some() {
        Tool::Poetry
    } else if at.has("pdm.lock") {
        Tool::Pdm
    } else {
        Tool::Pip
    };
    let version = wanted_minor(at, &pyproject);
    if version.is_some() || tool == Tool::Uv {
        draft.setup("python3 -m venv ~/.uv && ~/.uv/bin/pip install -q uv", "uv, apart from the project's own packages.");
    }
    let create = match version {
        Some(minor) => {
            draft.egress(&["github.com:443", "release-assets.githubusercontent.com:443"], "Python itself, where Debian's is too old");
            format!("[ -x .venv/bin/python ] || ~/.uv/bin/uv venv --seed --python 3.{minor} .venv")
        }
        None => "python3 -m venv .venv".to_owned(),
    };
    let why = version.map_or_else(String::new, |minor| format!("It wants Python 3.{minor}; Debian has 3.{DEBIAN_MINOR}."));
    draft.setup(at.command(create), why);
    match tool {
        Tool::Uv => draft.setup(at.command("~/.uv/bin/uv sync --all-extras --all-groups"), ""),
        Tool::Poetry => {
            draft.setup(
                "python3 -m venv ~/.poetry && ~/.poetry/bin/pip install -q poetry",
                "Poetry, apart from the project's own packages.",
            );
            draft.setup(at.command("POETRY_VIRTUALENVS_IN_PROJECT=true ~/.poetry/bin/poetry install --no-interaction --all-extras"), "");
        }
        Tool::Pdm => {
            draft.setup("python3 -m venv ~/.pdm && ~/.pdm/bin/pip install -q pdm", "PDM, apart from the project's own packages.");
            draft.setup(at.command("~/.pdm/bin/pdm install --dev -G :all"), "");
        }
        Tool::Pip => pip(at, &needs, draft),
    }
    check(at, &needs, tool, draft);
}

fn pip(at: Project<'_>, needs: &Needs, draft: &mut Draft) {
    if !needs.groups.is_empty() {
        draft.setup(at.command(format!("{PYTHON} -m pip install -q --upgrade pip")), "Debian's pip knows no dependency groups.");
    }
    let mut parts: Vec<String> = needs.files.iter().map(|file| format!("-r '{file}'")).collect();
    if needs.installable {
        let extras = if needs.extras.is_empty() { String::new() } else { format!("[{}]", needs.extras.join(",")) };
        parts.push(format!("-e '.{extras}'"));
    }
    parts.extend(needs.groups.iter().map(|group| format!("--group '{group}'")));
    parts.extend(needs.plain.iter().map(|requirement| format!("'{requirement}'")));
    if !parts.is_empty() {
        draft.setup(at.command(format!("{PYTHON} -m pip install -q {}", parts.join(" "))), "");
    }
}

fn check(at: Project<'_>, needs: &Needs, tool: Tool, draft: &mut Draft) {
    let tests: Vec<(&str, &str)> = at.texts().filter(|(path, _)| path.ends_with(".py") && path.contains("test")).collect();
    if at.has("manage.py") && !needs.pytest {
        draft.check(at.command(format!("{ACTIVATED} manage.py test")), "");
        return;
    }
    let imports_pytest = tests.iter().any(|(_, text)| text.contains("import pytest") || text.contains("from pytest"));
    let has_tests = tests.iter().any(|(_, text)| text.contains("def test")) || at.paths().any(|path| path.starts_with("tests/"));
    if needs.pytest || imports_pytest || has_tests && !tests.iter().any(|(_, text)| text.contains("unittest")) {
        let missing: Vec<String> = needs.pytest_parts(at).into_iter().map(|name| format!("'{name}'")).collect();
        // The tools that have lock files install what those name: more would be taken out at the next round.
        if tool == Tool::Pip && !missing.is_empty() {
            draft.setup(at.command(format!("{PYTHON} -m pip install -q {}", missing.join(" "))), "What its tests are run with.");
        }
        draft.check(at.command(format!("{ACTIVATED} -m pytest -q")), "");
    } else if has_tests {
        let from = if at.paths().any(|path| path.starts_with("tests/")) && !at.has("tests/__init__.py") { " -s tests -t ." } else { "" };
        draft.check(at.command(format!("{ACTIVATED} -m unittest discover -q{from}")), "");
    } else if let Some(package) = package(at) {
        draft.check(
            at.command(format!("{ACTIVATED} -c 'import {package}'")),
            "No tests were found: this shows only that it can be imported.",
        );
    }
}

/// The name that it is imported by.
fn package(at: Project<'_>) -> Option<&str> {
    let mut packages = at.paths().filter_map(|path| path.strip_prefix("src/").unwrap_or(path).strip_suffix("/__init__.py"));
    packages.find(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !matches!(*name, "tests" | "test" | "docs"))
}

fn compiles(at: Project<'_>) -> bool {
    let builds = |text: &str| ["ext_modules", "Extension(", "cythonize", "cffi_modules"].iter().any(|sign| text.contains(sign));
    let backend = |text: &str| {
        ["maturin", "setuptools-rust", "scikit-build", "mesonpy", "meson-python", "Cython", "cython"].iter().any(|sign| text.contains(sign))
    };
    at.text("setup.py").is_some_and(builds)
        || at.text("pyproject.toml").is_some_and(|text| text.contains("[build-system]") && backend(text))
}

/// The minor version of Python 3 that is needed where Debian's is too old.
fn wanted_minor(at: Project<'_>, pyproject: &Table) -> Option<u32> {
    let requires = pyproject
        .get("project")
        .and_then(|project| project.get("requires-python"))
        .or_else(|| pyproject.get("tool")?.get("poetry")?.get("dependencies")?.get("python"))
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| requirements::python_requires(at));
    let least = requires.as_deref().and_then(|text| {
        let bounds = text.split(',').map(str::trim).filter(|part| part.starts_with(['>', '^', '~', '=', '3']));
        bounds.filter_map(minor).max()
    });
    let pinned = at.text(".python-version").and_then(minor);
    least.into_iter().chain(pinned.filter(|minor| *minor > DEBIAN_MINOR)).max().filter(|minor| *minor > DEBIAN_MINOR)
}

/// `12` of `>=3.12`, `^3.12`, `3.12.1`.
fn minor(text: &str) -> Option<u32> {
    let digits = text.trim().trim_start_matches(|c: char| !c.is_ascii_digit());
    let rest = digits.strip_prefix("3.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
