//! What an agent left in its sandbox: committed in the author's name, pushed to the session's own branch, and made into a pull request.

use std::time::Duration;

use longshore_github::{As, PullRequestDraft, Readiness};
use longshore_sandbox::Exec;
use longshore_session::{
    Person, PullRequestRef, PullRequestStyle, RepositoryManifest, SandboxId, SavedWork, SessionRecord, TurnFailure, fault_point,
};

use super::{again, credit, prepare::failure};
use crate::{app::App, config::PersonSection, home};

const PUSH_TIMEOUT: Duration = Duration::from_secs(300);

/// Commits what is there (the message comes on stdin), pushes if the branch is ahead of what was pushed, and reports in lines `key=value`.
///
/// One after the other: one that the restart of the engine cut off may still be at it.
const SAVE: &str = r#"
set -e
message=$(cat)
exec 9>/tmp/.longshore-save.lock
flock 9
git() { command git "$@" 9>&-; }
git add --all
if ! git diff --cached --quiet; then
  printf '%s\n' "$message" | git commit --quiet --no-verify --cleanup=strip --file=-
fi
# Not worth losing the work for.
credit || echo "the co-authors could not be noted" >&2
head=$(git rev-parse HEAD)
pushed=$(git rev-parse --quiet --verify "refs/remotes/origin/$BRANCH" || true)
[ "$PUSHED" = believed ] || pushed=
ahead=$(git rev-list --count "origin/$BASE..HEAD")
if [ "$head" != "$pushed" ] && { [ "$ahead" != 0 ] || [ -n "$pushed" ]; }; then
  git push --quiet origin "HEAD:refs/heads/$BRANCH" >&2
  git update-ref "refs/remotes/origin/$BRANCH" "$head"
fi
echo "head=$head"
echo "ahead=$ahead"
echo "stat=$(git diff --shortstat "origin/$BASE...HEAD")"
"#;

/// What commits say.
#[derive(Debug, Clone, Copy)]
pub struct CommitWords<'a> {
    /// Of the commit of what the agent left uncommitted.
    pub message: &'a str,
    /// From [`credit::credits`].
    pub credits: &'a str,
}

/// Whether the branch on GitHub is still what was pushed to it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Believed,
    /// Somebody deleted it, perhaps: it is pushed again.
    Doubted,
}

/// Commits and pushes. Doing it twice changes nothing the second time, so what fails for a reason that passes is done again.
pub async fn save(
    app: &App,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    sandbox: &SandboxId,
    (commit, pushed): (CommitWords<'_>, Pushed),
) -> Result<SavedWork, TurnFailure> {
    let exec = Exec::shell(format!("{}{SAVE}", credit::SCRIPT))
        .variable("CREDITS", commit.credits)
        .variable("BASE", &manifest.base_branch)
        .variable("BRANCH", record.id.branch())
        .variable(
            "PUSHED",
            match pushed {
                Pushed::Believed => "believed",
                Pushed::Doubted => "doubted",
            },
        )
        .stdin(commit.message.to_owned())
        .timeout(PUSH_TIMEOUT)
        .output_limit(16 << 10);
    fault_point!("work.saved.before");
    let mut failures = 0;
    loop {
        let run = async || app.engine.exec(sandbox, exec.clone()).await.map_err(|error| failure(&error));
        let output = again::past_engine_restart(run).await?;
        if output.succeeded() {
            fault_point!("work.saved.after");
            return Ok(read_report(&output.stdout_text()));
        }
        let said = output.stderr_text();
        failures += 1;
        if let Some(pause) = again::pause(&said, failures) {
            tracing::warn!(%sandbox, end = ?output.end, "cannot push; trying again in {} s", pause.as_secs());
            tokio::time::sleep(pause).await;
            continue;
        }
        tracing::error!(%sandbox, end = ?output.end, "cannot commit or push");
        if again::tells_of_full_disk(&said) {
            return Err(TurnFailure::DiskFull);
        }
        return Err(TurnFailure::Push { detail: again::reason(&said) });
    }
}

fn read_report(text: &str) -> SavedWork {
    let mut saved = SavedWork::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "head" => saved.commit = value.to_owned(),
            "ahead" => saved.ahead = value.parse().unwrap_or(0),
            // " 2 files changed, 3 insertions(+), 1 deletion(-)"
            "stat" => {
                for part in value.split(',') {
                    let number = part.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
                    if part.contains("file") {
                        saved.files = number;
                    } else if part.contains("insertion") {
                        saved.insertions = number;
                    } else if part.contains("deletion") {
                        saved.deletions = number;
                    }
                }
            }
            _ => {}
        }
    }
    saved
}

/// What goes into a pull request beside the branch.
#[derive(Clone, Copy)]
pub struct Description<'a> {
    pub title: &'a str,
    /// What was done and how it was checked, as markdown.
    pub done: &'a str,
    /// What was asked.
    pub asked: &'a str,
    pub author: &'a Person,
}

/// Opens the session's pull request, or finds the one that is open already.
pub async fn open_pull_request(
    app: &App,
    record: &SessionRecord,
    manifest: &RepositoryManifest,
    description: Description<'_>,
) -> Result<PullRequestRef, longshore_github::GitHubError> {
    let permalink = app.slack.permalink(&record.thread.channel, &record.thread.thread).await.ok();
    let draft = PullRequestDraft {
        repo: record.repo.clone(),
        head: record.id.branch(),
        base: manifest.base_branch.clone(),
        title: shortened(description.title, 200),
        body: body(&description, permalink.as_deref(), record),
        readiness: readiness(app, description.author).await,
    };
    let person = app.config.people.get(description.author.slack_user.as_str());
    let by = person.and_then(PersonSection::token).map_or(As::App, As::User);
    let opened = app.github.ensure_pull_request(&draft, &by).await?;
    Ok(PullRequestRef { number: opened.number, url: opened.url, title: draft.title })
}

/// Characters of a pull request's parts. GitHub takes 65,536 in all.
const ASKED: usize = 20_000;
const DONE: usize = 40_000;

/// As the person wishes whose pull request it is.
async fn readiness(app: &App, author: &Person) -> Readiness {
    match home::defaults(app, &author.slack_user).await.map(|defaults| defaults.pull_requests) {
        Ok(PullRequestStyle::Draft) => Readiness::Draft,
        Ok(PullRequestStyle::Ready) => Readiness::Ready,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot read defaults");
            Readiness::Ready
        }
    }
}

fn body(description: &Description<'_>, permalink: Option<&str>, record: &SessionRecord) -> String {
    let asked: String = description.asked.lines().map(|line| format!("> {line}\n")).collect();
    let (asked, done) = (cut(asked, ASKED), cut(description.done.trim().to_owned(), DONE));
    let thread = match permalink {
        Some(permalink) => format!("[the Slack thread]({permalink})"),
        None => "a Slack thread".to_owned(),
    };
    format!(
        "## Asked\n\n{asked}\n{name} asked for this in {thread}.\n\n## Done\n\n{done}\n\n---\nLongshore session `{session}`\n",
        name = description.author.name,
        session = record.id,
    )
}

fn cut(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text,
        Some((end, _)) => format!("{}…\n\n(The rest is in the thread.)\n", &text[..end]),
    }
}

/// The last lines of a text, within `bytes`; a line that does not fit in whole is left out, unless it is the last.
pub fn lines_at_end(text: &str, lines: usize, bytes: usize) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut room = bytes;
    for line in text.trim_end().lines().rev().take(lines) {
        if line.len() >= room {
            if kept.is_empty() {
                let from = (line.len() - room..=line.len()).find(|at| line.is_char_boundary(*at)).unwrap_or(line.len());
                kept.push(&line[from..]);
            }
            break;
        }
        room -= line.len() + 1;
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n")
}

/// On one line, at most `limit` characters.
pub fn shortened(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let mut short: String = line.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_would_not_take_is_cut_and_says_so() {
        assert_eq!(cut("ab".to_owned(), 2), "ab");
        assert_eq!(cut("äbc".to_owned(), 2), "äb…\n\n(The rest is in the thread.)\n");
        let lines = 10_000;
        assert!(cut("> x\n".repeat(lines), ASKED).chars().count() + cut("y".repeat(100_000), DONE).chars().count() < 65_000);
    }

    #[test]
    fn an_outputs_end_is_kept() {
        assert_eq!(lines_at_end("a\nb\nc\n\n", 2, 100), "b\nc");
        assert_eq!(lines_at_end("aaaa\nbb\ncc", 9, 7), "bb\ncc");
        assert_eq!(lines_at_end("xééé", 9, 3), "é");
        assert_eq!(lines_at_end("", 9, 3), "");
    }

    #[test]
    fn a_report_is_read() {
        let saved = read_report("head=abc\nahead=2\nstat= 2 files changed, 13 insertions(+), 1 deletion(-)\n");
        assert_eq!(saved, SavedWork { commit: "abc".into(), ahead: 2, files: 2, insertions: 13, deletions: 1 });
        assert_eq!(read_report("head=abc\nahead=0\nstat=\n"), SavedWork { commit: "abc".into(), ..SavedWork::default() });
    }
}
