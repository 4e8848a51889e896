//! What is offered in a new thread with the assistant.

use longshore_session::RepoName;

use super::words::cut;

/// A prompt that a click sends. Slack shows up to four.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestedPrompt {
    pub title: String,
    /// What the person says by the click: it is a prompt like any other.
    pub message: String,
}

/// The prompts for somebody whose likeliest repository this is.
pub fn suggested_prompts(likely: Option<&RepoName>) -> Vec<SuggestedPrompt> {
    let prompt = |title: &str, message: String| SuggestedPrompt { title: cut(title, 75), message };
    let mut prompts =
        vec![prompt("What can you do?", "What can you do?".to_owned()), prompt("What is running for me?", "status".to_owned())];
    if let Some(repo) = likely {
        let title = format!("Run the tests of {repo}");
        prompts.push(prompt(&title, format!("in {repo}: run the tests and say which fail, and why. Change nothing.")));
    }
    prompts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_likely_repository_is_offered_and_everything_fits() {
        assert_eq!(suggested_prompts(None).len(), 2);
        let repo = RepoName::parse(format!("acme/{}", "r".repeat(90))).unwrap();
        let prompts = suggested_prompts(Some(&repo));
        assert!(prompts.len() <= 4 && prompts.iter().all(|prompt| prompt.title.chars().count() <= 75 && !prompt.message.is_empty()));
        assert!(prompts[2].message.starts_with(&format!("in {repo}: ")));
    }
}
