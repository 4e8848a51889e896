use longshore_session::RepositoryProfile;
use proptest::prelude::*;

use super::*;
use crate::testing::profile;

fn profiles() -> Vec<RepositoryProfile> {
    let mut shop = profile("acme/web-shop", "The web shop: pages, cart and checkout.");
    shop.languages = vec!["TypeScript".to_owned()];
    shop.slack_channels = vec!["#team-web".to_owned()];
    let mut billing = profile("acme/billing", "Invoices, dunning and payment of suppliers.");
    billing.languages = vec!["Java".to_owned()];
    billing.keywords = vec!["source of funds".to_owned(), "rateLimiter".to_owned()];
    billing.slack_channels = vec!["money-talk".to_owned(), "#shared".to_owned()];
    let mut models = profile("acme/models", "Trains the ranking models.");
    models.languages = vec!["Python".to_owned()];
    models.slack_channels = vec!["#shared".to_owned()];
    vec![shop, billing, models]
}

fn best(message: &str) -> String {
    ask(&Query { message, ..Query::default() })
}

fn ask(query: &Query<'_>) -> String {
    LexicalRanker::new(&profiles()).rank(query).candidates[0].repo.name().to_owned()
}

#[test]
fn words_of_the_description_find_it() {
    assert_eq!(best("checking out takes forever"), "web-shop");
    assert_eq!(best("an invoice has no number"), "billing");
    assert_eq!(best("the model is trained on old data"), "models");
}

#[test]
fn spellings_meet() {
    assert_eq!(best("Rate limiting of uploads: rate limiter too strict"), "billing");
    assert_eq!(best("WebShop is slow"), "web-shop");
    assert_eq!(best("webshop is slow"), "web-shop");
}

#[test]
fn misspelled_words_still_count() {
    assert_eq!(best("the invocies are late: invioces, invoicess"), "billing");
}

#[test]
fn a_language_brings_its_tools() {
    assert_eq!(best("npm audit complains"), "web-shop");
    assert_eq!(best("maven cannot resolve an artifact"), "billing");
    assert_eq!(best("traceback in views.py"), "models");
}

#[test]
fn a_channel_is_evidence() {
    let flaky = |channel| ask(&Query { message: "tests are flaky", channel: Some(channel), ..Query::default() });
    assert_eq!(flaky("#team-web"), "web-shop");
    assert_eq!(flaky("money-talk"), "billing");
    assert_eq!(flaky("#proj-models"), "models");
}

#[test]
fn what_the_message_says_outweighs_the_channel() {
    let query = Query { message: "invoices and dunning letters have no supplier on them", channel: Some("#team-web"), ..Query::default() };
    assert_eq!(ask(&query), "billing");
}

#[test]
fn the_thread_counts_but_less_than_the_message() {
    let query = Query { message: "please fix this", context: "the checkout of the shop is broken", channel: None };
    assert_eq!(ask(&query), "web-shop");
    let query = Query { message: "the invoice is empty", context: "the cart is slow", channel: None };
    assert_eq!(ask(&query), "billing");
}

#[test]
fn scores_and_reasons_hold_what_they_promise() {
    let ranking = LexicalRanker::new(&profiles()).rank(&Query { message: "Invoices and dunning letters", ..Query::default() });
    assert!(ranking.familiarity > 0.9, "{ranking:?}");
    assert!(ranking.candidates[0].score > 0.6 && ranking.candidates[1].score < 0.2, "{ranking:?}");
    assert!(ranking.candidates[0].reason.contains("invoices") && ranking.candidates[0].reason.contains("dunning"), "{ranking:?}");
    assert_eq!(ranking.candidates[2].reason, "nothing in the text points to it");
}

#[test]
fn what_no_repository_speaks_of_is_not_familiar() {
    let ranker = LexicalRanker::new(&profiles());
    let familiarity = |message| ranker.rank(&Query { message, ..Query::default() }).familiarity;
    assert_eq!(familiarity("zigbee lamps flicker"), 0.0);
    assert_eq!(familiarity(""), 0.0);
    assert!(familiarity("the coffee machine on the third floor leaks on pages of the newspaper") < familiarity("the pages of the shop"));
}

#[test]
fn the_repository_itself_tells_what_its_manifest_does_not() {
    let mut profiles = profiles();
    profiles[2].vocabulary = ["backfill", "parquet", "scheduler"].map(str::to_owned).to_vec();
    let ranking = LexicalRanker::new(&profiles).rank(&Query { message: "the backfill of parquet files hangs", ..Query::default() });
    assert_eq!(ranking.candidates[0].repo.name(), "models");
}

#[test]
fn a_large_vocabulary_does_not_win_over_a_description() {
    let mut profiles = profiles();
    profiles[2].vocabulary = (0..5_000).map(|n| format!("word{n}")).chain(["invoice".to_owned(), "supplier".to_owned()]).collect();
    let ranking = LexicalRanker::new(&profiles).rank(&Query { message: "the supplier's invoice is late", ..Query::default() });
    assert_eq!(ranking.candidates[0].repo.name(), "billing");
}

#[test]
fn one_repository_or_none_is_no_special_case() {
    let query = Query { message: "invoices", ..Query::default() };
    assert!(LexicalRanker::new(&[]).rank(&query).candidates.is_empty());
    let one = LexicalRanker::new(&profiles()[1..2]);
    assert!(one.rank(&query).familiarity > 0.65);
    assert_eq!(one.rank(&Query { message: "zigbee", ..Query::default() }).familiarity, 0.0);
}

proptest! {
    #[test]
    fn any_text_gives_an_order_of_all(message in "\\PC{0,200}", context in "(invoice|cart|[ -~]|\\n){0,80}", channel in proptest::option::of("\\PC{0,20}")) {
        let ranker = LexicalRanker::new(&profiles());
        let query = Query { message: &message, context: &context, channel: channel.as_deref() };
        let ranking = ranker.rank(&query);
        prop_assert_eq!(ranking.candidates.len(), 3);
        prop_assert!((0.0..=1.0).contains(&ranking.familiarity));
        let sum: f64 = ranking.candidates.iter().map(|candidate| candidate.score).sum();
        prop_assert!(sum <= 1.0 + 1e-9 && ranking.candidates.iter().all(|candidate| candidate.score >= 0.0));
        prop_assert!(ranking.candidates.is_sorted_by(|a, b| a.score >= b.score));
        prop_assert_eq!(ranking, ranker.rank(&query));
    }

    #[test]
    fn any_profile_can_be_ranked(texts in proptest::collection::vec("\\PC{0,60}", 5)) {
        let mut odd = profile("a/b", &texts[0]);
        odd.keywords = vec![texts[1].clone()];
        odd.languages = vec![texts[2].clone()];
        odd.slack_channels = vec![texts[3].clone()];
        odd.vocabulary = vec![texts[4].clone()];
        let message = texts.join(" ");
        let ranking = LexicalRanker::new(&[odd]).rank(&Query { message: &message, ..Query::default() });
        prop_assert!(ranking.familiarity.is_finite());
    }
}
