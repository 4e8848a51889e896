//! `rich_text`: sections, lists, quotes and preformatted text, with their inline elements.

use serde_json::{Map, Value};

use super::checker::Checker;

const STYLES: &[&str] = &["bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"];

impl Checker {
    pub(super) fn rich_text(&mut self, fields: &Map<String, Value>, pointer: &str) {
        let Some(elements) = self.elements(fields, pointer) else { return };
        for (index, element) in elements.iter().enumerate() {
            self.rich_element(element, &format!("{pointer}/elements/{index}"));
        }
    }

    fn elements<'a>(&mut self, fields: &'a Map<String, Value>, pointer: &str) -> Option<&'a Vec<Value>> {
        match fields.get("elements") {
            Some(Value::Array(elements)) => Some(elements),
            Some(_) => {
                self.fail("must provide an array", &format!("{pointer}/elements"));
                None
            }
            None => {
                self.fail("missing required field: elements", pointer);
                None
            }
        }
    }

    fn rich_element(&mut self, element: &Value, pointer: &str) {
        let Some((kind, fields)) = self.typed(element, pointer) else { return };
        let known: &[&str] = match kind {
            "rich_text_section" => &[],
            "rich_text_list" => &["style", "indent", "offset", "border"],
            "rich_text_preformatted" => &["border", "language"],
            "rich_text_quote" => &["border"],
            _ => {
                self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type"));
                return;
            }
        };
        self.only(fields, &["type", "elements"], known, pointer);
        let Some(elements) = self.elements(fields, pointer) else { return };
        let in_list = kind == "rich_text_list";
        if in_list && !fields.get("style").and_then(Value::as_str).is_some_and(|style| style == "bullet" || style == "ordered") {
            self.fail("value must be one of [bullet, ordered]", &format!("{pointer}/style"));
        }
        for (index, inner) in elements.iter().enumerate() {
            let inner_pointer = format!("{pointer}/elements/{index}");
            if in_list {
                self.list_item(inner, &inner_pointer);
            } else {
                self.inline(inner, &inner_pointer);
            }
        }
    }

    fn list_item(&mut self, item: &Value, pointer: &str) {
        match self.typed(item, pointer) {
            Some(("rich_text_section", _)) => self.rich_element(item, pointer),
            Some((kind, _)) => self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type")),
            None => {}
        }
    }

    fn inline(&mut self, element: &Value, pointer: &str) {
        let Some((kind, fields)) = self.typed(element, pointer) else { return };
        let (required, optional): (&str, &[&str]) = match kind {
            "text" => ("text", &["style"]),
            "link" => ("url", &["text", "unsafe", "style"]),
            "emoji" => ("name", &["unicode", "skin_tone", "style", "display_url", "display_team_id"]),
            "user" => ("user_id", &["style"]),
            "channel" => ("channel_id", &["style"]),
            "usergroup" => ("usergroup_id", &["style"]),
            "team" => ("team_id", &["style"]),
            "broadcast" => ("range", &["style"]),
            "color" => ("value", &["style"]),
            "date" => ("timestamp", &["format", "url", "fallback", "style"]),
            _ => {
                self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type"));
                return;
            }
        };
        self.only(fields, &["type", required], optional, pointer);
        match fields.get(required) {
            None => self.fail(&format!("missing required field: {required}"), pointer),
            Some(Value::Number(_)) if kind == "date" => {}
            Some(value) => self.string(value, 1, 12_000, &format!("{pointer}/{required}")),
        }
        if kind == "broadcast"
            && !fields.get("range").and_then(Value::as_str).is_some_and(|range| ["here", "channel", "everyone"].contains(&range))
        {
            self.fail("value must be one of [here, channel, everyone]", &format!("{pointer}/range"));
        }
        for name in ["text", "url"] {
            self.text_chars += fields.get(name).and_then(Value::as_str).map_or(0, |text| text.chars().count());
        }
        match fields.get("style") {
            None => {}
            Some(Value::Object(style)) => {
                self.only(style, &[], STYLES, &format!("{pointer}/style"));
                if style.values().any(|flag| !flag.is_boolean()) {
                    self.fail("must provide a boolean", &format!("{pointer}/style"));
                }
            }
            Some(_) => self.fail("must provide an object", &format!("{pointer}/style")),
        }
    }

    fn only(&mut self, fields: &Map<String, Value>, always: &[&str], known: &[&str], pointer: &str) {
        for name in fields.keys().filter(|name| !always.contains(&name.as_str()) && !known.contains(&name.as_str())) {
            self.fail(&format!("invalid additional property: {name}"), pointer);
        }
    }
}
