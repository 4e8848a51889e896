//! What an agent is doing, in the words that a thread shows.

use crate::{
    scrub::shorten,
    update::{ToolCall, ToolKind},
};

/// Bytes of what is quoted from a tool's input.
const QUOTED: usize = 120;

/// One line such as `Reading cart/totals.py` or `Running python3 -m unittest`. Plain text: whoever shows it escapes it.
pub fn describe(call: &ToolCall) -> String {
    let input = call.input.as_deref().map(first_line).filter(|input| !input.is_empty());
    let file = input.as_deref().map(in_workspace);
    // OpenCode names the tools of a server `<server>_<tool>`.
    if let Some(tool) = call.title.strip_prefix("longshore_") {
        return own_tool(tool);
    }
    match (call.title.as_str(), call.kind) {
        ("todowrite" | "todoread", _) => "Planning".to_owned(),
        ("task", _) => with("Looking into: ", input.as_deref(), "Looking into something"),
        ("glob" | "list", _) => with("Looking for ", file, "Looking through the files"),
        (_, ToolKind::Read) => with("Reading ", file, "Reading a file"),
        (_, ToolKind::Edit) => with("Editing ", file, "Editing a file"),
        (_, ToolKind::Delete) => with("Deleting ", file, "Deleting a file"),
        (_, ToolKind::Move) => with("Moving ", file, "Moving a file"),
        (_, ToolKind::Search) => with("Searching for ", input.as_deref(), "Searching"),
        (_, ToolKind::Execute) => with("Running ", input.as_deref(), "Running a command"),
        (_, ToolKind::Fetch) => with("Fetching ", input.as_deref(), "Fetching a page"),
        (_, ToolKind::Think) => "Thinking".to_owned(),
        (title, ToolKind::Other) => format!("Using {}", shorten(&first_line(title).replace('_', " "), QUOTED)),
    }
}

fn own_tool(tool: &str) -> String {
    match tool {
        "open_pull_request" => "Opening the pull request".to_owned(),
        "ask_requester" => "Asking a question in the thread".to_owned(),
        "read_thread" => "Reading the thread".to_owned(),
        "post_update" => "Posting an update".to_owned(),
        "attach_file" => "Attaching a file".to_owned(),
        other => format!("Using {}", shorten(&first_line(other).replace('_', " "), QUOTED)),
    }
}

fn with(verb: &str, object: Option<&str>, otherwise: &str) -> String {
    object.map_or_else(|| otherwise.to_owned(), |object| format!("{verb}{}", shorten(object, QUOTED)))
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).collect()
}

/// The path as somebody who knows the repository would name it.
fn in_workspace(path: &str) -> &str {
    path.strip_prefix("/workspace/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::ToolCallId;
    use proptest::prelude::*;

    fn say(kind: ToolKind, title: &str, input: &str) -> String {
        let input = Some(input.to_owned()).filter(|input| !input.is_empty());
        describe(&ToolCall { call: ToolCallId::parse("c").unwrap(), kind, title: title.to_owned(), input })
    }

    #[test]
    fn a_person_understands_it() {
        assert_eq!(say(ToolKind::Read, "read", "/workspace/cart/totals.py"), "Reading cart/totals.py");
        assert_eq!(say(ToolKind::Execute, "bash", "\npython3 -m unittest\necho done"), "Running python3 -m unittest");
        assert_eq!(say(ToolKind::Execute, "bash", ""), "Running a command");
        assert_eq!(say(ToolKind::Edit, "write", "src/a.rs"), "Editing src/a.rs");
        assert_eq!(say(ToolKind::Search, "glob", "**/*.py"), "Looking for **/*.py");
        assert_eq!(say(ToolKind::Search, "grep", "fn total"), "Searching for fn total");
        assert_eq!(say(ToolKind::Other, "todowrite", ""), "Planning");
        assert_eq!(say(ToolKind::Other, "longshore_open_pull_request", "Fix"), "Opening the pull request");
        assert_eq!(say(ToolKind::Other, "my_server_do_it", ""), "Using my server do it");
    }

    proptest! {
        #[test]
        fn it_is_one_short_line(title in ".{0,300}", input in "(?s).{0,300}") {
            for kind in [ToolKind::Read, ToolKind::Execute, ToolKind::Other] {
                let text = say(kind, &title, &input);
                prop_assert!(text.len() <= QUOTED + 20 && !text.contains('\n') && !text.is_empty());
            }
        }
    }
}
