//! A call's arguments: query, form or JSON, all the same to the methods.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::answer::ApiError;

#[derive(Clone, Debug, Default)]
pub(super) struct Args(Map<String, Value>);

/// Whether a method reads JSON bodies; Slack's reading methods take only forms and queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    FormOnly,
    FormOrJson,
}

impl Args {
    /// Reads query and body. A JSON body of a method that takes none is passed over, as in Slack.
    pub(super) fn read(query: Option<&str>, headers: &HeaderMap, body: &[u8], bodies: Bodies) -> Result<Self, ApiError> {
        let mut args = Map::new();
        add_form(&mut args, query.unwrap_or_default().as_bytes());
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if content_type.starts_with("application/json") {
            if bodies == Bodies::FormOrJson && !body.is_empty() {
                match serde_json::from_slice(body) {
                    Ok(Value::Object(fields)) => args.extend(fields),
                    Ok(_) => return Err(ApiError::new("json_not_object")),
                    Err(_) => return Err(ApiError::new("invalid_json")),
                }
            }
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            add_form(&mut args, body);
        } else if !body.is_empty() {
            return Err(ApiError::new("invalid_post_type"));
        }
        args.retain(|_, value| !value.is_null());
        Ok(Self(args))
    }

    pub(super) fn take_token(&mut self) -> Option<String> {
        self.0.remove("token").and_then(|token| token.as_str().map(str::to_owned))
    }

    /// As logged: fields that hold JSON as text are opened, so that a form and a JSON call read the same.
    pub(super) fn logged(&self) -> Value {
        let open = |(name, value): (&String, &Value)| match value {
            Value::String(text) if text.starts_with(['[', '{']) => {
                (name.clone(), serde_json::from_str(text).unwrap_or_else(|_| value.clone()))
            }
            _ => (name.clone(), value.clone()),
        };
        Value::Object(self.0.iter().map(open).collect())
    }

    pub(super) fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    pub(super) fn need(&self, name: &str) -> Result<String, ApiError> {
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(|| ApiError::missing(name))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).as_deref(), Some("true" | "1"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| ApiError::new("invalid_arguments")),
        }
    }

    /// A structured argument, given as JSON or as its text; `refusal` is the error when it is not JSON.
    pub(super) fn json(&self, name: &str, refusal: &str) -> Result<Option<Value>, ApiError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(|_| ApiError::new(refusal)),
            Some(value) => Ok(Some(value.clone())),
        }
    }

    /// The page that is asked for, out of `count` items: start and end, and the cursor of the next.
    pub(super) fn page(&self, count: usize, default: usize, most: usize) -> Result<(usize, usize, String), ApiError> {
        let limit = match self.number("limit")? {
            None | Some(0) => default,
            Some(limit) => limit.min(most),
        };
        let start = match self.text("cursor").filter(|cursor| !cursor.is_empty()) {
            None => 0,
            Some(cursor) => decode_cursor(&cursor).filter(|start| *start <= count).ok_or_else(|| ApiError::new("invalid_cursor"))?,
        };
        let end = (start + limit).min(count);
        let next = if end < count { STANDARD.encode(format!("next:{end}")) } else { String::new() };
        Ok((start, end, next))
    }
}

fn decode_cursor(cursor: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("next:")?.parse().ok()
}

fn add_form(args: &mut Map<String, Value>, form: &[u8]) {
    for (name, value) in url::form_urlencoded::parse(form) {
        args.insert(name.into_owned(), Value::String(value.into_owned()));
    }
}
