//! Modals and home tabs as they are kept, and what opening, updating and pushing does to them.

use serde_json::{Map, Value, json};

use super::changes::ChangeKind;
use super::state::State;

/// Slack stacks at most this many modals.
const MOST_MODALS: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) hash: String,
    pub(super) root_id: String,
    pub(super) previous_id: Option<String>,
    /// As sent, with block and action ids filled in.
    pub(super) definition: Map<String, Value>,
    /// block id → action id → what is typed or chosen.
    pub(super) values: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ViewError {
    NotFound,
    HashConflict,
    DuplicateExternalId,
    PushLimitReached,
}

impl View {
    pub(super) fn text_field(&self, name: &str) -> &str {
        self.definition.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn blocks(&self) -> &[Value] {
        self.definition.get("blocks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.definition.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn to_json(&self, state: &State) -> Value {
        let field = |name: &str| self.definition.get(name).cloned().unwrap_or(Value::Null);
        let app = &state.setup.app;
        json!({
            "id": self.id, "team_id": state.setup.team.id, "type": field("type"), "blocks": self.blocks(),
            "private_metadata": self.text_field("private_metadata"), "callback_id": self.text_field("callback_id"),
            "state": { "values": self.values }, "hash": self.hash, "title": field("title"), "clear_on_close": self.flag("clear_on_close"),
            "notify_on_close": self.flag("notify_on_close"), "close": field("close"), "submit": field("submit"),
            "previous_view_id": self.previous_id, "root_view_id": self.root_id, "app_id": app.id,
            "external_id": self.text_field("external_id"), "app_installed_team_id": state.setup.team.id, "bot_id": app.bot_id,
        })
    }
}

impl State {
    fn new_view(&mut self, user: &str, definition: Map<String, Value>) -> View {
        let id = self.next_id("V");
        let hash = self.next_hash();
        let mut view =
            View { root_id: id.clone(), id, user: user.to_owned(), hash, previous_id: None, definition: Map::new(), values: Map::new() };
        self.define(&mut view, definition);
        view
    }

    fn next_hash(&mut self) -> String {
        let number = self.next_id("");
        format!("{}.{}", self.setup.clock.now_secs(), number)
    }

    /// Sets a view's definition; what was typed stays for blocks that keep their ids, else the initial values hold.
    fn define(&mut self, view: &mut View, mut definition: Map<String, Value>) {
        if let Some(Value::Array(blocks)) = definition.get_mut("blocks") {
            let with_ids = std::mem::take(blocks).into_iter().map(|block| self.with_ids(block)).collect();
            *blocks = with_ids;
        }
        view.definition = definition;
        let mut values = Map::new();
        for (block, element) in super::people::input_elements(view.blocks()) {
            let Some(action) = element.get("action_id").and_then(Value::as_str) else { continue };
            let kept = view.values.get(&block).and_then(|actions| actions.get(action)).cloned();
            let of_block = values.entry(block).or_insert_with(|| json!({}));
            of_block[action] = kept.unwrap_or_else(|| super::people::initial_state(&element));
        }
        view.values = values;
    }

    pub(super) fn find_modal(&self, id: &str) -> Option<&View> {
        self.modals.values().flatten().find(|view| view.id == id)
    }

    fn external_id_taken(&self, definition: &Map<String, Value>, except: Option<&str>) -> bool {
        let Some(id) = definition.get("external_id").and_then(Value::as_str).filter(|id| !id.is_empty()) else { return false };
        self.modals.values().flatten().any(|view| view.text_field("external_id") == id && Some(view.id.as_str()) != except)
    }

    pub(super) fn open_view(&mut self, user: &str, definition: Map<String, Value>) -> Result<View, ViewError> {
        if self.external_id_taken(&definition, None) {
            return Err(ViewError::DuplicateExternalId);
        }
        let view = self.new_view(user, definition);
        self.modals.insert(user.to_owned(), vec![view.clone()]);
        self.changed(ChangeKind::Views).seen_by(user);
        Ok(view)
    }

    pub(super) fn push_view(&mut self, user: &str, definition: Map<String, Value>) -> Result<View, ViewError> {
        if self.external_id_taken(&definition, None) {
            return Err(ViewError::DuplicateExternalId);
        }
        let mut view = self.new_view(user, definition);
        let stack = self.modals.entry(user.to_owned()).or_default();
        let Some(top) = stack.last() else { return Err(ViewError::NotFound) };
        if stack.len() >= MOST_MODALS {
            return Err(ViewError::PushLimitReached);
        }
        view.root_id.clone_from(&top.root_id);
        view.previous_id = Some(top.id.clone());
        stack.push(view.clone());
        self.changed(ChangeKind::Views).seen_by(user);
        Ok(view)
    }

    /// Replaces a modal's definition, found by its id or its external id.
    pub(super) fn update_view(&mut self, id: &str, hash: Option<&str>, definition: Map<String, Value>) -> Result<View, ViewError> {
        let found = self.modals.values().flatten().find(|view| view.id == id || view.text_field("external_id") == id);
        let Some(mut view) = found.cloned() else { return Err(ViewError::NotFound) };
        if hash.is_some_and(|hash| hash != view.hash) {
            return Err(ViewError::HashConflict);
        }
        if self.external_id_taken(&definition, Some(&view.id)) {
            return Err(ViewError::DuplicateExternalId);
        }
        self.define(&mut view, definition);
        view.hash = self.next_hash();
        if let Some(kept) = self.modals.get_mut(&view.user).into_iter().flatten().find(|kept| kept.id == view.id) {
            *kept = view.clone();
        }
        self.changed(ChangeKind::Views).seen_by(&view.user);
        Ok(view)
    }

    pub(super) fn publish_home(&mut self, user: &str, hash: Option<&str>, definition: Map<String, Value>) -> Result<View, ViewError> {
        let view = match self.homes.get(user).cloned() {
            Some(old) if hash.is_some_and(|hash| hash != old.hash) => return Err(ViewError::HashConflict),
            Some(mut view) => {
                self.define(&mut view, definition);
                view.hash = self.next_hash();
                view
            }
            None => self.new_view(user, definition),
        };
        self.homes.insert(user.to_owned(), view.clone());
        self.changed(ChangeKind::Home).seen_by(user);
        Ok(view)
    }

    /// Takes a modal (and what is stacked on it) away.
    pub(super) fn close_view(&mut self, id: &str) -> Option<View> {
        let (user, stack) = self.modals.iter_mut().find(|(_, stack)| stack.iter().any(|view| view.id == id))?;
        let user = user.clone();
        let at = stack.iter().position(|view| view.id == id)?;
        let view = stack.drain(at..).next();
        self.changed(ChangeKind::Views).seen_by(&user);
        view
    }

    pub(super) fn close_all_views(&mut self, user: &str) {
        self.modals.remove(user);
        self.changed(ChangeKind::Views).seen_by(user);
    }
}
