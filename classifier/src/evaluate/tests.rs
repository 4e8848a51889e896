use std::io::Write;

use super::*;
use crate::ModelConfig;

const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/profiles.jsonl");
const REQUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/requests.jsonl");

fn options(manifests: &Path, data: &Path) -> EvaluateOptions {
    EvaluateOptions {
        manifests: manifests.to_owned(),
        data: data.to_owned(),
        field: Field::TitleAndBody,
        classifier: Config::default(),
        folds: None,
        learn: None,
        holdout: None,
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

async fn error(manifests: &str, data: &str) -> String {
    let (manifests, data) = (file(manifests), file(data));
    evaluate(options(manifests.path(), data.path())).await.unwrap_err().to_string()
}

#[tokio::test]
async fn invented_repositories_are_told_apart() {
    let report = evaluate(options(Path::new(PROFILES), Path::new(REQUESTS))).await.unwrap();
    let figures = report.figures;
    println!("{report}");
    assert_eq!((figures.n, figures.n_known), (44, 38));
    assert!(figures.top1.unwrap() >= 0.8, "{report}");
    assert!(figures.top3.unwrap() >= 0.9, "{report}");
    assert!(figures.unknown_recall.unwrap() >= 0.6, "{report}");
}

#[tokio::test]
async fn folds_are_reported_beside() {
    let report = evaluate(EvaluateOptions { folds: Some(5), ..options(Path::new(PROFILES), Path::new(REQUESTS)) }).await.unwrap();
    let folds = report.folds.unwrap();
    assert_eq!((folds.folds, folds.figures.n, folds.figures.n_known), (5, 44, 38));
    assert!(folds.figures.top1.unwrap() >= 0.75, "{report}");
    assert!(report.to_string().contains("Fitted anew in 5 folds"), "{report}");
    assert_eq!(report.to_json()["folds"]["n"], 44);
}

const TWO: &str = r#"{"repo": "a/shop", "description": "The shop: cart and checkout"}
{"repo": "a/bank", "description": "Accounts and transfers"}
"#;

#[tokio::test]
async fn the_figures_are_what_they_say() {
    let data = r#"{"repo": "a/shop", "title": "cart is empty"}
{"repo": "a/shop", "title": "transfers to accounts"}
{"repo": "a/bank", "title": "zigbee", "body": "lamps"}
{"repo": "unknown", "title": "weather"}
{"repo": "elsewhere/x", "title": "checkout"}
"#;
    let (manifests, data) = (file(TWO), file(data));
    let report = evaluate(options(manifests.path(), data.path())).await.unwrap();
    let expected = json!({
        "top1": 0.6667, "top3": 1.0, "unknown_precision": 0.5, "unknown_recall": 0.5, "n": 5, "n_known": 3, "field": "title+body"
    });
    assert_eq!(report.to_json(), expected, "{report}");
    let shown = report.to_string();
    assert!(shown.contains("elsewhere/x has no manifest here"), "{shown}");
    assert!(shown.contains("1 a/bank     ·   ·   1"), "{shown}");
    assert!(shown.contains("2 a/shop     1   1   ·"), "{shown}");
}

#[tokio::test]
async fn a_figure_over_nothing_is_none() {
    let (manifests, data) = (file(TWO), file("{\"repo\": \"a/shop\", \"title\": \"cart and checkout\"}"));
    let report = evaluate(options(manifests.path(), data.path())).await.unwrap();
    assert_eq!(report.to_json()["unknown_recall"], Value::Null);
    assert_eq!(report.to_json()["top1"], 1.0);
}

#[tokio::test]
async fn errors_name_file_and_line() {
    let good = "{\"repo\": \"a/shop\", \"title\": \"cart\"}\n";
    let message = error(TWO, &format!("{good}\n{{\"repo\": \"a/shop\"}}\n")).await;
    assert!(message.contains(".jsonl, line 3: missing field `title`"), "{message}");
    let message = error("{\"repo\": \"nonsense\", \"description\": \"x\"}", good).await;
    assert!(message.contains("line 1: ") && message.contains("nonsense"), "{message}");
    let message = error(&format!("{TWO}{TWO}"), good).await;
    assert!(message.contains("line 3: a/shop is described a second time"), "{message}");
    assert!(error("", good).await.contains("expected one repository a line"));
    assert!(error(TWO, "\n").await.contains("expected one labelled request a line"));
    let message = evaluate(options(Path::new("missing.jsonl"), Path::new(REQUESTS))).await.unwrap_err().to_string();
    assert!(message.starts_with("cannot read missing.jsonl"), "{message}");
}

#[tokio::test]
async fn a_folder_of_manifests_is_read_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.toml"), "repository = \"a/shop\"\ndescription = \"Cart and checkout\"\n").unwrap();
    let data = file("{\"repo\": \"a/shop\", \"title\": \"cart\"}");
    let report = evaluate(options(folder.path(), data.path())).await.unwrap();
    assert_eq!(report.figures.top1, Some(1.0));
}

#[tokio::test]
async fn folds_need_lines_and_no_model() {
    let model = ModelConfig { base_url: "http://127.0.0.1:9/v1".to_owned(), api_key: String::new(), model: "m".to_owned() };
    let with_model = Config { model: Some(model), ..Config::default() };
    for (folds, classifier) in [(1, Config::default()), (1_000, Config::default()), (5, with_model)] {
        let options = EvaluateOptions { folds: Some(folds), classifier, ..options(Path::new(PROFILES), Path::new(REQUESTS)) };
        assert!(matches!(evaluate(options).await, Err(EvaluateError::Folds)));
    }
}

#[tokio::test]
async fn labelled_lines_teach_as_if_people_had_picked() {
    let learn = file(
        r#"{"repo": "a/bank", "title": "zigbee bridge", "body": "lamps are lost"}
{"repo": "elsewhere/x", "title": "newsletter"}
"#,
    );
    let (manifests, data) = (file(TWO), file(r#"{"repo": "a/bank", "title": "the zigbee bridge is down"}"#));
    let before = evaluate(options(manifests.path(), data.path())).await.unwrap();
    let after = EvaluateOptions { learn: Some(learn.path().to_owned()), ..options(manifests.path(), data.path()) };
    let after = evaluate(after).await.unwrap();
    assert_eq!((before.figures.unknown_precision, after.figures.unknown_precision), (Some(0.0), None), "{after}");
    assert_eq!((after.to_json()["learned"].clone(), after.to_json()["seen"].clone()), (json!(2), json!(0)));
    assert!(after.to_string().contains("learnt from 2 labelled lines") && after.to_string().contains("elsewhere/x"), "{after}");
}

#[tokio::test]
async fn lines_that_were_learnt_from_are_pointed_out() {
    let data = file(r#"{"repo": "a/bank", "title": "zigbee"}"#);
    let manifests = file(TWO);
    let same = EvaluateOptions { learn: Some(data.path().to_owned()), ..options(manifests.path(), data.path()) };
    let report = evaluate(same).await.unwrap();
    assert_eq!(report.seen, 1);
    assert!(report.to_string().contains("1 lines of the data are among them"), "{report}");
}

#[tokio::test]
async fn learning_from_one_half_helps_the_other() {
    // What people call things here is in no manifest.
    let lines: String = (0..40)
        .map(|n| {
            let (repo, word) = if n % 2 == 0 { ("a/shop", "zigbee") } else { ("a/bank", "marquee") };
            format!("{{\"repo\": \"{repo}\", \"title\": \"{word} breaks for the {n}th time\"}}\n")
        })
        .collect();
    let (manifests, data) = (file(TWO), file(&lines));
    let report = evaluate(EvaluateOptions { holdout: Some(4), ..options(manifests.path(), data.path()) }).await.unwrap();
    let holdout = report.holdout.as_ref().unwrap();
    let (before, after) = holdout.figure("top1").unwrap();
    assert!(before.mean < 0.7 && after.mean > 0.95, "{report}");
    assert_eq!(holdout.figure("unknown_recall"), None);
    assert_eq!(report.to_json()["holdout"]["rounds"], 4);
    assert!(report.to_string().contains("(4 random halves)"), "{report}");
    let folds = evaluate(EvaluateOptions { folds: Some(4), ..options(manifests.path(), data.path()) }).await.unwrap();
    assert!(folds.folds.unwrap().learned.top1.unwrap() > 0.95);
    let none = EvaluateOptions { holdout: Some(0), ..options(manifests.path(), data.path()) };
    assert!(matches!(evaluate(none).await, Err(EvaluateError::Holdout)));
}

/// The bundled requests are easier than real ones (see `docs/routing.md`); whatever makes routing worse shows in them all the same.
#[tokio::test]
async fn learning_costs_no_accuracy_on_lines_it_has_not_seen() {
    let bundled = options(Path::new(PROFILES), Path::new(REQUESTS));
    let report = evaluate(EvaluateOptions { holdout: Some(6), ..bundled }).await.unwrap();
    let holdout = report.holdout.as_ref().unwrap();
    let figure = |name: &str| holdout.figure(name).map(|(before, after)| (before.mean, after.mean)).unwrap();
    let (top1, top3, precision) = (figure("top1"), figure("top3"), figure("unknown_precision"));
    assert!(top1.1 >= 0.93 && top1.1 >= top1.0 - 0.02, "{report}");
    assert!(top3.1 >= 0.98, "{report}");
    assert!(precision.1 > precision.0 + 0.1, "what is called unknown is far more often so: {report}");
}

#[test]
fn fields_are_named_as_in_the_command() {
    assert_eq!("title".parse(), Ok(Field::Title));
    assert_eq!("title+body".parse(), Ok(Field::TitleAndBody));
    assert!("body".parse::<Field>().unwrap_err().contains("`title` or `title+body`"));
}
