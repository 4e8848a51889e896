//! Messages that are no work. Deliberately narrow: a request taken for small talk is a request that nobody works on, the other way round is one question asked.

use crate::Request;

/// Greetings and thanks; a message of nothing else is small talk.
const PLEASANTRIES: &[&str] = &[
    "a",
    "afternoon",
    "all",
    "cheers",
    "day",
    "everyone",
    "evening",
    "folks",
    "good",
    "great",
    "hello",
    "help",
    "hey",
    "hi",
    "hiya",
    "job",
    "lot",
    "many",
    "morning",
    "much",
    "nice",
    "ok",
    "okay",
    "perfect",
    "ping",
    "so",
    "team",
    "thank",
    "thanks",
    "there",
    "thx",
    "very",
    "work",
    "you",
];

/// Questions about the bot itself, as word sequences that the whole message must be.
const ABOUT_THE_BOT: &[&str] = &[
    "are you there",
    "how can i use you",
    "how can you help",
    "how can you help me",
    "how do i use you",
    "how do i use this",
    "how do you work",
    "how does this work",
    "what are you",
    "what are you able to do",
    "what can i ask you",
    "what can you do",
    "what can you do for me",
    "what can you help with",
    "what can you help me with",
    "what do you do",
    "which repositories can you work on",
    "which repositories can you work in",
    "which repositories do you know",
    "which repos do you know",
    "what repositories do you know",
    "what repos do you know",
    "who are you",
];

/// An empty message in a thread is none: it asks to look at the thread.
pub(crate) fn needs_no_repository(request: &Request) -> bool {
    if request.message.trim().is_empty() && !request.thread.is_empty() {
        return false;
    }
    let words: Vec<String> = request
        .message
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_matches('\'').to_lowercase())
        .skip_while(|word| matches!(word.as_str(), "hi" | "hello" | "hey" | "so" | "and" | "please"))
        .collect();
    let rest = words.join(" ");
    words.iter().all(|word| PLEASANTRIES.contains(&word.as_str())) || ABOUT_THE_BOT.contains(&rest.as_str())
}

#[cfg(test)]
mod tests {
    use crate::Request;

    fn needs_no_repository(message: &str) -> bool {
        super::needs_no_repository(&Request { message: message.to_owned(), ..Request::default() })
    }

    #[test]
    fn small_talk() {
        for message in [
            "hello!",
            "Hi, what can you do?",
            "thanks a lot",
            "help",
            "Good morning everyone",
            "who are you?",
            "Which repositories do you know?",
            "",
        ] {
            assert!(needs_no_repository(message), "{message}");
        }
    }

    #[test]
    fn a_bare_mention_in_a_thread_is_about_the_thread() {
        let request = Request { thread: vec!["The build is red".to_owned()], ..Request::default() };
        assert!(!super::needs_no_repository(&request));
    }

    #[test]
    fn work() {
        for message in [
            "help, the checkout is broken",
            "what can you do about the flaky tests?",
            "hi, fix the build",
            "how does the relay work",
            "修复登录",
        ] {
            assert!(!needs_no_repository(message), "{message}");
        }
    }
}
