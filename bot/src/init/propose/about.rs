//! What a repository is, in words: routing lives by them.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::{Table, Value};

use super::super::{draft::Draft, survey::Survey};

const LANGUAGES: [(&str, &[&str]); 14] = [
    ("Python", &["py", "pyi", "pyx"]),
    ("JavaScript", &["js", "mjs", "cjs", "jsx", "ts", "tsx", "mts", "vue", "svelte"]),
    ("Rust", &["rs"]),
    ("Go", &["go"]),
    ("Ruby", &["rb"]),
    ("Java", &["java", "kt", "kts", "scala"]),
    ("C", &["c", "h"]),
    ("C++", &["cc", "cpp", "cxx", "hpp"]),
    ("PHP", &["php"]),
    ("C#", &["cs"]),
    ("Swift", &["swift"]),
    ("Elixir", &["ex", "exs"]),
    ("Shell", &["sh", "bash"]),
    ("SQL", &["sql"]),
];
/// A description is read by people and by a model with every request.
const LONGEST_DESCRIPTION: usize = 320;
const MOST_KEYWORDS: usize = 12;
/// Folders that every repository has say nothing of any.
const USUAL_FOLDERS: [&str; 30] = [
    "src",
    "lib",
    "test",
    "tests",
    "spec",
    "docs",
    "doc",
    "examples",
    "example",
    "scripts",
    "bin",
    "dist",
    "build",
    "assets",
    "static",
    "public",
    "config",
    "ci",
    "tools",
    "benches",
    "benchmarks",
    "fixtures",
    "templates",
    "include",
    "internal",
    "pkg",
    "cmd",
    "vendor",
    "requirements",
    "changes",
];

/// Languages with the number of their files, most first.
pub fn sources_by_language(survey: &Survey) -> Vec<(&'static str, usize)> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for path in survey.paths() {
        let Some((_, extension)) = path.rsplit_once('.') else { continue };
        if let Some((language, _)) = LANGUAGES.iter().find(|(_, extensions)| extensions.contains(&extension)) {
            *counts.entry(language).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

pub fn describe(survey: &Survey, by_language: &[(&'static str, usize)], draft: &mut Draft) {
    let most = by_language.first().map_or(0, |(_, count)| *count);
    let typescript = survey.paths().filter(|path| path.ends_with(".ts") || path.ends_with(".tsx")).count();
    for (language, _) in by_language.iter().filter(|(_, count)| count * 10 >= most).take(4) {
        let name = if *language == "JavaScript" && typescript * 2 >= most { "TypeScript" } else { language };
        draft.languages.push(name.to_owned());
    }
    let packages = packages(survey);
    draft.description = description(survey, &packages);
    if draft.description.is_empty() {
        let languages = if draft.languages.is_empty() { String::new() } else { format!(", written in {}", draft.languages.join(" and ")) };
        draft.description = format!("The repository {}{languages}.", survey.repository);
        draft.note("Nothing in the repository says what it is. Write a sentence or two into `description`: routing lives by it.");
    }
    draft.keywords = keywords(survey, &packages);
}

/// What a package's own manifest says of it.
#[derive(Debug, Default)]
struct Package {
    name: String,
    description: String,
    keywords: Vec<String>,
}

fn packages(survey: &Survey) -> Vec<Package> {
    let mut found = Vec::new();
    let table = |path: &str| survey.text(path).and_then(|text| text.parse::<Table>().ok());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |value: Option<&Value>| {
        value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let of_table = |part: &Value| Package {
        name: text(part.get("name")),
        description: text(part.get("description")),
        keywords: list(part.get("keywords")),
    };
    if let Some(table) = table("pyproject.toml") {
        let part = table.get("project").or_else(|| table.get("tool")?.get("poetry"));
        found.extend(part.map(of_table));
    }
    if let Some(table) = table("Cargo.toml") {
        let part = table.get("package").or_else(|| table.get("workspace")?.get("package"));
        found.extend(part.map(of_table));
    }
    if let Some(json) = survey.text("package.json").and_then(|text| serde_json::from_str::<Json>(text).ok()) {
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let keywords = json["keywords"].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
        found.push(Package { name: text("name"), description: text("description"), keywords });
    }
    let setup = survey.text("setup.cfg").or_else(|| survey.text("setup.py")).unwrap_or_default();
    let value_of = |key: &str| {
        let line =
            setup.lines().map(str::trim).find(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')))?;
        let value = line.split_once('=')?.1.trim().trim_end_matches(',').trim();
        let literal = value.trim_matches(['"', '\'']);
        // In a program it may be an expression, which says nothing here.
        (value.starts_with(['"', '\'']) || survey.has("setup.cfg") && !value.starts_with(['f', '(', 'o'])).then(|| literal.to_owned())
    };
    if found.is_empty()
        && let Some(name) = value_of("name")
    {
        found.push(Package { name, description: value_of("description").unwrap_or_default(), keywords: Vec::new() });
    }
    found
}

fn description(survey: &Survey, packages: &[Package]) -> String {
    let short = packages.iter().map(|package| one_line(&package.description)).find(|text| text.len() >= 10).unwrap_or_default();
    let readme = readme(survey).unwrap_or_default();
    let said = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let whole = if short.is_empty() || said(&readme).contains(&said(&short)) {
        readme
    } else if readme.is_empty() || said(&short).contains(&said(&readme)) {
        short
    } else {
        format!("{}. {readme}", short.trim_end_matches('.'))
    };
    cut(&whole)
}

/// The README's first paragraph of prose.
fn readme(survey: &Survey) -> Option<String> {
    let names = ["README.md", "README.rst", "README", "README.txt", "Readme.md", "readme.md", "README.markdown", "readme.markdown"];
    let text = names.iter().find_map(|name| survey.text(name))?;
    let mut fenced = false;
    let mut paragraph = String::new();
    for line in text.lines().chain([""]) {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        if !line.is_empty() && is_prose(line) {
            paragraph.push_str(line);
            paragraph.push(' ');
            continue;
        }
        let found = plain(&paragraph);
        // A heading underlined below is no prose, nor is a line of badges that was stripped to nothing.
        let underline = line.len() >= 3 && line.chars().all(|c| matches!(c, '=' | '-' | '~' | '*' | '^'));
        if !underline && found.len() >= 30 && found.contains(' ') && !found.contains(" | ") {
            return Some(found);
        }
        paragraph.clear();
    }
    None
}

fn is_prose(line: &str) -> bool {
    let starts = ["#", "[![", "![", "<", ".. ", ":", "|", "- ", "* ", "+ ", ">", "$ ", "==", "--", "~~", "{%", "[//]", "::"];
    !starts.iter().any(|start| line.starts_with(start))
}

/// Without markup.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        out.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let Some((label, behind)) = after.split_once(']') else {
            rest = after;
            break;
        };
        out.push_str(label);
        rest = match behind.strip_prefix('(').and_then(|target| target.split_once(')')) {
            Some((_, behind)) => behind,
            None => behind.strip_prefix('[').and_then(|target| target.split_once(']')).map_or(behind, |(_, behind)| behind),
        };
    }
    out.push_str(rest);
    let out = out.replace("**", "").replace("``", "").replace(['`', '!'], "").replace("`_", "");
    one_line(&out)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().filter(|word| !word.starts_with('<') && !word.starts_with("http")).collect::<Vec<_>>().join(" ")
}

/// As many whole sentences as are read at a glance.
fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_DESCRIPTION {
        return text.to_owned();
    }
    let start: String = text.chars().take(LONGEST_DESCRIPTION).collect();
    match start.rfind(". ") {
        Some(end) if end > 40 => start[..=end].to_owned(),
        _ => format!("{} …", start.rsplit_once(' ').map_or(start.as_str(), |(whole, _)| whole)),
    }
}

fn keywords(survey: &Survey, packages: &[Package]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: &str| {
        let word = word.trim().trim_start_matches('@').to_lowercase();
        if word.len() >= 2 && word.len() <= 40 && words.len() < MOST_KEYWORDS && !words.contains(&word) {
            words.push(word);
        }
    };
    add(survey.repository.name());
    for package in packages {
        add(&package.name);
        package.keywords.iter().for_each(|keyword| add(keyword));
    }
    // A product's own words stand in the names of its parts.
    let mut folders: Vec<&str> = Vec::new();
    for path in survey.paths() {
        let path = path.strip_prefix("src/").unwrap_or(path);
        if let Some((folder, _)) = path.split_once('/')
            && !folder.starts_with(['.', '_'])
            && !folder.ends_with("info")
            && !USUAL_FOLDERS.contains(&folder)
            && !folders.contains(&folder)
        {
            folders.push(folder);
        }
    }
    folders.into_iter().take(8).for_each(|folder| add(&folder.replace(['-', '_'], " ")));
    words
}
