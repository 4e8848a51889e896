//! What operators decided beforehand: keywords that settle it, and what a channel is about when nothing else is sure.

use longshore_session::{RepoName, RepositoryProfile};

/// Rules by which a request is routed without judgement. A rule for a repository that there is not is passed over.
///
/// A repository that the message names outright comes before any rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutingRules {
    /// A word or phrase, and the repository that every message with it is about. Case and the kind of space between words do not matter; whole words only.
    pub keyword_rules: Vec<(String, RepoName)>,
    /// A channel's name (with or without `#`), and the repository that is taken for what was asked there where it would have to be asked for otherwise.
    pub channel_defaults: Vec<(String, RepoName)>,
}

impl RoutingRules {
    /// The rule that decides, with its words. The longest pattern wins; where patterns of the same length name several repositories, none does.
    pub(crate) fn by_keyword(&self, message: &str, profiles: &[RepositoryProfile]) -> Option<(&str, &RepoName)> {
        let message = spaced(message);
        let matching = self.keyword_rules.iter().filter(|(pattern, repo)| exists(repo, profiles) && holds(&message, &spaced(pattern)));
        let mut best: Vec<(&str, &RepoName)> = Vec::new();
        for (pattern, repo) in matching {
            match best.first().map(|(other, _)| spaced(pattern).chars().count().cmp(&spaced(other).chars().count())) {
                Some(std::cmp::Ordering::Less) => {}
                Some(std::cmp::Ordering::Equal) => best.push((pattern.trim(), repo)),
                None | Some(std::cmp::Ordering::Greater) => best = vec![(pattern.trim(), repo)],
            }
        }
        let first = *best.first()?;
        best.iter().all(|(_, repo)| *repo == first.1).then_some(first)
    }

    /// The channel's default, where it has exactly one.
    pub(crate) fn by_channel(&self, channel: &str, profiles: &[RepositoryProfile]) -> Option<&RepoName> {
        let name = |channel: &str| channel.trim().trim_start_matches('#').to_lowercase();
        let mut defaults = self
            .channel_defaults
            .iter()
            .filter(|(other, repo)| name(other) == name(channel) && exists(repo, profiles))
            .map(|(_, repo)| repo);
        let first = defaults.next()?;
        defaults.all(|repo| repo == first).then_some(first)
    }
}

fn exists(repo: &RepoName, profiles: &[RepositoryProfile]) -> bool {
    profiles.iter().any(|profile| profile.repo == *repo)
}

/// In lower case, with one space for any white space.
fn spaced(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// Whether the pattern stands in the message with no letter or digit that would go on with its first or last word.
fn holds(message: &str, pattern: &str) -> bool {
    let goes_on = |one: Option<char>, other: Option<char>| one.zip(other).is_some_and(|(a, b)| a.is_alphanumeric() && b.is_alphanumeric());
    !pattern.is_empty()
        && message.match_indices(pattern).any(|(start, found)| {
            let (before, after) = (&message[..start], &message[start + found.len()..]);
            !goes_on(before.chars().next_back(), found.chars().next()) && !goes_on(found.chars().next_back(), after.chars().next())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::profile;

    fn repo(name: &str) -> RepoName {
        RepoName::parse(name).unwrap()
    }

    fn by_keyword(rules: &[(&str, &str)], message: &str) -> Option<String> {
        let profiles = [profile("a/shop", "x"), profile("a/bank", "y")];
        let keyword_rules = rules.iter().map(|(pattern, name)| ((*pattern).to_owned(), repo(name))).collect();
        let rules = RoutingRules { keyword_rules, ..RoutingRules::default() };
        rules.by_keyword(message, &profiles).map(|(_, repo)| repo.name().to_owned())
    }

    #[test]
    fn whole_words_decide_whatever_their_case() {
        let rules = [("Gift card", "a/shop"), ("c++", "a/bank")];
        assert_eq!(by_keyword(&rules, "the GIFT\n  card, again").as_deref(), Some("shop"));
        assert_eq!(by_keyword(&rules, "in the C++ part").as_deref(), Some("bank"));
        assert_eq!(by_keyword(&rules, "gift cards"), None);
        assert_eq!(by_keyword(&rules, "a regift card"), None);
        assert_eq!(by_keyword(&[("  ", "a/shop")], "anything"), None);
    }

    #[test]
    fn the_longest_wins_and_a_draw_decides_nothing() {
        assert_eq!(by_keyword(&[("card", "a/shop"), ("card limit", "a/bank")], "my card limit").as_deref(), Some("bank"));
        assert_eq!(by_keyword(&[("card", "a/shop"), ("cash", "a/bank")], "card or cash"), None);
        assert_eq!(by_keyword(&[("card", "a/shop"), ("cash", "a/shop")], "card or cash").as_deref(), Some("shop"));
        assert_eq!(by_keyword(&[("card", "a/gone")], "card"), None);
    }

    #[test]
    fn a_channel_has_one_default_or_none() {
        let profiles = [profile("a/shop", "x"), profile("a/bank", "y")];
        let default = |defaults: &[(&str, &str)]| {
            let channel_defaults = defaults.iter().map(|(channel, name)| ((*channel).to_owned(), repo(name))).collect();
            RoutingRules { channel_defaults, ..RoutingRules::default() }.by_channel("Money", &profiles).cloned()
        };
        assert_eq!(default(&[("#money", "a/bank"), ("web", "a/shop")]), Some(repo("a/bank")));
        assert_eq!(default(&[("money", "a/bank"), ("#Money", "a/shop")]), None);
        assert_eq!(default(&[("money", "a/gone")]), None);
    }

    proptest! {
        #[test]
        fn a_pattern_is_found_where_it_stands_alone(before in "\\PC{0,20}", pattern in "\\PC{1,20}", after in "\\PC{0,20}") {
            let found = by_keyword(&[(pattern.as_str(), "a/shop")], &format!("{before} {pattern} {after}"));
            prop_assert_eq!(found.is_some(), !pattern.trim().is_empty());
        }
    }
}
