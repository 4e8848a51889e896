//! A proposed manifest, with the reason for each of its parts; and its text.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;
use longshore_session::{RepoName, RepositoryManifest};

use super::propose::Recipe;

/// A shell line, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub command: String,
    pub why: String,
}

/// A manifest in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub repository: RepoName,
    pub branch: String,
    pub description: String,
    pub languages: Vec<String>,
    pub keywords: Vec<String>,
    /// Entries, and what is fetched there.
    pub egress: BTreeMap<String, String>,
    /// Debian packages.
    pub packages: BTreeSet<String>,
    /// Further lines for root, after the packages.
    pub root: Vec<Line>,
    pub setup: Vec<Line>,
    pub warm: Vec<Line>,
    pub check: Vec<Line>,
    pub services: Vec<Recipe>,
    pub memory_mb: Option<u32>,
    pub timeout_s: Option<u64>,
    /// What a person should know or look after.
    pub notes: Vec<String>,
}

impl Draft {
    pub fn new(repository: RepoName, branch: String) -> Self {
        Self {
            repository,
            branch,
            description: String::new(),
            languages: Vec::new(),
            keywords: Vec::new(),
            egress: BTreeMap::new(),
            packages: BTreeSet::new(),
            root: Vec::new(),
            setup: Vec::new(),
            warm: Vec::new(),
            check: Vec::new(),
            services: Vec::new(),
            memory_mb: None,
            timeout_s: None,
            notes: Vec::new(),
        }
    }

    pub fn packages(&mut self, names: &[&str]) {
        self.packages.extend(names.iter().map(|name| (*name).to_owned()));
    }

    pub fn egress(&mut self, hosts: &[&str], what: &str) {
        for host in hosts {
            self.egress.entry((*host).to_owned()).or_insert_with(|| what.to_owned());
        }
    }

    pub fn root(&mut self, command: impl Into<String>, why: impl Into<String>) {
        add(&mut self.root, command, why);
    }

    pub fn setup(&mut self, command: impl Into<String>, why: impl Into<String>) {
        add(&mut self.setup, command, why);
    }

    pub fn warm(&mut self, command: impl Into<String>, why: impl Into<String>) {
        add(&mut self.warm, command, why);
    }

    pub fn check(&mut self, command: impl Into<String>, why: impl Into<String>) {
        add(&mut self.check, command, why);
    }

    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// The manifest's file. What it says was parsed again: it is one.
    pub fn text(&self) -> Result<String> {
        let text = self.render();
        RepositoryManifest::parse(Path::new("the proposal"), &text)?;
        Ok(text)
    }

    fn render(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        for note in &self.notes {
            for part in wrapped(note) {
                line(format!("# {part}"));
            }
        }
        line(format!("repository = {}", quoted(self.repository.as_str())));
        line(format!("description = {}", quoted(&self.description)));
        for (key, list) in [("languages", &self.languages), ("keywords", &self.keywords)] {
            if !list.is_empty() {
                let list: Vec<String> = list.iter().map(|text| quoted(text)).collect();
                line(format!("{key} = [{}]", list.join(", ")));
            }
        }
        if self.branch != "main" {
            line(format!("base_branch = {}", quoted(&self.branch)));
        }
        let mut egress = self.egress.clone();
        if !self.packages.is_empty() {
            egress.entry("deb.debian.org:80".to_owned()).or_insert_with(|| "Debian's packages".to_owned());
        }
        if !egress.is_empty() {
            line("egress = [".to_owned());
            for (entry, what) in &egress {
                line(format!("    {}, # {}", quoted(entry), comment(what)));
            }
            line("]".to_owned());
        }
        line(String::new());
        line("[image]".to_owned());
        let mut root = Vec::new();
        if !self.packages.is_empty() {
            let names: Vec<&str> = self.packages.iter().map(String::as_str).collect();
            let command =
                format!("apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {}", names.join(" "));
            root.push(Line { command, why: String::new() });
        }
        root.extend(self.root.iter().cloned());
        for (key, lines) in [("setup_root", &root), ("setup", &self.setup), ("warm", &self.warm)] {
            if lines.is_empty() {
                continue;
            }
            line(format!("{key} = ["));
            for entry in lines {
                if !entry.why.is_empty() {
                    line(format!("    # {}", comment(&entry.why)));
                }
                line(format!("    {},", quoted(&entry.command)));
            }
            line("]".to_owned());
        }
        if let Some(check) = self.check_command() {
            for entry in self.check.iter().filter(|entry| !entry.why.is_empty()) {
                line(format!("# {}", comment(&entry.why)));
            }
            line(format!("check = {}", quoted(&check)));
        }
        if let Some(seconds) = self.timeout_s {
            line(format!("timeout_s = {seconds}"));
        }
        for recipe in &self.services {
            line(String::new());
            line(format!("# {}", comment(&recipe.why)));
            line("[[image.services]]".to_owned());
            line(format!("name = {}", quoted(recipe.service.name())));
            line(format!("start = {}", quoted(recipe.start)));
            line(format!("ready = {}", quoted(recipe.ready)));
            if let Some(stop) = recipe.stop {
                line(format!("stop = {}", quoted(stop)));
            }
        }
        if let Some(memory) = self.memory_mb {
            line(String::new());
            line("[limits]".to_owned());
            line(format!("memory_mb = {memory}"));
        }
        out
    }

    /// All that is checked, as one line.
    pub fn check_command(&self) -> Option<String> {
        let commands: Vec<&str> = self.check.iter().map(|line| line.command.as_str()).collect();
        (!commands.is_empty()).then(|| commands.join(" && "))
    }
}

fn add(lines: &mut Vec<Line>, command: impl Into<String>, why: impl Into<String>) {
    let command = command.into();
    if !lines.iter().any(|line| line.command == command) {
        lines.push(Line { command, why: why.into() });
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// One line, whatever a repository put into a name: a comment must not become a key.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Comment lines of a readable width.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in comment(text).split_whitespace() {
        let full = lines.last().is_some_and(|line| line.len() + word.len() > 140);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
