//! A session as a plain page to read, for whoever has its link. No script, no form: everything in it is text that was escaped.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, Query, State},
    http::{
        HeaderName, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use longshore_session::{
    AgentActivity, CheckEnd, CheckRecord, Event, ModelHindrance, PlanEntry, PlanStatus, PullRequestEnd, SessionId, SessionRecord,
    StoreError, ToolResult, ToolRuling, TurnOutcome,
};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::Api;

/// What makes a session's link: nobody can guess it, and it opens this one session.
#[derive(Clone)]
pub struct PageKeys(Arc<dyn Fn(&SessionId) -> String + Send + Sync>);

impl PageKeys {
    pub fn new(key_of: impl Fn(&SessionId) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(key_of))
    }

    fn fits(&self, session: &SessionId, shown: &str) -> bool {
        self.0(session).as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl std::fmt::Debug for PageKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageKeys(…)")
    }
}

/// Events read at once, and at the most: what comes later of a very long session is left out, and the page says so.
const EVENTS: u32 = 1_000;
const MOST_EVENTS: u64 = 20_000;
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Deserialize)]
pub(crate) struct Shown {
    #[serde(default)]
    key: String,
}

pub(crate) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page.css")).into_response()
}

pub(crate) async fn page(State(api): State<Api>, Path(id): Path<String>, Query(Shown { key }): Query<Shown>) -> Response {
    // A wrong key and a session that is not there read the same.
    let found = match SessionId::parse(id).ok().filter(|id| api.pages.fits(id, &key)) {
        Some(id) => read(&api, &id).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(html)) => answer(StatusCode::OK, html),
        Ok(None) => answer(StatusCode::NOT_FOUND, whole("No such page", "", "<p>Open the session by the link in its thread.</p>")),
        Err(error) => {
            tracing::error!(%error, "cannot read for a session's page");
            answer(StatusCode::SERVICE_UNAVAILABLE, whole("Not now", "", "<p>The session cannot be read now; the log says why.</p>"))
        }
    }
}

fn answer(status: StatusCode, html: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        // The key is in the address.
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    (status, headers, html).into_response()
}

async fn read(api: &Api, id: &SessionId) -> Result<Option<String>, StoreError> {
    let Some(record) = api.store.session(id.clone()).await? else { return Ok(None) };
    let mut telling = Telling::default();
    let mut after = 0;
    while after < MOST_EVENTS {
        let page = api.store.events(id, after, EVENTS).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.iter().for_each(|stored| telling.take(&stored.event));
    }
    Ok(Some(telling.html(&record)))
}

/// The page's body while events are taken in.
#[derive(Default)]
struct Telling {
    /// HTML, one after the other.
    parts: Vec<String>,
    /// Where each of the running turn's tool calls stands among the parts: its later updates know more of it.
    calls: HashMap<String, usize>,
    /// The agent's words that may still go on.
    words: String,
    plan: Vec<PlanEntry>,
    micros: u64,
    unpriced_tokens: u64,
}

impl Telling {
    fn take(&mut self, event: &Event) {
        if !matches!(
            event,
            Event::Agent { activity: AgentActivity::Text { .. }, .. } | Event::ModelUsed { .. } | Event::PhaseReached { .. }
        ) {
            self.close_words();
        }
        match event {
            Event::PromptAccepted { prompt } => {
                self.paragraph("note", &format!("{} asked:", prompt.author.name));
                self.paragraph("asked", &prompt.text);
            }
            Event::PromptEdited { text, .. } => {
                self.paragraph("note", "The waiting request was changed to:");
                self.paragraph("asked", text);
            }
            Event::PromptWithdrawn { .. } => self.paragraph("note", "A waiting request was withdrawn."),
            Event::PromptHanded { .. } => self.paragraph("note", "A waiting request was put into the running turn."),
            Event::TurnStarted { turn, .. } => {
                // Agents begin to count anew.
                self.calls.clear();
                self.parts.push(format!("<h2>Turn {turn}</h2>\n"));
            }
            Event::Agent { activity, .. } => self.agent(activity),
            Event::ToolRuled { tool, ruling, .. } => {
                let said = match ruling {
                    ToolRuling::Denied { reason } => format!("A rule of the repository refused {tool}: {reason}"),
                    ToolRuling::Changed { from, to } => format!("A rule of the repository changed {tool}: `{from}` became `{to}`."),
                    ToolRuling::Noted { text } => format!("A rule of the repository told the agent after {tool}: {text}"),
                };
                self.paragraph("note", &said);
            }
            Event::ModelHindered { hindrance, .. } => {
                let why = match hindrance {
                    ModelHindrance::OverLimit => "its provider is over its limit (429)".to_owned(),
                    ModelHindrance::Failing { status } => format!("its provider fails ({status})"),
                    ModelHindrance::BrokeOff => "its answer broke off".to_owned(),
                };
                self.paragraph("note", &format!("The agent waits for the model: {why}. It asks again by itself."));
            }
            Event::StopRequested { .. } => self.paragraph("note", "Somebody asked to stop."),
            Event::WorkSaved { work, .. } if work.ahead > 0 => {
                let commit: String = work.commit.chars().take(7).collect();
                let (files, added, removed) = (work.files, work.insertions, work.deletions);
                self.paragraph("note", &format!("Pushed {commit}: files changed {files}, lines added {added}, removed {removed}."));
            }
            Event::CheckEnded { check, .. } => self.check(check),
            Event::TurnEnded { outcome, .. } => {
                let said = match outcome {
                    TurnOutcome::Done => "Done.",
                    TurnOutcome::Stopped { .. } => "Stopped.",
                    TurnOutcome::Failed { .. } => "This did not work; the thread says why.",
                };
                self.paragraph("note", said);
            }
            Event::PullRequestOpened { pull_request } => {
                let label = escape(&format!("Pull request #{} {}", pull_request.number, pull_request.title));
                let is_web = ["https://", "http://"].iter().any(|scheme| pull_request.url.starts_with(scheme));
                let shown = if is_web { format!("<a href=\"{}\">{label}</a>", escape(&pull_request.url)) } else { label };
                self.parts.push(format!("<p>{shown}</p>\n"));
            }
            Event::PullRequestEnded { number, how } => {
                let how = match how {
                    PullRequestEnd::Merged => "merged",
                    PullRequestEnd::Closed => "closed",
                };
                self.paragraph("note", &format!("Pull request #{number} was {how}."));
            }
            Event::Moved { repo, .. } => self.paragraph("note", &format!("Moved to {repo}: this was the wrong repository.")),
            Event::QuestionAsked { question, .. } => {
                self.paragraph("note", "The agent asked:");
                self.paragraph("words", &question.text);
            }
            Event::ModelUsed { used, .. } => match used.cost_micros {
                Some(micros) => self.micros = self.micros.saturating_add(micros),
                None => self.unpriced_tokens = self.unpriced_tokens.saturating_add(used.input.saturating_add(used.output)),
            },
            Event::PromptInserted { .. }
            | Event::PromptReturned { .. }
            | Event::FilesTaken { .. }
            | Event::SandboxGivenUp { .. }
            | Event::FellBack { .. }
            | Event::TurnRunning { .. }
            | Event::TurnFinishing { .. }
            | Event::WorkSaved { .. }
            | Event::CheckStarted { .. }
            | Event::QuestionAnswered { .. }
            | Event::QuestionDropped { .. }
            | Event::CleanedUp
            | Event::PhaseReached { .. } => {}
        }
    }

    fn agent(&mut self, activity: &AgentActivity) {
        match activity {
            AgentActivity::Text { delta } => self.words.push_str(delta),
            AgentActivity::MessageBegan => self.close_words(),
            AgentActivity::Thought { .. } | AgentActivity::ToolEnded { result: ToolResult::Succeeded, .. } => {}
            AgentActivity::ToolStarted { call, words } => {
                let part = paragraph("tool", &format!("▸ {words}"));
                match self.calls.get(call).and_then(|told| self.parts.get_mut(*told)) {
                    Some(told) => *told = part,
                    None => {
                        self.calls.insert(call.clone(), self.parts.len());
                        self.parts.push(part);
                    }
                }
            }
            AgentActivity::ToolEnded { words, result: ToolResult::Failed, .. } => self.paragraph("failed", &format!("✗ {words}")),
            AgentActivity::Plan { entries } => self.plan.clone_from(entries),
        }
    }

    fn check(&mut self, check: &CheckRecord) {
        let end = match &check.end {
            CheckEnd::Exited { code } => format!("ended with exit code {code}"),
            CheckEnd::TimedOut { seconds } => format!("was ended after {seconds} s"),
            CheckEnd::OutOfMemory => "ran out of memory".to_owned(),
            CheckEnd::NotRun { why } => format!("could not be run: {why}"),
        };
        let class = if check.passed() { "note" } else { "failed" };
        self.paragraph(class, &format!("The check `{}` {end}.", check.command));
        if !check.tail.is_empty() {
            self.parts.push(format!("<pre>{}</pre>\n", escape(&check.tail)));
        }
    }

    fn close_words(&mut self) {
        let words = std::mem::take(&mut self.words);
        if !words.trim().is_empty() {
            self.paragraph("words", words.trim());
        }
    }

    fn paragraph(&mut self, class: &str, text: &str) {
        self.parts.push(paragraph(class, text));
    }

    fn html(mut self, record: &SessionRecord) -> String {
        self.close_words();
        let plan: String = self
            .plan
            .iter()
            .map(|entry| {
                let mark = match entry.status {
                    PlanStatus::Pending => "⬜",
                    PlanStatus::InProgress => "▶️",
                    PlanStatus::Completed => "✅",
                };
                format!("<li>{mark} {}</li>\n", escape(&entry.text))
            })
            .collect();
        let plan = if plan.is_empty() { plan } else { format!("<ul>\n{plan}</ul>\n") };
        let mut facts = vec![record.repo.to_string(), record.id.branch(), record.phase.clone()];
        if self.micros > 0 {
            facts.push(format!("${:.2}", self.micros as f64 / 1_000_000.0));
        }
        if self.unpriced_tokens > 0 {
            facts.push(format!("{} tokens", self.unpriced_tokens));
        }
        let refresh = if record.phase == "idle" { "" } else { "<meta http-equiv=\"refresh\" content=\"5\">\n" };
        let body = format!("<p class=\"note\">{}</p>\n{plan}{}", escape(&facts.join(" · ")), self.parts.concat());
        whole(&record.title, refresh, &body)
    }
}

/// `class` is ours, `text` anybody's.
fn paragraph(class: &str, text: &str) -> String {
    format!("<p class=\"{class}\">{}</p>\n", escape(text))
}

/// `head` and `body` are HTML, the title is text.
fn whole(title: &str, head: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         {head}<title>{title} · Longshore</title>\n<link rel=\"stylesheet\" href=\"/sessions.css\">\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use longshore_session::{PromptId, PullRequestRef, TurnId};

    use super::*;

    #[test]
    fn whatever_was_written_is_text_on_the_page() {
        let foreign = "<script>alert(\"1\")</script>'";
        let mut telling = Telling::default();
        let turn = TurnId(1);
        telling.take(&Event::Agent { turn, activity: AgentActivity::Text { delta: format!("{foreign} and") } });
        telling.take(&Event::Agent { turn, activity: AgentActivity::Text { delta: " more".to_owned() } });
        telling.take(&Event::Agent { turn, activity: AgentActivity::ToolStarted { call: "1".to_owned(), words: foreign.to_owned() } });
        let pull_request = PullRequestRef { number: 1, url: "javascript:alert(1)".to_owned(), title: foreign.to_owned() };
        telling.take(&Event::PullRequestOpened { pull_request });
        let html = telling.parts.concat();
        assert!(html.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39; and more</p>"), "{html}");
        assert!(!html.contains("<script") && !html.contains("href"), "{html}");
    }

    #[test]
    fn a_tool_call_is_told_once_by_what_was_known_of_it_last() {
        let mut telling = Telling::default();
        for (turn, words) in [(1, "Running a command"), (1, "Running `make`"), (2, "Reading a file")] {
            let turn = TurnId(turn);
            if words != "Running `make`" {
                let prompt = PromptId::parse("p-1").unwrap();
                telling.take(&Event::TurnStarted { turn, prompt });
            }
            telling.take(&Event::Agent { turn, activity: AgentActivity::ToolStarted { call: "1".to_owned(), words: words.to_owned() } });
        }
        assert_eq!(
            telling.parts.concat(),
            "<h2>Turn 1</h2>\n<p class=\"tool\">▸ Running `make`</p>\n<h2>Turn 2</h2>\n<p class=\"tool\">▸ Reading a file</p>\n"
        );
    }
}
