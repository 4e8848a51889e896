//! The rules of a repository's manifest, compiled, and what they say of a tool call. Pure: the same call gets the same ruling, however often it is asked
//! about.

use anyhow::{Context, Result};
use longshore_gateway::ToolCall;
use longshore_session::ToolRule;
use regex_lite::{Regex, RegexBuilder, escape};
use serde_json::{Map, Value};

use super::{COMMANDS, EDITS, READS};

/// Where the checkout lies.
const CHECKOUT: &str = "/workspace";
/// Bytes that a compiled pattern may have.
const PATTERN: usize = 1 << 20;
/// A command that grows beyond this by replacement is refused.
const LONGEST_COMMAND: usize = 128 << 10;

/// The rules of one repository, in their order.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    tools: Vec<Regex>,
    path: Option<Regex>,
    command: Option<Regex>,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Deny(String),
    Replace(String),
    Note(String),
}

/// What the rules say of one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ruling {
    /// It must not be made, for this reason.
    pub denied: Option<String>,
    /// Arguments that take the place of the agent's.
    pub changed: Map<String, Value>,
    /// What the agent is told beside the result.
    pub notes: Vec<String>,
}

impl Rules {
    /// The error names the key and the rule's place in the list, from 0.
    pub fn compile(rules: &[ToolRule]) -> Result<Self, (usize, &'static str, anyhow::Error)> {
        let compiled = rules.iter().enumerate().map(|(index, rule)| compile(rule).map_err(|(key, error)| (index, key, error)));
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    /// Whether any rule could have a word in calls of this tool.
    pub fn concern(&self, tool: &str) -> bool {
        // Tools that only read name files, or addresses, and never a command.
        let fits = |rule: &Rule| rule.fits_tool(tool) && (rule.command.is_none() || !READS.contains(&tool));
        self.0.iter().any(fits)
    }

    pub fn judge(&self, call: &ToolCall) -> Ruling {
        let mut ruling = Ruling::default();
        let mut command = text(&call.arguments, "command").map(str::to_owned);
        let paths = paths(&call.arguments);
        for rule in &self.0 {
            let fits_path = rule.path.as_ref().is_none_or(|pattern| paths.iter().any(|path| pattern.is_match(path)));
            let fits_command =
                rule.command.as_ref().is_none_or(|pattern| command.as_deref().is_some_and(|command| pattern.is_match(command)));
            if !(rule.fits_tool(&call.tool) && fits_path && fits_command) {
                continue;
            }
            match (&rule.action, &rule.command, &command) {
                (Action::Deny(reason), ..) => {
                    return Ruling { denied: Some(reason.clone()), ..Ruling::default() };
                }
                (Action::Note(note), ..) => ruling.notes.push(note.clone()),
                (Action::Replace(_), ..) if call.cut.iter().any(|cut| cut == "command") => {
                    let reason = "this command is too long to be changed as a rule of this repository wants: put it into a script";
                    return Ruling { denied: Some(reason.to_owned()), ..Ruling::default() };
                }
                (Action::Replace(with), Some(pattern), Some(before)) => {
                    let after = pattern.replace_all(before, with).into_owned();
                    if after.len() > LONGEST_COMMAND {
                        let reason = "a rule of this repository would make this command too long";
                        return Ruling { denied: Some(reason.to_owned()), ..Ruling::default() };
                    }
                    command = Some(after);
                }
                (Action::Replace(_), ..) => {}
            }
        }
        if let Some(command) = command.filter(|command| text(&call.arguments, "command") != Some(command)) {
            ruling.changed.insert("command".to_owned(), Value::String(command));
        }
        ruling
    }
}

impl Rule {
    fn fits_tool(&self, tool: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|pattern| pattern.is_match(tool))
    }
}

fn compile(rule: &ToolRule) -> Result<Rule, (&'static str, anyhow::Error)> {
    let action = match (&rule.deny, &rule.replace, &rule.note) {
        (Some(reason), ..) => Action::Deny(reason.clone()),
        (None, Some(with), _) => Action::Replace(with.clone()),
        (None, None, Some(note)) => Action::Note(note.clone()),
        // Refused when the manifest was read.
        (None, None, None) => return Err(("[[tool_rules]]", anyhow::anyhow!("says nothing of what to do"))),
    };
    let mut tools = Vec::new();
    for name in &rule.tool {
        let kind = match name.as_str() {
            "reads" => Some(READS),
            "edits" => Some(EDITS),
            "commands" => Some(COMMANDS),
            _ => None,
        };
        match kind {
            Some(names) => {
                for name in names {
                    tools.push(tool_pattern(name).map_err(|error| ("tool", error))?);
                }
            }
            None => tools.push(tool_pattern(name).map_err(|error| ("tool", error))?),
        }
    }
    let path = rule.path.as_deref().map(|path| built(&path_pattern(path))).transpose().map_err(|error| ("path", error))?;
    let command = rule.command.as_deref().map(built).transpose().map_err(|error| ("command", error))?;
    Ok(Rule { tools, path, command, action })
}

fn built(pattern: &str) -> Result<Regex> {
    RegexBuilder::new(pattern).size_limit(PATTERN).build().context("is no pattern that can be used")
}

fn tool_pattern(name: &str) -> Result<Regex> {
    let parts: Vec<String> = name.split('*').map(escape).collect();
    built(&format!("^{}$", parts.join(".*")))
}

/// `*` and `?` stay within a folder, `**` goes through any number of them. What begins with no `/` is within the checkout; a folder's name takes in
/// what is in it.
fn path_pattern(pattern: &str) -> String {
    let mut regex = String::from("^");
    let pattern = pattern.strip_prefix(CHECKOUT).and_then(|rest| rest.strip_prefix('/')).unwrap_or(pattern);
    let mut rest = pattern.trim_start_matches("./").trim_end_matches('/');
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regex.push_str("(?:.*/)?");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            regex.push_str(".*");
            rest = after;
        } else {
            match c {
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                c => regex.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    // Names may hold line breaks.
    format!("(?s){regex}(?:/.*)?$")
}

fn text<'a>(arguments: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    arguments.get(key).and_then(Value::as_str)
}

/// The files that a call names: within the checkout without a `/` before them.
fn paths(arguments: &Map<String, Value>) -> Vec<String> {
    let named = ["filePath", "path"].into_iter().filter_map(|key| text(arguments, key));
    let patched = text(arguments, "patchText").unwrap_or_default().lines().filter_map(|line| {
        let heads = ["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];
        heads.into_iter().find_map(|head| line.strip_prefix(head))
    });
    named.chain(patched).map(|path| plain(path.trim())).collect()
}

/// Without `.`, `..` and doubled slashes, and without the checkout's own folder.
fn plain(path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{CHECKOUT}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let whole = format!("/{}", parts.join("/"));
    match whole.strip_prefix(CHECKOUT) {
        Some("") => String::new(),
        Some(within) => within.strip_prefix('/').map_or_else(|| whole.clone(), str::to_owned),
        None => whole,
    }
}

#[cfg(test)]
mod tests;
