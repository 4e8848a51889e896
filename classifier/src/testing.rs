//! What several of this crate's tests need.

use longshore_session::{RepoName, RepositoryProfile};

pub(crate) fn profile(repo: &str, description: &str) -> RepositoryProfile {
    RepositoryProfile {
        repo: RepoName::parse(repo).unwrap(),
        description: description.to_owned(),
        languages: Vec::new(),
        keywords: Vec::new(),
        examples: Vec::new(),
        slack_channels: Vec::new(),
        vocabulary: Vec::new(),
    }
}
