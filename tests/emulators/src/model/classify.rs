//! Structured answers: which repository is a message about, in whatever shape the schema asks for.
//!
//! Candidates and their descriptions are read from the request; the catalogue's wordings help where a candidate is one of the samples.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    candidates::Question,
    catalogue::Catalogue,
    conversation::Conversation,
    schema::{alternatives, is_required, least, resolved, violations},
    words::{Weights, words},
};

/// What says that no candidate fits, where the schema lists it as a value.
const NOTHING: [&str; 5] = ["unknown", "none", "unsure", "other", ""];
/// One recognised report counts as much as this many telling words.
const CATALOGUE_WEIGHT: f64 = 12.0;
/// Below this score (about two ordinary words in common) nothing is recognised.
const LEAST_SCORE: f64 = 1.5;
/// Below this several fit equally well.
const LEAST_CONFIDENCE: f64 = 0.34;

/// What was found out about a message.
#[derive(Debug)]
struct Finding {
    /// Best first.
    ranked: Vec<Candidate>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The first of the ranked ones.
    Repository,
    Unknown,
    /// A greeting, thanks, or a question about the bot itself.
    SmallTalk,
}

#[derive(Debug)]
struct Candidate {
    name: String,
    score: f64,
    common: Vec<String>,
    /// 0 to 1.
    confidence: f64,
}

/// An answer to the conversation that holds `schema`.
pub(super) fn structured(catalogue: &Catalogue, conversation: &Conversation, schema: &Value) -> Value {
    let finding = find(catalogue, conversation, schema);
    let value = fill(schema, schema, "", &finding, finding.ranked.first());
    let wrong = violations(&value, schema, schema);
    if wrong.is_empty() {
        return value;
    }
    // A bound that filling by name does not know: any value that holds the schema is better than one that does not.
    tracing::warn!(violations = wrong.len(), "a structured answer did not hold its schema; the least one is sent instead");
    least(schema, schema)
}

fn find(catalogue: &Catalogue, conversation: &Conversation, schema: &Value) -> Finding {
    let Question { candidates, asked } = Question::read(catalogue, conversation, schema);
    let descriptions: Vec<BTreeSet<String>> = candidates.iter().map(|(_, text)| words(text)).collect();
    let whole = asked.join("\n");
    let said = words(&whole);
    let weights = Weights::of(descriptions.iter().map(|words| words.iter().cloned().collect::<Vec<_>>().join(" ")));

    let mut ranked: Vec<Candidate> = candidates
        .iter()
        .zip(&descriptions)
        .map(|((name, _), description)| {
            let common: Vec<String> = said.intersection(description).cloned().collect();
            let report = catalogue.reported(&whole, |defect| &defect.repository == name).map_or(0.0, |(_, score)| score);
            let named = if whole.contains(name.as_str()) { CATALOGUE_WEIGHT } else { 0.0 };
            let score = weights.sum(common.iter()) + CATALOGUE_WEIGHT * report + named;
            Candidate { name: name.clone(), score, common, confidence: 0.0 }
        })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    let all: f64 = ranked.iter().map(|candidate| candidate.score).sum::<f64>().max(f64::MIN_POSITIVE);
    for candidate in &mut ranked {
        // A share of little evidence is little confidence.
        let evidence = candidate.score / (candidate.score + LEAST_SCORE);
        candidate.confidence = (candidate.score / all * evidence * 100.0).round() / 100.0;
    }
    // What was said last is the message itself; before it may come channel and thread.
    let outcome = match ranked.first() {
        _ if is_small_talk(asked.last().map_or("", String::as_str)) => Outcome::SmallTalk,
        Some(top) if top.score >= LEAST_SCORE && top.confidence >= LEAST_CONFIDENCE => Outcome::Repository,
        _ => Outcome::Unknown,
    };
    Finding { ranked, outcome }
}

fn is_small_talk(message: &str) -> bool {
    const GREETINGS: [&str; 15] =
        ["hello", "hi", "hey", "morning", "good", "cheers", "bye", "ok", "okay", "longshore", "bot", "help", "work", "today", "lot"];
    const ABOUT_THE_BOT: [&str; 5] = ["who are you", "what can you", "what do you know", "what are you", "how do you work"];
    let lower = message.to_lowercase();
    let greetings: BTreeSet<String> = GREETINGS.iter().flat_map(|word| words(word)).collect();
    words(message).is_subset(&greetings) || ABOUT_THE_BOT.iter().any(|phrase| lower.contains(phrase))
}

/// Fills a schema by the names of its properties; what has no known name gets the least value it allows.
fn fill(schema: &Value, root: &Value, name: &str, finding: &Finding, candidate: Option<&Candidate>) -> Value {
    let schema = resolved(schema, root);
    let lower = name.to_lowercase();
    let names = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let alternatives = alternatives(schema);
    if alternatives.len() > 1 {
        let wants_nothing = finding.outcome != Outcome::Repository && names(&["repo"]);
        let null = alternatives.iter().find(|one| one["type"] == "null");
        return match (wants_nothing, null) {
            (true, Some(_)) => Value::Null,
            _ => {
                let other = alternatives.iter().find(|one| one["type"] != "null").unwrap_or(&alternatives[0]);
                fill(other, root, name, finding, candidate)
            }
        };
    }
    match schema["type"].as_str() {
        Some("object") => {
            let mut object = Map::new();
            for (property, inner) in schema["properties"].as_object().into_iter().flatten() {
                let optional = !is_required(schema, property) && schema.get("required").is_some();
                let value = fill(inner, root, property, finding, candidate);
                if !(optional && (value.is_null() || value == json!(""))) {
                    object.insert(property.clone(), value);
                }
            }
            Value::Object(object)
        }
        Some("array") => {
            let most = usize::try_from(schema["maxItems"].as_u64().unwrap_or(3)).unwrap_or(3).min(3);
            let others = finding.ranked.iter().filter(|one| one.score > 0.0).take(most);
            // Inside a list each item is about its own candidate, as far as it is known.
            let items: Vec<Value> = others.map(|one| of_candidate(&schema["items"], root, one)).collect();
            let least_count = usize::try_from(schema["minItems"].as_u64().unwrap_or(0)).unwrap_or(0);
            if !names(&["candidate", "alternative", "repo", "rank", "other"]) || items.len() < least_count {
                least(schema, root)
            } else {
                json!(items)
            }
        }
        Some("number") if names(&["confidence", "score", "probability", "certainty"]) => bounded(confidence(finding, candidate), schema),
        Some("integer") if names(&["confidence", "score", "probability", "certainty"]) => {
            json!((confidence(finding, candidate) * 100.0).round() as i64)
        }
        Some("boolean") if names(&["repo", "code", "needs"]) => json!(finding.outcome != Outcome::SmallTalk),
        Some("boolean") if names(&["unknown", "unsure"]) => json!(finding.outcome == Outcome::Unknown),
        Some("string") | None if schema.get("enum").is_some() => chosen(schema, root, finding, candidate),
        Some("string") if names(&["repo"]) => match (finding.outcome, candidate) {
            (Outcome::Repository, Some(candidate)) => json!(candidate.name),
            _ => json!("unknown"),
        },
        Some("string") if names(&["reason", "why", "explanation", "rationale", "because"]) => json!(reason(finding)),
        Some("string") if names(&["answer", "reply"]) => match finding.outcome {
            Outcome::SmallTalk => json!(super::plain::ABOUT),
            _ => json!(""),
        },
        _ => least(schema, root),
    }
}

fn of_candidate(schema: &Value, root: &Value, candidate: &Candidate) -> Value {
    let common = candidate.common.clone();
    let alone = Candidate { name: candidate.name.clone(), score: candidate.score, common, confidence: candidate.confidence };
    let finding = Finding { ranked: vec![alone], outcome: Outcome::Repository };
    let schema = resolved(schema, root);
    match schema["type"].as_str() {
        Some("string") if schema.get("enum").is_none() => json!(candidate.name),
        _ => fill(schema, root, "repository", &finding, Some(candidate)),
    }
}

/// One of the values that a schema lists.
fn chosen(schema: &Value, root: &Value, finding: &Finding, candidate: Option<&Candidate>) -> Value {
    let values: Vec<&str> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let named = candidate.filter(|_| finding.outcome == Outcome::Repository).filter(|candidate| values.contains(&candidate.name.as_str()));
    if let Some(candidate) = named {
        return json!(candidate.name);
    }
    let wanted: &[&str] = match finding.outcome {
        Outcome::Repository => &["repository", "repo", "work", "task", "change", "code"],
        Outcome::Unknown => &NOTHING,
        Outcome::SmallTalk => &["no_repository", "chat", "question", "smalltalk", "general", "answer", "none", "unknown"],
    };
    let found = wanted.iter().find_map(|part| values.iter().find(|value| *value == part)).or_else(|| {
        wanted.iter().filter(|part| !part.is_empty()).find_map(|part| values.iter().find(|value| value.to_lowercase().contains(part)))
    });
    found.map_or_else(|| least(schema, root), |value| json!(value))
}

fn confidence(finding: &Finding, candidate: Option<&Candidate>) -> f64 {
    candidate
        .map_or(0.0, |candidate| if finding.outcome == Outcome::Repository { candidate.confidence } else { candidate.confidence.min(0.3) })
}

fn bounded(value: f64, schema: &Value) -> Value {
    let most = schema["maximum"].as_f64().unwrap_or(1.0);
    // A scale that goes beyond one is taken for per cent.
    json!(if most > 1.0 { value * most } else { value })
}

fn reason(finding: &Finding) -> String {
    match (finding.outcome, finding.ranked.first()) {
        (Outcome::Repository, Some(top)) if top.common.is_empty() => format!("it reads like a known report about {}", top.name),
        (Outcome::Repository, Some(top)) => {
            let words: Vec<&str> = top.common.iter().take(4).map(String::as_str).collect();
            format!("words in common with {}: {}", top.name, words.join(", "))
        }
        (Outcome::SmallTalk, _) => "it is not about code".to_owned(),
        _ => "no repository's description has enough in common with it".to_owned(),
    }
}

#[cfg(test)]
mod tests;
