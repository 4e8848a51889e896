//! What a run left that nobody expected.

use longshore_emulators::slack::Call;

/// Slack's answers that are part of ordinary work: a limit was met, and is waited for.
const ORDINARY_REFUSALS: &[&str] = &["ratelimited"];
/// A secret shorter than this would be found by chance.
const SHORTEST_SECRET: usize = 12;

/// What a story provokes on purpose.
#[derive(Debug, Default)]
pub struct Expected {
    /// Texts of error lines in the service's log.
    pub errors: Vec<String>,
    /// Errors that Slack answers (`message_not_found`).
    pub refusals: Vec<String>,
}

/// Everything that is wrong, in words. Empty where all is well.
pub fn find(log: &str, calls: &[Call], secrets: &[(String, String)], expected: &Expected) -> Vec<String> {
    let mut found = Vec::new();
    for line in log.lines() {
        let is_error = line.contains(" ERROR ") || line.contains("panicked at");
        if is_error && !expected.errors.iter().any(|text| line.contains(text.as_str())) {
            found.push(format!("the service's log: {line}"));
        }
    }
    for call in calls {
        let Some(error) = &call.error else { continue };
        let ordinary = ORDINARY_REFUSALS.contains(&error.as_str()) || expected.refusals.contains(error);
        if !ordinary {
            found.push(format!("Slack refused {} with {error}: {}", call.method, call.payload));
        }
    }
    for (name, secret) in secrets {
        if secret.len() >= SHORTEST_SECRET && log.contains(secret.as_str()) {
            found.push(format!("the service's log holds the value of {name}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(error: Option<&str>) -> Call {
        Call {
            at: 1,
            method: "chat.update".to_owned(),
            payload: serde_json::json!({}),
            ok: error.is_none(),
            error: error.map(str::to_owned),
            status: 200,
            answer_lost: false,
        }
    }

    #[test]
    fn what_nobody_expected_is_found() {
        let log = "2026-01-01T00:00:00Z  INFO longshore: well\n2026-01-01T00:00:00Z ERROR longshore: bad\nthread 'x' panicked at y\n";
        let secrets = [("TOKEN".to_owned(), "longshore: well".to_owned())];
        let calls = [call(None), call(Some("ratelimited")), call(Some("invalid_blocks"))];
        assert_eq!(find(log, &calls, &secrets, &Expected::default()).len(), 4);
        let expected = Expected { errors: vec!["bad".to_owned(), "panicked".to_owned()], refusals: vec!["invalid_blocks".to_owned()] };
        assert_eq!(find(log, &calls, &[], &expected), Vec::<String>::new());
    }
}
