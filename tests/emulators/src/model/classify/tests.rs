use super::*;
use crate::model::{Message, Vendor};

fn ask(message: &str, schema: &Value) -> Value {
    let repositories = json!([
        { "name": "acme/storefront", "description": "The online shop: cart, coupons, checkout, card payments.", "channels": ["#shop"] },
        { "name": "acme/dashboard", "description": "Analytics reports, charts and the csv export.", "channels": ["#analytics"] },
        { "name": "acme/courier", "description": "Delivery planning: vans, routes, arrival times, parcel tracking.", "channels": ["#dispatch"] },
    ]);
    let user = json!({ "repositories": repositories, "request": { "channel": "general", "message": message } });
    let conversation = Conversation {
        vendor: Vendor::OpenAi,
        model: "m".into(),
        system: "You route requests to code repositories.".into(),
        messages: vec![Message::User(user.to_string())],
        tools: vec![],
        schema: Some(schema.clone()),
        forced_tool: None,
    };
    let value = structured(&Catalogue::bundled().unwrap(), &conversation, schema);
    assert_eq!(violations(&value, schema, schema), Vec::<String>::new(), "{value}");
    value
}

fn schema() -> Value {
    let names = ["acme/storefront", "acme/dashboard", "acme/courier"];
    let choices: Vec<&str> = names.iter().copied().chain(["unknown", "none"]).collect();
    json!({
        "type": "object", "additionalProperties": false, "required": ["repository", "confidence", "reason", "candidates"],
        "properties": {
            "repository": { "type": "string", "enum": choices }, "confidence": { "type": "number" }, "reason": { "type": "string" },
            "candidates": { "type": "array", "items": { "type": "string", "enum": names } },
        },
    })
}

#[test]
fn every_wording_of_the_catalogue_is_routed_with_confidence() {
    for defect in &Catalogue::bundled().unwrap().defects {
        for wording in &defect.wordings {
            let answer = ask(wording, &schema());
            assert_eq!(answer["repository"], defect.repository.as_str(), "{wording}: {answer}");
            assert!(answer["confidence"].as_f64().unwrap() >= 0.5, "{wording}: {answer}");
            assert_eq!(answer["candidates"][0], defect.repository.as_str());
        }
    }
}

#[test]
fn descriptions_decide_where_no_defect_is_meant() {
    assert_eq!(ask("please show the van's route on the parcel tracking page", &schema())["repository"], "acme/courier");
    assert_eq!(ask("the analytics charts need colours", &schema())["repository"], "acme/dashboard");
}

#[test]
fn what_fits_nowhere_is_unknown_and_small_talk_needs_none() {
    let answer = ask("upgrade the kernel of the build machines", &schema());
    assert_eq!(answer["repository"], "unknown");
    assert!(answer["confidence"].as_f64().unwrap() <= 0.3);
    for message in ["hello!", "thanks a lot", "what can you do?"] {
        assert_eq!(ask(message, &schema())["repository"], "none", "{message}");
    }
}

#[test]
fn other_shapes_are_filled_too() {
    let shape = json!({
        "type": "object", "required": ["kind", "repo", "alternatives", "score", "needs_repository", "note", "more"],
        "properties": {
            "kind": { "enum": ["question", "work", "unknown"] },
            "repo": { "anyOf": [{ "$ref": "#/$defs/name" }, { "type": "null" }] },
            "alternatives": { "type": "array", "items": {
                "type": "object", "required": ["repo", "confidence"],
                "properties": { "repo": { "$ref": "#/$defs/name" }, "confidence": { "type": "number", "minimum": 0, "maximum": 1 } } } },
            "score": { "type": "integer", "minimum": 0, "maximum": 100 },
            "needs_repository": { "type": "boolean" },
            "note": { "type": ["string", "null"] },
            "more": { "type": "object", "properties": {} },
        },
        "$defs": { "name": { "type": "string", "enum": ["acme/storefront", "acme/dashboard", "acme/courier"] } },
    });
    let answer = ask("the csv export breaks when a name contains a comma", &shape);
    assert_eq!((&answer["kind"], &answer["repo"]), (&json!("work"), &json!("acme/dashboard")));
    assert_eq!(answer["alternatives"][0]["repo"], "acme/dashboard");
    assert!(answer["score"].as_i64().unwrap() > 50, "{answer}");
    let answer = ask("hello", &shape);
    assert_eq!((&answer["repo"], &answer["needs_repository"]), (&Value::Null, &json!(false)));
}
