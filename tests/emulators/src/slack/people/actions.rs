//! Pressing, choosing, submitting, commanding: what asks the app and waits for its acknowledgement.

use serde_json::{Map, Value, json};

use super::super::blocks::{ViewKind, check_view};
use super::super::delivery::EnvelopeKind;
use super::super::message::Metadata;
use super::super::setup::ChannelKind;
use super::super::state::State;
use super::super::views::{View, ViewError};
use super::super::web::{SlashResponse, apply_response};
use super::payloads::{self, Place};
use super::person::Person;
use super::{PeopleError, input};

/// What an element stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A message, an ephemeral one too.
    Message { channel: String, ts: String },
    /// A modal or the home tab.
    View { view_id: String },
}

impl Target {
    #[must_use]
    pub fn message(channel: &str, ts: &str) -> Self {
        Self::Message { channel: channel.to_owned(), ts: ts.to_owned() }
    }

    #[must_use]
    pub fn view(view_id: &str) -> Self {
        Self::View { view_id: view_id.to_owned() }
    }
}

/// Which element is used, and what is chosen or typed in it.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    pub action_id: String,
    /// Needed only where two blocks use the same action id.
    pub block_id: Option<String>,
    /// Nothing for a button; an option's value or the whole option for a select; text, a date, an id else.
    pub value: Option<Value>,
}

/// What became of a submitted view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    Closed,
    /// By block id.
    Errors(Map<String, Value>),
    Updated,
    Pushed,
}

impl Person {
    /// Presses the button with this action id on a message and waits for the app's acknowledgement.
    pub async fn press(&self, channel: &str, ts: &str, action_id: &str) -> Result<(), PeopleError> {
        self.act(Target::message(channel, ts), Choice { action_id: action_id.to_owned(), ..Choice::default() }).await
    }

    /// Uses any element of a message or a view.
    pub async fn act(&self, target: Target, choice: Choice) -> Result<(), PeopleError> {
        let (place, block_id, element) = self.find(&target, &choice)?;
        let external = matches!(input::kind(&element), "external_select" | "multi_external_select");
        let offered = match (&choice.value, external) {
            (Some(value), true) => {
                let query = value["text"]["text"].as_str().unwrap_or_default().to_owned();
                options_of(&self.suggest(&place, &block_id, &element, &query).await?)
            }
            _ => Vec::new(),
        };
        let (new_state, fields) = input::choose(&element, choice.value.as_ref(), &offered)?;
        let payload = self.shared.act(|state| {
            if let Some(new_state) = new_state {
                remember(state, &place, (&block_id, &choice.action_id), new_state);
            }
            let place = refreshed(state, place);
            let mut action = json!({
                "type": input::kind(&element), "action_id": choice.action_id, "block_id": block_id, "action_ts": state.next_ts(),
            });
            if let Some(action) = action.as_object_mut() {
                action.extend(fields);
            }
            let mut payload = payloads::base(state, "block_actions", &self.id);
            payload.extend(payloads::place(state, &place));
            payload.insert("trigger_id".into(), json!(state.new_trigger(&self.id)));
            let source = match &place {
                Place::Message { channel, ts } => {
                    let root = state.message(channel, ts).and_then(|message| message.thread_ts.clone());
                    Some((channel.clone(), ts.clone(), root))
                }
                Place::Ephemeral { channel, ts } => Some((channel.clone(), ts.clone(), None)),
                Place::View(_) => None,
            };
            if let Some((channel, ts, root)) = source {
                let url = state.new_response_url(&channel, &self.id, root, Some(ts));
                payload.insert("response_url".into(), json!(url));
            }
            payload.insert("actions".into(), json!([action]));
            Value::Object(payload)
        });
        self.send(EnvelopeKind::Interactive, payload).await.map(drop)
    }

    /// What an external select offers for a query: the app's answer, with `options` or `option_groups`.
    pub async fn options(&self, target: Target, action_id: &str, query: &str) -> Result<Value, PeopleError> {
        let choice = Choice { action_id: action_id.to_owned(), ..Choice::default() };
        let (place, block_id, element) = self.find(&target, &choice)?;
        self.suggest(&place, &block_id, &element, query).await
    }

    async fn suggest(&self, place: &Place, block_id: &str, element: &Value, query: &str) -> Result<Value, PeopleError> {
        let payload = self.shared.read(|state| {
            let mut payload = payloads::base(state, "block_suggestion", &self.id);
            payload.extend(payloads::place(state, place));
            payload.insert("action_id".into(), element["action_id"].clone());
            payload.insert("block_id".into(), json!(block_id));
            payload.insert("value".into(), json!(query));
            Value::Object(payload)
        });
        let answer = self.send(EnvelopeKind::Suggestion, payload).await?;
        answer
            .filter(|answer| answer["options"].is_array() || answer["option_groups"].is_array())
            .ok_or_else(|| PeopleError::BadAnswer("no options in the answer".to_owned()))
    }

    /// Submits a modal with these values (block id → action id → what is typed or chosen); what is left out stays as it is.
    pub async fn submit(&self, view_id: &str, values: &Value) -> Result<SubmitOutcome, PeopleError> {
        let payload = self.shared.act(|state| {
            let Some(mut view) = state.find_modal(view_id).filter(|view| view.user == self.id).cloned() else {
                return Err(PeopleError::NoSuchView(view_id.to_owned()));
            };
            fill(&mut view, values)?;
            if let Some(kept) = state.modals.get_mut(&self.id).into_iter().flatten().find(|kept| kept.id == view.id) {
                kept.values.clone_from(&view.values);
            }
            let mut payload = payloads::base(state, "view_submission", &self.id);
            payload.insert("trigger_id".into(), json!(state.new_trigger(&self.id)));
            payload.insert("view".into(), view.to_json(state));
            payload.insert("response_urls".into(), json!([]));
            Ok(Value::Object(payload))
        })?;
        let answer = self.send(EnvelopeKind::Interactive, payload).await?.unwrap_or_default();
        self.shared.act(|state| settle(state, &self.id, view_id, &answer))
    }

    /// Closes a modal; the app hears of it where the view asked for that.
    pub async fn close(&self, view_id: &str) -> Result<(), PeopleError> {
        let payload = self.shared.act(|state| {
            if state.find_modal(view_id).is_none_or(|view| view.user != self.id) {
                return Err(PeopleError::NoSuchView(view_id.to_owned()));
            }
            let Some(view) = state.close_view(view_id) else { return Err(PeopleError::NoSuchView(view_id.to_owned())) };
            let mut payload = payloads::base(state, "view_closed", &self.id);
            payload.insert("view".into(), view.to_json(state));
            payload.insert("is_cleared".into(), json!(false));
            Ok(view.flag("notify_on_close").then_some(Value::Object(payload)))
        })?;
        match payload {
            Some(payload) => self.send(EnvelopeKind::Interactive, payload).await.map(drop),
            None => Ok(()),
        }
    }

    /// Runs a slash command, given as typed: `/agent status`.
    pub async fn slash(&self, channel: &str, typed: &str) -> Result<(), PeopleError> {
        let (command, text) = typed.trim().split_once(char::is_whitespace).unwrap_or((typed.trim(), ""));
        let payload = self.shared.act(|state| {
            self.member_of(state, channel)?;
            if !state.setup.app.slash_commands.iter().any(|known| known == command) {
                return Err(PeopleError::NoSuchCommand(command.to_owned()));
            }
            let trigger = state.new_trigger(&self.id);
            let response_url = state.new_response_url(channel, &self.id, None, None);
            let (team, app) = (&state.setup.team, &state.setup.app);
            Ok(json!({
                "token": app.verification_token, "team_id": team.id, "team_domain": team.domain, "channel_id": channel,
                "channel_name": payloads::channel(state, channel)["name"], "user_id": self.id,
                "user_name": state.user(&self.id).map(|user| user.name.clone()), "command": command, "text": text.trim(),
                "api_app_id": app.id, "is_enterprise_install": "false", "response_url": response_url, "trigger_id": trigger,
            }))
        })?;
        match self.send(EnvelopeKind::Slash, payload).await? {
            None => Ok(()),
            Some(payload) if payload.as_object().is_none_or(Map::is_empty) => Ok(()),
            Some(payload) => {
                let response = SlashResponse { channel: channel.to_owned(), user: self.id.clone(), payload };
                self.shared.act(|state| apply_response(state, &response)).map_err(|error| PeopleError::BadAnswer(error.error))
            }
        }
    }

    /// Slack's client refuses every slash command of an app inside a thread; the app hears nothing.
    pub async fn slash_in_thread(&self, channel: &str, thread_ts: &str, typed: &str) -> Result<(), PeopleError> {
        let command = typed.split_whitespace().next().unwrap_or_default();
        match self.shared.read(|state| state.message(channel, thread_ts).is_some()) {
            true => Err(PeopleError::CommandInThread(command.to_owned())),
            false => Err(PeopleError::NoSuchMessage(thread_ts.to_owned())),
        }
    }

    /// Chooses a shortcut in a message's menu.
    pub async fn message_shortcut(&self, callback_id: &str, channel: &str, ts: &str) -> Result<(), PeopleError> {
        let payload = self.shared.act(|state| {
            self.member_of(state, channel)?;
            let message = state.message(channel, ts).ok_or_else(|| PeopleError::NoSuchMessage(ts.to_owned()))?;
            let root = message.thread_ts.clone();
            let message = message.to_json(state, channel, Metadata::Included);
            let mut payload = payloads::base(state, "message_action", &self.id);
            payload.insert("callback_id".into(), json!(callback_id));
            payload.insert("trigger_id".into(), json!(state.new_trigger(&self.id)));
            payload.insert("response_url".into(), json!(state.new_response_url(channel, &self.id, root, None)));
            payload.insert("action_ts".into(), json!(state.next_ts()));
            payload.insert("message_ts".into(), json!(ts));
            payload.insert("channel".into(), payloads::channel(state, channel));
            payload.insert("message".into(), Value::Object(message));
            Ok(Value::Object(payload))
        })?;
        self.send(EnvelopeKind::Interactive, payload).await.map(drop)
    }

    /// Chooses a shortcut in the search bar.
    pub async fn global_shortcut(&self, callback_id: &str) -> Result<(), PeopleError> {
        let payload = self.shared.act(|state| {
            let mut payload = payloads::base(state, "shortcut", &self.id);
            payload.insert("callback_id".into(), json!(callback_id));
            payload.insert("trigger_id".into(), json!(state.new_trigger(&self.id)));
            payload.insert("action_ts".into(), json!(state.next_ts()));
            Value::Object(payload)
        });
        self.send(EnvelopeKind::Interactive, payload).await.map(drop)
    }

    async fn send(&self, kind: EnvelopeKind, payload: Value) -> Result<Option<Value>, PeopleError> {
        let sent = self.shared.dispatcher.send_once(kind, payload).await;
        self.shared.touched();
        sent.map_err(|undelivered| PeopleError::AppDidNotAnswer(undelivered.0))
    }

    fn find(&self, target: &Target, choice: &Choice) -> Result<(Place, String, Value), PeopleError> {
        self.shared.read(|state| {
            let (place, blocks) = self.place_of(state, target)?;
            let matches = |(block_id, element): &(String, Value)| {
                element["action_id"] == choice.action_id && choice.block_id.as_ref().is_none_or(|wanted| wanted == block_id)
            };
            let found = input::elements(&blocks).into_iter().find(matches);
            let (block_id, element) = found.ok_or_else(|| PeopleError::NoSuchAction(choice.action_id.clone()))?;
            Ok((place, block_id, element))
        })
    }

    fn place_of(&self, state: &State, target: &Target) -> Result<(Place, Vec<Value>), PeopleError> {
        match target {
            Target::View { view_id } => {
                let home = state.homes.get(&self.id).filter(|view| view.id == *view_id);
                let view = state.find_modal(view_id).filter(|view| view.user == self.id).or(home);
                let view = view.ok_or_else(|| PeopleError::NoSuchView(view_id.clone()))?;
                Ok((Place::View(Box::new(view.clone())), view.blocks().to_vec()))
            }
            Target::Message { channel, ts } => {
                let (channel, ts) = (channel.clone(), ts.clone());
                if let Some(message) = state.message(&channel, &ts) {
                    self.can_read(state, &channel)?;
                    let attached = message.attachments.iter().filter_map(|attachment| attachment["blocks"].as_array()).flatten();
                    let blocks = message.blocks.iter().chain(attached).cloned().collect();
                    return Ok((Place::Message { channel, ts }, blocks));
                }
                let ephemeral = state.ephemerals.iter().find(|ephemeral| ephemeral.ts == ts && ephemeral.user == self.id);
                let ephemeral = ephemeral.ok_or_else(|| PeopleError::NoSuchMessage(ts.clone()))?;
                Ok((Place::Ephemeral { channel, ts }, ephemeral.blocks.clone()))
            }
        }
    }

    /// A public channel's messages can be read and used by everybody, others by members.
    fn can_read(&self, state: &State, channel: &str) -> Result<(), PeopleError> {
        match state.room(channel) {
            Some(room) if room.channel.kind == ChannelKind::Public => Ok(()),
            _ => self.member_of(state, channel),
        }
    }
}

fn options_of(answer: &Value) -> Vec<Value> {
    let groups = answer["option_groups"].as_array().into_iter().flatten().filter_map(|group| group["options"].as_array());
    answer["options"].as_array().into_iter().chain(groups).flatten().cloned().collect()
}

/// Keeps what was chosen, so that later interactions carry it in `state.values`.
fn remember(state: &mut State, place: &Place, (block_id, action_id): (&str, &str), new_state: Value) {
    let user_views = |view: &View| view.user.clone();
    let values = match place {
        Place::Message { channel, ts } => state.message_mut(channel, ts).map(|message| &mut message.input_state),
        Place::Ephemeral { .. } => None,
        Place::View(view) => {
            let modals = state.modals.get_mut(&user_views(view)).into_iter().flatten();
            let kept = modals.chain(state.homes.get_mut(&view.user)).find(|kept| kept.id == view.id);
            kept.map(|view| &mut view.values)
        }
    };
    if let Some(values) = values {
        values.entry(block_id.to_owned()).or_insert_with(|| json!({}))[action_id] = new_state;
    }
}

fn refreshed(state: &State, place: Place) -> Place {
    match place {
        Place::View(view) => {
            let kept = state.find_modal(&view.id).or_else(|| state.homes.get(&view.user)).cloned();
            Place::View(kept.map_or(view, Box::new))
        }
        other => other,
    }
}

/// Puts what was typed into a view; refuses what Slack's client refuses.
fn fill(view: &mut View, typed: &Value) -> Result<(), PeopleError> {
    let blocks = view.blocks().to_vec();
    for (block_id, element) in input::input_elements(&blocks) {
        let Some(action_id) = element["action_id"].as_str() else { continue };
        if let Some(value) = typed.get(&block_id).and_then(|actions| actions.get(action_id)) {
            let whole: Vec<Value> = [value].into_iter().filter(|value| value.is_object()).cloned().collect();
            let external = input::kind(&element) == "external_select";
            let (state, _) = input::choose(&element, Some(value), if external { &whole } else { &[] })?;
            view.values.entry(block_id.clone()).or_insert_with(|| json!({}))[action_id] = state.unwrap_or_default();
        }
        let block = blocks.iter().find(|block| block["block_id"] == block_id.as_str());
        let required = block.is_some_and(|block| block["type"] == "input" && block["optional"] != true);
        if required && input::is_empty(&element, &view.values[&block_id][action_id]) {
            return Err(PeopleError::RequiredField(block_id));
        }
    }
    Ok(())
}

/// Does what the app's acknowledgement of a submission asks for.
fn settle(state: &mut State, user: &str, view_id: &str, answer: &Value) -> Result<SubmitOutcome, PeopleError> {
    let view = |answer: &Value| check_view(&answer["view"], ViewKind::Modal).map_err(|faults| PeopleError::BadAnswer(faults.join("; ")));
    let failed = |error: ViewError| PeopleError::BadAnswer(format!("{error:?}"));
    match answer["response_action"].as_str() {
        None => {
            state.close_view(view_id);
            Ok(SubmitOutcome::Closed)
        }
        Some("clear") => {
            state.close_all_views(user);
            Ok(SubmitOutcome::Closed)
        }
        Some("errors") => {
            let errors = answer["errors"].as_object().cloned().unwrap_or_default();
            let view = state.find_modal(view_id).ok_or_else(|| PeopleError::NoSuchView(view_id.to_owned()))?;
            let inputs: Vec<String> = input::input_elements(view.blocks()).into_iter().map(|(block, _)| block).collect();
            if errors.is_empty() || !errors.keys().all(|block| inputs.contains(block)) {
                return Err(PeopleError::BadAnswer("errors name no input block of the view".to_owned()));
            }
            Ok(SubmitOutcome::Errors(errors))
        }
        Some("update") => state.update_view(view_id, None, view(answer)?).map(|_| SubmitOutcome::Updated).map_err(failed),
        Some("push") => state.push_view(user, view(answer)?).map(|_| SubmitOutcome::Pushed).map_err(failed),
        Some(other) => Err(PeopleError::BadAnswer(format!("unknown response_action {other}"))),
    }
}
