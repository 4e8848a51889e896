//! The agent's part: mends what the catalogue knows, and decides at each step from what the real tools returned.

use std::fmt::Write as _;

use serde_json::json;

use super::{
    catalogue::{Catalogue, Defect, FileEdit},
    conversation::{Conversation, PromptView, ToolCall},
    play::{Halt, Move, Play, Step, file_text, shows},
};

/// The last line of every text that ends a turn, so that nobody takes the script for a model.
pub const SCRIPTED_NOTICE: &str = "This was written by Longshore's scripted demo model, not by a real one.";

/// What a prompt asks for.
enum Task<'a> {
    Mend(&'a Defect),
    FollowUp(&'a Defect),
    /// The prompt holds both the report and what is asked next, as where it tells an earlier conversation: the code says which is due.
    Either(&'a Defect),
    /// A question about what was done before.
    Explain(&'a Defect),
    Question,
    Unknown,
}

/// What the agent does next.
pub(super) fn next_move(catalogue: &Catalogue, conversation: &Conversation) -> Move {
    let prompts = conversation.prompts();
    let Some((prompt, earlier)) = prompts.split_last() else {
        return Move::Say(signed("There is no prompt in this conversation."));
    };
    let mut play = Play::new(&conversation.tools, &prompt.exchanges);
    match turn(catalogue, &mut play, prompt, earlier) {
        Ok(text) | Err(Halt::Finish(text)) => Move::Say(signed(&text)),
        Err(Halt::Call { say, name, arguments }) => {
            // The place in the conversation makes the id unique in it and the same for a repeated request.
            let id = format!("call_{:04}", conversation.messages.len());
            Move::Call { say, calls: vec![ToolCall { id, name, arguments }] }
        }
    }
}

fn signed(text: &str) -> String {
    format!("{text}\n\n{SCRIPTED_NOTICE}")
}

fn turn(catalogue: &Catalogue, play: &mut Play, prompt: &PromptView, earlier: &[PromptView]) -> Step<String> {
    let listing = if play.offers("bash") {
        play.shell("List the repository's files", "git ls-files")?.output
    } else {
        play.call("List the repository's files", "glob", json!({ "pattern": "**/*" }))?
    };
    let here = |defect: &Defect| listing.lines().any(|line| line == defect.file || line.ends_with(&format!("/{}", defect.file)));
    match task(catalogue, prompt, earlier, here) {
        Task::Mend(defect) => mend(play, defect),
        Task::FollowUp(defect) => follow_up(play, defect),
        Task::Either(defect) => {
            let shown = play.call(&format!("Reading `{}`.", defect.file), "read", json!({ "filePath": defect.file }))?;
            if shows(shown, &defect.before) { mend(play, defect) } else { follow_up(play, defect) }
        }
        Task::Explain(defect) => Ok(format!("In `{}`: {} The check for it is `{}`.", defect.file, defect.explanation, defect.test_command)),
        Task::Question => question(play, listing),
        Task::Unknown => Ok(unknown(catalogue, here)),
    }
}

fn task<'a>(catalogue: &'a Catalogue, prompt: &PromptView, earlier: &[PromptView], here: impl Fn(&Defect) -> bool + Copy) -> Task<'a> {
    let before = catalogue.defects.iter().filter(|defect| here(defect)).find(|defect| {
        // The last one counts: each prompt looks back over the edits that were really made.
        earlier
            .iter()
            .rev()
            .flat_map(|prompt| &prompt.exchanges)
            .find(|exchange| is_edit(&exchange.call))
            .is_some_and(|exchange| edits(&exchange.call, defect))
    });
    let reported = catalogue.reported(&prompt.text, here);
    let report_score = reported.map_or(0.0, |(_, score)| score);
    if let Some(defect) = before
        && let Some((_, score)) = catalogue.followed_up(&prompt.text, |other| other.id == defect.id)
        && score >= report_score
    {
        return Task::FollowUp(defect);
    }
    if let Some((defect, score)) = reported {
        let is_either = catalogue.follow_up_score(&prompt.text, defect) >= score;
        return if is_either { Task::Either(defect) } else { Task::Mend(defect) };
    }
    // A conversation may have been shortened, or the thread taken up by a new one.
    if let Some((defect, _)) = catalogue.followed_up(&prompt.text, here) {
        return Task::FollowUp(defect);
    }
    match (is_question(&prompt.text), before) {
        (true, Some(defect)) => Task::Explain(defect),
        (true, None) => Task::Question,
        (false, _) => Task::Unknown,
    }
}

fn is_edit(call: &ToolCall) -> bool {
    call.arguments.get("oldString").is_some() || call.arguments.get("content").is_some()
}

/// Whether a call changes the code of that defect, for the first time or as its follow-up.
fn edits(call: &ToolCall, defect: &Defect) -> bool {
    let old = call.arguments["oldString"].as_str();
    let path = call.arguments["filePath"].as_str().unwrap_or_default();
    let follow_up = defect.follow_up.edits.iter().any(|edit| match edit {
        FileEdit::Replace { file, before, .. } => path.ends_with(file.as_str()) && old == Some(before.trim_end_matches('\n')),
        FileEdit::Create { file, .. } => path.ends_with(file.as_str()),
    });
    follow_up || (path.ends_with(&defect.file) && old == Some(defect.before.trim_end_matches('\n')))
}

/// Whether a line of it asks something. "Can you add …?" asks for work.
fn is_question(text: &str) -> bool {
    const OPENERS: [&str; 10] = ["what", "how", "where", "who", "why", "when", "which", "does", "is", "explain"];
    const REQUESTS: [&str; 4] = ["please", "can you", "could you", "can we"];
    text.lines().map(|line| line.trim().trim_matches('"').to_lowercase()).any(|line| {
        let opens = line.split_whitespace().next().is_some_and(|word| OPENERS.contains(&word));
        (opens || line.ends_with('?')) && !REQUESTS.iter().any(|request| line.contains(request))
    })
}

fn mend(play: &mut Play, defect: &Defect) -> Step<String> {
    let Defect { file, test_command, title, explanation, .. } = defect;
    let (look, reproduce) = (format!("Read {file}"), format!("Reproduce it with {test_command}"));
    let plan = |status: [&'static str; 4]| {
        let steps = [look.as_str(), reproduce.as_str(), title.as_str(), "Run the test again and open a pull request"];
        [0, 1, 2, 3].map(|i| (steps[i], status[i]))
    };
    let todo = |play: &mut Play, status| play.plan("", &plan(status));
    todo(play, ["in_progress", "pending", "pending", "pending"])?;

    let shown = play.call(&format!("This sounds like something in `{file}`. Reading it."), "read", json!({ "filePath": file }))?;
    if !shows(shown, &defect.before) {
        return changed_beforehand(play, defect, shown);
    }
    let broken = play.shell(&format!("Run {test_command}"), test_command)?;
    match broken.status() {
        Some(0) => {
            return Ok(format!(
                "I could not reproduce it: `{test_command}` passes, although `{file}` still holds the code that I took for the cause. I changed nothing."
            ));
        }
        None | Some(126 | 127) => {
            return Ok(format!("I could not check it: I ran `{test_command}`, and {}. I changed nothing.", broken.in_words()));
        }
        Some(_) => {}
    }
    if play.offers("post_update") {
        let update = format!("I can reproduce it: `{test_command}` fails. The cause is in `{file}`; mending it now.");
        let arguments = play.arguments("post_update", &[(&["text", "message", "update", "body", "content"], &update)]);
        play.call("", "post_update", arguments)?;
    }
    todo(play, ["completed", "completed", "in_progress", "pending"])?;
    replace(play, &format!("{title}."), file, &defect.before, &defect.after)?;
    let mended = play.shell(&format!("Run {test_command} again"), test_command)?;
    if !mended.succeeded() {
        return Ok(format!(
            "I could not mend it: I changed `{file}`, but with `{test_command}` afterwards {}. The change is still there; I opened no pull request.",
            mended.in_words()
        ));
    }
    let committed = commit(play, title, explanation, &[file])?;
    todo(play, ["completed", "completed", "completed", "in_progress"])?;
    let mut text = format!("{explanation} The change is in `{file}`. `{test_command}` failed before it and passes now.");
    text.push_str(committed);
    if play.offers("open_pull_request") {
        let body = format!(
            "{explanation}\n\n**Changed:** `{file}`\n\n**Checked:** `{test_command}` failed before the change and passes with it.\n\n_{SCRIPTED_NOTICE}_"
        );
        let values: [(&[&str], &str); 2] = [(&["title"], title), (&["body", "description", "summary"], &body)];
        let arguments = play.arguments("open_pull_request", &values);
        let answer = play.call("", "open_pull_request", arguments)?;
        match answer.split(|c: char| c.is_whitespace() || "\"'<>()[]".contains(c)).find(|part| part.starts_with("http")) {
            Some(link) => write!(text, " Pull request: {}", link.trim_end_matches(['.', ','])).ok(),
            None => write!(text, " The pull request tool gave no link; it said: {}", answer.trim()).ok(),
        };
    }
    todo(play, ["completed"; 4])?;
    Ok(text)
}

/// The code is not what the report led to: says so, and whether the defect is gone with it.
fn changed_beforehand(play: &mut Play, defect: &Defect, shown: &str) -> Step<String> {
    let Defect { file, test_command, .. } = defect;
    let found = if shows(shown, &defect.after) {
        format!("`{file}` was already changed: it holds the mended code.")
    } else {
        format!("the code is not as described: `{file}` was already changed, and what I know as the cause is not in it any more.")
    };
    let test = play.shell(&format!("Run {test_command}"), test_command)?;
    Ok(format!("I could not mend this: {found} I ran `{test_command}`, and {}. I changed nothing.", test.in_words()))
}

fn follow_up(play: &mut Play, defect: &Defect) -> Step<String> {
    let wanted = &defect.follow_up;
    let mut files: Vec<&str> = Vec::new();
    for edit in &wanted.edits {
        let file = edit.file();
        match edit {
            FileEdit::Replace { before, after, .. } => {
                let shown = play.call(&format!("Reading `{file}`."), "read", json!({ "filePath": file }))?;
                // An insertion keeps the old code inside the new.
                if shows(shown, after) {
                    return Ok(format!("There was nothing left to do: `{file}` already holds that change."));
                }
                if !shows(shown, before) {
                    return Ok(format!(
                        "I could not do that: the code is not as described, `{file}` was already changed. I changed nothing there."
                    ));
                }
                replace(play, &format!("Changing `{file}`."), file, before, after)?;
            }
            FileEdit::Create { content, .. } => {
                let found = play.call(&format!("Looking whether `{file}` is there."), "glob", json!({ "pattern": file }))?;
                if found.contains(file) {
                    return Ok(format!("There was nothing to do: `{file}` is there already. I changed nothing."));
                }
                play.call(&format!("Writing `{file}`."), "write", json!({ "filePath": file, "content": content }))?;
            }
        }
        files.push(file);
    }
    let check = play.shell("Check it", &wanted.check)?;
    let test = play.shell(&format!("Run {}", defect.test_command), &defect.test_command)?;
    if !check.succeeded() || !test.succeeded() {
        return Ok(format!(
            "I made the change, but it does not hold: after my check (`{}`) {}, and with `{}` {}. The change is left in the working tree.",
            wanted.check,
            check.in_words(),
            defect.test_command,
            test.in_words()
        ));
    }
    let committed = commit(play, &subject(&wanted.explanation), &format!("Asked for after: {}", defect.title), &files)?;
    let named: Vec<String> = files.iter().map(|file| format!("`{file}`")).collect();
    Ok(format!("{} Changed: {}. `{}` still passes.{committed}", wanted.explanation, named.join(", "), defect.test_command))
}

/// A commit's subject out of a sentence.
fn subject(sentence: &str) -> String {
    sentence.split(": ").next().unwrap_or(sentence).trim_end_matches('.').to_owned()
}

fn replace(play: &mut Play, say: &str, file: &str, before: &str, after: &str) -> Step<()> {
    let (old, new) = (before.trim_end_matches('\n'), after.trim_end_matches('\n'));
    let result = play.call(say, "edit", json!({ "filePath": file, "oldString": old, "newString": new }))?;
    let lower = result.to_lowercase();
    if ["not found", "error", "denied", "rejected", "multiple matches"].iter().any(|sign| lower.contains(sign))
        && !lower.contains("success")
    {
        return Err(Halt::Finish(format!("I could not change `{file}`: the edit was refused. Nothing was changed there.")));
    }
    Ok(())
}

/// Commits the named files. Gives what the final text must say about it: nothing where it went well.
fn commit(play: &mut Play, title: &str, body: &str, files: &[&str]) -> Step<&'static str> {
    let line = format!("git add -- {} && git commit -q -m {} -m {}", files.join(" "), quoted(title), quoted(body));
    let done = play.shell("Commit the change", &line)?;
    Ok(if done.succeeded() { "" } else { " I could not commit it; the change lies in the working tree." })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn question(play: &mut Play, listing: &str) -> Step<String> {
    let Some(readme) = listing.lines().find(|line| line.to_lowercase().ends_with("readme.md")) else {
        return Ok(
            "There is no README here to answer from, and I know nothing but the defects in my catalogue. I changed nothing.".to_owned()
        );
    };
    let shown = play.call(&format!("Reading `{readme}`."), "read", json!({ "filePath": readme }))?;
    let text = file_text(shown);
    let paragraph: Vec<&str> = text
        .lines()
        .map(str::trim)
        .skip_while(|line| line.is_empty() || line.starts_with('#'))
        .take_while(|line| !line.is_empty())
        .collect();
    Ok(format!("From `{readme}`: {}\n\nI changed nothing.", paragraph.join(" ")))
}

fn unknown(catalogue: &Catalogue, here: impl Fn(&Defect) -> bool) -> String {
    let mut text =
        "I could not do that: the scripted model knows only the listed defects of the sample repositories, and I do not recognise one in this. I changed nothing."
            .to_owned();
    let wordings: Vec<&str> =
        catalogue.defects.iter().filter(|defect| here(defect)).filter_map(|defect| defect.wordings.first()).map(String::as_str).collect();
    if !wordings.is_empty() {
        let _ = write!(text, " In this repository you can ask for:");
        for wording in wordings {
            let _ = write!(text, "\n• {wording}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
