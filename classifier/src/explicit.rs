//! Where somebody says the repository outright: `in owner/name …`, `owner/name`, a link to it on GitHub, or `in name`.

use longshore_session::{RepoName, RepositoryProfile};

/// The repository that the message names outright, if it names exactly one of those there are.
///
/// `owner/name#12` names an issue to look at, not the place to work in, and does not count. A bare name counts only after "in", and only where it is a name
/// that no other repository's name has in it (of `acme/shop` and `acme/shop-api`, "in shop" could mean either).
pub(crate) fn named_repository(message: &str, profiles: &[RepositoryProfile]) -> Option<RepoName> {
    let words: Vec<String> = message.split_whitespace().map(bare).collect();
    let mut after_in = Vec::new();
    let mut anywhere = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let follows_in = index > 0 && words[index - 1].eq_ignore_ascii_case("in");
        for profile in profiles {
            let full = is_full_name(word, &profile.repo);
            if follows_in && (full || is_unique_name(word, &profile.repo, profiles)) {
                after_in.push(&profile.repo);
            } else if full {
                anywhere.push(&profile.repo);
            }
        }
    }
    // "in a/b, as we did in the PR for a/c": what is said with "in" is the place.
    only_one(after_in).or_else(|| only_one(anywhere))
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

fn is_unique_name(word: &str, repo: &RepoName, profiles: &[RepositoryProfile]) -> bool {
    let parts = |name: &str| name.to_lowercase().split(['-', '_', '.']).map(str::to_owned).collect::<Vec<_>>();
    let own = parts(repo.name());
    let within = |name: &str| parts(name).windows(own.len()).any(|window| window == own.as_slice());
    word.eq_ignore_ascii_case(repo.name()) && !profiles.iter().any(|other| other.repo != *repo && within(other.repo.name()))
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

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,120}", marked in "(in |acme/|ledger|<|\\||>|#|https://github.com/| ){0,12}") {
            let _ = (named(&text), named(&marked));
        }
    }
}
