//! What the scripted model does about a prompt: step by step, and once more where a step failed because the service was away.

use longshore_emulators::model::{PromptView, Script, ScriptStep};
use serde_json::{Value, json};

use crate::thread::Task;

/// Answers of the model's in one turn at the most.
const ANSWERS: usize = 24;

/// The steps of one turn, and its last words.
#[derive(Debug, Clone)]
pub struct Deeds {
    word: String,
    steps: Vec<Deed>,
    answer: String,
}

#[derive(Debug, Clone)]
struct Deed {
    tool: &'static str,
    arguments: Value,
    /// In the result of a call that was carried out.
    sign: String,
}

impl Deeds {
    /// For the prompt that holds the task's word.
    pub fn of(task: &Task) -> Self {
        Self { word: task.word.clone(), steps: Vec::new(), answer: task.answer() }
    }

    pub fn call(mut self, tool: &'static str, arguments: Value, sign: &str) -> Self {
        self.steps.push(Deed { tool, arguments, sign: sign.to_owned() });
        self
    }

    /// Runs a shell line.
    pub fn shell(self, line: &str) -> Self {
        let sign = format!("step-{}-went", self.steps.len());
        let line = format!("{line}; echo {sign}");
        self.call("bash", json!({ "command": line, "description": "Run a line" }), &sign)
    }

    /// Leaves a trace, and nothing else.
    pub fn look(self, task: &Task) -> Self {
        self.shell(&task.trace())
    }

    /// Leaves a trace and a commit.
    pub fn commit(self, task: &Task) -> Self {
        let (trace, word) = (task.trace(), &task.word);
        self.shell(&format!("{trace} && printf '\\n- {word}\\n' >> CHANGELOG.md && git commit -qam '{}'", task.commit()))
    }

    /// Lasts until somebody makes the file.
    pub fn held(self, gate: &str) -> Self {
        self.shell(&format!("touch /tmp/at-{gate}; until [ -e /tmp/{gate} ]; do sleep 0.1; done"))
    }

    pub fn pull_request(self, task: &Task) -> Self {
        self.call("open_pull_request", json!({ "title": task.commit(), "body": "One line more." }), "Pull request #")
    }

    pub fn update(self, text: &str) -> Self {
        self.call("post_update", json!({ "text": text }), "Posted.")
    }

    pub fn script(self) -> Script {
        let mut script = Script::for_prompt(&self.word);
        for _ in 0..ANSWERS {
            let deeds = self.clone();
            script = script.decide(move |prompt| deeds.next(prompt));
        }
        script
    }

    fn next(&self, prompt: &PromptView) -> ScriptStep {
        let is_done = |deed: &Deed| {
            prompt.exchanges.iter().any(|exchange| exchange.call.name.ends_with(deed.tool) && exchange.result.contains(&deed.sign))
        };
        match self.steps.iter().find(|deed| !is_done(deed)) {
            Some(deed) => ScriptStep::Call(vec![(deed.tool.to_owned(), deed.arguments.clone())]),
            None => ScriptStep::Say(self.answer.clone()),
        }
    }
}
