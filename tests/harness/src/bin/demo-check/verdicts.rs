//! What must hold, and whether it does.

use anyhow::{Context, Result, ensure};
use longshore_emulators::{
    github::{Commit, PullRequestView},
    model::SCRIPTED_NOTICE,
};
use longshore_harness::{Harness, TurnReport};

use crate::{
    PHASES,
    choice::Choice,
    clones::{self, Clones},
};

/// The checks so far.
#[derive(Debug, Default)]
pub struct Verdicts {
    passed: usize,
    failed: usize,
}

/// What the story left.
pub struct Seen<'a> {
    /// The time stamp of its first message.
    pub thread: &'a str,
    /// As a person sees it.
    pub text: &'a str,
    pub first: &'a TurnReport,
    /// As it was after the first turn.
    pub opened: &'a PullRequestView,
    pub second: &'a TurnReport,
}

impl Verdicts {
    pub fn passed(&self) -> usize {
        self.passed
    }

    pub fn failed(&self) -> usize {
        self.failed
    }

    pub fn check(&mut self, what: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {what}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED  {what}\n        {}", format!("{error:#}").replace('\n', "\n        "));
            }
        }
    }

    /// The run could not go on.
    pub fn broken(&mut self, error: &anyhow::Error) {
        self.check("the story went on to its end", Err(anyhow::anyhow!("{error:#}")));
    }

    pub async fn story(&mut self, harness: &Harness, choice: &Choice, seen: &Seen<'_>) -> Result<()> {
        let defect = &choice.defect;
        let repository = &defect.repository;
        self.check("both turns ended well", both_done(seen));
        self.check("every phase of the first turn has a time", all_timed(seen.first));
        if seen.text.contains(SCRIPTED_NOTICE) || harness.scripted() {
            let said = seen.text.contains(SCRIPTED_NOTICE);
            self.check("the thread says that a script answered", holds(said, "the notice is not in the thread"));
        }

        let now = clones::pull_request(harness, choice);
        self.check("there is one pull request, still the same, open", same_pull_request(&now, seen.opened));
        let linked = seen.text.contains(&seen.opened.url);
        self.check("the thread holds its link", holds(linked, &format!("{} is not in the thread", seen.opened.url)));

        let login = harness.people.logins.get(&choice.asker.id).context("the asker has no account")?;
        let opener = format!("{} opened it, not {login}", seen.opened.author);
        self.check("it was opened in the asker's own name", holds(seen.opened.author == *login, &opener));

        let commits = harness.github.pull_request_commits(repository, seen.opened.number).await.context("the pull request's commits")?;
        self.check("its commits carry the asker's name and e-mail", authored_by_asker(&commits, choice));
        self.check("the follow-up's commit is on it, on top of the first one", followed_up(&commits, seen.opened));
        self.check("one session served the whole thread", one_session(harness, choice, seen).await);

        let clones = Clones::new(harness, choice).await?;
        let head = &now.as_ref().map_or(seen.opened, |now| now).head_sha.clone();
        for (what, revision, line, wanted) in [
            ("the defect's test fails on the base", "origin/main", &defect.test_command, Wanted::Fail),
            ("it passes on the pull request as it was opened", &*seen.opened.head_sha, &defect.test_command, Wanted::Pass),
            ("it passes on the pull request's branch", head, &defect.test_command, Wanted::Pass),
        ] {
            self.check(what, tried(&clones, revision, line, wanted).await);
        }
        // What exactly a real model writes when it is asked for a line in the changelog is its own affair.
        if harness.scripted() {
            let line = &defect.follow_up.check;
            let before = tried(&clones, &seen.opened.head_sha, line, Wanted::Fail).await;
            self.check("what the follow-up asked for was not there before", before);
            self.check("what the follow-up asked for is there now", tried(&clones, head, line, Wanted::Pass).await);
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Pass,
    Fail,
}

async fn tried(clones: &Clones, revision: &str, line: &str, wanted: Wanted) -> Result<()> {
    let tried = clones.run(revision, line).await?;
    let got = if tried.passed { Wanted::Pass } else { Wanted::Fail };
    ensure!(got == wanted, "`{line}` at {revision} was to {wanted:?} and did not: {}", tried.output.trim());
    // A line whose program is missing fails for the wrong reason.
    ensure!(!tried.output.contains("not found") || wanted == Wanted::Pass, "`{line}` could not be run: {}", tried.output.trim());
    Ok(())
}

fn holds(condition: bool, otherwise: &str) -> Result<()> {
    ensure!(condition, "{otherwise}");
    Ok(())
}

fn both_done(seen: &Seen<'_>) -> Result<()> {
    for turn in [seen.first, seen.second] {
        ensure!(turn.outcome == "done", "turn {} ended as `{}`", turn.turn, turn.outcome);
    }
    Ok(())
}

fn all_timed(turn: &TurnReport) -> Result<()> {
    let missing: Vec<&str> = PHASES.iter().filter(|(_, phase)| turn.took(*phase).is_none()).map(|(name, _)| *name).collect();
    ensure!(missing.is_empty(), "not timed: {}", missing.join(", "));
    let wrong: Vec<&str> = PHASES.iter().filter(|(_, phase)| turn.took(*phase).is_some_and(|ms| ms < 0)).map(|(name, _)| *name).collect();
    ensure!(wrong.is_empty(), "before the event's receipt: {}", wrong.join(", "));
    Ok(())
}

fn same_pull_request(now: &Result<PullRequestView>, opened: &PullRequestView) -> Result<()> {
    let now = now.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    ensure!(now.number == opened.number, "it was number {} and is number {}", opened.number, now.number);
    ensure!(now.state == "open", "it is {}", now.state);
    Ok(())
}

fn authored_by_asker(commits: &[Commit], choice: &Choice) -> Result<()> {
    ensure!(!commits.is_empty(), "it has no commits");
    for commit in commits {
        let (name, email) = (&commit.author.name, &commit.author.email);
        ensure!(
            *name == choice.asker.real_name && *email == choice.asker.email,
            "{} is by {name} <{email}>, not by {} <{}>",
            commit.sha,
            choice.asker.real_name,
            choice.asker.email
        );
    }
    Ok(())
}

fn followed_up(commits: &[Commit], opened: &PullRequestView) -> Result<()> {
    let before = commits.iter().position(|commit| commit.sha == opened.head_sha);
    let before = before.with_context(|| format!("its first head {} is not among its commits any more", opened.head_sha))?;
    ensure!(commits.len() > before + 1, "there is no commit after {}", opened.head_sha);
    Ok(())
}

async fn one_session(harness: &Harness, choice: &Choice, seen: &Seen<'_>) -> Result<()> {
    let sessions = harness.sessions_of(&choice.channel, seen.thread).await?;
    ensure!(sessions.len() == 1, "the thread has {} sessions", sessions.len());
    let session = sessions.first().context("no session")?;
    ensure!(session.repository == choice.defect.repository, "it is in {}", session.repository);
    ensure!(session.branch == seen.opened.head, "its branch is {}, the pull request's {}", session.branch, seen.opened.head);
    let turns = harness.turns(&session.id).await?;
    ensure!(turns.len() == 2, "it has {} turns", turns.len());
    Ok(())
}
