//! The tables: each block, element and composition object with its fields and limits (docs.slack.dev, Block Kit reference).

use super::Surface;

#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Checked elsewhere.
    Any,
    Str {
        least: usize,
        most: usize,
    },
    Url,
    OneOf(&'static [&'static str]),
    Bool,
    Int {
        least: i64,
        most: i64,
    },
    /// A `plain_text` object.
    Plain {
        most: usize,
    },
    /// A `plain_text` or `mrkdwn` object.
    Text {
        most: usize,
    },
    Object(&'static [Field]),
    List {
        least: usize,
        most: usize,
        of: &'static Kind,
    },
    Element(&'static [&'static str]),
    Block(&'static [&'static str]),
}

pub(super) struct BlockShape {
    pub(super) fields: &'static [Field],
    pub(super) surfaces: &'static [Surface],
}

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

const fn text(most: usize) -> Kind {
    Kind::Str { least: 1, most }
}

/// `Any` because `typed` has already looked at it.
const TYPE: Field = must("type", Kind::Any);
const BLOCK_ID: Field = may("block_id", Kind::Str { least: 0, most: 255 });
const ACTION_ID: Field = may("action_id", text(255));
const FOCUS: Field = may("focus_on_load", Kind::Bool);
const PLACEHOLDER: Field = may("placeholder", Kind::Plain { most: 150 });
const CONFIRM: Field = may("confirm", Kind::Object(CONFIRM_FIELDS));
const STYLE: Field = may("style", Kind::OneOf(&["primary", "danger"]));
const ACCESSIBILITY: Field = may("accessibility_label", text(75));
const DISPATCH: Field = may(
    "dispatch_action_config",
    Kind::Object(&[may(
        "trigger_actions_on",
        Kind::List { least: 1, most: 2, of: &Kind::OneOf(&["on_enter_pressed", "on_character_entered"]) },
    )]),
);
const MAX_SELECTED: Field = may("max_selected_items", Kind::Int { least: 1, most: i64::MAX });

const CONFIRM_FIELDS: &[Field] = &[
    must("title", Kind::Plain { most: 100 }),
    must("text", Kind::Text { most: 300 }),
    must("confirm", Kind::Plain { most: 30 }),
    must("deny", Kind::Plain { most: 30 }),
    STYLE,
];
const SLACK_FILE: Field = may("slack_file", Kind::Object(&[may("id", text(255)), may("url", Kind::Url)]));

const OPTION: Kind =
    Kind::Object(&[must("text", Kind::Plain { most: 75 }), must("value", text(150)), may("description", Kind::Plain { most: 75 })]);
/// Radio buttons and checkboxes may carry mrkdwn.
const RICH_OPTION: Kind =
    Kind::Object(&[must("text", Kind::Text { most: 75 }), must("value", text(150)), may("description", Kind::Text { most: 75 })]);
const OVERFLOW_OPTION: Kind = Kind::Object(&[
    must("text", Kind::Plain { most: 75 }),
    must("value", text(150)),
    may("description", Kind::Plain { most: 75 }),
    may("url", Kind::Url),
]);
const OPTION_GROUP: Kind =
    Kind::Object(&[must("label", Kind::Plain { most: 75 }), must("options", Kind::List { least: 1, most: 100, of: &OPTION })]);
const OPTIONS: Field = may("options", Kind::List { least: 1, most: 100, of: &OPTION });
const OPTION_GROUPS: Field = may("option_groups", Kind::List { least: 1, most: 100, of: &OPTION_GROUP });
const INITIAL_OPTION: Field = may("initial_option", OPTION);
const INITIAL_OPTIONS: Field = may("initial_options", Kind::List { least: 1, most: 100, of: &OPTION });
const IDS: Kind = Kind::List { least: 1, most: 100, of: &text(255) };
const FILTER: Field = may(
    "filter",
    Kind::Object(&[
        may("include", Kind::List { least: 1, most: 4, of: &Kind::OneOf(&["im", "mpim", "private", "public"]) }),
        may("exclude_external_shared_channels", Kind::Bool),
        may("exclude_bot_users", Kind::Bool),
    ]),
);

const IN_SECTION: &[&str] = &[
    "button",
    "checkboxes",
    "datepicker",
    "image",
    "multi_static_select",
    "multi_external_select",
    "multi_users_select",
    "multi_conversations_select",
    "multi_channels_select",
    "overflow",
    "radio_buttons",
    "static_select",
    "external_select",
    "users_select",
    "conversations_select",
    "channels_select",
    "timepicker",
    "workflow_button",
];
const IN_ACTIONS: &[&str] = &[
    "button",
    "checkboxes",
    "datepicker",
    "datetimepicker",
    "multi_static_select",
    "multi_external_select",
    "multi_users_select",
    "multi_conversations_select",
    "multi_channels_select",
    "overflow",
    "radio_buttons",
    "static_select",
    "external_select",
    "users_select",
    "conversations_select",
    "channels_select",
    "timepicker",
    "workflow_button",
    "plain_text_input",
    "rich_text_input",
];
const IN_INPUT: &[&str] = &[
    "checkboxes",
    "datepicker",
    "datetimepicker",
    "email_text_input",
    "file_input",
    "multi_static_select",
    "multi_external_select",
    "multi_users_select",
    "multi_conversations_select",
    "multi_channels_select",
    "number_input",
    "plain_text_input",
    "radio_buttons",
    "rich_text_input",
    "static_select",
    "external_select",
    "users_select",
    "conversations_select",
    "channels_select",
    "timepicker",
    "url_text_input",
];

const FILE_TYPE: Kind = text(20);
const COLUMN: Kind = Kind::Object(&[may("align", Kind::OneOf(&["left", "center", "right"])), may("is_wrapped", Kind::Bool)]);

const EVERYWHERE: &[Surface] = &[Surface::Message, Surface::Modal, Surface::Home];
const IN_MESSAGES: &[Surface] = &[Surface::Message];

const RICH_TEXT_BLOCK: Kind = Kind::Block(&["rich_text"]);
const TASK_FIELDS: &[Field] = &[
    TYPE,
    BLOCK_ID,
    must("task_id", text(255)),
    must("title", text(256)),
    may("status", Kind::OneOf(&["pending", "in_progress", "complete", "error"])),
    may("details", RICH_TEXT_BLOCK),
    may("output", RICH_TEXT_BLOCK),
    may("sources", Kind::List { least: 0, most: 50, of: &Kind::Object(&[TYPE, must("url", Kind::Url), must("text", text(256))]) }),
];

pub(super) fn block(kind: &str) -> Option<BlockShape> {
    let (fields, surfaces): (&'static [Field], &'static [Surface]) = match kind {
        "section" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    may("text", Kind::Text { most: 3000 }),
                    may("fields", Kind::List { least: 1, most: 10, of: &Kind::Text { most: 2000 } }),
                    may("accessory", Kind::Element(IN_SECTION)),
                    may("expand", Kind::Bool),
                ]
            },
            EVERYWHERE,
        ),
        "actions" => {
            (const { &[TYPE, BLOCK_ID, must("elements", Kind::List { least: 1, most: 25, of: &Kind::Element(IN_ACTIONS) })] }, EVERYWHERE)
        }
        "context" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    must("elements", Kind::List { least: 1, most: 10, of: &Kind::Element(&["image", "mrkdwn", "plain_text"]) }),
                ]
            },
            EVERYWHERE,
        ),
        "context_actions" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    must("elements", Kind::List { least: 1, most: 5, of: &Kind::Element(&["feedback_buttons", "icon_button"]) }),
                ]
            },
            IN_MESSAGES,
        ),
        "header" => (const { &[TYPE, BLOCK_ID, must("text", Kind::Plain { most: 150 })] }, EVERYWHERE),
        "divider" => (const { &[TYPE, BLOCK_ID] }, EVERYWHERE),
        "image" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    may("image_url", Kind::Url),
                    SLACK_FILE,
                    must("alt_text", text(2000)),
                    may("title", Kind::Plain { most: 2000 }),
                ]
            },
            EVERYWHERE,
        ),
        "input" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    must("label", Kind::Plain { most: 2000 }),
                    must("element", Kind::Element(IN_INPUT)),
                    may("dispatch_action", Kind::Bool),
                    may("hint", Kind::Plain { most: 2000 }),
                    may("optional", Kind::Bool),
                ]
            },
            EVERYWHERE,
        ),
        "rich_text" => (const { &[TYPE, BLOCK_ID, must("elements", Kind::Any)] }, EVERYWHERE),
        "markdown" => (const { &[TYPE, BLOCK_ID, must("text", text(12_000))] }, IN_MESSAGES),
        "video" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    must("alt_text", text(2000)),
                    must("title", Kind::Plain { most: 200 }),
                    must("thumbnail_url", Kind::Url),
                    must("video_url", Kind::Url),
                    may("title_url", Kind::Url),
                    may("author_name", text(50)),
                    may("description", Kind::Plain { most: 200 }),
                    may("provider_icon_url", Kind::Url),
                    may("provider_name", text(50)),
                ]
            },
            EVERYWHERE,
        ),
        "table" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    must(
                        "rows",
                        Kind::List {
                            least: 1,
                            most: 100,
                            of: &Kind::List { least: 1, most: 20, of: &Kind::Element(&["raw_text", "rich_text"]) },
                        },
                    ),
                    may("column_settings", Kind::List { least: 0, most: 20, of: &COLUMN }),
                ]
            },
            IN_MESSAGES,
        ),
        "task_card" => (TASK_FIELDS, IN_MESSAGES),
        "plan" => (
            const {
                &[
                    TYPE,
                    BLOCK_ID,
                    must("title", text(256)),
                    may("tasks", Kind::List { least: 0, most: 50, of: &Kind::Block(&["task_card"]) }),
                ]
            },
            IN_MESSAGES,
        ),
        _ => return None,
    };
    Some(BlockShape { fields, surfaces })
}

pub(super) fn element(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "button" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    must("text", Kind::Plain { most: 75 }),
                    may("url", Kind::Url),
                    may("value", Kind::Str { least: 0, most: 2000 }),
                    STYLE,
                    CONFIRM,
                    ACCESSIBILITY,
                ]
            }
        }
        "workflow_button" => {
            const { &[TYPE, ACTION_ID, must("text", Kind::Plain { most: 75 }), must("workflow", Kind::Any), STYLE, ACCESSIBILITY] }
        }
        "checkboxes" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    must("options", Kind::List { least: 1, most: 10, of: &RICH_OPTION }),
                    may("initial_options", Kind::List { least: 1, most: 10, of: &RICH_OPTION }),
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "radio_buttons" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    must("options", Kind::List { least: 1, most: 10, of: &RICH_OPTION }),
                    may("initial_option", RICH_OPTION),
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "overflow" => const { &[TYPE, ACTION_ID, must("options", Kind::List { least: 1, most: 5, of: &OVERFLOW_OPTION }), CONFIRM] },
        "datepicker" => const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_date", text(10)), CONFIRM, FOCUS] },
        "timepicker" => const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_time", text(5)), may("timezone", text(100)), CONFIRM, FOCUS] },
        "datetimepicker" => {
            const { &[TYPE, ACTION_ID, may("initial_date_time", Kind::Int { least: 1_000_000_000, most: 9_999_999_999 }), CONFIRM, FOCUS] }
        }
        "plain_text_input" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    PLACEHOLDER,
                    may("initial_value", Kind::Str { least: 0, most: 3000 }),
                    may("multiline", Kind::Bool),
                    may("min_length", Kind::Int { least: 0, most: 3000 }),
                    may("max_length", Kind::Int { least: 1, most: 3000 }),
                    DISPATCH,
                    FOCUS,
                ]
            }
        }
        "email_text_input" | "url_text_input" => {
            const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_value", text(3000)), DISPATCH, FOCUS] }
        }
        "number_input" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    PLACEHOLDER,
                    must("is_decimal_allowed", Kind::Bool),
                    may("initial_value", text(100)),
                    may("min_value", text(100)),
                    may("max_value", text(100)),
                    DISPATCH,
                    FOCUS,
                ]
            }
        }
        "rich_text_input" => const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_value", RICH_TEXT_BLOCK), DISPATCH, FOCUS] },
        "file_input" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    may("filetypes", Kind::List { least: 0, most: 100, of: &FILE_TYPE }),
                    may("max_files", Kind::Int { least: 1, most: 10 }),
                ]
            }
        }
        "static_select" => const { &[TYPE, ACTION_ID, PLACEHOLDER, OPTIONS, OPTION_GROUPS, INITIAL_OPTION, CONFIRM, FOCUS] },
        "multi_static_select" => {
            const { &[TYPE, ACTION_ID, PLACEHOLDER, OPTIONS, OPTION_GROUPS, INITIAL_OPTIONS, MAX_SELECTED, CONFIRM, FOCUS] }
        }
        "external_select" => {
            const { &[TYPE, ACTION_ID, PLACEHOLDER, INITIAL_OPTION, may("min_query_length", Kind::Int { least: 0, most: 3000 }), CONFIRM, FOCUS] }
        }
        "multi_external_select" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    PLACEHOLDER,
                    INITIAL_OPTIONS,
                    may("min_query_length", Kind::Int { least: 0, most: 3000 }),
                    MAX_SELECTED,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "users_select" => const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_user", text(255)), CONFIRM, FOCUS] },
        "multi_users_select" => const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_users", IDS), MAX_SELECTED, CONFIRM, FOCUS] },
        "channels_select" => {
            const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_channel", text(255)), may("response_url_enabled", Kind::Bool), CONFIRM, FOCUS] }
        }
        "multi_channels_select" => const { &[TYPE, ACTION_ID, PLACEHOLDER, may("initial_channels", IDS), MAX_SELECTED, CONFIRM, FOCUS] },
        "conversations_select" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    PLACEHOLDER,
                    may("initial_conversation", text(255)),
                    may("default_to_current_conversation", Kind::Bool),
                    may("response_url_enabled", Kind::Bool),
                    FILTER,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "multi_conversations_select" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    PLACEHOLDER,
                    may("initial_conversations", IDS),
                    may("default_to_current_conversation", Kind::Bool),
                    FILTER,
                    MAX_SELECTED,
                    CONFIRM,
                    FOCUS,
                ]
            }
        }
        "image" => const { &[TYPE, may("image_url", Kind::Url), SLACK_FILE, must("alt_text", text(2000))] },
        "feedback_buttons" => {
            const { &[TYPE, ACTION_ID, must("positive_button", FEEDBACK_BUTTON), must("negative_button", FEEDBACK_BUTTON)] }
        }
        "icon_button" => {
            const {
                &[
                    TYPE,
                    ACTION_ID,
                    must("icon", Kind::OneOf(&["trash"])),
                    must("text", Kind::Plain { most: 75 }),
                    may("value", text(2000)),
                    may("visible_to_user_ids", IDS),
                    CONFIRM,
                    ACCESSIBILITY,
                ]
            }
        }
        "raw_text" => const { &[TYPE, must("text", text(3000))] },
        _ => return None,
    })
}

const FEEDBACK_BUTTON: Kind = Kind::Object(&[must("text", Kind::Plain { most: 75 }), must("value", text(2000)), ACCESSIBILITY]);

/// Whether an element sends an interaction and so has an `action_id`.
pub(in super::super) fn is_interactive(kind: &str) -> bool {
    element(kind).is_some_and(|fields| fields.iter().any(|field| field.name == "action_id"))
}
