//! The primitives of checking, in Slack's words.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Surface;
use super::shapes::{self, Field, Kind};

pub(super) struct Checker {
    pub(super) surface: Surface,
    pub(super) errors: Vec<String>,
    pub(super) text_chars: usize,
    pub(super) tables: usize,
    pub(super) inputs: usize,
    block_ids: HashSet<String>,
    focused: usize,
}

impl Checker {
    pub(super) fn new(surface: Surface) -> Self {
        Self { surface, errors: Vec::new(), text_chars: 0, tables: 0, inputs: 0, block_ids: HashSet::new(), focused: 0 }
    }

    pub(super) fn fail(&mut self, what: &str, pointer: &str) {
        self.errors.push(format!("{what} [json-pointer:{pointer}]"));
    }

    /// All blocks of a surface.
    pub(super) fn blocks(&mut self, blocks: &[Value], pointer: &str) {
        let most = self.surface.most_blocks();
        if blocks.len() > most {
            self.fail(&format!("no more than {most} items allowed"), pointer);
        }
        for (index, block) in blocks.iter().enumerate() {
            self.block(block, &format!("{pointer}/{index}"));
        }
    }

    pub(super) fn block(&mut self, block: &Value, pointer: &str) {
        let Some((kind, fields)) = self.typed(block, pointer) else { return };
        let known = shapes::block(kind).filter(|shape| shape.surfaces.contains(&self.surface));
        let Some(shape) = known else {
            self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type"));
            return;
        };
        self.fields(fields, shape.fields, pointer);
        if let Some(id) = fields.get("block_id").and_then(Value::as_str)
            && !self.block_ids.insert(id.to_owned())
        {
            self.fail(&format!("`block_id` `{id}` already exists"), &format!("{pointer}/block_id"));
        }
        self.unique_action_ids(fields, pointer);
        match kind {
            "section" if !fields.contains_key("text") && !fields.contains_key("fields") => {
                self.fail("missing required field: text", pointer);
            }
            "image" => self.one_picture(fields, pointer),
            "input" => self.inputs += 1,
            "table" => self.tables += 1,
            "rich_text" => self.rich_text(fields, pointer),
            "markdown" => self.text_chars += chars_of(fields.get("text")),
            _ => {}
        }
    }

    /// A block's or element's `type` and fields.
    pub(super) fn typed<'a>(&mut self, value: &'a Value, pointer: &str) -> Option<(&'a str, &'a Map<String, Value>)> {
        let Some(fields) = value.as_object() else {
            self.fail("must provide an object", pointer);
            return None;
        };
        match fields.get("type") {
            Some(Value::String(kind)) => Some((kind, fields)),
            Some(_) => {
                self.fail("must provide a string", &format!("{pointer}/type"));
                None
            }
            None => {
                self.fail("missing required field: type", pointer);
                None
            }
        }
    }

    /// Compares an object with its table: what must be there, what may, and nothing else.
    pub(super) fn fields(&mut self, fields: &Map<String, Value>, shape: &[Field], pointer: &str) {
        for wanted in shape.iter().filter(|field| field.required && !fields.contains_key(field.name)) {
            self.fail(&format!("missing required field: {}", wanted.name), pointer);
        }
        for (name, value) in fields {
            match shape.iter().find(|field| field.name == name) {
                Some(field) => self.kind(value, field.kind, &format!("{pointer}/{name}")),
                None => self.fail(&format!("invalid additional property: {name}"), pointer),
            }
        }
    }

    fn kind(&mut self, value: &Value, kind: Kind, pointer: &str) {
        match kind {
            Kind::Any => {}
            Kind::Str { least, most } => self.string(value, least, most, pointer),
            Kind::Url => self.url(value, pointer),
            Kind::OneOf(allowed) => {
                if !value.as_str().is_some_and(|text| allowed.contains(&text)) {
                    self.fail(&format!("value must be one of [{}]", allowed.join(", ")), pointer);
                }
            }
            Kind::Bool => {
                if !value.is_boolean() {
                    self.fail("must provide a boolean", pointer);
                }
            }
            Kind::Int { least, most } => match value.as_i64() {
                None => self.fail("must provide an integer", pointer),
                Some(number) if number < least => self.fail(&format!("must be greater than or equal to {least}"), pointer),
                Some(number) if number > most => self.fail(&format!("must be less than or equal to {most}"), pointer),
                Some(_) => {}
            },
            Kind::Plain { most } => self.text_object(value, &["plain_text"], most, pointer),
            Kind::Text { most } => self.text_object(value, &["plain_text", "mrkdwn"], most, pointer),
            Kind::Object(shape) => match value.as_object() {
                Some(fields) => self.fields(fields, shape, pointer),
                None => self.fail("must provide an object", pointer),
            },
            Kind::List { least, most, of } => {
                let Some(items) = self.list(value, least, most, pointer) else { return };
                for (index, item) in items.iter().enumerate() {
                    self.kind(item, *of, &format!("{pointer}/{index}"));
                }
            }
            Kind::Element(allowed) => self.element(value, allowed, pointer),
            Kind::Block(allowed) => {
                if let Some((kind, _)) = self.typed(value, pointer) {
                    if allowed.contains(&kind) {
                        self.block(value, pointer);
                    } else {
                        self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type"));
                    }
                }
            }
        }
    }

    fn list<'a>(&mut self, value: &'a Value, least: usize, most: usize, pointer: &str) -> Option<&'a Vec<Value>> {
        let Some(items) = value.as_array() else {
            self.fail("must provide an array", pointer);
            return None;
        };
        if items.len() < least {
            self.fail(&format!("no less than {least} items allowed"), pointer);
        }
        if items.len() > most {
            self.fail(&format!("no more than {most} items allowed"), pointer);
        }
        Some(items)
    }

    pub(super) fn string(&mut self, value: &Value, least: usize, most: usize, pointer: &str) {
        let Some(text) = value.as_str() else {
            self.fail("must provide a string", pointer);
            return;
        };
        let length = text.chars().count();
        if length < least {
            self.fail(&format!("must be more than {} characters", least - 1), pointer);
        } else if length > most {
            self.fail(&format!("must be less than {} characters", most + 1), pointer);
        }
    }

    fn url(&mut self, value: &Value, pointer: &str) {
        self.string(value, 1, 3000, pointer);
        if value.as_str().is_some_and(|text| !text.is_empty() && url::Url::parse(text).is_err()) {
            self.fail("must be a valid URL", pointer);
        }
    }

    fn text_object(&mut self, value: &Value, allowed: &[&str], most: usize, pointer: &str) {
        let Some((kind, fields)) = self.typed(value, pointer) else { return };
        if !allowed.contains(&kind) {
            self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type"));
            return;
        }
        for name in fields.keys() {
            let known = match name.as_str() {
                "type" | "text" => true,
                "emoji" => kind == "plain_text",
                "verbatim" => kind == "mrkdwn",
                _ => false,
            };
            if !known {
                self.fail(&format!("invalid additional property: {name}"), pointer);
            }
        }
        for name in ["emoji", "verbatim"] {
            if fields.get(name).is_some_and(|flag| !flag.is_boolean()) {
                self.fail("must provide a boolean", &format!("{pointer}/{name}"));
            }
        }
        match fields.get("text") {
            Some(text) => {
                self.string(text, 1, most, &format!("{pointer}/text"));
                self.text_chars += chars_of(Some(text));
            }
            None => self.fail("missing required field: text", pointer),
        }
    }

    /// A `plain_text` object, for those who stand outside of the tables.
    pub(super) fn short_text(&mut self, value: &Value, most: usize, pointer: &str) {
        self.text_object(value, &["plain_text"], most, pointer);
    }

    fn element(&mut self, value: &Value, allowed: &[&str], pointer: &str) {
        let Some((kind, fields)) = self.typed(value, pointer) else { return };
        if !allowed.contains(&kind) {
            self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type"));
            return;
        }
        if kind == "plain_text" || kind == "mrkdwn" {
            self.text_object(value, allowed, 3000, pointer);
            return;
        }
        if kind == "rich_text" {
            self.rich_text(fields, pointer);
            return;
        }
        if kind == "file_input" && self.surface != Surface::Modal {
            self.fail("unsupported type: file_input", &format!("{pointer}/type"));
            return;
        }
        let Some(shape) = shapes::element(kind) else {
            self.fail(&format!("unsupported type: {kind}"), &format!("{pointer}/type"));
            return;
        };
        self.fields(fields, shape, pointer);
        if fields.get("focus_on_load").and_then(Value::as_bool) == Some(true) {
            self.focused += 1;
            if self.focused > 1 {
                self.fail("only one element can have `focus_on_load` set to true", pointer);
            }
        }
        match kind {
            "image" => self.one_picture(fields, pointer),
            "static_select" | "multi_static_select" => {
                if fields.contains_key("options") == fields.contains_key("option_groups") {
                    self.fail("must provide either `options` or `option_groups`", pointer);
                }
                self.initial_options(fields, pointer);
            }
            "radio_buttons" | "checkboxes" => self.initial_options(fields, pointer),
            _ => {}
        }
    }

    /// What is chosen from the start must be one of the options, to the letter.
    fn initial_options(&mut self, fields: &Map<String, Value>, pointer: &str) {
        let groups = fields.get("option_groups").and_then(Value::as_array).into_iter().flatten();
        let lists = groups.filter_map(|group| group.get("options")).chain(fields.get("options"));
        let options: Vec<&Value> = lists.filter_map(Value::as_array).flatten().collect();
        let single = fields.get("initial_option").into_iter();
        let several = fields.get("initial_options").and_then(Value::as_array).into_iter().flatten();
        if single.chain(several).any(|initial| !options.contains(&initial)) {
            self.fail("initial option must match one of the options", pointer);
        }
    }

    fn one_picture(&mut self, fields: &Map<String, Value>, pointer: &str) {
        if fields.contains_key("image_url") == fields.contains_key("slack_file") {
            self.fail("must provide either `image_url` or `slack_file`", pointer);
        }
    }

    fn unique_action_ids(&mut self, fields: &Map<String, Value>, pointer: &str) {
        let Some(elements) = fields.get("elements").and_then(Value::as_array) else { return };
        let mut seen = HashSet::new();
        for (index, element) in elements.iter().enumerate() {
            if let Some(id) = element.get("action_id").and_then(Value::as_str)
                && !seen.insert(id)
            {
                self.fail(&format!("`action_id` `{id}` already exists"), &format!("{pointer}/elements/{index}/action_id"));
            }
        }
    }
}

fn chars_of(text: Option<&Value>) -> usize {
    text.and_then(Value::as_str).map_or(0, |text| text.chars().count())
}
