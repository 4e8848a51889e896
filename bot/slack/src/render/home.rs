//! The app's Home tab: a person's sessions and defaults.

use longshore_session::{PersonDefaults, PullRequestStyle, RepoName};
use serde_json::{Value, json};

use super::{
    NotAllowed, SessionLine, block,
    sessions::session_blocks,
    words::{cut, line},
};
use crate::action::{Action, Preference};

/// What one person sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomePage {
    pub running: Vec<SessionLine>,
    /// For an answer.
    pub asking: Vec<SessionLine>,
    pub queued: Vec<SessionLine>,
    /// Newest first.
    pub idle: Vec<SessionLine>,
    pub defaults: PersonDefaults,
    /// Those that may be chosen, the configuration's own first.
    pub models: Vec<String>,
    pub repositories: Vec<RepoName>,
    /// The web client, where there is one.
    pub web_url: Option<String>,
}

/// What somebody sees whom the configuration does not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedHomePage {
    pub why: NotAllowed,
}

/// Lines of each list: a view has 100 blocks.
const SHOWN: usize = 15;
/// Slack's limit of options per list, and of groups.
const OPTIONS: usize = 100;
/// Stands for "nothing chosen" in a select.
const NONE: &str = "No default";

impl HomePage {
    /// The view, as `views.publish` takes it.
    pub fn render(&self) -> Value {
        let mut blocks = vec![block::header("home.sessions", "Your sessions")];
        let lists = [
            ("running", "*Running*", &self.running),
            ("asking", "*Waiting for your answer*", &self.asking),
            ("queued", "*Queued*", &self.queued),
            ("idle", "*Idle* · a reply in the thread goes on", &self.idle),
        ];
        if lists.iter().all(|(_, _, lines)| lines.is_empty()) {
            let words = "💤 None yet. Mention me in a channel, or write to me under *Messages*, and say what is wrong or what you want.";
            blocks.push(block::section("home.none", words));
        }
        for (name, title, lines) in lists.into_iter().filter(|(_, _, lines)| !lines.is_empty()) {
            blocks.push(block::context(&format!("home.{name}.head"), title));
            blocks.extend(session_blocks(&format!("home.{name}"), lines, SHOWN));
        }
        blocks.push(json!({ "type": "divider", "block_id": "home.between" }));
        blocks.push(block::header("home.defaults", "Your defaults"));
        blocks.push(self.model());
        blocks.push(self.repository());
        blocks.push(self.pull_requests());
        if let Some(url) = &self.web_url {
            blocks.extend(block::actions("home.web", vec![block::link_button("Open in the browser", url, "web")]));
        }
        blocks.push(block::context("home.foot", "Changes count at once. Only you see this page."));
        json!({ "type": "home", "blocks": blocks })
    }

    fn model(&self) -> Value {
        let own = self.models.first().map_or("the configuration's", String::as_str);
        if self.models.len() < 2 {
            return block::section(
                "home.model",
                &format!("*Model*\nThe agent works with {}. There is no other to choose from.", line(own, 100)),
            );
        }
        let mut section = block::section("home.model", "*Model*\nWhat the agent works with in sessions that you begin from now on.");
        let options = self.models.iter().enumerate().map(|(index, model)| {
            let preference = Preference::Model((index > 0).then(|| model.clone()));
            let label = if index == 0 { format!("{model} (the usual one)") } else { model.clone() };
            (label, preference)
        });
        section["accessory"] = select("Model", options.collect(), &Preference::Model(self.defaults.model.clone()));
        section
    }

    fn repository(&self) -> Value {
        let words = "*Repository*\nWhere I work when neither your words nor the channel tell me.";
        let mut section = block::section("home.repository", words);
        let none = (NONE.to_owned(), Preference::Repository(None));
        let known = self.repositories.iter().map(|repo| (repo.to_string(), Preference::Repository(Some(repo.clone()))));
        let chosen = Preference::Repository(self.defaults.repository.clone());
        section["accessory"] = select("Repository", std::iter::once(none).chain(known).collect(), &chosen);
        section
    }

    fn pull_requests(&self) -> Value {
        let mut section = block::section("home.pulls", "*Pull requests*\nOf what you ask for.");
        let (action_id, value) = Action::Prefer(Preference::PullRequests(PullRequestStyle::Draft)).encode("");
        let option = json!({ "text": block::plain_text("Open them as drafts", 75), "value": value });
        section["accessory"] = json!({ "type": "checkboxes", "action_id": action_id, "options": [option.clone()] });
        match self.defaults.pull_requests {
            PullRequestStyle::Draft => section["accessory"]["initial_options"] = json!([option]),
            PullRequestStyle::Ready => {}
        }
        section
    }
}

impl ClosedHomePage {
    pub fn render(&self) -> Value {
        let blocks = self.why.render().blocks;
        json!({ "type": "home", "blocks": blocks })
    }
}

/// A select over preferences of one kind; what is chosen and no longer offered reads as the first.
fn select(placeholder: &str, choices: Vec<(String, Preference)>, chosen: &Preference) -> Value {
    let action_id = Action::Prefer(chosen.clone()).encode("").0;
    let options: Vec<(Value, Preference)> = choices
        .into_iter()
        .map(|(label, preference)| {
            let value = Action::Prefer(preference.clone()).encode("").1;
            (json!({ "text": block::plain_text(&label, 75), "value": value }), preference)
        })
        .take(OPTIONS * OPTIONS)
        .collect();
    let initial = options.iter().find(|(_, preference)| preference == chosen).or(options.first()).map(|(option, _)| option.clone());
    let options: Vec<Value> = options.into_iter().map(|(option, _)| option).collect();
    let mut select = json!({ "type": "static_select", "action_id": action_id, "placeholder": block::plain_text(placeholder, 150) });
    if options.len() <= OPTIONS {
        select["options"] = json!(options);
    } else {
        let groups = options.chunks(OPTIONS).map(|group| {
            let ends =
                [group.first(), group.last()].map(|option| option.and_then(|option| option["text"]["text"].as_str()).unwrap_or_default());
            json!({ "label": block::plain_text(&ends.map(|end| cut(end, 34)).join(" to "), 75), "options": group })
        });
        select["option_groups"] = groups.collect();
    }
    if let Some(initial) = initial {
        select["initial_option"] = initial;
    }
    select
}
