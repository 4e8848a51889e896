//! The living message of a turn.

use std::time::Duration;

use longshore_session::{ModelHindrance, RepoName, SessionId, SlackUserId};
use serde_json::Value;

use super::{
    Message, Spent,
    block::{self, Style},
    failure::hindrance_words,
    words::{code, count, elapsed, line},
};
use crate::action::Action;

/// One message per turn, changed while the turn goes on. Its block ids stay, so that Slack redraws only what changed.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnCard {
    pub session: SessionId,
    /// None while it is being chosen, or where the question needs none.
    pub repo: Option<RepoName>,
    pub branch: Option<String>,
    /// Why this repository and how that was decided, as a sentence's part: `named in the message`.
    pub why: Option<String>,
    pub asker: SlackUserId,
    pub phase: CardPhase,
    pub plan: Vec<PlanItem>,
    /// What the agent does now, in plain words.
    pub step: Option<String>,
    /// Set where the agent can do nothing but wait for its model.
    pub hindrance: Option<ModelHindrance>,
    pub elapsed: Duration,
    pub spent: Spent,
    /// Where a browser shows the session.
    pub session_url: Option<String>,
    pub rerouting: Rerouting,
}

/// Whether the prompt may go to another repository, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerouting {
    /// There is a button for it.
    Offered,
    /// It went: what the card was about is elsewhere now.
    Moved { to: RepoName },
    /// What was done counts: other prompts follow from it, or it was merged.
    Closed,
}

/// Where a turn stands. Each looks different at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardPhase {
    /// As many sandboxes run as the service may start. Place 1 gets the next one.
    Queued {
        place: usize,
    },
    Choosing,
    Preparing,
    Working,
    /// The agent is done; the work is being pushed.
    Finishing,
    /// The repository's check runs on what was pushed.
    Checking,
    /// For an answer of the asker's.
    Waiting,
    /// Stop was asked for.
    Stopping,
    Done,
    /// The agent came to its end, and the repository's check fails on what it left.
    DoneButFailing,
    Stopped,
    Failed,
    /// To another repository.
    Moved,
}

impl CardPhase {
    pub(super) fn emoji(self) -> &'static str {
        match self {
            Self::Queued { .. } => "🕒",
            Self::Choosing => "🧭",
            Self::Preparing => "📦",
            Self::Working => "🛠️",
            Self::Finishing => "📤",
            Self::Checking => "🧪",
            Self::Waiting => "🙋",
            Self::Stopping => "✋",
            Self::Done => "✅",
            Self::DoneButFailing => "⚠️",
            Self::Stopped => "⏹️",
            Self::Failed => "❌",
            Self::Moved => "↪️",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Queued { .. } => "Waiting for a sandbox",
            Self::Choosing => "Choosing the repository",
            Self::Preparing => "Starting the sandbox",
            Self::Working => "Working",
            Self::Finishing => "Saving the work",
            Self::Checking => "Running the check",
            Self::Waiting => "Waiting for an answer",
            Self::Stopping => "Stopping",
            Self::Done => "Done",
            Self::DoneButFailing => "Done, but the check fails",
            Self::Stopped => "Stopped",
            Self::Failed => "Failed",
            Self::Moved => "Moved",
        }
    }

    /// Whether there is something to stop.
    pub fn is_live(self) -> bool {
        match self {
            Self::Queued { .. } | Self::Choosing | Self::Preparing | Self::Working | Self::Finishing | Self::Checking | Self::Waiting => {
                true
            }
            Self::Stopping | Self::Done | Self::DoneButFailing | Self::Stopped | Self::Failed | Self::Moved => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanItem {
    pub text: String,
    pub status: PlanStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStatus {
    Pending,
    Doing,
    Done,
    Dropped,
}

/// More entries than that make a card that nobody reads.
const PLAN_SHOWN: usize = 12;

impl TurnCard {
    pub fn render(&self) -> Message {
        if let Rerouting::Moved { to } = &self.rerouting {
            return self.moved(to);
        }
        let mut blocks = vec![block::header("card.head", &self.headline())];
        blocks.extend(self.place().map(|place| block::section("card.place", &place)));
        blocks.extend(self.plan_markup().map(|plan| block::section("card.plan", &plan)));
        blocks.extend(self.step_markup().map(|step| block::section("card.step", &step)));
        blocks.push(block::context("card.foot", &self.foot()));
        blocks.extend(block::actions("card.actions", self.buttons()));
        Message { text: self.text(), blocks }
    }

    /// What was planned and done here is of no interest any more.
    fn moved(&self, to: &RepoName) -> Message {
        let head = format!("{} {} to {to}", CardPhase::Moved.emoji(), CardPhase::Moved.words());
        let mut blocks = vec![block::header("card.head", &head)];
        let from = self.repo.as_ref().map(|repo| format!("*{repo}* was the wrong repository. The work has a card of its own below."));
        blocks.extend(from.map(|from| block::section("card.place", &from)));
        blocks.push(block::context("card.foot", &self.foot()));
        let from = self.repo.as_ref().map(|repo| format!(" from {repo}")).unwrap_or_default();
        Message { text: format!("{}{from} to {to}.", CardPhase::Moved.words()), blocks }
    }

    fn headline(&self) -> String {
        let place = match self.phase {
            CardPhase::Queued { place } => format!(" (place {place})"),
            _ => String::new(),
        };
        let repo = self.repo.as_ref().map(|repo| format!(" · {repo}")).unwrap_or_default();
        format!("{} {}{place}{repo}", self.phase.emoji(), self.phase.words())
    }

    fn place(&self) -> Option<String> {
        let repo = self.repo.as_ref()?;
        let branch = self.branch.as_ref().map(|branch| format!(" on {}", code(branch, 120))).unwrap_or_default();
        let why = self.why.as_ref().map(|why| format!("\nWhy here: {}", line(why, 300))).unwrap_or_default();
        Some(format!("*{repo}*{branch}{why}"))
    }

    fn plan_markup(&self) -> Option<String> {
        if self.plan.is_empty() {
            return None;
        }
        let mut lines: Vec<String> = self.plan.iter().take(PLAN_SHOWN).map(PlanItem::markup).collect();
        if self.plan.len() > PLAN_SHOWN {
            lines.push(format!("… and {} more", self.plan.len() - PLAN_SHOWN));
        }
        Some(lines.join("\n"))
    }

    fn step_markup(&self) -> Option<String> {
        if let Some(hindrance) = self.hindrance.filter(|_| self.phase.is_live()) {
            return Some(format!("⏳ *Waiting for the model:* {}. The agent asks again by itself.", hindrance_words(hindrance)));
        }
        let step = self.step.as_ref().filter(|step| self.phase.is_live() && !step.trim().is_empty())?;
        Some(format!("*Now:* {}", line(step, 300)))
    }

    fn foot(&self) -> String {
        let spent = self.spent.words().map(|spent| format!(" · {spent}")).unwrap_or_default();
        format!("Asked by <@{}> · {}{spent} · session {}", self.asker, elapsed(self.elapsed), code(self.session.as_str(), 40))
    }

    fn buttons(&self) -> Vec<Value> {
        let mut buttons = Vec::new();
        if self.phase.is_live() {
            buttons.push(block::button("Stop", &Action::Stop(self.session.clone()), "", Style::Danger));
        }
        if let Some(url) = &self.session_url {
            buttons.push(block::link_button("Open session", url, "session"));
        }
        if self.repo.is_some() && self.rerouting == Rerouting::Offered {
            buttons.push(block::button("Wrong repository", &Action::WrongRepository(self.session.clone()), "", Style::Default));
        }
        buttons
    }

    fn text(&self) -> String {
        let repo = self.repo.as_ref().map(|repo| format!(" in {repo}")).unwrap_or_default();
        let place = match self.phase {
            CardPhase::Queued { place } => format!(", place {place}"),
            _ => String::new(),
        };
        let waits = self.hindrance.map(|hindrance| format!("waiting for the model, {}", hindrance_words(hindrance)));
        let step = waits.or_else(|| self.step.clone()).filter(|_| self.phase.is_live());
        let step = step.map(|step| format!(": {}", line(&step, 150))).unwrap_or_default();
        let done = self.plan.iter().filter(|item| item.status == PlanStatus::Done).count();
        let plan = if self.plan.is_empty() { String::new() } else { format!(" {done} of {} done.", count(self.plan.len(), "step")) };
        let spent = self.spent.words().map(|spent| format!(", {spent}")).unwrap_or_default();
        format!("{}{repo}{place}{step}.{plan} {}{spent}.", self.phase.words(), elapsed(self.elapsed))
    }
}

impl PlanItem {
    fn markup(&self) -> String {
        let text = line(&self.text, 140);
        match self.status {
            PlanStatus::Pending => format!("⬜ {text}"),
            PlanStatus::Doing => format!("▶️ *{}*", text.replace('*', "")),
            PlanStatus::Done => format!("✅ {text}"),
            PlanStatus::Dropped => format!("➖ ~{}~", text.replace('~', "")),
        }
    }
}
