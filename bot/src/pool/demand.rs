//! How many entries there shall be, and what is to be done next for that.

use std::collections::BTreeMap;

use longshore_session::{RepoName, RepositoryManifest, SandboxId};

/// One repository's claim to a part of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub repo: RepoName,
    pub entries: usize,
}

/// What the sessions of late, or a sign that somebody is about to ask, make of a manifest without a size.
pub fn wish(manifest: &RepositoryManifest, sessions: u32, expected: Expected) -> Wish {
    let entries = match (manifest.pool.size, sessions) {
        (Some(size), _) => usize::try_from(size).unwrap_or(usize::MAX),
        (None, 0) => match expected {
            Expected::Yes => 1,
            Expected::No => 0,
        },
        // Sessions of a few hours.
        (None, 1..=8) => 1,
        (None, 9..=24) => 2,
        (None, _) => 3,
    };
    Wish { repo: manifest.repository.clone(), entries }
}

/// Whether a sign tells of somebody who is about to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Yes,
    No,
}

/// Shares `bound` entries out: the first one of each repository comes before the second one of any. Wishes come most urgent first.
pub fn share(wishes: &[Wish], bound: usize) -> BTreeMap<RepoName, usize> {
    let mut shares = BTreeMap::new();
    let mut left = bound;
    for round in 1..=wishes.iter().map(|wish| wish.entries).max().unwrap_or(0).min(bound) {
        for wish in wishes.iter().filter(|wish| wish.entries >= round) {
            if left == 0 {
                return shares;
            }
            *shares.entry(wish.repo.clone()).or_default() += 1;
            left -= 1;
        }
    }
    shares
}

/// An entry, as far as it matters for what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub sandbox: SandboxId,
    pub repo: RepoName,
    pub freshness: Freshness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// Too old, or of an image that is not the promoted one any more: of use until there is a better one.
    Stale,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Make(RepoName),
    Remove(SandboxId),
}

/// `entries` are those that can be claimed, oldest first. A stale one goes when a fresh one has taken its place, so for a moment there may be
/// one more than the shares add up to. `can_make` says for which repositories making one is of use now.
pub fn next(shares: &BTreeMap<RepoName, usize>, entries: &[Standing], can_make: impl Fn(&RepoName) -> bool) -> Option<Step> {
    let count = |repo: &RepoName, freshness| entries.iter().filter(|entry| entry.repo == *repo && entry.freshness == freshness).count();
    let share = |repo: &RepoName| shares.get(repo).copied().unwrap_or(0);
    // What is too much goes first: it takes others' memory. Stale ones before fresh ones, old ones before new ones.
    let too_many = |entry: &&Standing| {
        let (fresh, stale) = (count(&entry.repo, Freshness::Fresh), count(&entry.repo, Freshness::Stale));
        match entry.freshness {
            Freshness::Stale => fresh + stale > share(&entry.repo),
            Freshness::Fresh => fresh > share(&entry.repo),
        }
    };
    let stale_first = [Freshness::Stale, Freshness::Fresh];
    for freshness in stale_first {
        if let Some(entry) = entries.iter().filter(|entry| entry.freshness == freshness).find(too_many) {
            return Some(Step::Remove(entry.sandbox.clone()));
        }
    }
    let is_short = |repo: &&RepoName| count(repo, Freshness::Fresh) < share(repo) && can_make(repo);
    // Who has nothing at all comes before who has a stale one.
    let mut short: Vec<&RepoName> = shares.keys().filter(is_short).collect();
    short.sort_by_key(|repo| entries.iter().filter(|entry| entry.repo == **repo).count());
    short.first().map(|repo| Step::Make((*repo).clone()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn repo(name: &str) -> RepoName {
        RepoName::parse(format!("acme/{name}")).unwrap()
    }

    fn manifest(pool: &str) -> RepositoryManifest {
        RepositoryManifest::parse(Path::new("shop.toml"), &format!("repository = \"acme/shop\"\ndescription = \"It.\"\n{pool}")).unwrap()
    }

    fn wishes(entries: &[(&str, usize)]) -> Vec<Wish> {
        entries.iter().map(|(name, entries)| Wish { repo: repo(name), entries: *entries }).collect()
    }

    #[test]
    fn a_size_in_the_manifest_counts_whatever_is_asked() {
        assert_eq!(wish(&manifest("[pool]\nsize = 0\n"), 40, Expected::Yes).entries, 0);
        assert_eq!(wish(&manifest("[pool]\nsize = 5\n"), 0, Expected::No).entries, 5);
    }

    #[test]
    fn without_one_the_sessions_of_late_do() {
        let sizes: Vec<usize> = [0, 1, 8, 9, 25, 900].into_iter().map(|n| wish(&manifest(""), n, Expected::No).entries).collect();
        assert_eq!(sizes, [0, 1, 1, 2, 3, 3]);
        assert_eq!(wish(&manifest(""), 0, Expected::Yes).entries, 1);
    }

    #[test]
    fn everybody_gets_a_first_one_before_anybody_gets_a_second() {
        let shares = share(&wishes(&[("a", 3), ("b", 1), ("c", 2)]), 4);
        assert_eq!(shares, BTreeMap::from([(repo("a"), 2), (repo("b"), 1), (repo("c"), 1)]));
        assert_eq!(share(&wishes(&[("a", 3), ("b", 1)]), 1), BTreeMap::from([(repo("a"), 1)]));
        assert_eq!(share(&wishes(&[("a", 3)]), 0), BTreeMap::new());
    }

    proptest! {
        #[test]
        fn shares_stay_within_wishes_and_bound(sizes in proptest::collection::vec(0..6usize, 0..5), bound in 0..12usize) {
            let wishes: Vec<Wish> = sizes.iter().enumerate().map(|(n, entries)| Wish { repo: repo(&format!("r{n}")), entries: *entries }).collect();
            let shares = share(&wishes, bound);
            prop_assert!(wishes.iter().all(|wish| shares.get(&wish.repo).copied().unwrap_or(0) <= wish.entries));
            prop_assert_eq!(shares.values().sum::<usize>(), bound.min(sizes.iter().sum()));
        }

        /// Whatever there is at first, the steps come to an end, at which everybody has what they shall have; nobody who had something to claim
        /// and shall have it is ever without; and there is never more than one too many.
        #[test]
        fn steps_lead_there_without_a_gap(
            before in proptest::collection::vec((0..3usize, any::<bool>()), 0..8),
            sizes in proptest::collection::vec(0..4usize, 3),
            bound in 0..6usize,
        ) {
            let wishes: Vec<Wish> = sizes.iter().enumerate().map(|(n, entries)| Wish { repo: repo(&format!("r{n}")), entries: *entries }).collect();
            let shares = share(&wishes, bound);
            let mut entries: Vec<Standing> = before.into_iter().enumerate().map(|(n, (of, fresh))| Standing {
                sandbox: SandboxId::parse(format!("b-{n}")).unwrap(),
                repo: repo(&format!("r{of}")),
                freshness: if fresh { Freshness::Fresh } else { Freshness::Stale },
            }).collect();
            let had = |entries: &[Standing], of: &RepoName| entries.iter().filter(|entry| entry.repo == *of).count();
            let most = entries.len().max(shares.values().sum::<usize>() + 1);
            for made in 100.. {
                let Some(step) = next(&shares, &entries, |_| true) else { break };
                prop_assert!(made < 200, "it never ends");
                let covered: Vec<RepoName> = shares.keys().filter(|repo| had(&entries, repo) > 0).cloned().collect();
                match step {
                    Step::Make(repo) => {
                        let sandbox = SandboxId::parse(format!("b-{made}")).unwrap();
                        entries.push(Standing { sandbox, repo, freshness: Freshness::Fresh });
                    }
                    Step::Remove(sandbox) => entries.retain(|entry| entry.sandbox != sandbox),
                }
                prop_assert!(entries.len() <= most);
                prop_assert!(covered.iter().all(|repo| had(&entries, repo) > 0));
            }
            for wish in &wishes {
                prop_assert_eq!(had(&entries, &wish.repo), shares.get(&wish.repo).copied().unwrap_or(0));
            }
            prop_assert!(entries.iter().all(|entry| entry.freshness == Freshness::Fresh));
        }
    }
}
