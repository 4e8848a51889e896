//! What an image is made of, so that the same need not be made twice.

use std::collections::HashMap;

use longshore_session::RepositoryManifest;

use crate::{CommitSha, docker::IMAGE_LABEL_PREFIX, names::short_hash};

/// Raised when what a build does to the same inputs changes.
const FORMAT: u32 = 2;

/// The inputs of one image. Its labels hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs {
    pub commit: String,
    /// Recipe and base together: as long as it is the same, an image can be made from the one before.
    pub foundation: String,
    /// Builds from one another since the last full one.
    pub generation: u32,
}

impl Inputs {
    pub fn new(manifest: &RepositoryManifest, commit: &CommitSha, base_id: &str) -> Self {
        let recipe = &manifest.image;
        // When and how long at most has no influence on what comes out.
        let parts = (
            FORMAT,
            manifest.repository.as_str(),
            &manifest.base_branch,
            base_id,
            &recipe.setup_root,
            &recipe.setup,
            &recipe.services,
            &recipe.warm,
            &recipe.check,
        );
        let text = serde_json::to_vec(&parts).unwrap_or_default();
        Self { commit: commit.to_string(), foundation: short_hash(&text, 32), generation: 0 }
    }

    /// None where the image was not built by us, or by another version.
    pub fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let label = |key: &str| labels.get(&format!("{IMAGE_LABEL_PREFIX}{key}"));
        Some(Self {
            commit: label("commit")?.clone(),
            foundation: label("foundation")?.clone(),
            generation: label("generation")?.parse().ok()?,
        })
    }

    pub fn labels(&self) -> Vec<(String, String)> {
        vec![
            ("kind".to_owned(), "image".to_owned()),
            ("commit".to_owned(), self.commit.clone()),
            ("foundation".to_owned(), self.foundation.clone()),
            ("generation".to_owned(), self.generation.to_string()),
        ]
    }

    pub fn hash(&self) -> String {
        short_hash(format!("{} {}", self.commit, self.foundation).as_bytes(), 32)
    }

    pub fn same_as(&self, other: &Self) -> bool {
        self.commit == other.commit && self.foundation == other.foundation
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn manifest(more: &str) -> RepositoryManifest {
        let text = format!("repository = \"acme/shop\"\ndescription = \"The shop.\"\n{more}");
        RepositoryManifest::parse(Path::new("shop.toml"), &text).unwrap()
    }

    fn inputs(more: &str, commit: char, base: &str) -> Inputs {
        Inputs::new(&manifest(more), &CommitSha::parse(commit.to_string().repeat(40)).unwrap(), base)
    }

    #[test]
    fn only_what_changes_the_image_changes_the_hash() {
        let first = inputs("[image]\nsetup = [\"make\"]\n", 'a', "sha256:1");
        assert_eq!(
            first.hash(),
            inputs("keywords = [\"cart\"]\n[image]\nsetup = [\"make\"]\nrebuild = \"0 0 * * *\"\n", 'a', "sha256:1").hash()
        );
        assert_ne!(first.hash(), inputs("[image]\nsetup = [\"make all\"]\n", 'a', "sha256:1").hash());
        assert_ne!(first.hash(), inputs("[image]\nsetup_root = [\"make\"]\n", 'a', "sha256:1").hash());
        let served = "[image]\nsetup = [\"make\"]\n[[image.services]]\nname = \"db\"\nstart = \"postgres\"\n";
        assert_ne!(first.hash(), inputs(served, 'a', "sha256:1").hash());
        assert_ne!(first.hash(), inputs("[image]\nsetup = [\"make\"]\n", 'b', "sha256:1").hash());
        assert_ne!(first.hash(), inputs("[image]\nsetup = [\"make\"]\n", 'a', "sha256:2").hash());
    }

    #[test]
    fn labels_hold_the_inputs() {
        let first = Inputs { generation: 3, ..inputs("", 'a', "sha256:1") };
        let labels = first.labels().into_iter().map(|(key, value)| (format!("{IMAGE_LABEL_PREFIX}{key}"), value)).collect();
        assert_eq!(Inputs::read(&labels), Some(first));
        assert_eq!(Inputs::read(&HashMap::new()), None);
    }
}
