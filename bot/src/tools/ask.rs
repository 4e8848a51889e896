//! The tool by which the agent asks people something.

use longshore_gateway::ToolSpec;
use serde_json::{Value, json};

pub const ASK_REQUESTER: &str = "ask_requester";

/// What the agent is told of a question that was put.
pub const ASKED: &str = "The question stands in the thread. End your turn now: do nothing more, and say in a sentence or two what you have done \
                         so far. The answer comes as the next prompt.";

/// Options of a question. More than these are read by nobody.
const OPTIONS: usize = 10;
/// Slack's limit of a button's label.
const OPTION_LENGTH: usize = 75;
const QUESTION_LENGTH: usize = 3_000;

pub fn spec() -> ToolSpec {
    ToolSpec {
        name: ASK_REQUESTER.to_owned(),
        description: "Puts a question to the people in the Slack thread, where the work cannot sensibly go on without their answer. It returns \
                      at once: end your turn then. The answer comes as the next prompt of this conversation, in minutes or days. One question \
                      is open at a time."
            .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "question": {
                    "type": "string",
                    "maxLength": QUESTION_LENGTH,
                    "description": "Markdown: what you need to know, and what people need to know to answer it"
                },
                "options": {
                    "type": "array",
                    "items": {"type": "string", "maxLength": OPTION_LENGTH},
                    "maxItems": OPTIONS,
                    "description": "The likely answers, a few words each, the one you would pick first. They become buttons; people may always \
                                    answer in their own words instead"
                }
            },
            "required": ["question"],
            "additionalProperties": false
        }),
    }
}

/// The options of a question, or what is wrong with them.
pub fn options(arguments: &Value, question: &str) -> Result<Vec<String>, String> {
    if question.chars().count() > QUESTION_LENGTH {
        return Err(format!("the question has more than {QUESTION_LENGTH} characters: ask for less at once"));
    }
    let mut options: Vec<String> = Vec::new();
    match arguments.get("options") {
        None | Some(Value::Null) => {}
        Some(Value::Array(given)) => {
            for option in given {
                let Some(option) = option.as_str() else { return Err("each of the `options` is a text".to_owned()) };
                let option = option.split_whitespace().collect::<Vec<_>>().join(" ");
                if !option.is_empty() && !options.contains(&option) {
                    options.push(option);
                }
            }
        }
        Some(_) => return Err("`options` is a list of texts".to_owned()),
    }
    if options.len() > OPTIONS {
        return Err(format!("these are {} options, and {OPTIONS} are enough: leave the unlikely ones out", options.len()));
    }
    if let Some(long) = options.iter().find(|option| option.chars().count() > OPTION_LENGTH) {
        return Err(format!("the option “{long}” has more than {OPTION_LENGTH} characters: say the details in the question"));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_few_short_and_different() {
        let read = |given: Value| options(&json!({ "options": given }), "Which?");
        assert_eq!(options(&json!({}), "Which?"), Ok(Vec::new()));
        assert_eq!(read(json!(["  Take\nit ", "", "Take it", "Leave it"])), Ok(vec!["Take it".to_owned(), "Leave it".to_owned()]));
        assert!(read(json!((0..11).map(|n| n.to_string()).collect::<Vec<_>>())).unwrap_err().contains("10 are enough"));
        assert!(read(json!(["x".repeat(76)])).unwrap_err().contains("75 characters"));
        assert!(read(json!("Take it")).is_err() && read(json!([1])).is_err());
        assert!(options(&json!({}), &"?".repeat(3_001)).is_err());
    }
}
