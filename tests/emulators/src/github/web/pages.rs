//! The pages: repositories, one repository, one pull request, one commit.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};

use super::{
    super::{
        changes::MergeRefusal,
        clock::rfc3339,
        error::ApiError,
        git::{Commit, FileChange, MergeMethod},
        server::Shared,
        setup::Level,
        state::{Account, Pull, PullState, Repository, World},
    },
    diff, escape, markdown, page,
};

type Repo = Path<(String, String)>;
type Numbered = Path<(String, String, u64)>;

fn failed(error: ApiError) -> Response {
    let text = if error.status == StatusCode::NOT_FOUND { "There is no such page." } else { "Something went wrong; the log says what." };
    (error.status, Html(page("Not found", &format!("<div class=card><h1>{}</h1><p>{text}</p></div>", error.status)))).into_response()
}

fn badge(pull: &Pull) -> &'static str {
    match pull.state {
        PullState::Open if pull.draft => "<span class='badge draft'>Draft</span>",
        PullState::Open => "<span class='badge open'>Open</span>",
        PullState::Closed { .. } => "<span class='badge closed'>Closed</span>",
        PullState::Merged { .. } => "<span class='badge merged'>Merged</span>",
    }
}

impl Shared {
    fn login(&self, account: &Account) -> String {
        match account {
            Account::User(login) => login.clone(),
            Account::App => format!("{}[bot]", self.setup.app.slug),
        }
    }

    /// In whose name the buttons act.
    fn web_user(&self, world: &World, repository: &Repository) -> Account {
        let administrator = || repository.collaborators.iter().find(|(_, level)| **level == Level::Admin).map(|(login, _)| login.clone());
        let anybody = || world.users.values().next().map(|user| user.login.clone());
        let login = self.setup.web_user.clone().or_else(administrator).or_else(anybody);
        Account::User(login.unwrap_or_else(|| "ghost".to_owned()))
    }
}

pub(in super::super) async fn index(State(shared): State<Arc<Shared>>) -> Response {
    let mut rows = String::new();
    for repository in shared.world().repositories.values() {
        let full_name = escape(&repository.full_name());
        let open = repository.pulls.values().filter(|pull| pull.state == PullState::Open).count();
        rows.push_str(&format!(
            "<li><div><a class=strong href=\"/{full_name}\">{full_name}</a><span class=tag>private</span>\
             <div class=muted>{}</div></div><span class=muted>{open} open / {} in all</span></li>",
            escape(&repository.description),
            repository.pulls.len()
        ));
    }
    if rows.is_empty() {
        rows = "<li class=muted>No repository yet.</li>".to_owned();
    }
    Html(page("Repositories", &format!("<h1>Repositories</h1><ul class=list>{rows}</ul>"))).into_response()
}

fn pull_rows(shared: &Shared, repository: &Repository) -> String {
    let full_name = escape(&repository.full_name());
    let row = |pull: &Pull| {
        let number = pull.number;
        format!(
            "<li><div>{}<a class=strong href=\"/{full_name}/pull/{number}\">{}</a><div class=muted>#{number} by {} · <code>{}</code></div></div>\
             <span class=muted>{}</span></li>",
            badge(pull),
            escape(&pull.title),
            escape(&shared.login(&pull.author)),
            escape(&pull.head),
            rfc3339(pull.created_at).replace('T', " ").trim_end_matches('Z')
        )
    };
    let rows: String = repository.pulls.values().rev().map(row).collect();
    if rows.is_empty() { "<li class=muted>No pull request yet.</li>".to_owned() } else { rows }
}

fn commit_rows(full_name: &str, commits: &[Commit]) -> String {
    let row = |commit: &Commit| {
        let subject = commit.message.lines().next().unwrap_or_default();
        format!(
            "<li><div><a class=strong href=\"/{full_name}/commit/{sha}\">{}</a><div class=muted>{} &lt;{}&gt; · {}</div></div><code>{}</code></li>",
            escape(subject),
            escape(&commit.author.name),
            escape(&commit.author.email),
            escape(&commit.author.date),
            &commit.sha[..commit.sha.len().min(7)],
            sha = commit.sha,
        )
    };
    commits.iter().map(row).collect()
}

pub(in super::super) async fn repository(state: State<Arc<Shared>>, Path((owner, name)): Repo) -> Response {
    repository_page(&state.0, &format!("{owner}/{name}")).await.unwrap_or_else(failed)
}

async fn repository_page(shared: &Shared, key: &str) -> Result<Response, ApiError> {
    let found = shared.world().repository(key).cloned().ok_or_else(ApiError::not_found)?;
    let branches = found.git.refs("refs/heads/").await?;
    let commits = match found.git.branch(&found.default_branch).await? {
        Some(sha) => found.git.log(&sha, 10).await?,
        None => Vec::new(),
    };
    let full_name = escape(&found.full_name());
    let branch_list: String =
        branches.keys().map(|name| format!("<code>{}</code> ", escape(name.trim_start_matches("refs/heads/")))).collect();
    let body = format!(
        "<h1>{full_name}<span class=tag>private</span></h1><p class=muted>{}</p>\
         <h2>Pull requests</h2><ul class=list>{}</ul><h2>Branches</h2><div class=card>{branch_list}</div>\
         <h2>Commits on <code>{}</code></h2><ul class=list>{}</ul>",
        escape(&found.description),
        pull_rows(shared, &found),
        escape(&found.default_branch),
        commit_rows(&full_name, &commits)
    );
    Ok(Html(page(&found.full_name(), &body)).into_response())
}

pub(in super::super) async fn pull(state: State<Arc<Shared>>, Path((owner, name, number)): Numbered) -> Response {
    pull_page(&state.0, &format!("{owner}/{name}"), number).await.unwrap_or_else(failed)
}

async fn pull_page(shared: &Shared, key: &str, number: u64) -> Result<Response, ApiError> {
    let found = shared.world().repository(key).cloned().ok_or_else(ApiError::not_found)?;
    let pull = found.pulls.get(&number).ok_or_else(ApiError::not_found)?;
    let git = &found.git;
    let mut commits = git.log(&format!("{}..{}", pull.base_sha, pull.head_sha), 250).await?;
    commits.reverse();
    let files = git.diff(&pull.base_sha, &pull.head_sha).await?;
    let mergeable = match git.branch(&pull.base).await? {
        Some(base) if pull.state == PullState::Open => git.merged_tree(&base, &pull.head_sha).await?.is_some(),
        _ => false,
    };
    let author = escape(&shared.login(&pull.author));
    let full_name = escape(&found.full_name());
    let description = if pull.body.is_empty() { "<p class=muted>No description.</p>".to_owned() } else { markdown(&pull.body) };
    let comments: String = found
        .comments
        .iter()
        .filter(|comment| comment.number == number)
        .map(|comment| bubble(&escape(&shared.login(&comment.author)), "commented", &markdown(&comment.body)))
        .collect();
    let labels: String = pull.labels.iter().map(|label| format!("<span class=tag>{}</span>", escape(label))).collect();
    let body = format!(
        "<p class=crumbs><a href=\"/{full_name}\">{full_name}</a></p><h1>{} <span class=number>#{number}</span></h1>\
         <p class=lead>{}<b>{author}</b> wants to merge {} into <code>{}</code> from <code>{}</code> {labels}</p>\
         {}{comments}{}<h2>Commits <span class=count>{}</span></h2><ul class=list>{}</ul>{}",
        escape(&pull.title),
        badge(pull),
        plural(commits.len(), "commit"),
        escape(&pull.base),
        escape(&pull.head),
        bubble(&author, "opened this", &description),
        actions(shared, &found, pull, mergeable),
        commits.len(),
        commit_rows(&full_name, &commits),
        files_part(&files)
    );
    Ok(Html(page(&format!("{} · #{number}", pull.title), &body)).into_response())
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn bubble(author: &str, verb: &str, html: &str) -> String {
    let initial = author.chars().next().unwrap_or('?').to_uppercase();
    format!(
        "<div class=bubble><span class=avatar>{initial}</span><div class=card><div class=cardhead><b>{author}</b> {verb}</div>\
         <div class=md>{html}</div></div></div>"
    )
}

fn files_part(files: &[FileChange]) -> String {
    let (added, deleted) = files.iter().fold((0, 0), |(a, d), file| (a + file.additions, d + file.deletions));
    let tables: String = files.iter().map(diff::file).collect();
    format!(
        "<h2>Files changed <span class=count>{}</span> <span class=plus>+{added}</span> <span class=minus>−{deleted}</span></h2>{tables}",
        files.len()
    )
}

/// The box with the buttons, or with what became of it.
fn actions(shared: &Shared, repository: &Repository, pull: &Pull, mergeable: bool) -> String {
    let path = format!("/{}/pull/{}", escape(&repository.full_name()), pull.number);
    match &pull.state {
        PullState::Open => {
            let merge = if mergeable {
                format!(
                    "<span class=ok>✓ No conflicts with the base branch</span><form method=post action=\"{path}/merge\">\
                     <button class=primary>Merge pull request</button></form>"
                )
            } else {
                "<span class=bad>✗ This branch has conflicts that must be resolved</span>".to_owned()
            };
            format!(
                "<div class='card actions'>{merge}<form method=post action=\"{path}/close\"><button>Close pull request</button></form></div>"
            )
        }
        PullState::Closed { at } => {
            format!("<div class='card actions'><span class=bad>Closed</span> <span class=muted>{}</span></div>", rfc3339(*at))
        }
        PullState::Merged { at, by, commit } => format!(
            "<div class='card actions'><span class=done>Merged</span> <span>by <b>{}</b> as <code>{}</code></span><span class=muted>{}</span></div>",
            escape(&shared.login(by)),
            &commit[..commit.len().min(7)],
            rfc3339(*at)
        ),
    }
}

pub(in super::super) async fn commit(state: State<Arc<Shared>>, Path((owner, name, sha)): Path<(String, String, String)>) -> Response {
    commit_page(&state.0, &format!("{owner}/{name}"), &sha).await.unwrap_or_else(failed)
}

async fn commit_page(shared: &Shared, key: &str, sha: &str) -> Result<Response, ApiError> {
    let found = shared.world().repository(key).cloned().ok_or_else(ApiError::not_found)?;
    let sha = found.git.resolve(sha).await?.ok_or_else(ApiError::not_found)?;
    let commit = found.git.commit(&sha).await?.ok_or_else(ApiError::not_found)?;
    let files = match commit.parents.first() {
        Some(parent) => found.git.diff(parent, &sha).await?,
        None => Vec::new(),
    };
    let full_name = escape(&found.full_name());
    let (subject, rest) = commit.message.split_once('\n').unwrap_or((&commit.message, ""));
    let body = format!(
        "<p class=crumbs><a href=\"/{full_name}\">{full_name}</a></p><h1>{}</h1><div class=card><pre>{}</pre><p class=muted>{} &lt;{}&gt; · {} · \
         <code>{sha}</code></p></div>{}",
        escape(subject),
        escape(rest.trim()),
        escape(&commit.author.name),
        escape(&commit.author.email),
        escape(&commit.author.date),
        files_part(&files)
    );
    Ok(Html(page(subject, &body)).into_response())
}

/// A form of another site cannot press the buttons.
fn same_site(headers: &http::HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none")
}

pub(in super::super) async fn merge(
    State(shared): State<Arc<Shared>>,
    headers: http::HeaderMap,
    Path((owner, name, number)): Numbered,
) -> Response {
    let key = format!("{owner}/{name}").to_lowercase();
    let Some(by) = acting(&shared, &key, &headers) else { return failed(ApiError::not_found()) };
    match shared.merge_pull(&key, number, &by, MergeMethod::Merge, None).await {
        Ok(_) | Err(MergeRefusal::NotOpen | MergeRefusal::Conflict | MergeRefusal::HeadMoved) => back(&owner, &name, number),
        Err(MergeRefusal::Failed(error)) => failed(error),
    }
}

pub(in super::super) async fn close(
    State(shared): State<Arc<Shared>>,
    headers: http::HeaderMap,
    Path((owner, name, number)): Numbered,
) -> Response {
    let key = format!("{owner}/{name}").to_lowercase();
    let Some(by) = acting(&shared, &key, &headers) else { return failed(ApiError::not_found()) };
    shared.close_pull(&key, number, &by);
    back(&owner, &name, number)
}

fn acting(shared: &Shared, key: &str, headers: &http::HeaderMap) -> Option<Account> {
    let world = shared.world();
    world.repository(key).filter(|_| same_site(headers)).map(|repository| shared.web_user(&world, repository))
}

fn back(owner: &str, name: &str, number: u64) -> Response {
    Redirect::to(&format!("/{owner}/{name}/pull/{number}")).into_response()
}
