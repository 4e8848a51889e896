//! The pictures of `docs/messages.md` are there and of today, and a browser takes them again.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;

use longshore_harness::{Album, Taken, alike, take};
use longshore_slack::examples::{Example, Shape, examples};
use serde_json::Value;

const BYTES_OF_ONE: u64 = 40_000;
const BYTES_OF_ALL: u64 = 3_000_000;

#[test]
fn every_example_has_a_picture_of_what_it_is_today() {
    let (album, examples) = (Album::open().unwrap(), examples());
    let stale: Vec<&str> = examples.iter().filter(|example| album.is_stale(example).unwrap()).map(|example| example.name).collect();
    assert!(stale.is_empty(), "run `make pictures`, look at them, and commit them: {stale:?}");
    assert_eq!(album.strangers(&examples).unwrap(), Vec::<String>::new(), "pictures of no example: run `make pictures`");
    assert!(alike(), "docs/messages.md is not what `make pictures` writes");
    let mut all = 0;
    for example in &examples {
        let bytes = fs::metadata(album.picture(example.name)).unwrap().len();
        assert!(bytes < BYTES_OF_ONE, "{} has {bytes} bytes", example.name);
        all += bytes;
    }
    assert!(all < BYTES_OF_ALL, "all together have {all} bytes");
}

/// One of each kind, and whatever else is long or wide.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_what_was_sent() {
    let wanted = ["card-working", "reply-pull-request", "reply-long", "picker-many", "agent-status"];
    let mut chosen: Vec<Example> = examples().into_iter().filter(|example| wanted.contains(&example.name)).collect();
    assert_eq!(chosen.len(), wanted.len(), "an example has another name now");
    let views = |is_view: fn(&Shape) -> bool| examples().into_iter().find(|example| is_view(&example.shape));
    chosen.extend(views(|shape| matches!(shape, Shape::Home(_))));
    chosen.extend(views(|shape| matches!(shape, Shape::Modal(_))));

    let folder = tempfile::tempdir().unwrap();
    let taken = take(&chosen, folder.path()).await.unwrap();
    for example in &chosen {
        let picture = taken.iter().find(|taken| taken.name == example.name).unwrap();
        is_readable(example, picture);
        let file = fs::read(folder.path().join(format!("{}.png", example.name))).unwrap();
        assert!(file.starts_with(b"\x89PNG") && file.len() == picture.bytes, "{picture:?}");
    }
}

fn is_readable(example: &Example, picture: &Taken) {
    // Letters have soft edges: a page of text has dozens of greys, an empty one a handful of colours.
    assert!(picture.colours > 24 && picture.width > 300 && picture.height > 40, "{picture:?}");
    let seen: String = picture.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut words = Vec::new();
    visible(&serde_json::to_value(&example.shape).unwrap(), &mut words);
    assert!(words.len() > 3, "{} has few words: {words:?}", example.name);
    for word in words {
        assert!(seen.contains(&word), "`{word}` of {} is not on the page: {seen}", example.name);
    }
}

/// Words that are on the page as they are in the JSON: labels of buttons, headings, and longer words of paragraphs.
fn visible(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| visible(value, words)),
        Value::Object(fields) => {
            let text = fields.get("text").and_then(Value::as_str);
            match (fields.get("type").and_then(Value::as_str), text) {
                (Some("plain_text"), Some(text)) => words.push(text.split_whitespace().collect::<Vec<_>>().join(" ")),
                (Some("mrkdwn" | "markdown"), Some(text)) => words.extend(
                    text.split_whitespace().filter(|word| word.len() > 4 && word.chars().all(char::is_alphabetic)).map(str::to_owned),
                ),
                // What a closed list or a question before a click holds is not shown yet.
                _ => fields
                    .iter()
                    .filter(|(name, _)| !["confirm", "options", "option_groups", "text"].contains(&name.as_str()))
                    .for_each(|(_, value)| visible(value, words)),
            }
            if let Some(inner) = fields.get("text").filter(|text| text.is_object()) {
                visible(inner, words);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
