use std::{
    future,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use serde_json::{Value, json};

use super::*;
use crate::testing::profile;

fn profiles() -> Vec<RepositoryProfile> {
    vec![
        profile("acme/shop", "The shop: cart and checkout."),
        profile("acme/bank", "Accounts and transfers."),
        profile("acme/maps", "Routes and roads."),
    ]
}

fn repo(name: &str) -> RepoName {
    RepoName::parse(name).unwrap()
}

fn request(message: &str) -> Request {
    Request { message: message.to_owned(), ..Request::default() }
}

/// What the model's server does.
#[derive(Clone)]
enum Manner {
    Says(Value),
    NeverAnswers,
    Fails(StatusCode),
    /// Refuses requests with a `response_format`, answers the others.
    KnowsNoSchema(Value),
    Sends(&'static str),
}

/// A chat-completions server on a real socket. Its task ends with the test's runtime.
struct Model {
    base_url: String,
    received: Arc<Mutex<Vec<Value>>>,
}

#[derive(Clone)]
struct Server {
    manner: Manner,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    async fn start(manner: Manner) -> Self {
        // A second test in this process finds it installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let received = Arc::default();
        let server = Server { manner, received: Arc::clone(&received) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(server);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, received }
    }

    fn classifier(&self, time_limit: Duration) -> Classifier {
        let model = ModelConfig { base_url: self.base_url.clone(), api_key: "key".to_owned(), model: "fast".to_owned() };
        Classifier::new(Config { model: Some(model), time_limit, ..Config::default() })
    }

    async fn classify(&self, message: &str) -> Decision {
        self.classifier(Duration::from_secs(20)).classify(&request(message), &profiles()).await
    }

    fn received(&self) -> Vec<Value> {
        self.received.lock().unwrap().clone()
    }
}

async fn answer(State(server): State<Server>, Json(body): Json<Value>) -> axum::response::Response {
    let with_schema = body.get("response_format").is_some();
    server.received.lock().unwrap().push(body);
    let completion = |answer: &Value| {
        Json(json!({ "choices": [{ "message": { "role": "assistant", "content": answer.to_string() } }] })).into_response()
    };
    match &server.manner {
        Manner::Says(answer) => completion(answer),
        Manner::NeverAnswers => future::pending().await,
        Manner::Fails(status) => {
            (*status, Json(json!({ "error": { "message": "no", "type": "x", "param": null, "code": null } }))).into_response()
        }
        Manner::KnowsNoSchema(_) if with_schema => {
            (StatusCode::BAD_REQUEST, Json(json!({ "error": { "message": "response_format" } }))).into_response()
        }
        Manner::KnowsNoSchema(answer) => completion(answer),
        Manner::Sends(text) => (*text).into_response(),
    }
}

fn says(repository: &str, confidence: f64) -> Manner {
    Manner::Says(
        json!({ "repository": repository, "confidence": confidence, "reason": "because", "candidates": ["acme/maps", "acme/bank"] }),
    )
}

fn names(decision: &Decision) -> Vec<&str> {
    decision.candidates.iter().map(|candidate| candidate.repo.name()).collect()
}

#[tokio::test]
async fn the_model_decides() {
    let model = Model::start(says("acme/bank", 0.9)).await;
    let decision = model.classify("the cart is empty").await;
    assert_eq!(decision.verdict, Verdict::Repository { repo: repo("acme/bank"), confidence: 0.9 });
    assert_eq!((decision.decided_by, decision.reason.as_str()), (DecidedBy::Model, "because"));
    // The model's order first, then what the words find.
    assert_eq!(names(&decision), ["bank", "maps", "shop"]);
    assert_eq!(decision.candidates[0].score, 0.9);
    let received = model.received();
    assert_eq!(received.len(), 1);
    assert_eq!((&received[0]["model"], &received[0]["stream"]), (&json!("fast"), &json!(false)));
    assert_eq!(received[0]["response_format"]["json_schema"]["strict"], true);
    assert!(received[0]["messages"][1]["content"].as_str().unwrap().contains("the cart is empty"));
}

#[tokio::test]
async fn an_unsure_model_makes_it_unknown() {
    let decision = Model::start(says("acme/bank", 0.3)).await.classify("the cart is empty").await;
    assert_eq!((&decision.verdict, decision.decided_by), (&Verdict::Unknown, DecidedBy::Model));
    assert_eq!(names(&decision)[0], "bank");
}

#[tokio::test]
async fn the_model_may_say_unknown_or_none() {
    let decision = Model::start(says("unknown", 0.9)).await.classify("the cart is empty").await;
    assert_eq!(decision.verdict, Verdict::Unknown);
    assert_eq!(names(&decision), ["maps", "bank", "shop"]);
    let decision = Model::start(says("none", 0.9)).await.classify("what is a monad?").await;
    assert_eq!((decision.verdict, decision.decided_by), (Verdict::NoRepositoryNeeded, DecidedBy::Model));
}

#[tokio::test]
async fn a_repository_that_there_is_not_is_unknown() {
    let decision = Model::start(says("acme/invented", 1.0)).await.classify("the cart is empty").await;
    assert_eq!((decision.verdict, decision.decided_by), (Verdict::Unknown, DecidedBy::Model));
    assert!(decision.candidates.iter().all(|candidate| candidate.repo != repo("acme/invented")));
}

#[tokio::test]
async fn a_model_that_does_not_answer_in_time_is_not_waited_for() {
    let model = Model::start(Manner::NeverAnswers).await;
    let decision = model.classifier(Duration::from_millis(100)).classify(&request("the cart is empty"), &profiles()).await;
    assert_eq!(decision.decided_by, DecidedBy::Lexical { why: WhyLexical::ModelTimedOut });
    assert!(matches!(&decision.verdict, Verdict::Repository { repo, .. } if repo.name() == "shop"), "{decision:?}");
    assert!(decision.elapsed >= Duration::from_millis(100) && decision.elapsed < Duration::from_secs(10), "{decision:?}");
}

#[tokio::test]
async fn whatever_the_model_gets_wrong_the_words_decide() {
    let manners = [
        Manner::Fails(StatusCode::INTERNAL_SERVER_ERROR),
        Manner::Fails(StatusCode::UNAUTHORIZED),
        Manner::Fails(StatusCode::TOO_MANY_REQUESTS),
        Manner::Sends("<html>not here</html>"),
        Manner::Sends("{}"),
        Manner::Sends("{\"choices\": [{\"message\": {\"content\": \"{\\\"repository\\\": \\\"acme/ba\"}}]}"),
        Manner::Says(json!({ "answer": "acme/bank" })),
    ];
    for manner in manners {
        let decision = Model::start(manner).await.classify("the cart is empty").await;
        assert_eq!(decision.decided_by, DecidedBy::Lexical { why: WhyLexical::ModelFailed });
        assert!(matches!(&decision.verdict, Verdict::Repository { repo, .. } if repo.name() == "shop"), "{decision:?}");
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let nobody = Model { base_url, received: Arc::default() };
    assert_eq!(nobody.classify("the cart is empty").await.decided_by, DecidedBy::Lexical { why: WhyLexical::ModelFailed });
}

#[tokio::test]
async fn a_server_without_schemas_is_asked_again_without_one() {
    let answer = json!({ "repository": "acme/bank", "confidence": 0.9, "reason": "because", "candidates": [] });
    let model = Model::start(Manner::KnowsNoSchema(answer)).await;
    assert_eq!(model.classify("the cart is empty").await.decided_by, DecidedBy::Model);
    assert_eq!(model.received().len(), 2);
}

#[tokio::test]
async fn what_is_said_outright_asks_no_model() {
    let model = Model::start(says("acme/bank", 0.9)).await;
    let decision = model.classify("in acme/maps the cart is empty").await;
    assert_eq!(decision.verdict, Verdict::Repository { repo: repo("acme/maps"), confidence: 1.0 });
    assert_eq!((decision.decided_by, names(&decision)[0]), (DecidedBy::Explicit, "maps"));
    assert!(model.received().is_empty());
}

async fn offline(request: &Request) -> Decision {
    Classifier::new(Config::default()).classify(request, &profiles()).await
}

#[tokio::test]
async fn without_a_model_the_words_decide() {
    let decision = offline(&request("the cart is empty")).await;
    assert_eq!(decision.decided_by, DecidedBy::Lexical { why: WhyLexical::ModelMissing });
    assert!(matches!(&decision.verdict, Verdict::Repository { repo, .. } if repo.name() == "shop"), "{decision:?}");
    assert_eq!(decision.reason, "mentions cart");
    assert_eq!(offline(&request("zigbee lamps flicker")).await.verdict, Verdict::Unknown);
    assert_eq!(offline(&request("hi, what can you do?")).await.verdict, Verdict::NoRepositoryNeeded);
}

#[tokio::test]
async fn a_tie_is_asked_about() {
    let decision = offline(&request("cart and accounts")).await;
    assert_eq!((decision.verdict, decision.reason.as_str()), (Verdict::Unknown, "several repositories fit equally well"));
    assert_eq!(decision.candidates.len(), 3);
}

#[tokio::test]
async fn what_people_chose_teaches_it() {
    let mut request = request("the zigbee bridge is down");
    assert_eq!(offline(&request).await.verdict, Verdict::Unknown);
    request.corrections = vec![Correction { text: "zigbee bridge loses lamps".to_owned(), repo: Some(repo("acme/maps")) }];
    assert!(matches!(offline(&request).await.verdict, Verdict::Repository { repo, .. } if repo.name() == "maps"));
}

#[tokio::test]
async fn one_classifier_follows_what_people_choose_and_take_back() {
    let classifier = Classifier::new(Config::default());
    let mut request = request("the zigbee bridge is down");
    for (corrections, expected) in [
        (vec![], None),
        (vec![("zigbee bridge loses lamps", "acme/maps")], Some("maps")),
        (vec![("zigbee bridge loses lamps", "acme/maps"), ("the zigbee bridge is down again", "acme/bank")], Some("bank")),
        (vec![("zigbee bridge loses lamps", "acme/maps")], Some("maps")),
        (vec![], None),
    ] {
        request.corrections =
            corrections.iter().map(|(text, name)| Correction { text: (*text).to_owned(), repo: Some(repo(name)) }).collect();
        let found = match classifier.classify(&request, &profiles()).await.verdict {
            Verdict::Repository { repo, .. } => Some(repo.name().to_owned()),
            _ => None,
        };
        assert_eq!(found.as_deref(), expected, "{corrections:?}");
    }
}

#[tokio::test]
async fn the_model_sees_the_choices_most_like_the_request() {
    let model = Model::start(Manner::Says(json!({ "repository": "acme/maps", "confidence": 0.9, "reason": "as before" }))).await;
    let mut request = request("the zigbee bridge is down");
    request.corrections = (0..50).map(|n| Correction { text: format!("bridge {n} of the river"), repo: Some(repo("acme/maps")) }).collect();
    request.corrections.insert(3, Correction { text: "zigbee bridge loses lamps".to_owned(), repo: Some(repo("acme/bank")) });
    model.classifier(Duration::from_secs(20)).classify(&request, &profiles()).await;
    let received = model.received();
    let question: Value = serde_json::from_str(received[0]["messages"][1]["content"].as_str().unwrap()).unwrap();
    assert_eq!(question["corrections"].as_array().unwrap().len(), SHOWN);
    assert_eq!(question["corrections"][0]["request"], "zigbee bridge loses lamps");
}

fn with_rules() -> Config {
    let rules = RoutingRules {
        keyword_rules: vec![("zigbee".to_owned(), repo("acme/maps"))],
        channel_defaults: vec![("#money".to_owned(), repo("acme/bank"))],
    };
    Config { rules, ..Config::default() }
}

async fn by_rules(message: &str, channel: &str) -> (Option<String>, DecidedBy, String) {
    let request = Request { channel: Some(channel.to_owned()), ..request(message) };
    let decision = Classifier::new(with_rules()).classify(&request, &profiles()).await;
    let repo = match decision.verdict {
        Verdict::Repository { repo, .. } => {
            assert_eq!(decision.candidates[0].repo, repo);
            Some(repo.name().to_owned())
        }
        _ => None,
    };
    (repo, decision.decided_by, decision.reason)
}

#[tokio::test]
async fn a_rule_comes_after_the_name_and_before_the_words() {
    let (repo, by, reason) = by_rules("the cart and checkout lose Zigbee lamps", "money").await;
    assert_eq!((repo.as_deref(), by), (Some("maps"), DecidedBy::Rule));
    assert_eq!(reason, "a rule says that “zigbee” belongs to acme/maps");
    let (repo, by, _) = by_rules("in acme/shop the zigbee lamps are missing", "money").await;
    assert_eq!((repo.as_deref(), by), (Some("shop"), DecidedBy::Explicit));
}

#[tokio::test]
async fn a_channels_default_answers_only_what_would_be_asked() {
    let (repo, by, reason) = by_rules("it is slow again", "#Money").await;
    assert_eq!((repo.as_deref(), by), (Some("bank"), DecidedBy::ChannelDefault));
    assert_eq!(reason, "acme/bank is the default of #Money");
    let (repo, by, _) = by_rules("the cart and checkout are empty", "money").await;
    assert_eq!((repo.as_deref(), by), (Some("shop"), DecidedBy::Lexical { why: WhyLexical::ModelMissing }));
    assert_eq!(by_rules("it is slow again", "random").await.0, None);
    assert_eq!(by_rules("thanks!", "money").await.0, None, "what needs no repository gets none");
}

#[tokio::test]
async fn an_unsure_model_leaves_it_to_the_channels_default() {
    let model = Model::start(Manner::Says(json!({ "repository": "unknown", "confidence": 0.9, "candidates": ["acme/shop"] }))).await;
    let config = Config {
        model: Some(ModelConfig { base_url: model.base_url.clone(), api_key: "k".to_owned(), model: "m".to_owned() }),
        ..with_rules()
    };
    let request = Request { channel: Some("money".to_owned()), ..request("it is slow") };
    let decision = Classifier::new(Config { time_limit: Duration::from_secs(20), ..config }).classify(&request, &profiles()).await;
    assert!(matches!(decision.verdict, Verdict::Repository { repo, .. } if repo.name() == "bank"));
    let offered: Vec<&str> = decision.candidates.iter().map(|candidate| candidate.repo.name()).collect();
    assert_eq!((decision.decided_by, offered), (DecidedBy::ChannelDefault, vec!["bank", "shop", "maps"]));
}

#[tokio::test]
async fn one_classifier_follows_changed_manifests() {
    let classifier = Classifier::new(Config::default());
    let mut profiles = profiles();
    let request = request("the zigbee bridge is down");
    assert_eq!(classifier.classify(&request, &profiles).await.verdict, Verdict::Unknown);
    profiles[2].keywords.push("zigbee bridge".to_owned());
    for _ in 0..2 {
        let decision = classifier.classify(&request, &profiles).await;
        assert!(matches!(decision.verdict, Verdict::Repository { repo, .. } if repo.name() == "maps"));
    }
}

#[tokio::test]
async fn nothing_to_choose_from_is_unknown() {
    let decision = Classifier::new(Config::default()).classify(&request("the cart is empty"), &[]).await;
    assert_eq!((decision.verdict, decision.candidates.len()), (Verdict::Unknown, 0));
}

#[test]
fn the_key_is_not_shown() {
    let config = ModelConfig { base_url: "http://x/v1".to_owned(), api_key: "sk-secret".to_owned(), model: "m".to_owned() };
    assert!(!format!("{config:?}").contains("secret"));
}

#[tokio::test]
async fn a_question_about_the_bot_is_answered_by_the_model_and_by_nobody_without_one() {
    let model = Model::start(Manner::Says(json!("I mend code."))).await;
    let answer = model.classifier(Duration::from_secs(20)).answer(&request("what can you do?"), &profiles()).await;
    assert_eq!(answer.as_deref(), Some("\"I mend code.\""));
    assert!(model.received()[0].get("response_format").is_none());
    let broken = Model::start(Manner::Fails(StatusCode::BAD_REQUEST)).await;
    assert_eq!(broken.classifier(Duration::from_secs(20)).answer(&request("hi"), &profiles()).await, None);
    assert_eq!(Classifier::new(Config::default()).answer(&request("hi"), &profiles()).await, None);
}
