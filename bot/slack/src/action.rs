//! The vocabulary of buttons: what each `action_id` and its value mean, in one place.

use longshore_session::{PromptId, PullRequestStyle, QuestionId, RepoName, SessionId};

/// What somebody asks for by a click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Stop the session's running turn.
    Stop(SessionId),
    /// The session works in the wrong repository: its first prompt belongs elsewhere.
    WrongRepository(SessionId),
    /// Open a pull request from the session's branch.
    OpenPullRequest(SessionId),
    /// The prompt that waits for a repository belongs to this one.
    PickRepository { prompt: PromptId, repo: RepoName },
    /// What the session was asked belongs to this repository.
    MoveTo { session: SessionId, repo: RepoName },
    /// The prompt that waits for a repository is no longer wanted.
    Withdraw(PromptId),
    /// The prompt that waits in its session's queue shall join the running turn.
    SendNow { session: SessionId, prompt: PromptId },
    /// The prompt that waits in its session's queue is no longer wanted.
    WithdrawQueued { session: SessionId, prompt: PromptId },
    /// The answer to the agent's question is the option with this place, counted from 0.
    Answer { session: SessionId, question: QuestionId, option: usize },
    /// What shall count for the person from now on.
    Prefer(Preference),
    /// A link in the form of a button: nothing to do but to acknowledge.
    Link,
}

/// One of a person's defaults. None: the usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preference {
    Model(Option<String>),
    Repository(Option<RepoName>),
    PullRequests(PullRequestStyle),
}

const STOP: &str = "stop";
const WRONG_REPOSITORY: &str = "wrong_repository";
const OPEN_PULL_REQUEST: &str = "open_pull_request";
const PICK: &str = "pick_repository";
const MOVE: &str = "move_to";
const WITHDRAW: &str = "withdraw";
const SEND_NOW: &str = "send_now";
const WITHDRAW_QUEUED: &str = "withdraw_queued";
const ANSWER: &str = "answer";
const LINK: &str = "link";
const PREFER_MODEL: &str = "prefer_model";
const PREFER_REPOSITORY: &str = "prefer_repository";
const PREFER_PULL_REQUESTS: &str = "prefer_pull_requests";
/// The usual, in a select: Slack wants a value.
const USUAL: &str = "-";
const DRAFT: &str = "draft";
const READY: &str = "ready";

impl Action {
    /// `(action_id, value)`. `place` tells apart elements of one message that mean the same kind of thing, since Slack wants
    /// each id once; it is not read again, and empty where there is only one.
    ///
    /// A select's value may have 150 characters only, so the prompt of a pick is in the id.
    pub fn encode(&self, place: &str) -> (String, String) {
        let id = |verb: &str| if place.is_empty() { verb.to_owned() } else { format!("{verb}:{place}") };
        match self {
            Self::Stop(session) => (id(STOP), session.to_string()),
            Self::WrongRepository(session) => (id(WRONG_REPOSITORY), session.to_string()),
            Self::OpenPullRequest(session) => (id(OPEN_PULL_REQUEST), session.to_string()),
            Self::PickRepository { prompt, repo } => (format!("{PICK}:{place}:{prompt}"), repo.to_string()),
            Self::MoveTo { session, repo } => (format!("{MOVE}:{place}:{session}"), repo.to_string()),
            Self::Withdraw(prompt) => (id(WITHDRAW), prompt.to_string()),
            Self::SendNow { session, prompt } => (id(SEND_NOW), format!("{session}/{prompt}")),
            Self::WithdrawQueued { session, prompt } => (id(WITHDRAW_QUEUED), format!("{session}/{prompt}")),
            Self::Answer { session, question, option } => (id(ANSWER), format!("{session}/{question}/{option}")),
            Self::Prefer(Preference::Model(model)) => (id(PREFER_MODEL), model.clone().unwrap_or(USUAL.to_owned())),
            Self::Prefer(Preference::Repository(repo)) => {
                (id(PREFER_REPOSITORY), repo.as_ref().map_or(USUAL.to_owned(), RepoName::to_string))
            }
            Self::Prefer(Preference::PullRequests(style)) => {
                let value = match style {
                    PullRequestStyle::Draft => DRAFT,
                    PullRequestStyle::Ready => READY,
                };
                (id(PREFER_PULL_REQUESTS), value.to_owned())
            }
            Self::Link => (id(LINK), String::new()),
        }
    }

    /// None for whatever is not of this vocabulary.
    pub fn parse(action_id: &str, value: &str) -> Option<Self> {
        let mut parts = action_id.splitn(3, ':');
        let (verb, _place, rest) = (parts.next()?, parts.next(), parts.next());
        match verb {
            STOP => Some(Self::Stop(SessionId::parse(value).ok()?)),
            WRONG_REPOSITORY => Some(Self::WrongRepository(SessionId::parse(value).ok()?)),
            OPEN_PULL_REQUEST => Some(Self::OpenPullRequest(SessionId::parse(value).ok()?)),
            PICK => Some(Self::PickRepository { prompt: PromptId::parse(rest?).ok()?, repo: RepoName::parse(value).ok()? }),
            MOVE => Some(Self::MoveTo { session: SessionId::parse(rest?).ok()?, repo: RepoName::parse(value).ok()? }),
            WITHDRAW => Some(Self::Withdraw(PromptId::parse(value).ok()?)),
            SEND_NOW => queued(value).map(|(session, prompt)| Self::SendNow { session, prompt }),
            WITHDRAW_QUEUED => queued(value).map(|(session, prompt)| Self::WithdrawQueued { session, prompt }),
            ANSWER => {
                let mut parts = value.splitn(3, '/');
                let (session, question, option) = (parts.next()?, parts.next()?, parts.next()?);
                Some(Self::Answer {
                    session: SessionId::parse(session).ok()?,
                    question: QuestionId::parse(question).ok()?,
                    option: option.parse().ok()?,
                })
            }
            PREFER_MODEL if value.is_empty() => None,
            PREFER_MODEL => Some(Self::Prefer(Preference::Model((value != USUAL).then(|| value.to_owned())))),
            PREFER_REPOSITORY if value == USUAL => Some(Self::Prefer(Preference::Repository(None))),
            PREFER_REPOSITORY => Some(Self::Prefer(Preference::Repository(Some(RepoName::parse(value).ok()?)))),
            // A box that is no longer ticked has no value.
            PREFER_PULL_REQUESTS => {
                let style = if value == DRAFT { PullRequestStyle::Draft } else { PullRequestStyle::Ready };
                Some(Self::Prefer(Preference::PullRequests(style)))
            }
            LINK => Some(Self::Link),
            _ => None,
        }
    }
}

/// A prompt in its session's queue: `session/prompt`.
fn queued(value: &str) -> Option<(SessionId, PromptId)> {
    let (session, prompt) = value.split_once('/')?;
    Some((SessionId::parse(session).ok()?, PromptId::parse(prompt).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_action() -> impl Strategy<Value = Action> {
        let session = "s-[a-z0-9]{10}".prop_map(|id| SessionId::parse(id).unwrap());
        let prompt = "p-[a-z0-9]{12}".prop_map(|id| PromptId::parse(id).unwrap());
        let repo = "[A-Za-z0-9]{1,39}/[A-Za-z0-9_-]{1,90}".prop_map(|name| RepoName::parse(name).unwrap());
        prop_oneof![
            session.clone().prop_map(Action::Stop),
            session.clone().prop_map(Action::WrongRepository),
            session.clone().prop_map(Action::OpenPullRequest),
            (session.clone(), prompt.clone()).prop_map(|(session, prompt)| Action::SendNow { session, prompt }),
            (session.clone(), prompt.clone()).prop_map(|(session, prompt)| Action::WithdrawQueued { session, prompt }),
            (session.clone(), "q-[0-9a-f]{16}", 0..25_usize).prop_map(|(session, question, option)| Action::Answer {
                session,
                question: QuestionId::parse(question).unwrap(),
                option
            }),
            (prompt.clone(), repo.clone()).prop_map(|(prompt, repo)| Action::PickRepository { prompt, repo }),
            (session, repo).prop_map(|(session, repo)| Action::MoveTo { session, repo }),
            prompt.prop_map(Action::Withdraw),
            prop::option::of("[a-z][a-z0-9./:-]{0,70}").prop_map(|model| Action::Prefer(Preference::Model(model))),
            prop::option::of("[a-z]{1,39}/[a-z]{1,90}")
                .prop_map(|name| Action::Prefer(Preference::Repository(name.map(|name| RepoName::parse(name).unwrap())))),
            prop::sample::select(vec![PullRequestStyle::Draft, PullRequestStyle::Ready])
                .prop_map(|style| Action::Prefer(Preference::PullRequests(style))),
            Just(Action::Link),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_again(action in any_action(), place in "[a-z0-9]{0,12}") {
            let (id, value) = action.encode(&place);
            prop_assert!(id.len() <= 255 && value.len() <= 150);
            prop_assert_eq!(Action::parse(&id, &value), Some(action));
        }

        #[test]
        fn any_text_is_taken_or_not(id in ".{0,60}", value in ".{0,60}") {
            let _ = Action::parse(&id, &value);
        }
    }
}
