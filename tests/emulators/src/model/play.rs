//! A script over tool calls, written as straight-line code.
//!
//! The script runs anew for each request: calls whose results are in the conversation return at once, the first one that is not becomes
//! the answer. So it is a pure function of the conversation, and a repeated request gets the same answer.

use serde_json::{Map, Value, json};

use super::conversation::{Exchange, Tool, ToolCall};

/// What the model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    /// The turn ends with this text.
    Say(String),
    /// Tools are called, with a word before it (which may be empty).
    Call { say: String, calls: Vec<ToolCall> },
    /// An answer that holds the schema that was asked for.
    Structured(Value),
    /// The model declines, in the vendor's own form.
    Refuse(String),
}

/// Why a script stops where it is: another tool must run first, or all is said.
#[derive(Debug)]
pub(super) enum Halt {
    Call { say: String, name: String, arguments: Value },
    Finish(String),
}

pub(super) type Step<T> = Result<T, Halt>;

/// The conversation since the last prompt, replayed.
pub(super) struct Play<'a> {
    tools: &'a [Tool],
    done: std::slice::Iter<'a, Exchange>,
}

impl<'a> Play<'a> {
    pub(super) fn new(tools: &'a [Tool], done: &'a [Exchange]) -> Self {
        Self { tools, done: done.iter() }
    }

    /// The tool of that name, or the one that a tool server offers under it (`<server>_<name>`).
    fn tool(&self, name: &str) -> Option<&'a Tool> {
        let suffix = format!("_{name}");
        self.tools.iter().find(|tool| tool.name == name).or_else(|| self.tools.iter().find(|tool| tool.name.ends_with(&suffix)))
    }

    pub(super) fn offers(&self, name: &str) -> bool {
        self.tool(name).is_some()
    }

    /// Calls a tool and gives its result.
    pub(super) fn call(&mut self, say: &str, name: &str, arguments: Value) -> Step<&'a str> {
        let Some(tool) = self.tool(name) else {
            return Err(Halt::Finish(format!("I was offered no tool `{name}`, so I cannot go on here.")));
        };
        match self.done.next() {
            Some(exchange) if exchange.call.name == tool.name => Ok(&exchange.result),
            Some(exchange) => {
                Err(Halt::Finish(format!("I lost my place: `{}` was run where I meant to run `{}`.", exchange.call.name, tool.name)))
            }
            None => Err(Halt::Call { say: say.to_owned(), name: tool.name.clone(), arguments }),
        }
    }

    /// Runs a shell line; its exit status is printed at the end, because agents hand over the output only.
    pub(super) fn shell(&mut self, say: &str, line: &str) -> Step<ShellResult<'a>> {
        let output =
            self.call(&format!("{say}."), "bash", json!({ "command": format!("{line}; echo \"exit status: $?\""), "description": say }))?;
        Ok(ShellResult { output })
    }

    /// Shows a plan, where there is a tool for that.
    pub(super) fn plan(&mut self, say: &str, steps: &[(&str, &str)]) -> Step<()> {
        if self.offers("todowrite") {
            let todos: Vec<Value> =
                steps.iter().map(|(content, status)| json!({ "content": content, "status": status, "priority": "medium" })).collect();
            self.call(say, "todowrite", json!({ "todos": todos }))?;
        }
        Ok(())
    }

    /// Arguments for a tool whose parameters are not known beforehand: each required text takes the value whose names it is among.
    pub(super) fn arguments(&self, name: &str, values: &[(&[&str], &str)]) -> Value {
        let parameters = self.tool(name).map(|tool| &tool.parameters).unwrap_or(&Value::Null);
        let mut arguments = Map::new();
        if let Some(properties) = parameters["properties"].as_object() {
            for (property, schema) in properties {
                let known = values.iter().find(|(names, _)| names.contains(&property.as_str()));
                let required = parameters["required"].as_array().is_some_and(|required| required.iter().any(|name| name == property));
                match known {
                    Some((_, value)) => drop(arguments.insert(property.clone(), json!(value))),
                    None if required => drop(arguments.insert(property.clone(), super::schema::least(schema, parameters))),
                    None => {}
                }
            }
        }
        if arguments.is_empty() {
            arguments.extend(values.iter().filter_map(|(names, value)| Some(((*names.first()?).to_owned(), json!(value)))));
        }
        Value::Object(arguments)
    }
}

/// What a shell line printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShellResult<'a> {
    pub(super) output: &'a str,
}

impl ShellResult<'_> {
    /// `None` where the line did not come to its end (stopped, out of time, not run at all).
    pub(super) fn status(self) -> Option<i32> {
        self.output.lines().rev().find_map(|line| line.trim().strip_prefix("exit status: ")?.parse().ok())
    }

    pub(super) fn succeeded(self) -> bool {
        self.status() == Some(0)
    }

    /// What the status means, in words.
    pub(super) fn in_words(self) -> &'static str {
        match self.status() {
            Some(0) => "it passes",
            Some(126 | 127) => "the command could not be started",
            Some(_) => "it fails",
            None => "it did not come to an end",
        }
    }
}

/// A file's text out of what a reading tool showed, whether its lines are numbered (`12: text`, `00012| text`, `12→text`) or not.
pub(super) fn file_text(shown: &str) -> String {
    let numbered: Vec<&str> = shown.lines().filter_map(unnumbered).collect();
    if numbered.is_empty() { shown.to_owned() } else { numbered.join("\n") + "\n" }
}

fn unnumbered(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == line.len() {
        return None;
    }
    // After a mark that is seen there is a space of the tool's own; after a tab every space is the file's.
    match rest.strip_prefix([':', '|']) {
        Some(rest) => Some(rest.strip_prefix(' ').unwrap_or(rest)),
        None => rest.strip_prefix(['\t', '→']),
    }
}

/// Whether a file as a tool showed it holds a piece of code.
pub(super) fn shows(shown: &str, code: &str) -> bool {
    let plain = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let code = plain(code);
    plain(&file_text(shown)).contains(&code) || plain(shown).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_back_from_numbered_lines() {
        let code = "def f():\n\n    return 1\n";
        for shown in [
            "<path>/w/a.py</path>\n<type>file</type>\n<content>\n1: def f():\n2: \n3:     return 1\n\n(End of file - total 3 lines)\n</content>",
            "<file>\n00001| def f():\n00002| \n00003|     return 1\n</file>",
            "     1\tdef f():\n     2\t\n     3\t    return 1\n",
            code,
        ] {
            assert!(shows(shown, code), "{shown}");
            assert!(!shows(shown, "return 2"), "{shown}");
        }
    }

    #[test]
    fn a_line_without_status_has_none() {
        assert_eq!(ShellResult { output: "killed" }.status(), None);
        assert_eq!(ShellResult { output: "FAILED\nexit status: 1\n" }.status(), Some(1));
    }

    #[test]
    fn arguments_follow_the_tool_as_it_is_offered() {
        let parameters = json!({ "properties": { "headline": { "type": "string" }, "title": { "type": "string" }, "draft": { "type": "boolean" } }, "required": ["title", "draft"] });
        let tools = [Tool { name: "longshore_open_pull_request".into(), parameters }];
        let play = Play::new(&tools, &[]);
        assert_eq!(play.arguments("open_pull_request", &[(&["title"], "T"), (&["body"], "B")]), json!({ "title": "T", "draft": false }));
    }
}
