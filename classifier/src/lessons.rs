//! What routing has learnt from people, for people to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use longshore_session::{Pick, RepoName, Timestamp};
use serde_json::{Value, json};

use crate::{
    Correction,
    evaluate::{EvaluateError, read_profiles},
    learn::Learned,
};

/// Requests that are listed of each repository, newest first.
const LISTED: usize = 10;
/// Words that are shown of each repository.
const WORDS: usize = 8;
const TEXT: usize = 100;

/// One request that people chose a repository for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearntRequest {
    pub text: String,
    pub picks: usize,
    /// Different people who picked; picks of before that was kept count for none.
    pub people: usize,
    pub last: Timestamp,
}

/// What was learnt of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearntRepository {
    pub repo: RepoName,
    /// Without a manifest nothing is routed there, and its picks teach nothing.
    pub served: bool,
    /// Newest first.
    pub requests: Vec<LearntRequest>,
    /// The words that speak for it most, strongest first.
    pub words: Vec<String>,
}

/// Everything that was learnt, the repository with the most picks first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lessons {
    pub repositories: Vec<LearntRepository>,
}

/// What these picks, oldest first, have taught. `manifests` is a folder of them or a file, as for [`crate::evaluate`].
pub fn lessons(manifests: &Path, picks: &[Pick]) -> Result<Lessons, EvaluateError> {
    let profiles = read_profiles(manifests)?;
    let corrections: Vec<Correction> =
        picks.iter().map(|pick| Correction { text: pick.text.clone(), repo: Some(pick.repo.clone()) }).collect();
    let mut words: BTreeMap<RepoName, Vec<String>> = Learned::new(&profiles, &corrections).telling(WORDS).into_iter().collect();
    let mut by_repo: BTreeMap<&RepoName, BTreeMap<String, Vec<&Pick>>> = BTreeMap::new();
    for pick in picks {
        by_repo.entry(&pick.repo).or_default().entry(one_line(&pick.text)).or_default().push(pick);
    }
    let mut repositories: Vec<LearntRepository> = by_repo
        .into_iter()
        .map(|(repo, texts)| {
            let mut requests: Vec<LearntRequest> = texts.into_iter().map(|(text, picks)| request(text, &picks)).collect();
            requests.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.text.cmp(&b.text)));
            let served = profiles.iter().any(|profile| profile.repo == *repo);
            LearntRepository { repo: repo.clone(), served, requests, words: words.remove(repo).unwrap_or_default() }
        })
        .collect();
    repositories.sort_by(|a, b| b.picks().cmp(&a.picks()).then_with(|| a.repo.cmp(&b.repo)));
    Ok(Lessons { repositories })
}

fn request(text: String, picks: &[&Pick]) -> LearntRequest {
    let people: BTreeSet<&str> = picks.iter().filter_map(|pick| pick.by.as_ref()).map(|user| user.as_str()).collect();
    let last = picks.iter().map(|pick| pick.at).max().unwrap_or(Timestamp(0));
    LearntRequest { text, picks: picks.len(), people: people.len(), last }
}

impl LearntRepository {
    fn picks(&self) -> usize {
        self.requests.iter().map(|request| request.picks).sum()
    }
}

impl Lessons {
    pub fn to_json(&self) -> Value {
        let request = |request: &LearntRequest| json!({ "text": request.text, "picks": request.picks, "people": request.people, "last": request.last.date() });
        let repository = |learnt: &LearntRepository| {
            json!({
                "repository": learnt.repo,
                "served": learnt.served,
                "picks": learnt.picks(),
                "words": learnt.words,
                "requests": learnt.requests.iter().map(request).collect::<Vec<_>>(),
            })
        };
        json!({ "repositories": self.repositories.iter().map(repository).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Lessons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repositories.is_empty() {
            return write!(
                f,
                "Nothing is learnt yet. Routing learns when somebody picks a repository in Slack, or moves a prompt with \"Wrong repository\"."
            );
        }
        let picks: usize = self.repositories.iter().map(LearntRepository::picks).sum();
        write!(f, "Learnt from {}", count(picks, "pick"))?;
        for learnt in &self.repositories {
            write!(f, "\n\n{}: {}", learnt.repo, count(learnt.picks(), "pick"))?;
            if !learnt.served {
                write!(f, " (there is no manifest for it, so they count for nothing)")?;
            } else if learnt.words.is_empty() {
                write!(f, "\n  no word by itself speaks for it")?;
            } else {
                write!(f, "\n  words that speak for it: {}", learnt.words.join(", "))?;
            }
            for request in learnt.requests.iter().take(LISTED) {
                let often = if request.picks > 1 { format!(", {} times", request.picks) } else { String::new() };
                let people = if request.people > 1 { format!(" by {} people", request.people) } else { String::new() };
                write!(f, "\n  {}  “{}”{often}{people}", request.last.date(), shortened(&request.text))?;
            }
            if learnt.requests.len() > LISTED {
                write!(f, "\n  … and {}", count(learnt.requests.len() - LISTED, "older request"))?;
            }
        }
        Ok(())
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use longshore_session::SlackUserId;

    use super::*;

    const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/profiles.jsonl");

    fn pick(text: &str, repo: &str, by: &str, day: i64) -> Pick {
        Pick {
            text: text.to_owned(),
            repo: RepoName::parse(repo).unwrap(),
            by: SlackUserId::parse(by).ok(),
            at: Timestamp(day * 86_400_000),
        }
    }

    fn served() -> Vec<RepoName> {
        read_profiles(Path::new(PROFILES)).unwrap().into_iter().map(|profile| profile.repo).collect()
    }

    #[test]
    fn nothing_learnt_is_said_so() {
        let none = lessons(Path::new(PROFILES), &[]).unwrap();
        assert!(none.to_string().starts_with("Nothing is learnt yet."), "{none}");
        assert_eq!(none.to_json(), json!({ "repositories": [] }));
    }

    #[test]
    fn what_people_picked_is_shown_with_the_words_that_came_of_it() {
        let repos = served();
        let (first, second) = (repos[0].as_str(), repos[1].as_str());
        let picks = [
            pick("the quokka is stuck", first, "U1", 20_000),
            pick("the quokka  is stuck", first, "U2", 20_001),
            pick("quokka again", first, "", 20_002),
            pick("numbats everywhere", second, "U1", 20_003),
            pick("an old thing", "acme/gone", "U1", 19_000),
        ];
        let lessons = lessons(Path::new(PROFILES), &picks).unwrap();
        let shown = lessons.to_string();
        for text in [
            "Learnt from 5 picks",
            &format!("{first}: 3 picks"),
            "2024-10-05  “the quokka is stuck”, 2 times by 2 people",
            "acme/gone: 1 pick (there is no manifest for it",
        ] {
            assert!(shown.contains(text), "`{text}` in {shown}");
        }
        let of = |repo: &str| lessons.repositories.iter().find(|learnt| learnt.repo.as_str() == repo).unwrap();
        assert!(of(first).words.iter().any(|word| word == "quokka"), "{shown}");
        assert!(!of(second).words.iter().any(|word| word == "quokka"), "{shown}");
        assert_eq!(of(first).requests[0].text, "quokka again", "newest first");
    }
}
