use proptest::prelude::*;

use super::*;
use crate::testing::profile;

fn profiles() -> Vec<RepositoryProfile> {
    vec![
        profile("acme/shop", "The shop: cart and checkout."),
        profile("acme/bank", "Accounts and transfers."),
        profile("acme/maps", "Routes and roads."),
    ]
}

fn chosen(text: &str, repo: &str) -> Correction {
    Correction { text: text.to_owned(), repo: (repo != "unknown").then(|| RepoName::parse(repo).unwrap()) }
}

fn asking(message: &str) -> Query<'_> {
    Query { message, ..Query::default() }
}

fn best(learned: &Learned, message: &str) -> String {
    learned.rank(&asking(message)).candidates[0].repo.name().to_owned()
}

#[test]
fn without_a_choice_the_words_stand() {
    let learned = Learned::new(&profiles(), &[]);
    for message in ["the cart is slow", "", "zigbee lamps", "transfers of the cart"] {
        assert_eq!(learned.rank(&asking(message)), LexicalRanker::new(&profiles()).rank(&asking(message)));
        assert!(learned.similar(&asking(message), 5).is_empty());
    }
    let gone = Learned::new(&profiles(), &[chosen("zigbee lamps", "acme/gone")]);
    assert_eq!(gone.rank(&asking("zigbee lamps")).familiarity, 0.0, "a choice for what there is not teaches nothing");
}

#[test]
fn one_choice_holds_for_what_is_much_like_it_and_nothing_else() {
    let learned = Learned::new(&profiles(), &[chosen("zigbee bridge loses lamps", "acme/maps")]);
    let like = learned.rank(&asking("the zigbee bridge is down"));
    assert_eq!(like.candidates[0].repo.name(), "maps");
    assert!(like.familiarity >= 0.65, "{like:?}");
    assert_eq!(like.candidates[0].reason, "people chose acme/maps for similar requests");
    assert_eq!(best(&learned, "the cart is slow"), "shop");
    assert!(learned.rank(&asking("coffee machine leaks")).familiarity < 0.5);
}

#[test]
fn parts_of_words_carry_over() {
    let learned = Learned::new(&profiles(), &[chosen("obfuscated names in crashes", "acme/bank"), chosen("the sky is grey", "acme/maps")]);
    assert_eq!(best(&learned, "deobfuscation does nothing"), "bank");
}

#[test]
fn what_people_said_again_and_again_outweighs_the_manifest() {
    let texts =
        ["checkout of foreign orders", "checkout rounding of transfers", "slow checkout on mondays", "checkout shows the wrong bank"];
    let learned = Learned::new(&profiles(), &texts.map(|text| chosen(text, "acme/bank")));
    assert_eq!(best(&Learned::new(&profiles(), &[]), "checkout hangs"), "shop");
    assert_eq!(best(&learned, "checkout hangs"), "bank");
    assert_eq!(best(&learned, "the cart is empty"), "shop", "what nobody corrected stays");
}

#[test]
fn none_of_ours_is_learnt_too() {
    let message = "the newsletter's route to the cart of readers";
    let before = Learned::new(&profiles(), &[]).rank(&asking(message)).familiarity;
    let texts =
        ["newsletter: checkout of readers", "a newsletter about roads", "cart in the newsletter", "transfers of newsletter readers"];
    let learned = Learned::new(&profiles(), &texts.map(|text| chosen(text, "unknown")));
    let after = learned.rank(&asking(message)).familiarity;
    assert!(before > 0.65 && after < before - 0.2, "{before} {after}");
}

#[test]
fn a_repository_chosen_often_is_not_likelier_for_that() {
    let mut choices: Vec<Correction> = (0..60).map(|n| chosen(&format!("cart of customer {n} is empty"), "acme/shop")).collect();
    choices.push(chosen("cart of roads", "acme/maps"));
    let ranking = Learned::new(&profiles(), &choices).rank(&asking("transfers of accounts"));
    assert_eq!(ranking.candidates[0].repo.name(), "bank");
    let words = LexicalRanker::new(&profiles()).rank(&asking("transfers of accounts"));
    assert!(ranking.candidates[0].score > words.candidates[0].score - 0.2, "{ranking:?}");
}

#[test]
fn the_choices_most_alike_come_first_and_no_more_than_asked_for() {
    let mut choices: Vec<Correction> = (0..40).map(|n| chosen(&format!("cart number {n}"), "acme/shop")).collect();
    choices.insert(20, chosen("zigbee bridge loses lamps", "acme/maps"));
    choices.push(chosen("qqq", "unknown"));
    let learned = Learned::new(&profiles(), &choices);
    let similar = learned.similar(&asking("which cart has the zigbee bridge?"), 12);
    assert_eq!((similar.len(), similar[0].text.as_str()), (12, "zigbee bridge loses lamps"));
    assert!(similar.iter().all(|choice| choice.text != "qqq"));
}

#[test]
fn only_the_latest_choices_are_kept() {
    let mut learner = Learner::new(&profiles());
    learner.learn(&chosen("zigbee bridge", "acme/maps"));
    for n in 0..LATEST {
        learner.learn(&chosen(&format!("cart {n}"), "acme/shop"));
    }
    assert_eq!(learner.lessons.len(), LATEST);
    assert!(learner.lessons.iter().all(|lesson| lesson.correction.text.starts_with("cart")));
}

#[test]
fn learning_one_by_one_is_learning_all_at_once() {
    let choices = [chosen("zigbee bridge", "acme/maps"), chosen("cart of roads", "acme/bank"), chosen("moon", "unknown")];
    let mut learner = Learner::new(&profiles());
    for choice in &choices {
        learner.learn(choice);
        learner.fit();
    }
    let all = Learned::new(&profiles(), &choices);
    for message in ["zigbee", "roads and carts", "the moon"] {
        assert_eq!(learner.fit().rank(&asking(message)), all.rank(&asking(message)));
    }
    assert_eq!(all.choices(), 3);
}

proptest! {
    #[test]
    fn any_choices_give_an_order_of_all(
        choices in proptest::collection::vec(("(cart|road|zigbee|[ -~]|\\PC){0,60}", 0..4_usize), 0..12),
        message in "(cart|road|zigbee|[ -~]|\\PC){0,60}",
        context in "\\PC{0,60}",
    ) {
        let repos = ["acme/shop", "acme/bank", "acme/maps", "unknown"];
        let choices: Vec<Correction> = choices.iter().map(|(text, class)| chosen(text, repos[*class])).collect();
        let query = Query { message: &message, context: &context, channel: None };
        let learned = Learned::new(&profiles(), &choices);
        let ranking = learned.rank(&query);
        prop_assert_eq!(ranking.candidates.len(), 3);
        prop_assert!((0.0..=1.0).contains(&ranking.familiarity));
        let sum: f64 = ranking.candidates.iter().map(|candidate| candidate.score).sum();
        prop_assert!(sum <= 1.0 + 1e-9 && ranking.candidates.iter().all(|candidate| candidate.score >= 0.0));
        prop_assert!(ranking.candidates.is_sorted_by(|a, b| a.score >= b.score));
        prop_assert_eq!(&ranking, &Learned::new(&profiles(), &choices).rank(&query));
        prop_assert!(learned.similar(&query, 3).len() <= 3.min(choices.len()));
    }

    #[test]
    fn a_choice_never_speaks_against_itself(text in "[a-z]{4,9}( [a-z]{4,9}){0,5}", class in 0..3_usize) {
        let repos = ["acme/shop", "acme/bank", "acme/maps"];
        let score = |choices: &[Correction]| {
            let ranking = Learned::new(&profiles(), choices).rank(&asking(&text));
            ranking.candidates.into_iter().find(|candidate| candidate.repo.as_str() == repos[class]).unwrap().score
        };
        // The words alone may be surer than learning ever is.
        let before = score(&[]).min(1.0 - DOUBT);
        prop_assert!(score(&[chosen(&text, repos[class])]) >= before - 1e-6);
    }
}
