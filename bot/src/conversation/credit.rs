//! Whose work a commit is, where more than one person's prompts made it.

use longshore_session::{Inserted, Way};

/// A shell function `credit`, which wants the variable `CREDITS`.
pub const SCRIPT: &str = include_str!("credit.sh");

/// What [`SCRIPT`] is told of the people whose prompts joined a turn, one line for each.
pub fn credits(inserted: &[Inserted]) -> String {
    let line = |inserted: &Inserted| {
        let since = match &inserted.way {
            Way::WithTheFirst => "-",
            Way::Handed { head, .. } => head.as_deref().unwrap_or("-"),
            // The agent does not know of it.
            Way::Next => return None,
        };
        let author = &inserted.prompt.author;
        let plain = |text: &str| text.replace(['<', '>', '|', '\n', '\r'], " ").trim().to_owned();
        let (name, email) = (plain(&author.name), plain(&author.email));
        Some(format!("{since}|{email}|{name} <{email}>"))
    };
    inserted.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use longshore_session::{MessageTs, Person, Prompt, PromptId, SlackUserId, Timestamp};

    use super::*;

    fn sh(folder: &Path, line: &str, credits: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-ec", line]).current_dir(folder).env("CREDITS", credits);
        for (name, value) in [("GIT_AUTHOR_NAME", "Ana"), ("GIT_AUTHOR_EMAIL", "ana@example.com")] {
            command.env(name, value);
        }
        let output = command.env("GIT_COMMITTER_NAME", "Ana").env("GIT_COMMITTER_EMAIL", "ana@example.com").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn joined(name: &str, way: Way) -> Inserted {
        let email = format!("{}@example.com", name.to_lowercase());
        let author = Person { slack_user: SlackUserId::parse("U1").unwrap(), name: name.to_owned(), email };
        let prompt = Prompt {
            id: PromptId::parse("p-1").unwrap(),
            author,
            text: String::new(),
            context: Vec::new(),
            files: Vec::new(),
            post: MessageTs::parse("1.1").unwrap(),
            received: Timestamp(0),
        };
        Inserted { prompt, way }
    }

    #[test]
    fn commits_after_the_insertion_name_who_joined_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let run = |line: &str, credits: &str| sh(folder.path(), line, credits);
        let since = run(
            "git init -q . && git init -q --bare origin.git && git remote add origin \"$PWD/origin.git\"
             commit() { echo \"$1\" >\"$1\" && git add \"$1\" && git commit -qm \"$1\" -m 'More words.'; }
             commit base; git push -q origin HEAD:refs/heads/main; git fetch -q origin; git checkout -qb work
             commit first; git rev-parse HEAD
             git checkout -qb side; commit aside; git checkout -q work
             export GIT_AUTHOR_NAME=Ben GIT_AUTHOR_EMAIL=ben@example.com GIT_AUTHOR_DATE='1700000000 +0200'; commit own
             git merge -q --no-edit side; echo more >>base",
            "",
        );
        let handed = Way::Handed { head: Some(since.clone()), files: Vec::new() };
        let people = credits(&[joined("Ben", handed), joined("Chi", Way::Next)]);
        let credit = format!("{SCRIPT}\ncredit");
        let tree = run("git rev-parse HEAD^{tree}", "");
        run(&credit, &people);
        let shown = run("git log --format='%s %an %ad [%(trailers:key=Co-authored-by,valueonly,separator=%x2c)]' --date=raw", "");
        let line = |subject: &str| shown.lines().find(|line| line.starts_with(subject)).unwrap().to_owned();
        assert!(line("aside").ends_with("[Ben <ben@example.com>]"), "{shown}");
        assert!(line("Merge").contains("Ben "), "the merge is by Ben himself: {shown}");
        assert_eq!(line("own"), "own Ben 1700000000 +0200 []");
        assert!(line("first").ends_with("[]") && line("base").ends_with("[]"), "{shown}");
        assert!(run("git rev-list HEAD", "").contains(&since), "what was before is the same commit");
        assert_eq!(run("git rev-parse HEAD^{tree}", ""), tree);
        assert_eq!(run("git status --short | grep -v origin.git", ""), "M base");
        let head = run("git rev-parse HEAD", "");
        run(&credit, &people);
        assert_eq!(run("git rev-parse HEAD", ""), head, "the second time changes nothing");
    }

    #[test]
    fn a_name_cannot_break_the_line() {
        assert_eq!(credits(&[joined("B|e\n<n>", Way::WithTheFirst)]), "-|b e  n @example.com|B e  n <b e  n @example.com>");
    }
}
