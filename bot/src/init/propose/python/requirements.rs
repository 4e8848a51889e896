//! What a Python project says that it needs, and what its tests are run with.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::super::super::survey::Project;

/// Extras and groups that hold what tests want.
const FOR_TESTS: [&str; 8] = ["test", "tests", "testing", "dev", "develop", "development", "all", "ci"];
const FILES: [&str; 14] = [
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements_dev.txt",
    "requirements_test.txt",
    "dev-requirements.txt",
    "test-requirements.txt",
    "requirements/dev.txt",
    "requirements/test.txt",
    "requirements/tests.txt",
    "requirements/testing.txt",
    "requirements/base.txt",
    "tests/requirements.txt",
];
/// What shows in a configuration, and the package that knows it.
const PLUGINS: [(&str, &str); 7] = [
    ("asyncio_mode", "pytest-asyncio"),
    ("asyncio_default_fixture_loop_scope", "pytest-asyncio"),
    ("--cov", "pytest-cov"),
    ("--timeout", "pytest-timeout"),
    ("DJANGO_SETTINGS_MODULE", "pytest-django"),
    ("--benchmark", "pytest-benchmark"),
    ("-n auto", "pytest-xdist"),
];
/// What tests import, and the package that holds it. Others are not guessed: a name on PyPI may be anybody's.
const IMPORTS: [(&str, &str); 20] = [
    ("pytest_asyncio", "pytest-asyncio"),
    ("pytest_mock", "pytest-mock"),
    ("pytz", "pytz"),
    ("dateutil", "python-dateutil"),
    ("sqlalchemy", "sqlalchemy"),
    ("freezegun", "freezegun"),
    ("hypothesis", "hypothesis"),
    ("mock", "mock"),
    ("responses", "responses"),
    ("parameterized", "parameterized"),
    ("pytest_httpserver", "pytest-httpserver"),
    ("httpx", "httpx"),
    ("requests", "requests"),
    ("flask", "flask"),
    ("django", "django"),
    ("numpy", "numpy"),
    ("psycopg2", "psycopg2-binary"),
    ("redis", "redis"),
    ("fakeredis", "fakeredis"),
    ("yaml", "pyyaml"),
];

/// What is to be installed.
#[derive(Debug, Default)]
pub struct Needs {
    /// Names of everything that is required anywhere, in lower case with `-`.
    pub names: BTreeSet<String>,
    pub files: Vec<String>,
    pub extras: Vec<String>,
    pub groups: Vec<String>,
    /// Requirements that stand in a file that pip does not read.
    pub plain: Vec<String>,
    pub installable: bool,
    pub pytest: bool,
    pub from_git: bool,
}

pub fn needs(at: Project<'_>, pyproject: &Table) -> Needs {
    let mut needs = Needs::default();
    let project = pyproject.get("project");
    let setup_py = at.text("setup.py").unwrap_or_default();
    let setup_cfg = at.text("setup.cfg").unwrap_or_default();
    needs.installable =
        project.is_some() || pyproject.contains_key("build-system") || setup_py.contains("setup(") || setup_cfg.contains("[metadata]");

    for file in FILES.iter().filter(|file| at.has(file)) {
        needs.files.push((*file).to_owned());
        for requirement in at.text(file).unwrap_or_default().lines() {
            needs.take(requirement);
        }
    }
    // What developers have beside the tests' own (linters, documentation) is much, and no session wants it.
    if needs.files.iter().any(|file| file.contains("test")) {
        needs.files.retain(|file| !file.contains("dev"));
    }
    // `requirements/test.txt` commonly includes `requirements/base.txt`; naming both does no harm.
    for requirement in strings(project.and_then(|project| project.get("dependencies"))) {
        needs.take(&requirement);
    }
    let extras = project.and_then(|project| project.get("optional-dependencies")).and_then(Value::as_table);
    for (name, list) in extras.into_iter().flatten() {
        needs.extra(name);
        strings(Some(list)).iter().for_each(|requirement| needs.take(requirement));
    }
    for (name, list) in pyproject.get("dependency-groups").and_then(Value::as_table).into_iter().flatten() {
        if FOR_TESTS.contains(&name.as_str()) {
            needs.groups.push(name.clone());
            strings(Some(list)).iter().for_each(|requirement| needs.take(requirement));
        }
    }
    // `dev` commonly takes in `test`, and much that tests do not want.
    for list in [&mut needs.groups, &mut needs.extras] {
        if list.iter().any(|name| matches!(name.as_str(), "test" | "tests" | "testing")) {
            list.retain(|name| matches!(name.as_str(), "test" | "tests" | "testing"));
        }
    }
    setup_extras(setup_py, setup_cfg, &mut needs);
    let tox = at.text("tox.ini").unwrap_or_default();
    if needs.extras.is_empty() && needs.groups.is_empty() && !needs.files.iter().any(|file| file.contains("test") || file.contains("dev")) {
        needs.plain = tox_deps(tox);
        for requirement in needs.plain.clone() {
            needs.take(&requirement);
        }
    }
    let configured = pyproject.get("tool").is_some_and(|tool| tool.get("pytest").is_some())
        || at.has("pytest.ini")
        || setup_cfg.contains("[tool:pytest]")
        || tox.contains("[pytest]")
        || tox.contains("pytest");
    needs.pytest = configured || needs.names.contains("pytest") || at.paths().any(|path| path.ends_with("conftest.py"));
    needs
}

impl Needs {
    fn take(&mut self, requirement: &str) {
        let requirement = requirement.split('#').next().unwrap_or_default().trim();
        self.from_git |= requirement.contains("git+");
        let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(requirement.len());
        let name = requirement[..end].to_ascii_lowercase().replace(['_', '.'], "-");
        if !name.is_empty() && !name.starts_with('-') {
            self.names.insert(name);
        }
    }

    fn extra(&mut self, name: &str) {
        let sound = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if sound && FOR_TESTS.contains(&name.to_ascii_lowercase().as_str()) && !self.extras.iter().any(|known| known == name) {
            self.extras.push(name.to_owned());
        }
    }

    /// pytest, and the plug-ins and libraries that its configuration and the tests themselves want and nothing names.
    pub fn pytest_parts(&self, at: Project<'_>) -> Vec<&'static str> {
        let mut parts = Vec::new();
        let mut want = |name: &'static str| {
            if !self.names.contains(name) && !parts.contains(&name) {
                parts.push(name);
            }
        };
        want("pytest");
        let texts = ["pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini"].iter().filter_map(|file| at.text(file));
        let configuration: String = texts.flat_map(pytest_section).collect::<Vec<_>>().join("\n");
        for (_, package) in PLUGINS.iter().filter(|(sign, _)| configuration.contains(sign)) {
            want(package);
        }
        for (path, text) in at.texts().filter(|(path, _)| path.ends_with(".py") && path.contains("test")) {
            for (module, package) in IMPORTS {
                let imported = text.lines().any(|line| {
                    let line = line.trim_end();
                    // Only what stands at the margin: an import within `try` is one that can be missing.
                    line == format!("import {module}")
                        || line.starts_with(&format!("import {module}."))
                        || line.starts_with(&format!("import {module} "))
                        || line.starts_with(&format!("from {module} "))
                        || line.starts_with(&format!("from {module}."))
                });
                // A repository's own package is no requirement of it.
                let own = at.has(&format!("{module}/__init__.py"))
                    || at.has(&format!("src/{module}/__init__.py"))
                    || at.has(&format!("{module}.py"));
                if imported && !own && !path.is_empty() {
                    want(package);
                }
            }
        }
        parts
    }
}

/// The lines that configure pytest.
fn pytest_section(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.contains("pytest");
        } else if inside {
            lines.push(line);
        }
    }
    lines
}

/// What `requires-python` says outside of `pyproject.toml`.
pub fn python_requires(at: Project<'_>) -> Option<String> {
    let texts = ["setup.cfg", "setup.py"].iter().filter_map(|file| at.text(file));
    for text in texts {
        if let Some(line) = text.lines().find(|line| line.trim_start().starts_with("python_requires")) {
            return line.split_once('=').map(|(_, value)| value.trim().trim_matches(['"', '\'', ',', ' ']).to_owned());
        }
    }
    None
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The names of `extras_require`: a program has them, so they are looked for as text.
fn setup_extras(setup_py: &str, setup_cfg: &str, needs: &mut Needs) {
    if let Some(start) = setup_py.find("extras_require") {
        let block: String = setup_py[start..].chars().take(2000).collect();
        for name in FOR_TESTS {
            if block.contains(&format!("'{name}':")) || block.contains(&format!("\"{name}\":")) {
                needs.extra(name);
            }
        }
    }
    let mut inside = false;
    for line in setup_cfg.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[options.extras_require]");
        } else if inside
            && let Some((name, _)) = line.split_once('=')
            && !line.starts_with([' ', '\t'])
        {
            needs.extra(name.trim());
        }
    }
}

/// The plain requirements of tox's main environment.
fn tox_deps(text: &str) -> Vec<String> {
    let mut deps = Vec::new();
    let (mut inside, mut listing) = (false, false);
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[testenv]";
            listing = false;
        } else if inside {
            let entry = match line.split_once('=').filter(|(key, _)| key.trim() == "deps") {
                Some((_, first)) => {
                    listing = true;
                    first
                }
                None if listing && line.starts_with([' ', '\t']) => line,
                None => {
                    listing = false;
                    continue;
                }
            };
            let entry = entry.trim();
            // `factor: requirement` is for one environment of many; `{…}` and options are tox's own.
            let plain = entry.chars().all(|c| c.is_ascii_alphanumeric() || "-_.[]<>=!~, ".contains(c));
            if listing && !entry.is_empty() && plain && !entry.starts_with('-') {
                deps.push(entry.to_owned());
            }
        }
    }
    deps
}
