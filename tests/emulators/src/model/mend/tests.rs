//! The script against tools played by hand; against real ones it is run in the stories.

use serde_json::Value;

use super::*;
use crate::model::{Message, Tool, Vendor};

fn catalogue() -> Catalogue {
    Catalogue::bundled().unwrap()
}

const AGENT_TOOLS: [&str; 8] = ["bash", "edit", "glob", "grep", "read", "todowrite", "write", "webfetch"];

fn conversation(prompt: &str, tools: &[&str]) -> Conversation {
    let tool = |name: &&str| Tool { name: (*name).to_owned(), parameters: Value::Null };
    Conversation {
        vendor: Vendor::OpenAi,
        model: "m".into(),
        system: "You are an agent.".into(),
        messages: vec![Message::User(prompt.into())],
        tools: tools.iter().map(tool).collect(),
        schema: None,
        forced_tool: None,
    }
}

/// Runs a turn with tools that `result` plays; gives the calls made and the final text.
fn play(conversation: &mut Conversation, result: impl Fn(&ToolCall, usize) -> String) -> (Vec<ToolCall>, String) {
    let catalogue = catalogue();
    let mut made = Vec::new();
    for _ in 0..40 {
        let answer = next_move(&catalogue, conversation);
        assert_eq!(answer, next_move(&catalogue, conversation), "a repeated request must get the same answer");
        match answer {
            Move::Say(text) => {
                conversation.messages.push(Message::Assistant { text: text.clone(), calls: vec![] });
                return (made, text);
            }
            Move::Call { say, calls } => {
                conversation.messages.push(Message::Assistant { text: say, calls: calls.clone() });
                for call in calls {
                    let text = result(&call, made.len());
                    conversation.messages.push(Message::ToolResult { call_id: call.id.clone(), text });
                    made.push(call);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the script does not end");
}

fn named(calls: &[ToolCall]) -> Vec<&str> {
    calls.iter().map(|call| call.name.as_str()).collect()
}

/// Tools over one file and a test that fails until an edit was made (`mends` says whether the edit helps).
fn tools(file: &'static str, content: String, mends: bool) -> impl Fn(&ToolCall, usize) -> String {
    let is_edited = std::cell::Cell::new(false);
    move |call, _| match call.name.as_str() {
        "bash" if call.arguments["command"].as_str().unwrap().starts_with("git ls-files") => format!("README.md\n{file}\nexit status: 0\n"),
        "bash" if call.arguments["command"].as_str().unwrap().starts_with("git ") => "exit status: 0\n".into(),
        "bash" => format!("…\nexit status: {}\n", i32::from(!(is_edited.get() && mends))),
        "read" if call.arguments["filePath"] == "README.md" => "1: # x\n2: \n3: The shop of Acme.\n4: \n5: More.\n".into(),
        "read" => content.lines().enumerate().map(|(i, line)| format!("{}: {line}\n", i + 1)).collect(),
        "edit" => {
            is_edited.set(true);
            "Edit applied successfully.".into()
        }
        "longshore_open_pull_request" => "Opened https://git.example/acme/storefront/pull/7.".into(),
        _ => "ok".into(),
    }
}

fn double_charge() -> (Defect, String) {
    let defect = catalogue().defect("double-charge").unwrap().clone();
    let content = format!("import uuid\n\n{}            pass\n", defect.before);
    (defect, content)
}

#[test]
fn a_defect_is_mended_step_by_step() {
    let (defect, content) = double_charge();
    let mut offered = AGENT_TOOLS.to_vec();
    offered.extend(["longshore_open_pull_request", "longshore_post_update"]);
    let mut conversation = conversation(&defect.wordings[0], &offered);
    let (calls, text) = play(&mut conversation, tools("storefront/payments.py", content, true));
    let expected =
        "bash todowrite read bash longshore_post_update todowrite edit bash bash todowrite longshore_open_pull_request todowrite";
    assert_eq!(named(&calls).join(" "), expected);
    let edit = calls.iter().find(|call| call.name == "edit").unwrap();
    assert_eq!(edit.arguments["newString"], defect.after.trim_end_matches('\n'));
    assert!(text.contains("https://git.example/acme/storefront/pull/7") && text.ends_with(SCRIPTED_NOTICE), "{text}");
}

#[test]
fn without_the_tool_no_pull_request_is_claimed() {
    let (defect, content) = double_charge();
    let (calls, text) = play(&mut conversation(&defect.wordings[1], &AGENT_TOOLS), tools("storefront/payments.py", content, true));
    assert!(named(&calls).contains(&"edit"));
    assert!(!text.contains("Pull request"), "{text}");
}

#[test]
fn code_that_was_changed_beforehand_is_left_alone() {
    let (defect, _) = double_charge();
    for content in [defect.after.clone(), "def charge():\n    pass\n".to_owned()] {
        let (calls, text) = play(&mut conversation(&defect.wordings[0], &AGENT_TOOLS), tools("storefront/payments.py", content, true));
        assert!(!named(&calls).contains(&"edit"), "{calls:?}");
        assert!(text.contains("I could not mend this") && text.contains("was already changed"), "{text}");
    }
}

#[test]
fn a_mending_that_does_not_help_is_said_and_not_proposed() {
    let (defect, content) = double_charge();
    let mut offered = AGENT_TOOLS.to_vec();
    offered.push("longshore_open_pull_request");
    let (calls, text) = play(&mut conversation(&defect.wordings[0], &offered), tools("storefront/payments.py", content, false));
    assert!(!named(&calls).contains(&"longshore_open_pull_request"));
    assert!(text.starts_with("I could not mend it"), "{text}");
}

#[test]
fn a_test_that_passes_already_stops_the_script() {
    let (defect, content) = double_charge();
    let played = tools("storefront/payments.py", content, true);
    let passing = |call: &ToolCall, n: usize| played(call, n).replace("exit status: 1", "exit status: 0");
    let (calls, text) = play(&mut conversation(&defect.wordings[0], &AGENT_TOOLS), passing);
    assert!(!named(&calls).contains(&"edit"));
    assert!(text.starts_with("I could not reproduce it"), "{text}");
}

#[test]
fn the_follow_up_goes_on_from_the_mending() {
    let (defect, content) = double_charge();
    let mut conversation = conversation(&defect.wordings[0], &AGENT_TOOLS);
    play(&mut conversation, tools("storefront/payments.py", content, true));
    conversation.messages.push(Message::User("great, please add a line to the changelog as well".into()));
    let changelog = |call: &ToolCall, n: usize| match call.name.as_str() {
        "bash" if n > 0 => "exit status: 0\n".to_owned(),
        "bash" => "CHANGELOG.md\nstorefront/payments.py\nstorefront/coupons.py\nexit status: 0\n".to_owned(),
        "read" => "1: # Changelog\n2: \n3: ## Unreleased\n4: \n".to_owned(),
        _ => "ok".to_owned(),
    };
    let (calls, text) = play(&mut conversation, changelog);
    assert_eq!(named(&calls).join(" "), "bash read edit bash bash bash");
    assert!(text.starts_with("The changelog now has a line about the double charge."), "{text}");
    // Asked once more, it sees from the file that it is done.
    conversation.messages.push(Message::User("can you mention the payment fix in the changelog?".into()));
    let done = |call: &ToolCall, n: usize| match call.name.as_str() {
        "read" => {
            "1: # Changelog\n2: \n3: ## Unreleased\n4: \n5: - A card is charged once when the payment provider times out.\n".to_owned()
        }
        _ => changelog(call, n),
    };
    let (calls, text) = play(&mut conversation, done);
    assert_eq!(named(&calls).join(" "), "bash read");
    assert!(text.contains("already holds that change"), "{text}");
}

#[test]
fn a_conversation_told_in_one_prompt_is_taken_up_where_the_code_stands() {
    let (defect, content) = double_charge();
    let told = format!(
        "This goes on with earlier work.\n\nAna: {}\nLongshore: done.\n\nNow they ask: {}",
        defect.wordings[0], defect.follow_up.wordings[0]
    );
    for (payments, second_read) in [(content, "storefront/payments.py"), (defect.after.clone(), "CHANGELOG.md")] {
        let played = tools("storefront/payments.py", payments, true);
        let result = |call: &ToolCall, n: usize| match call.name.as_str() {
            "read" if call.arguments["filePath"] == "CHANGELOG.md" => "1: ## Unreleased\n".to_owned(),
            _ => played(call, n),
        };
        let (calls, _) = play(&mut conversation(&told, &AGENT_TOOLS), result);
        let read: Vec<&Value> = calls.iter().filter(|call| call.name == "read").map(|call| &call.arguments["filePath"]).collect();
        assert_eq!(read, ["storefront/payments.py", second_read]);
    }
}

#[test]
fn a_question_is_answered_from_the_readme() {
    let (_, content) = double_charge();
    for prompt in ["what does this service do?", "Ana asked in #general:\n\nWhat does this service do?\n\nAnswer in the thread."] {
        let (calls, text) = play(&mut conversation(prompt, &AGENT_TOOLS), tools("storefront/payments.py", content.clone(), true));
        assert_eq!(named(&calls), ["bash", "read"]);
        assert!(text.starts_with("From `README.md`: The shop of Acme."), "{text}");
    }
}

#[test]
fn what_it_does_not_know_it_says() {
    let (_, content) = double_charge();
    for prompt in ["please port all of this to Kotlin", "can you add a dark mode?", "rename the module of receipts"] {
        let (calls, text) = play(&mut conversation(prompt, &AGENT_TOOLS), tools("storefront/payments.py", content.clone(), true));
        assert_eq!(named(&calls), ["bash"], "{prompt}");
        assert!(text.contains("knows only the listed defects") && text.contains("• the checkout page double-charges on retry"), "{text}");
    }
}

#[test]
fn every_wording_leads_to_its_own_defect() {
    let catalogue = catalogue();
    let around = [
        ("", ""),
        ("Ana Kovač (U0ANA) asked in #general:\n\n", "\n\nWork on branch longshore/s-7k2m9q4d of the repository."),
        ("Hi team, sorry to bother you. ", " Could somebody have a look today? It is rather urgent, a big customer complained."),
    ];
    for defect in &catalogue.defects {
        for wording in &defect.wordings {
            for (before, after) in around {
                let found = catalogue.reported(&format!("{before}{wording}{after}"), |other| other.repository == defect.repository);
                assert_eq!(found.map(|(found, _)| found.id.as_str()), Some(defect.id.as_str()), "{wording}");
            }
        }
        for wording in &defect.follow_up.wordings {
            let (follow_up, report) =
                (catalogue.follow_up_score(wording, defect), catalogue.reported(wording, |other| other.repository == defect.repository));
            assert!(follow_up >= report.map_or(0.5, |(_, score)| score), "{wording}: {follow_up} {report:?}");
        }
    }
}

#[test]
fn freely_worded_reports_are_recognised() {
    let catalogue = catalogue();
    for (text, id) in [
        ("our customers are being charged two times when the payment times out", "double-charge"),
        ("someone's coupon expired although today is its last day", "coupon-last-day"),
        ("the weekly numbers look wrong, sundays are in the wrong week", "sunday-week"),
        ("the csv download is broken when there's a comma in a name", "csv-commas"),
        ("the last stop is missing from the tour of our drivers", "last-stop"),
        ("the vans carry more weight than their limit", "van-overload"),
    ] {
        assert_eq!(catalogue.reported(text, |_| true).map(|(defect, _)| defect.id.as_str()), Some(id), "{text}");
    }
}
