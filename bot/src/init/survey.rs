//! What is in a repository: the names of its files, and the texts of those that say how it is built and tested.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use longshore_session::RepoName;

/// A file that says how to build something is small; a larger one is data.
const MOST_BYTES: u64 = 512 * 1024;
/// Sources of tests that are read, to see what they import.
const MOST_TESTS: usize = 200;
/// What checkouts hold that is no part of the repository.
const NOT_OURS: [&str; 8] = [".git", "node_modules", "target", ".venv", "venv", "__pycache__", ".tox", "vendor"];

/// A repository as it was read. Everything that is proposed is a function of this.
#[derive(Debug, Clone)]
pub struct Survey {
    pub repository: RepoName,
    /// The default branch.
    pub branch: String,
    files: BTreeMap<String, Option<String>>,
}

impl Survey {
    /// Reads a checkout. Links are not followed, wherever they lead.
    pub fn of_folder(repository: RepoName, branch: String, folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut tests = 0;
        let mut waiting = vec![folder.to_owned()];
        while let Some(next) = waiting.pop() {
            for entry in std::fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
                let entry = entry?;
                let path = entry.path();
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                        waiting.push(path);
                    }
                    continue;
                }
                let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str).map(str::to_owned) else { continue };
                let is_test = is_test_source(&name);
                let wanted = kind.is_file() && (is_telling(&name) || is_test && tests < MOST_TESTS);
                tests += usize::from(is_test);
                let text = if wanted { read(&path)? } else { None };
                files.insert(name, text);
            }
        }
        Ok(Self { repository, branch, files })
    }

    /// A survey made by hand.
    #[cfg(test)]
    pub fn of_files(repository: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned()))).collect();
        Self { repository: RepoName::parse(repository).unwrap(), branch: "main".to_owned(), files }
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Files whose text was read, with it.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// One project within the repository: the root (an empty `folder`), or a folder of it.
    pub fn project<'a>(&'a self, folder: &'a str) -> Project<'a> {
        Project { survey: self, folder }
    }

    /// The folders (the root as an empty text) that hold one of these files: the root alone if it does, else those right below it.
    pub fn projects(&self, markers: &[&str]) -> Vec<&str> {
        if markers.iter().any(|marker| self.has(marker)) {
            return vec![""];
        }
        let mut found: Vec<&str> = Vec::new();
        for path in self.paths() {
            if let Some((folder, file)) = path.split_once('/')
                && markers.contains(&file)
                && !matches!(folder, "docs" | "doc" | "examples" | "example" | "website" | "benchmarks")
                && !found.contains(&folder)
            {
                found.push(folder);
            }
        }
        found.truncate(4);
        found
    }
}

/// One project within a repository.
#[derive(Debug, Clone, Copy)]
pub struct Project<'a> {
    pub survey: &'a Survey,
    folder: &'a str,
}

impl<'a> Project<'a> {
    fn at(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }

    pub fn has(&self, name: &str) -> bool {
        self.survey.has(&self.at(name))
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.survey.text(&self.at(name))
    }

    /// Its files, by names relative to it.
    pub fn paths(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let folder = self.folder;
        self.survey.paths().filter_map(
            move |path| {
                if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
            },
        )
    }

    /// Its files that were read, likewise.
    pub fn texts(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let folder = self.folder;
        self.survey.texts().filter_map(move |(path, text)| {
            Some((if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? }, text))
        })
    }

    /// A command for the checkout's root that runs in the project.
    pub fn command(&self, line: impl AsRef<str>) -> String {
        let line = line.as_ref();
        if self.folder.is_empty() { line.to_owned() } else { format!("(cd '{}' && {line})", self.folder.replace('\'', r"'\''")) }
    }
}

fn read(path: &PathBuf) -> Result<Option<String>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        // A lock file may be long, and all of it tells something: its beginning is better than nothing.
        bytes.truncate(usize::try_from(MOST_BYTES).unwrap_or(usize::MAX));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok((!text.contains('\0')).then(|| text.into_owned()))
}

/// Whether a file says how its repository is built, tested or described.
fn is_telling(path: &str) -> bool {
    const NAMES: [&str; 34] = [
        "package.json",
        "pnpm-lock.yaml",
        "yarn.lock",
        ".yarnrc.yml",
        ".nvmrc",
        ".node-version",
        ".tool-versions",
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "tox.ini",
        "noxfile.py",
        "pytest.ini",
        "conftest.py",
        "manage.py",
        "Pipfile",
        ".python-version",
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain",
        "rust-toolchain.toml",
        "go.mod",
        "Gemfile",
        "Gemfile.lock",
        ".ruby-version",
        "Rakefile",
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "Makefile",
        "makefile",
        "GNUmakefile",
        "justfile",
        "CMakeLists.txt",
    ];
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_yaml = name.ends_with(".yml") || name.ends_with(".yaml");
    let depth = path.matches('/').count();
    if path.starts_with(".github/workflows/") {
        return is_yaml;
    }
    let requirements = name.contains("requirements") && (name.ends_with(".txt") || name.ends_with(".in"))
        || path.contains("requirements/") && name.ends_with(".txt");
    let compose = is_yaml && (name.starts_with("docker-compose") || name.starts_with("compose"));
    let readme = name.to_ascii_lowercase().starts_with("readme");
    depth <= 2 && (NAMES.contains(&name) || requirements || compose || readme || name.starts_with(".env") || name.ends_with(".gemspec"))
}

fn is_test_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".py") && (name.starts_with("test") || name.ends_with("_test.py") || name == "conftest.py" || path.contains("tests/"))
}
