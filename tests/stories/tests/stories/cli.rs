//! The command line: help that a person understands, and `longshore classify` over an operator's own data.

use std::path::Path;

use serde_json::{Value, json};

use crate::bad_ground::run;

async fn help(arguments: &[&str]) -> String {
    let run = run(arguments, Path::new("/"), &[("COLUMNS", "100")]).await;
    assert!(run.success && run.complained.is_empty(), "{run:?}");
    run.said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn help_says_what_there_is() {
    insta::assert_snapshot!(help(&["--help"]).await, @r#"
    A hosted coding agent that lives in Slack.

    Mention it in a channel; it works out the repository, works in a sandbox, shows its progress in the
    thread and ends with a pull request.

    Usage: longshore [OPTIONS] <COMMAND>

    Commands:
      serve     Run the service
      doctor    Check a configuration against the real services, and say what is missing and how to get
                it
      init      Propose a repository's manifest, prove it by a build, and write it
      images    Show the running service's images and their builds, or have one built
      ledger    List the prompts that were accepted, and how far the final message of each is
      session   Show what happened in a session
      backup    Copy the data folder into a new folder, also while the service runs
      restore   Make the data folder of a backup, where there is none
      classify  Measure how well repositories are worked out, over labelled requests; or show what was
                learnt
      help      Print this message or the help of the given subcommand(s)

    Options:
          --log-format <LOG_FORMAT>
              How to write the log

              [env: LONGSHORE_LOG_FORMAT=]
              [default: text]
              [possible values: text, json]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Start here: docs/quickstart.md. Without any account: `make demo`.
    "#);
    insta::assert_snapshot!(help(&["serve", "--help"]).await, @r#"
    Run the service

    Usage: longshore serve [OPTIONS]

    Options:
          --config <FILE>            The configuration file [env: LONGSHORE_CONFIG=] [default:
                                     longshore.toml]
          --log-format <LOG_FORMAT>  How to write the log [env: LONGSHORE_LOG_FORMAT=] [default: text]
                                     [possible values: text, json]
      -h, --help                     Print help
    "#);
}

#[tokio::test]
async fn a_word_that_is_no_command_is_answered_with_those_there_are() {
    let run = run(&["server"], Path::new("/"), &[]).await;
    assert!(!run.success);
    assert!(run.complained.contains("unrecognized subcommand 'server'") && run.complained.contains("'serve'"), "{}", run.complained);
}

const PROFILES: &str = r#"{"repo": "acme/shop", "description": "The shop: cart, checkout, card payments", "keywords": ["coupon"]}
{"repo": "acme/tours", "description": "Delivery tours: vans, drivers, stops, arrival times"}
{"repo": "acme/charts", "description": "Analytics dashboard: charts, weekly numbers, CSV export"}
"#;

/// Titles alone are enough for three of the four with a repository; the fourth needs its body.
const REQUESTS: &str = r#"{"repo": "acme/shop", "title": "Checkout charges the card twice", "body": ""}
{"repo": "acme/tours", "title": "Drivers visit the stops in the wrong order", "body": ""}
{"repo": "acme/charts", "title": "Weekly numbers are off in the chart", "body": ""}
{"repo": "acme/shop", "title": "It is broken again", "body": "The coupon is not taken off in the cart"}
{"repo": "unknown", "title": "Quarterly zoning permit for the lighthouse", "body": ""}
"#;

struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("profiles.jsonl"), PROFILES).unwrap();
        std::fs::write(folder.path().join("requests.jsonl"), REQUESTS).unwrap();
        std::fs::create_dir(folder.path().join("manifests")).unwrap();
        for line in PROFILES.lines() {
            let profile: Value = serde_json::from_str(line).unwrap();
            let text = format!(
                "repository = {}\ndescription = {}\nkeywords = {}\n",
                profile["repo"],
                profile["description"],
                profile.get("keywords").unwrap_or(&json!([]))
            );
            let name = profile["repo"].as_str().unwrap().replace('/', "-");
            std::fs::write(folder.path().join(format!("manifests/{name}.toml")), text).unwrap();
        }
        Self(folder)
    }

    async fn classify(&self, more: &[&str]) -> crate::bad_ground::Run {
        let arguments: Vec<&str> = ["classify", "--offline", "--data", "requests.jsonl"].iter().chain(more).copied().collect();
        run(&arguments, self.0.path(), &[]).await
    }

    async fn figures(&self, more: &[&str]) -> Value {
        let run = self.classify(&[more, &["--json"]].concat()).await;
        assert!(run.success, "{run:?}");
        assert_eq!(run.said.lines().count(), 1, "one line of JSON: {}", run.said);
        serde_json::from_str(&run.said).unwrap()
    }
}

#[tokio::test]
async fn classify_prints_its_figures_for_either_form_of_manifests() {
    let data = Data::new();
    let figures = data.figures(&["--manifests", "profiles.jsonl"]).await;
    assert_eq!(figures["n"], 5);
    for key in ["top1", "top3", "unknown_precision", "unknown_recall"] {
        assert_eq!(figures[key], 1.0, "{key} in {figures}");
    }
    assert_eq!(data.figures(&["--manifests", "manifests"]).await, figures, "a folder of manifests says the same");
}

#[tokio::test]
async fn classify_reads_titles_alone_where_it_is_asked_to() {
    let data = Data::new();
    let figures = data.figures(&["--manifests", "profiles.jsonl", "--field", "title"]).await;
    assert_eq!(figures["n"], 5);
    assert!(figures["unknown_precision"].as_f64().unwrap() < 1.0, "the broken thing cannot be placed by its title: {figures}");
    let run = data.classify(&["--manifests", "profiles.jsonl", "--field", "body"]).await;
    assert!(!run.success && run.complained.contains("title+body"), "{run:?}");
}

#[tokio::test]
async fn classify_shows_people_a_table() {
    let run = Data::new().classify(&["--manifests", "profiles.jsonl"]).await;
    assert!(run.success, "{run:?}");
    for text in ["top-1 accuracy     1.00", "unknown recall     1.00", "Expected (rows)", "acme/charts", "unknown"] {
        assert!(run.said.contains(text), "`{text}` in {}", run.said);
    }
}

#[tokio::test]
async fn classify_names_file_and_line_of_what_it_cannot_read() {
    let data = Data::new();
    std::fs::write(data.0.path().join("requests.jsonl"), format!("{REQUESTS}{{\"repo\": \"acme/shop\"}}\n")).unwrap();
    data.classify(&["--manifests", "profiles.jsonl"]).await.refused_with(&["requests.jsonl, line 6: missing field `title`"]);
    std::fs::write(data.0.path().join("profiles.jsonl"), "{\"repo\": \"shop\", \"description\": \"x\"}\n").unwrap();
    data.classify(&["--manifests", "profiles.jsonl"]).await.refused_with(&["profiles.jsonl, line 1: ", "shop"]);
    data.classify(&["--manifests", "elsewhere"]).await.refused_with(&["cannot read elsewhere", "No such file"]);
}

#[tokio::test]
async fn classify_with_a_model_needs_a_configuration() {
    let data = Data::new();
    let run = run(&["classify", "--manifests", "manifests", "--data", "requests.jsonl"], data.0.path(), &[]).await;
    run.refused_with(&["without --offline a configuration is needed", "longshore.toml"]);
}
