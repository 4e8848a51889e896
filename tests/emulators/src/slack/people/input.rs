//! Elements that hold a state: which there are, how they begin, what a choice makes of them.

use serde_json::{Map, Value, json};

use super::PeopleError;

/// Every element of the blocks that keeps a state, with its block's id.
pub(in super::super) fn input_elements(blocks: &[Value]) -> Vec<(String, Value)> {
    elements(blocks).into_iter().filter(|(_, element)| state_field(kind(element)).is_some()).collect()
}

/// Every interactive element with its block's id, in reading order.
pub(super) fn elements(blocks: &[Value]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for block in blocks {
        let id = block["block_id"].as_str().unwrap_or_default();
        let several = block["elements"].as_array().into_iter().flatten();
        let single = [&block["accessory"], &block["element"]].into_iter().filter(|element| element.is_object());
        for element in several.chain(single).filter(|element| element["action_id"].is_string()) {
            found.push((id.to_owned(), element.clone()));
        }
    }
    found
}

pub(super) fn kind(element: &Value) -> &str {
    element["type"].as_str().unwrap_or_default()
}

/// The field of an element's state (and of its action) that holds what was chosen, and the one that holds its beginning.
fn state_field(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "plain_text_input" | "email_text_input" | "url_text_input" | "number_input" => ("value", "initial_value"),
        "rich_text_input" => ("rich_text_value", "initial_value"),
        "file_input" => ("files", ""),
        "static_select" | "external_select" | "radio_buttons" => ("selected_option", "initial_option"),
        "multi_static_select" | "multi_external_select" | "checkboxes" => ("selected_options", "initial_options"),
        "users_select" => ("selected_user", "initial_user"),
        "multi_users_select" => ("selected_users", "initial_users"),
        "conversations_select" => ("selected_conversation", "initial_conversation"),
        "multi_conversations_select" => ("selected_conversations", "initial_conversations"),
        "channels_select" => ("selected_channel", "initial_channel"),
        "multi_channels_select" => ("selected_channels", "initial_channels"),
        "datepicker" => ("selected_date", "initial_date"),
        "timepicker" => ("selected_time", "initial_time"),
        "datetimepicker" => ("selected_date_time", "initial_date_time"),
        _ => return None,
    })
}

pub(in super::super) fn initial_state(element: &Value) -> Value {
    let Some((field, initial)) = state_field(kind(element)) else { return Value::Null };
    let empty = if field.ends_with('s') { json!([]) } else { Value::Null };
    let start = element.get(initial).cloned().unwrap_or(empty);
    json!({ "type": kind(element), field: start })
}

/// Whether a required input still misses its value.
pub(super) fn is_empty(element: &Value, state: &Value) -> bool {
    let Some((field, _)) = state_field(kind(element)) else { return false };
    match &state[field] {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// What choosing or typing `value` makes of the element: its new state (none for a button) and the fields of its action.
///
/// An option is named by its value, or given whole. `offered` are an external select's options.
pub(super) fn choose(
    element: &Value,
    value: Option<&Value>,
    offered: &[Value],
) -> Result<(Option<Value>, Map<String, Value>), PeopleError> {
    let kind = kind(element);
    let mut fields = Map::new();
    match kind {
        "button" | "icon_button" | "workflow_button" => {
            for name in ["text", "value", "style"] {
                if let Some(value) = element.get(name) {
                    fields.insert(name.into(), value.clone());
                }
            }
            return Ok((None, fields));
        }
        "overflow" => {
            fields.insert("selected_option".into(), option(element, value, offered)?);
            return Ok((None, fields));
        }
        "feedback_buttons" => {
            let wanted = value.and_then(Value::as_str).unwrap_or_default();
            let pressed = [&element["positive_button"], &element["negative_button"]].into_iter().find(|button| button["value"] == wanted);
            let pressed = pressed.ok_or_else(|| PeopleError::NoSuchChoice(wanted.to_owned()))?;
            fields.insert("value".into(), pressed["value"].clone());
            fields.insert("text".into(), pressed["text"].clone());
            return Ok((None, fields));
        }
        _ => {}
    }
    let Some((field, _)) = state_field(kind) else { return Err(PeopleError::NoSuchAction(kind.to_owned())) };
    let chosen = match field {
        "selected_option" => option(element, value, offered)?,
        "selected_options" => {
            let wanted = value.and_then(Value::as_array).cloned().unwrap_or_default();
            Value::Array(wanted.iter().map(|wanted| option(element, Some(wanted), offered)).collect::<Result<_, _>>()?)
        }
        _ => value.cloned().unwrap_or(Value::Null),
    };
    fields.insert(field.into(), chosen.clone());
    Ok((Some(json!({ "type": kind, field: chosen })), fields))
}

fn option(element: &Value, wanted: Option<&Value>, offered: &[Value]) -> Result<Value, PeopleError> {
    let wanted = wanted.ok_or_else(|| PeopleError::NoSuchChoice("nothing".to_owned()))?;
    let value = if wanted.is_object() { &wanted["value"] } else { wanted };
    let groups = element["option_groups"].as_array().into_iter().flatten();
    let own = element["options"].as_array().into_iter().chain(groups.filter_map(|group| group["options"].as_array())).flatten();
    let found = own.chain(offered).find(|option| option["value"] == *value);
    found.cloned().ok_or_else(|| PeopleError::NoSuchChoice(value.as_str().unwrap_or_default().to_owned()))
}
