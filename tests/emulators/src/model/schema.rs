//! Values that hold a JSON schema: the part of it that structured answers use.

use serde_json::{Map, Value, json};

/// What `$ref` points at, or the schema itself.
pub(super) fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut schema = schema;
    // A cycle of references has no value; a few steps are more than any real schema takes.
    for _ in 0..16 {
        match schema["$ref"].as_str().and_then(|path| root.pointer(path.trim_start_matches('#'))) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// The alternatives of a schema (`anyOf`, `oneOf`, several types), or the schema alone.
pub(super) fn alternatives(schema: &Value) -> Vec<Value> {
    if let Some(several) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return several.clone();
    }
    if let Some(types) = schema["type"].as_array() {
        return types
            .iter()
            .map(|kind| {
                let mut one = schema.clone();
                one["type"] = kind.clone();
                one
            })
            .collect();
    }
    vec![schema.clone()]
}

/// The smallest value that holds a schema.
pub(super) fn least(schema: &Value, root: &Value) -> Value {
    let schema = resolved(schema, root);
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    let alternatives = alternatives(schema);
    if alternatives.len() > 1 {
        return alternatives.iter().find(|one| one["type"] == "null").map_or_else(|| least(&alternatives[0], root), |_| Value::Null);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let mut object = Map::new();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if is_required(schema, name) {
                    object.insert(name.clone(), least(property, root));
                }
            }
            Value::Object(object)
        }
        Some("array") => {
            let count = usize::try_from(schema["minItems"].as_u64().unwrap_or(0)).unwrap_or(0);
            Value::Array(vec![least(&schema["items"], root); count])
        }
        Some("boolean") => json!(false),
        Some("integer") => json!(schema["minimum"].as_i64().unwrap_or(0)),
        Some("number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0.0)),
        Some("null") => Value::Null,
        _ => json!("-".repeat(usize::try_from(schema["minLength"].as_u64().unwrap_or(0)).unwrap_or(0))),
    }
}

pub(super) fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|one| one == name))
}

/// What in a value does not hold the schema, each with its place. Empty where it does.
pub(super) fn violations(value: &Value, schema: &Value, root: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(value, schema, root, "$", &mut found);
    found
}

fn check(value: &Value, schema: &Value, root: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolved(schema, root);
    let alternatives = alternatives(schema);
    if alternatives.len() > 1 {
        if !alternatives.iter().any(|one| violations(value, one, root).is_empty()) {
            found.push(format!("{at}: {value} is none of what is allowed"));
        }
        return;
    }
    if schema.get("const").is_some_and(|one| one != value) || schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        found.push(format!("{at}: {value} is not among the allowed values"));
    }
    let is_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        _ => true,
    };
    if !is_type {
        found.push(format!("{at}: {value} is no {}", schema["type"]));
        return;
    }
    if let Some(number) = value.as_f64() {
        let outside =
            schema["minimum"].as_f64().is_some_and(|least| number < least) || schema["maximum"].as_f64().is_some_and(|most| number > most);
        if outside {
            found.push(format!("{at}: {number} is out of bounds"));
        }
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                found.push(format!("{at}: `{name}` is missing"));
            }
        }
        for (name, inner) in object {
            match schema["properties"].get(name) {
                Some(property) => check(inner, property, root, &format!("{at}.{name}"), found),
                None if schema["additionalProperties"] == json!(false) => found.push(format!("{at}: `{name}` is not allowed")),
                None => {}
            }
        }
    }
    if let Some(items) = value.as_array() {
        let count = items.len() as u64;
        if schema["minItems"].as_u64().is_some_and(|least| count < least) || schema["maxItems"].as_u64().is_some_and(|most| count > most) {
            found.push(format!("{at}: {count} items"));
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                check(item, schema, root, &format!("{at}[{index}]"), found);
            }
        }
    }
}
