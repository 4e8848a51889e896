//! Names that this crate's callers hand in, checked once.

use std::fmt;

use longshore_session::RepoName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a text is not the name that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}")]
pub struct InvalidName {
    text: String,
    kind: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidName { text, kind: $kind }) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name!(
    /// One installation's part of an engine: its label, its network and the prefix of its containers' names.
    Namespace,
    "a namespace: 1 to 24 lower-case letters, digits and `-`, beginning with a letter",
    |text| {
        text.len() <= 24
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !text.ends_with('-')
            && !text.contains("--")
    }
);

name!(
    /// An image as an engine names it: `name:tag`, `registry/name@sha256:…`, or `sha256:…`.
    ImageRef,
    "an image reference, such as `registry:5000/name@sha256:…`",
    |text| {
        text.len() <= 512
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@'))
    }
);

name!(
    /// A git commit's full name.
    CommitSha,
    "a commit: 40 hexadecimal digits, lower case",
    |text| text.len() == 40 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
);

name!(
    /// Before the tags that one installation pushes, so that it knows its own again in a registry that others push to.
    TagMark,
    "a tag's mark: 1 to 40 lower-case letters, digits and `-`, beginning with `longshore-`",
    |text| {
        text.len() <= 40
            && text.strip_prefix(MARKED).is_some_and(|rest| {
                !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            })
    }
);

/// What every mark begins with.
const MARKED: &str = "longshore-";

impl TagMark {
    /// The same for the same secret, which nobody reads out of it.
    pub fn of(secret: &[u8]) -> Self {
        Self(format!("{MARKED}{}", short_hash(secret, 10)))
    }

    /// A tag that nobody else gives, for an image of these inputs.
    pub(crate) fn tag(&self, input_hash: &str) -> String {
        format!("{self}-{input_hash}-{:08x}", rand::random::<u32>())
    }

    /// Whether this installation gave the tag.
    pub(crate) fn is_on(&self, tag: &str) -> bool {
        tag.strip_prefix(self.as_str()).is_some_and(|rest| rest.starts_with('-'))
    }
}

/// Whether a service of this namespace gave an image this name: a build's working name, or one in a registry, whichever registry that was.
pub(crate) fn is_own_name(namespace: &Namespace, name: &str) -> bool {
    if name.strip_prefix(namespace.as_str()).is_some_and(|rest| rest.starts_with("/image:")) {
        return true;
    }
    let (path, is_own) = match name.split_once('@') {
        Some((path, _)) => (path, true),
        None => match name.rsplit_once(':') {
            // Before there were marks, a tag was the hash of the inputs.
            Some((path, tag)) => (path, tag.starts_with(MARKED) || (tag.len() == 32 && tag.chars().all(|c| c.is_ascii_hexdigit()))),
            None => return false,
        },
    };
    let mut parts = path.rsplit('/').skip(1);
    is_own && parts.next() == Some(namespace.as_str()) && parts.next().is_some()
}

impl ImageRef {
    /// `sha256:…`, where it names exactly these bytes.
    pub fn digest(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, digest)| digest)
    }

    /// Whether a registry can be asked for exactly these bytes.
    pub fn is_pinned(&self) -> bool {
        self.0.contains("@sha256:")
    }
}

/// Where a repository's images lie in the registry. Registries allow fewer characters than GitHub does; what had to be changed is told apart by a hash.
pub(crate) fn image_repository(namespace: &Namespace, repo: &RepoName) -> String {
    let plain = format!("{}-{}", repo.owner(), repo.name()).to_ascii_lowercase();
    let mut clean = String::with_capacity(plain.len());
    for c in plain.chars() {
        // A separator must stand alone between two letters or digits.
        if c.is_ascii_alphanumeric() {
            clean.push(c);
        } else if !clean.is_empty() && !clean.ends_with('-') {
            clean.push('-');
        }
    }
    let clean = clean.trim_end_matches('-');
    let clean = if clean.is_empty() { "repository" } else { clean };
    // Two owners and names can join to one text (`a-b/c`, `a/b-c`), so only the commonest shape goes without the hash.
    let ambiguous = clean != plain || repo.owner().contains('-');
    if ambiguous {
        format!("{namespace}/{clean}-{}", short_hash(repo.as_str().to_ascii_lowercase().as_bytes(), 8))
    } else {
        format!("{namespace}/{clean}")
    }
}

/// The first `digits` hexadecimal digits of the content's SHA-256.
pub(crate) fn short_hash(content: &[u8], digits: usize) -> String {
    let mut text: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn repository(repo: &str) -> String {
        image_repository(&Namespace::parse("longshore").unwrap(), &RepoName::parse(repo).unwrap())
    }

    #[test]
    fn repositories_lie_apart_in_the_registry() {
        assert_eq!(repository("acme/shop"), "longshore/acme-shop");
        assert_eq!(repository("Acme/Shop"), "longshore/acme-shop");
        assert_ne!(repository("a-b/c"), repository("a/b-c"));
        assert_ne!(repository("acme/shop_"), repository("acme/shop"));
        assert_ne!(repository("acme/a.b"), repository("acme/a-b"));
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", "Longshore", "1a", "a_b", "a--b", "a-", "abcdefghijklmnopqrstuvwxyz"] {
            assert!(Namespace::parse(bad).is_err(), "{bad}");
        }
        assert!(ImageRef::parse("-rm").is_err() && ImageRef::parse("a b").is_err() && ImageRef::parse("").is_err());
        assert!(ImageRef::parse("127.0.0.1:5055/longshore/acme-shop@sha256:abc").unwrap().is_pinned());
        assert!(CommitSha::parse("HEAD").is_err());
    }

    #[test]
    fn an_installation_knows_its_own_tags_and_names() {
        let (mark, other) = (TagMark::of(b"one"), TagMark::of(b"two"));
        let tag = mark.tag("0123");
        assert!(mark.is_on(&tag) && !other.is_on(&tag) && !mark.is_on("latest") && !mark.is_on(mark.as_str()), "{tag}");
        assert_ne!(tag, mark.tag("0123"), "the same inputs can be built twice");
        assert_eq!(TagMark::parse(mark.as_str()), Ok(mark.clone()));
        assert!(TagMark::parse("longshore-").is_err() && TagMark::parse("latest").is_err());

        let namespace = Namespace::parse("team").unwrap();
        let own = [
            "team/image:b-1".to_owned(),
            format!("127.0.0.1:5055/team/acme-shop:{tag}"),
            format!("ghcr.io/acme/team/acme-shop:{}", other.tag("0123")),
            "127.0.0.1:5055/team/acme-shop@sha256:abc".to_owned(),
            format!("127.0.0.1:5055/team/acme-shop:{}", "0123456789abcdef".repeat(2)),
        ];
        for name in own {
            assert!(is_own_name(&namespace, &name), "{name}");
        }
        for name in [
            "team/snapshot:b-1",
            "team2/image:b-1",
            "longshore/base:latest",
            "127.0.0.1:5055/team/acme-shop:latest",
            "127.0.0.1:5055/other/acme-shop@sha256:abc",
            "127.0.0.1:5055/team/sub/acme-shop@sha256:abc",
            "team/acme-shop@sha256:abc",
            "127.0.0.1:5055/team/acme-shop",
        ] {
            assert!(!is_own_name(&namespace, name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_repository_has_a_name_that_a_registry_takes(owner in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", name in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}") {
            prop_assume!(!name.ends_with(".git"));
            let path = repository(&format!("{owner}/{name}"));
            let part = path.strip_prefix("longshore/").unwrap();
            prop_assert!(part.starts_with(|c: char| c.is_ascii_alphanumeric()), "{}", part);
            prop_assert!(part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') && !part.contains("--"), "{}", part);
        }
    }
}
