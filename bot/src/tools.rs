//! What the gateway needs of the service: the agent's tools, git credentials, and what became of model requests.

mod ask;
mod read_thread;

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use longshore_gateway::{
    Access, CredentialError, GitCredentials, LlmEvent, LlmEventKind, LlmObserver, LlmOutcome, Pass, ToolResult, ToolSpec, Tools,
};
use longshore_github::{GitHub, GitHubError};
use longshore_session::{ModelHindrance, Phase, RepoName};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    app::App,
    conversation::{self, Attachment, Note, POSTS_PER_TURN},
};

const OPEN_PULL_REQUEST: &str = "open_pull_request";
const POST_UPDATE: &str = "post_update";
const ATTACH_FILE: &str = "attach_file";

/// The tools that the agent is offered over MCP.
pub struct AgentTools(pub Arc<App>);

impl Tools for AgentTools {
    fn list(&self, _: &Pass) -> Vec<ToolSpec> {
        vec![
            ToolSpec {
                name: OPEN_PULL_REQUEST.to_owned(),
                description: "Commits and pushes the work in /workspace to this session's branch and opens a pull request in the name of the \
                              person who asked. Call it once the work is done and checked. Calling it again pushes again and gives the same \
                              pull request."
                    .to_owned(),
                input_schema: json!({
                    "type": "object",
                    "properties": {
                        "title": {"type": "string", "description": "What the change does, in one imperative line"},
                        "body": {"type": "string", "description": "Markdown: what was wrong, what was changed, which commands were run to check it and how they ended"}
                    },
                    "required": ["title", "body"],
                    "additionalProperties": false
                }),
            },
            ToolSpec {
                name: POST_UPDATE.to_owned(),
                description: format!(
                    "Posts one short message in the Slack thread, for an important turning point while the work goes on; {POSTS_PER_TURN} in \
                     one turn at the most. The final answer is posted by itself, so do not use it for that."
                ),
                input_schema: json!({
                    "type": "object",
                    "properties": {"text": {"type": "string", "description": "One or two sentences"}},
                    "required": ["text"],
                    "additionalProperties": false
                }),
            },
            ToolSpec {
                name: ATTACH_FILE.to_owned(),
                description: "Shows a file in the Slack thread: a screenshot, a chart, a log, a report. Answers once it is there. Calling it \
                              again with the same content does not show it twice. For what a person should see; what belongs into the \
                              repository is committed instead."
                    .to_owned(),
                input_schema: json!({
                    "type": "object",
                    "properties": {
                        "path": {"type": "string", "description": "The file: an absolute path, or one within /workspace"},
                        "title": {"type": "string", "description": "What it shows, in a few words"},
                        "comment": {"type": "string", "description": "A sentence to say above it"}
                    },
                    "required": ["path"],
                    "additionalProperties": false
                }),
            },
            ask::spec(),
            read_thread::spec(),
        ]
    }

    fn call<'a>(&'a self, pass: &'a Pass, name: &'a str, arguments: Value) -> BoxFuture<'a, ToolResult> {
        async move {
            let Some(session) = self.0.sandboxes.session_of(&pass.sandbox) else {
                return ToolResult::failed("this sandbox serves no session any more");
            };
            let text =
                |key: &str| arguments.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
            let result = match name {
                OPEN_PULL_REQUEST => {
                    let Some(title) = text("title") else { return ToolResult::failed("`title` is missing: say what the change does") };
                    match conversation::open_pull_request(&self.0, &session, Some(title), text("body")).await {
                        Ok(Ok(pull)) => Ok(format!("Pull request #{} is open: {}", pull.number, pull.url)),
                        Ok(Err(reason)) => Err(reason),
                        Err(error) => Err(error.to_string()),
                    }
                }
                POST_UPDATE => {
                    let Some(text) = text("text") else { return ToolResult::failed("`text` is missing") };
                    match conversation::say(&self.0, &session, text).await {
                        Ok(Ok(())) => Ok("Posted.".to_owned()),
                        Ok(Err(reason)) => Err(reason),
                        Err(error) => Err(error.to_string()),
                    }
                }
                ask::ASK_REQUESTER => {
                    let Some(question) = text("question") else { return ToolResult::failed("`question` is missing") };
                    let options = match ask::options(&arguments, &question) {
                        Ok(options) => options,
                        Err(reason) => return ToolResult::failed(reason),
                    };
                    match conversation::ask(&self.0, &session, question, options).await {
                        Ok(Ok(())) => Ok(ask::ASKED.to_owned()),
                        Ok(Err(reason)) => Err(reason),
                        Err(error) => Err(error.to_string()),
                    }
                }
                read_thread::READ_THREAD => read_thread::read(&self.0, &session, &arguments).await,
                ATTACH_FILE => {
                    let Some(path) = text("path") else { return ToolResult::failed("`path` is missing: which file?") };
                    let wanted = Attachment { path, title: text("title"), comment: text("comment") };
                    match conversation::attach_file(&self.0, &session, &pass.sandbox, wanted).await {
                        Ok(answer) => answer,
                        Err(error) => Err(error.to_string()),
                    }
                }
                other => Err(format!("there is no tool `{other}`")),
            };
            match result {
                Ok(text) => ToolResult::done(text),
                Err(reason) => ToolResult::failed(reason),
            }
        }
        .boxed()
    }
}

/// Installation tokens for the gateway's git.
pub struct AppCredentials(pub GitHub);

impl GitCredentials for AppCredentials {
    fn token<'a>(&'a self, repo: &'a RepoName, access: Access) -> BoxFuture<'a, Result<SecretString, CredentialError>> {
        async move {
            match self.0.installation_token(repo, on_github(access)).await {
                Ok(token) => Ok(token.expose().to_owned().into()),
                Err(GitHubError::NotFound { .. }) => {
                    Err(CredentialError::Denied(format!("{repo} was not found: it was removed, or the GitHub App lost its access")))
                }
                Err(error @ GitHubError::Forbidden { .. }) => Err(CredentialError::Denied(error.to_string())),
                Err(GitHubError::RateLimited { retry_after }) => {
                    Err(CredentialError::Unavailable(format!("GitHub's rate limit is used up; try again in {} s", retry_after.as_secs())))
                }
                Err(error) => {
                    tracing::warn!(%repo, %error, "no installation token");
                    Err(CredentialError::Unavailable("GitHub gives no token now; try again in a minute".to_owned()))
                }
            }
        }
        .boxed()
    }

    fn refused(&self, repo: &RepoName, access: Access) {
        self.0.forget_installation_token(repo, on_github(access));
    }
}

fn on_github(access: Access) -> longshore_github::Access {
    match access {
        Access::Read => longshore_github::Access::Read,
        Access::Write => longshore_github::Access::Write,
    }
}

/// Notes how far a turn's model requests got, and what they cost.
pub struct ModelWatch(pub Arc<App>);

impl LlmObserver for ModelWatch {
    fn observe(&self, event: LlmEvent) {
        let reached = |phase| Note::Reached { phase, at: self.0.clock.now() };
        let note = match event.kind {
            LlmEventKind::Began { .. } => reached(Phase::FirstModelRequest),
            LlmEventKind::FirstToken { .. } => reached(Phase::FirstToken),
            LlmEventKind::Ended { status: 429, .. } => Note::Hindered(ModelHindrance::OverLimit),
            LlmEventKind::Ended { status: status @ 500.., .. } => Note::Hindered(ModelHindrance::Failing { status }),
            LlmEventKind::Ended { outcome: LlmOutcome::Broken, .. } => Note::Hindered(ModelHindrance::BrokeOff),
            LlmEventKind::Ended { model, usage: Some(usage), .. } => Note::Used(self.0.config.model.priced(model, usage)),
            LlmEventKind::Ended { usage: None, .. } => return,
            LlmEventKind::Primed { .. } => return self.0.pool.primed(&event.sandbox),
        };
        if let Some(session) = self.0.sandboxes.session_of(&event.sandbox) {
            self.0.conversations.note(&session, note);
        }
    }
}
