//! `docs/messages.md` with its pictures, and what each picture was taken of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use longshore_slack::{
    Message,
    examples::{Example, Shape},
};
use sha2::{Digest, Sha256};

use crate::paths::repository_root;

/// The folder of pictures, and the record of what they show.
#[derive(Debug)]
pub struct Album {
    folder: PathBuf,
    /// A fingerprint of what each picture was taken of, by the example's name.
    shown: BTreeMap<String, String>,
}

impl Album {
    /// The one under `docs/messages`.
    pub fn open() -> Result<Self> {
        let folder = repository_root().join("docs/messages");
        let record = folder.join("pictures.json");
        let shown = match fs::read(&record) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} cannot be read", record.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", record.display())),
        };
        Ok(Self { folder, shown })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn picture(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.png"))
    }

    /// Whether the example looks otherwise than when its picture was taken, or has none.
    pub fn is_stale(&self, example: &Example) -> Result<bool> {
        Ok(self.shown.get(example.name) != Some(&fingerprint(example)?) || !self.picture(example.name).is_file())
    }

    /// Names of pictures and records of no example.
    pub fn strangers(&self, examples: &[Example]) -> Result<Vec<String>> {
        let mut names: BTreeSet<String> = self.shown.keys().cloned().collect();
        for entry in fs::read_dir(&self.folder).with_context(|| format!("there is no folder {}", self.folder.display()))? {
            names.extend(entry?.file_name().to_str().and_then(|name| name.strip_suffix(".png")).map(str::to_owned));
        }
        names.retain(|name| examples.iter().all(|example| example.name != name));
        Ok(names.into_iter().collect())
    }

    /// Notes that these examples look so now, and forgets whatever is of no example.
    pub fn keep(&mut self, taken: &[Example], all: &[Example]) -> Result<()> {
        for example in taken {
            self.shown.insert(example.name.to_owned(), fingerprint(example)?);
        }
        for name in self.strangers(all)? {
            self.shown.remove(&name);
            let picture = self.picture(&name);
            if picture.is_file() {
                fs::remove_file(&picture).with_context(|| format!("cannot delete {}", picture.display()))?;
            }
        }
        let mut record = serde_json::to_string_pretty(&self.shown)?;
        record.push('\n');
        fs::write(self.folder.join("pictures.json"), record).context("cannot write the record of pictures")?;
        fs::write(page_file(), page()).context("cannot write docs/messages.md")
    }
}

/// Whether `docs/messages.md` says what it should.
pub fn alike() -> bool {
    fs::read_to_string(page_file()).is_ok_and(|text| text == page())
}

fn page_file() -> PathBuf {
    repository_root().join("docs/messages.md")
}

/// Of everything that Slack gets. The order of keys in JSON depends on how a crate is built, and does not count.
fn fingerprint(example: &Example) -> Result<String> {
    let mut shape = serde_json::to_value(&example.shape)?;
    shape.sort_all_objects();
    Ok(Sha256::digest(shape.to_string()).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn page() -> String {
    let mut page = "# What Longshore says\n\nEvery message that the bot can send, as Slack's web page shows it (the pictures are of the emulated workspace's \
                    page).\n`make pictures` takes the picture of each example in `bot/slack/src/render/examples` that changed, and writes this file.\n"
        .to_owned();
    for (title, group) in longshore_slack::examples::groups() {
        page.push_str(&format!("\n## {title}\n"));
        for example in group {
            let Example { name, when, .. } = &example;
            page.push_str(&format!("\n### {name}\n\n{when} {}\n\n![{}](messages/{name}.png)\n", seen_by(&example), alternative(&example)));
        }
    }
    page
}

fn seen_by(example: &Example) -> &'static str {
    match &example.shape {
        Shape::Thread(_) => "In the thread.",
        Shape::ForOne(_) => "For the person concerned alone.",
        Shape::Home(_) => "On the Home tab.",
        Shape::Modal(_) => "As a window.",
    }
}

/// What a screen reader reads of the message itself.
fn alternative(example: &Example) -> String {
    let text = match &example.shape {
        Shape::Thread(messages) => messages.first().map(|Message { text, .. }| text.as_str()).unwrap_or_default(),
        Shape::ForOne(message) => &message.text,
        Shape::Home(_) => "The Home tab",
        Shape::Modal(view) => view["title"]["text"].as_str().unwrap_or_default(),
    };
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !"[]<>`*".contains(*c)).collect();
    let short: String = text.chars().take(300).collect();
    if short == text { text } else { format!("{short}…") }
}
