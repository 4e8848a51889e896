//! What a repository's manifest says of single tool calls of the agent's.

use serde::{Deserialize, Serialize};

/// A rule, in the manifest's words. All that it names must fit a call; then exactly one of `deny`, `replace` and `note` is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolRule {
    /// Names of tools (`*` stands for any characters), or `reads`, `edits`, `commands`. Any tool where there is none.
    pub tool: Vec<String>,
    /// A file that the call names: a pattern of a path within the checkout, or of an absolute one.
    pub path: Option<String>,
    /// A regular expression that is found in the command.
    pub command: Option<String>,
    /// The call fails with this reason.
    pub deny: Option<String>,
    /// Takes the place of what `command` found; `$1` stands for its first group.
    pub replace: Option<String>,
    /// The agent is told this beside the call's result.
    pub note: Option<String>,
}

impl ToolRule {
    /// The key that is wrong, and what is wrong with it, as far as that can be told without compiling the patterns.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let actions = [("deny", &self.deny), ("replace", &self.replace), ("note", &self.note)];
        let given: Vec<_> = actions.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?))).collect();
        match given.as_slice() {
            [] => return Err(("[[tool_rules]]", "says nothing of what to do: give `deny`, `replace` or `note`")),
            [("replace", _)] if self.command.is_none() => return Err(("replace", "needs a `command` whose finds it replaces")),
            [("replace", _)] => {}
            [(key, words)] if words.trim().is_empty() => return Err((key, "is empty: the agent is told these words")),
            [_] => {}
            [.., (key, _)] => return Err((key, "is one too many: a rule has one of `deny`, `replace` and `note`")),
        }
        if self.tool.is_empty() && self.path.is_none() && self.command.is_none() {
            return Err(("[[tool_rules]]", "says nothing of when: give `tool`, `path` or `command`"));
        }
        Ok(())
    }
}
