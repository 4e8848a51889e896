//! What holds for a whole view: modal or home tab.

use serde_json::{Map, Value};

use super::Surface;
use super::checker::Checker;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ViewKind {
    Modal,
    Home,
}

/// Checks a view of the wanted kind; the faults carry no `[ERROR]` in front.
pub(in super::super) fn check_view(view: &Value, wanted: ViewKind) -> Result<Map<String, Value>, Vec<String>> {
    let surface = match wanted {
        ViewKind::Modal => Surface::Modal,
        ViewKind::Home => Surface::Home,
    };
    let mut checker = Checker::new(surface);
    let Some((kind, fields)) = checker.typed(view, "/view") else { return Err(checker.errors) };
    let expected = match wanted {
        ViewKind::Modal => "modal",
        ViewKind::Home => "home",
    };
    if kind != expected {
        checker.fail(&format!("must be a valid enum value: {expected}"), "/view/type");
        return Err(checker.errors);
    }
    let known: &[&str] = match wanted {
        ViewKind::Modal => &[
            "type",
            "title",
            "blocks",
            "close",
            "submit",
            "private_metadata",
            "callback_id",
            "clear_on_close",
            "notify_on_close",
            "external_id",
            "submit_disabled",
        ],
        ViewKind::Home => &["type", "blocks", "private_metadata", "callback_id", "external_id", "title", "close", "submit"],
    };
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        checker.fail(&format!("invalid additional property: {name}"), "/view");
    }
    for (name, most) in [("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)] {
        if let Some(value) = fields.get(name) {
            checker.string(value, 0, most, &format!("/view/{name}"));
        }
    }
    for name in ["title", "submit", "close"] {
        if let Some(value) = fields.get(name).filter(|value| !value.is_null()) {
            checker.short_text(value, 24, &format!("/view/{name}"));
        } else if name == "title" && wanted == ViewKind::Modal {
            checker.fail("missing required field: title", "/view");
        }
    }
    match fields.get("blocks") {
        Some(Value::Array(blocks)) => checker.blocks(blocks, "/view/blocks"),
        Some(_) => checker.fail("must provide an array", "/view/blocks"),
        None => checker.fail("missing required field: blocks", "/view"),
    }
    if wanted == ViewKind::Modal && checker.inputs > 0 && !fields.contains_key("submit") {
        checker.fail("missing required field: submit", "/view");
    }
    if checker.errors.is_empty() { Ok(fields.clone()) } else { Err(checker.errors) }
}
