//! Where somebody says the repository outright: `in owner/name …`, `owner/name`, a link to it on GitHub, or `in name`.

use longshore_session::{RepoName, RepositoryProfile};

/// What somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Repository(RepoName),
    /// The name of a repository that there is not.
    Unknown(String),
}

/// Whether a reply is meant for the bot by its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressed {
    /// It mentions the bot.
    ToTheBot,
    /// It only stands in a thread that the bot listens to.
    ToTheThread,
}

/// The repository that the message names outright, if it names exactly one of those there are.
///
/// `owner/name#12` names an issue to look at, not the place to work in, and does not count. A bare name counts only after "in", and only where it is a name
/// that no other repository's name has in it (of `acme/shop` and `acme/shop-api`, "in shop" could mean either).
pub(crate) fn named_repository(message: &str, profiles: &[RepositoryProfile]) -> Option<RepoName> {
    named(message, &profiles.iter().map(|profile| &profile.repo).collect::<Vec<_>>())
}

/// Whether the message says by itself which repository it is about: then there is nothing to learn from what people pick for it.
pub fn names_outright(message: &str, repos: &[&RepoName]) -> bool {
    named(message, repos).is_some()
}

fn named(message: &str, repos: &[&RepoName]) -> Option<RepoName> {
    let words: Vec<String> = message.split_whitespace().map(bare).collect();
    if let Some(repo) = at_the_start(message, &words, repos) {
        return Some(repo.clone());
    }
    let mut after_in = Vec::new();
    let mut anywhere = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let follows_in = index > 0 && is_in(&words[index - 1]);
        for &repo in repos {
            let full = is_full_name(word, repo);
            if follows_in && (full || is_unique_name(word, repo, repos)) {
                after_in.push(repo);
            } else if full {
                anywhere.push(repo);
            }
        }
    }
    // "in a/b, as we did in the PR for a/c": what is said with "in" is the place.
    only_one(after_in).or_else(|| only_one(anywhere))
}

/// The repository that a reply in a thread with a session names, so that it is not for that session.
///
/// People speak of other repositories all the time, so this is stricter than for a first message: with a mention `in owner/name` anywhere, `in name` or
/// `owner/name` at the start; without one `in owner/name` at the start alone.
pub fn named_in_thread(message: &str, addressed: Addressed, repos: &[&RepoName]) -> Option<Named> {
    let words: Vec<String> = message.split_whitespace().map(bare).collect();
    if let Some(unknown) = unknown_repository(message, repos) {
        return Some(Named::Unknown(unknown));
    }
    let full = |word: &String| repos.iter().copied().find(|repo| is_full_name(word, repo));
    let begins_with_in = words.first().is_some_and(|word| is_in(word));
    let found = match addressed {
        Addressed::ToTheThread => words.get(1).filter(|_| begins_with_in).and_then(full).cloned(),
        Addressed::ToTheBot => {
            let start = at_the_start(message, &words, repos).or_else(|| words.first().and_then(full));
            let after_in = || words.windows(2).filter(|pair| is_in(&pair[0])).filter_map(|pair| full(&pair[1])).collect();
            start.cloned().or_else(|| only_one(after_in()))
        }
    };
    found.map(Named::Repository)
}

/// `in owner/name …` with a repository that there is not, as it was written. Either half must be known: "in read/write mode" is no repository.
pub fn unknown_repository(message: &str, repos: &[&RepoName]) -> Option<String> {
    let mut words = message.split_whitespace().map(bare);
    let name = words.next().filter(|word| is_in(word)).and_then(|_| words.next())?;
    let parsed = RepoName::parse(name.as_str()).ok()?;
    let half = |repo: &&RepoName| repo.owner().eq_ignore_ascii_case(parsed.owner()) || repo.name().eq_ignore_ascii_case(parsed.name());
    let known = repos.iter().any(|repo| is_full_name(&name, repo));
    (!known && repos.iter().any(half)).then_some(name)
}

/// `in owner/name …`, `in name …` or `owner/name: …`: whatever else the message speaks of.
fn at_the_start<'a>(message: &str, words: &[String], repos: &[&'a RepoName]) -> Option<&'a RepoName> {
    let first = words.first()?;
    let is_label = message.split_whitespace().next().is_some_and(|word| word.ends_with(':'));
    repos.iter().copied().find(|repo| match words.get(1) {
        Some(second) if is_in(first) => is_full_name(second, repo) || is_unique_name(second, repo, repos),
        _ => is_label && is_full_name(first, repo),
    })
}

fn is_in(word: &str) -> bool {
    word.eq_ignore_ascii_case("in")
}

fn only_one(mut repos: Vec<&RepoName>) -> Option<RepoName> {
    repos.dedup();
    match repos.as_slice() {
        [repo] => Some((*repo).clone()),
        _ => None,
    }
}

/// A word without the punctuation and Slack mark-up round it: `(acme/shop),` or `<https://github.com/acme/shop|acme/shop>`.
fn bare(word: &str) -> String {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '<');
    let word = word.trim_start_matches('<');
    word.split(['|', '>']).next().unwrap_or_default().to_owned()
}

fn is_full_name(word: &str, repo: &RepoName) -> bool {
    let without_scheme = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://")).unwrap_or(word);
    let without_host = without_scheme.strip_prefix("www.").unwrap_or(without_scheme);
    if let Some(path) = without_host.strip_prefix("github.com/") {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut parts = path.split('/');
        let owner = parts.next().unwrap_or_default();
        let name = parts.next().unwrap_or_default();
        return owner.eq_ignore_ascii_case(repo.owner()) && name.strip_suffix(".git").unwrap_or(name).eq_ignore_ascii_case(repo.name());
    }
    word.eq_ignore_ascii_case(repo.as_str())
}

fn is_unique_name(word: &str, repo: &RepoName, repos: &[&RepoName]) -> bool {
    let parts = |name: &str| name.to_lowercase().split(['-', '_', '.']).map(str::to_owned).collect::<Vec<_>>();
    let own = parts(repo.name());
    let within = |name: &str| parts(name).windows(own.len()).any(|window| window == own.as_slice());
    word.eq_ignore_ascii_case(repo.name()) && !repos.iter().any(|other| *other != repo && within(other.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;
    use proptest::prelude::*;

    fn named(message: &str) -> Option<String> {
        let profiles = [profile("acme/shop", "The shop."), profile("acme/shop-api", "Its API."), profile("acme/ledger", "Accounts.")];
        named_repository(message, &profiles).map(String::from)
    }

    #[test]
    fn said_outright() {
        for message in [
            "in acme/ledger the totals are off",
            "In Acme/Ledger: the totals are off",
            "acme/ledger: totals are off",
            "totals are off (acme/ledger).",
            "see https://github.com/acme/ledger/blob/main/src/lib.rs#L3",
            "see <https://github.com/acme/ledger.git|the repository>",
            "the totals are off in ledger",
            "fix the sum in `ledger`, please",
        ] {
            assert_eq!(named(message).as_deref(), Some("acme/ledger"), "{message}");
        }
    }

    #[test]
    fn not_said_outright() {
        for message in [
            "the ledger is off",
            "fix it in shop",
            "as in acme/ledger-old",
            "like acme/ledger#12",
            "in linger",
            "move it from acme/ledger to acme/shop",
            "in other/ledger",
            "in",
            "",
        ] {
            assert_eq!(named(message), None, "{message}");
        }
    }

    #[test]
    fn in_wins_over_a_mention() {
        assert_eq!(named("in acme/shop do what https://github.com/acme/ledger/pull/3 did").as_deref(), Some("acme/shop"));
        assert_eq!(named("in shop-api and again in shop-api").as_deref(), Some("acme/shop-api"));
    }

    #[test]
    fn what_stands_at_the_start_wins() {
        assert_eq!(named("in acme/shop do what was done in acme/ledger").as_deref(), Some("acme/shop"));
        assert_eq!(named("acme/shop: as acme/ledger does it").as_deref(), Some("acme/shop"));
        assert_eq!(named("acme/shop and acme/ledger disagree"), None);
    }

    fn repos() -> Vec<RepoName> {
        ["acme/shop", "acme/shop-api", "acme/ledger"].map(|name| RepoName::parse(name).unwrap()).to_vec()
    }

    #[test]
    fn a_reply_must_be_plain_to_leave_its_session() {
        let repos = repos();
        let repos: Vec<&RepoName> = repos.iter().collect();
        let told = |message: &str, addressed| match named_in_thread(message, addressed, &repos) {
            Some(Named::Repository(repo)) => repo.to_string(),
            Some(Named::Unknown(name)) => format!("no {name}"),
            None => "-".to_owned(),
        };
        for (message, mention, plain) in [
            ("in acme/ledger the same, please", "acme/ledger", "acme/ledger"),
            ("the same in acme/ledger, please", "acme/ledger", "-"),
            ("in ledger as well", "acme/ledger", "-"),
            ("acme/ledger: as well", "acme/ledger", "-"),
            ("acme/ledger as well", "acme/ledger", "-"),
            ("we saw that in ledger", "-", "-"),
            ("do it as acme/ledger does", "-", "-"),
            ("see https://github.com/acme/ledger/pull/3", "-", "-"),
            ("in acme/nowhere as well", "no acme/nowhere", "no acme/nowhere"),
            ("in read/write mode it fails", "-", "-"),
            ("and now the tests", "-", "-"),
            ("in", "-", "-"),
            ("", "-", "-"),
        ] {
            assert_eq!(told(message, Addressed::ToTheBot), mention, "{message}");
            assert_eq!(told(message, Addressed::ToTheThread), plain, "{message}");
        }
    }

    #[test]
    fn a_repository_that_there_is_not_is_named() {
        let repos = repos();
        let repos: Vec<&RepoName> = repos.iter().collect();
        for (message, wanted) in [
            ("in acme/nowhere fix it", Some("acme/nowhere")),
            ("In other/ledger: fix it", Some("other/ledger")),
            ("in acme/ledger fix it", None),
            ("in client/server mode it hangs", None),
            ("fix it in acme/nowhere", None),
            ("in acme/ledger#12", None),
        ] {
            assert_eq!(unknown_repository(message, &repos).as_deref(), wanted, "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,120}", marked in "(in |acme/|ledger|<|\\||>|#|https://github.com/| ){0,12}") {
            let repos = repos();
            let repos: Vec<&RepoName> = repos.iter().collect();
            for text in [text, marked] {
                let _ = (named(&text), named_in_thread(&text, Addressed::ToTheBot, &repos), unknown_repository(&text, &repos));
            }
        }
    }
}
