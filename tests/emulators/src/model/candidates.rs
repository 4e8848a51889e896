//! What a classifying request holds: the candidates with what it says of each, and the message that it is about.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    catalogue::Catalogue,
    conversation::{Conversation, Message},
    schema::resolved,
};

/// A classifying request, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Name (`owner/name`) and all that the request says of it.
    pub(super) candidates: Vec<(String, String)>,
    /// What is asked, in the request's order: the message comes last.
    pub(super) asked: Vec<String>,
}

impl Question {
    /// Names come from the schema's values, or from the text where the schema lists none. The last user's message is taken apart by its
    /// structure if it is JSON, else by paragraphs.
    pub(super) fn read(catalogue: &Catalogue, conversation: &Conversation, schema: &Value) -> Self {
        let mut texts: Vec<&str> = conversation
            .messages
            .iter()
            .filter_map(|message| match message {
                Message::User(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let mut names = BTreeSet::new();
        enumerated(schema, schema, 0, &mut names);
        if names.is_empty() {
            let all = std::iter::once(conversation.system.as_str()).chain(texts.iter().copied());
            names.extend(all.flat_map(|text| listed(text, catalogue)));
        }
        let names: Vec<String> = names.into_iter().collect();
        let mut described: BTreeMap<String, String> = names.iter().map(|name| (name.clone(), String::new())).collect();
        let last = texts.pop().unwrap_or_default();
        let mut asked = Vec::new();
        match serde_json::from_str::<Value>(last) {
            Ok(document @ (Value::Object(_) | Value::Array(_))) => take_apart(&document, &mut described, &mut asked),
            _ => {
                texts.push(last);
                asked.push(without_descriptions(last, &names));
            }
        }
        for (name, text) in &mut described {
            for source in std::iter::once(conversation.system.as_str()).chain(texts.iter().copied()) {
                text.push_str(&about(source, name, &names));
            }
        }
        Self { candidates: described.into_iter().collect(), asked }
    }
}

/// An object that names a candidate in one of its fields is about it; every other text belongs to what is asked.
fn take_apart(value: &Value, described: &mut BTreeMap<String, String>, asked: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.values().filter_map(Value::as_str).find(|text| described.contains_key(*text));
            match name.map(str::to_owned) {
                Some(name) => {
                    let mut texts = Vec::new();
                    fields.values().for_each(|field| take_apart(field, &mut BTreeMap::new(), &mut texts));
                    if let Some(description) = described.get_mut(&name) {
                        description.push_str(&texts.join("\n"));
                        description.push('\n');
                    }
                }
                None => fields.values().for_each(|field| take_apart(field, described, asked)),
            }
        }
        Value::Array(items) => items.iter().for_each(|item| take_apart(item, described, asked)),
        Value::String(text) => asked.push(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Repository names among the values that a schema allows.
fn enumerated(schema: &Value, root: &Value, depth: u8, names: &mut BTreeSet<String>) {
    let schema = resolved(schema, root);
    let repository = |value: &&str| value.contains('/');
    names.extend(schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).filter(repository).map(str::to_owned));
    if depth > 6 {
        return;
    }
    let properties = schema["properties"].as_object().into_iter().flatten().map(|(_, property)| property);
    let several = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    for inner in properties.chain(several).chain(schema.get("items")) {
        enumerated(inner, root, depth + 1, names);
    }
}

/// Repository names that a text lists: those of the samples, and whatever looks like `owner/name` at the head of a line or as a JSON value.
fn listed(text: &str, catalogue: &Catalogue) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let mut found = Vec::new();
    for line in text.lines() {
        let head = line.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let pieces = line.split(|c: char| !is_name(c)).filter(|piece| piece.split('/').filter(|part| !part.is_empty()).count() == 2);
        for piece in pieces.map(|piece| piece.trim_matches(|c| c == '.' || c == '/')).filter(|piece| piece.matches('/').count() == 1) {
            let keyed = line.contains(&format!("\"{piece}\""));
            if keyed || head.starts_with(piece) || catalogue.repositories.contains_key(piece) {
                found.push(piece.to_owned());
            }
        }
    }
    found
}

/// Where a name stands by itself, not as a part of another.
fn places(text: &str, name: &str) -> Vec<usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    text.match_indices(name)
        .filter(|(start, _)| {
            let before = text[..*start].chars().next_back().is_some_and(is_name);
            let after = text[start + name.len()..].chars().next().is_some_and(is_name);
            !before && !after
        })
        .map(|(start, _)| start)
        .collect()
}

/// What a text says from each mention of `name` to the next mention of any candidate or the end of the paragraph after it.
fn about(text: &str, name: &str, names: &[String]) -> String {
    let mentions: Vec<usize> = names.iter().flat_map(|other| places(text, other)).collect();
    let mut found = String::new();
    for start in places(text, name) {
        let end = mentions.iter().copied().filter(|place| *place > start).min().unwrap_or_else(|| paragraph_end(text, start));
        found.push_str(&text[start..end]);
        found.push('\n');
    }
    found
}

fn paragraph_end(text: &str, from: usize) -> usize {
    text[from..].find("\n\n").map_or(text.len(), |length| from + length)
}

/// A message without a list of candidates in it, where it holds one.
fn without_descriptions(text: &str, names: &[String]) -> String {
    let mut mentions: Vec<usize> = names.iter().flat_map(|name| places(text, name)).collect();
    mentions.sort_unstable();
    let different = names.iter().filter(|name| !places(text, name).is_empty()).count();
    match (mentions.first(), mentions.last()) {
        (Some(first), Some(last)) if different > 1 => format!("{}{}", &text[..*first], &text[paragraph_end(text, *last)..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Vendor;
    use serde_json::json;

    fn question(system: &str, user: &str, schema: &Value) -> Question {
        let conversation = Conversation {
            vendor: Vendor::OpenAi,
            model: "m".into(),
            system: system.into(),
            messages: vec![Message::User(user.into())],
            tools: vec![],
            schema: Some(schema.clone()),
            forced_tool: None,
        };
        Question::read(&Catalogue::empty(), &conversation, schema)
    }

    #[test]
    fn a_json_document_is_taken_apart_by_its_structure() {
        let schema =
            json!({ "type": "object", "properties": { "repository": { "type": "string", "enum": ["a/shop", "a/van", "unknown"] } } });
        let user = json!({
            "repositories": [{ "name": "a/shop", "keywords": ["cart"] }, { "name": "a/van", "keywords": ["parcel"] }],
            "corrections": [{ "request": "boxes are lost", "repository": "a/van" }],
            "request": { "channel": "general", "thread": [], "message": "where is it" },
        });
        let question = question("Route it.", &user.to_string(), &schema);
        assert_eq!(question.asked, ["general", "where is it"]);
        assert_eq!(question.candidates[0], ("a/shop".into(), "a/shop\ncart\n".into()));
        assert_eq!(question.candidates[1].1, "a/van\nparcel\nboxes are lost\na/van\n");
    }

    #[test]
    fn a_list_in_prose_is_taken_apart_by_its_names() {
        let schema = json!({ "type": "object", "properties": { "repository": { "type": "string" } } });
        let question = question("Repositories:\n- a/shop: the cart\n- a/van: parcels\n\nChoose one.", "where is my parcel", &schema);
        assert_eq!(question.asked, ["where is my parcel"]);
        assert_eq!(question.candidates, [("a/shop".into(), "a/shop: the cart\n- \n".into()), ("a/van".into(), "a/van: parcels\n".into())]);
    }

    #[test]
    fn a_message_that_holds_the_list_too_is_read_without_it() {
        let schema = json!({ "type": "object", "properties": { "repository": { "type": "string" } } });
        let question = question("Route.", "# Repositories\n- a/shop: the cart\n- a/van: parcels\n\n# Message\nthe total is wrong", &schema);
        assert!(question.asked[0].contains("the total is wrong") && !question.asked[0].contains("parcels"), "{question:?}");
    }
}
