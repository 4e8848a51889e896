use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode},
    routing::{get, post},
};
use futures_util::StreamExt;
use longshore_gateway::{LlmEventKind, LlmOutcome, LlmRight, LlmUsage};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::world::{Log, MODEL_KEY, Seen, World, client, hello, llm_upstream, serve, world};

const FIRST: &str = "data: {\"model\":\"m-1-2026\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const LAST: &str =
    "data: {\"model\":\"m-1-2026\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";

/// A gateway before a provider whose stream the test feeds.
async fn fed() -> (World, mpsc::Sender<Result<Bytes, std::io::Error>>, Log) {
    let (feed, fed) = mpsc::channel(8);
    let fed = std::sync::Arc::new(std::sync::Mutex::new(Some(fed)));
    let log = Log::default();
    let seen = log.clone();
    let router = Router::new().route(
        "/v1/chat/completions",
        post(move |request: Request<Body>| {
            let stream = fed.lock().unwrap().take().unwrap();
            let seen = seen.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                seen.lock().unwrap().push(Seen { uri: parts.uri, headers: parts.headers, body });
                Response::builder()
                    .header("content-type", "text/event-stream; charset=utf-8")
                    .header("x-request-id", "req-1")
                    .header("set-cookie", "a=b")
                    .body(Body::from_stream(ReceiverStream::new(stream)))
                    .unwrap()
            }
        }),
    );
    let provider = serve(router).await;
    (world(|config| config.openai = llm_upstream(provider)).await, feed, log)
}

fn asked() -> Value {
    json!({ "model": "m-1", "stream": true, "messages": [{ "role": "user", "content": "Hello" }] })
}

#[tokio::test]
async fn a_stream_passes_as_it_comes_and_is_measured() {
    let (world, feed, log) = fed().await;
    feed.send(Ok(FIRST.into())).await.unwrap();
    let request = world.post("/llm/v1/chat/completions").header("cookie", "c=d").header("openai-organization", "other").json(&asked());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-request-id"], "req-1");
    assert!(answer.headers().get("set-cookie").is_none());
    let mut stream = answer.bytes_stream();
    assert_eq!(stream.next().await.unwrap().unwrap(), FIRST, "the first token is here while the provider is still at it");
    let events = world.heard.wait_for(2).await;
    assert_eq!(events[0].kind, LlmEventKind::Began { model: Some("m-1".to_owned()) });
    assert!(matches!(events[1].kind, LlmEventKind::FirstToken { after } if after > Duration::ZERO));
    feed.send(Ok(LAST.into())).await.unwrap();
    drop(feed);
    assert_eq!(stream.next().await.unwrap().unwrap(), LAST);
    assert!(stream.next().await.is_none());
    let events = world.heard.wait_for(3).await;
    let LlmEventKind::Ended { status, ref model, usage, outcome, .. } = events[2].kind else { panic!("{events:?}") };
    assert_eq!((status, model.as_deref(), outcome), (200, Some("m-1-2026"), LlmOutcome::Complete));
    assert_eq!(usage, Some(LlmUsage { input_tokens: 7, output_tokens: 3, cached_input_tokens: 0 }));
    assert!(events.iter().all(|event| event.sandbox == world.sandbox && event.request == events[0].request));

    let log = log.lock().unwrap();
    assert_eq!(log[0].headers["authorization"], format!("Bearer {MODEL_KEY}"));
    assert_eq!(serde_json::from_slice::<Value>(&log[0].body).unwrap(), asked());
    assert!(!format!("{:?}", log[0]).contains(world.token.expose()), "the sandbox's token stays behind");
    for header in ["cookie", "openai-organization"] {
        assert!(log[0].headers.get(header).is_none(), "{header}");
    }
}

#[tokio::test]
async fn an_agent_that_hangs_up_and_a_provider_that_breaks_off_are_told_apart() {
    let (world, feed, _) = fed().await;
    feed.send(Ok(FIRST.into())).await.unwrap();
    let mut stream = world.post("/llm/v1/chat/completions").json(&asked()).send().await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let events = world.heard.wait_for(3).await;
    assert!(matches!(events[2].kind, LlmEventKind::Ended { outcome: LlmOutcome::Abandoned, usage: None, .. }), "{events:?}");
    tokio::time::timeout(Duration::from_secs(20), feed.closed()).await.expect("the provider's stream is given up with it");

    let (world, feed, _) = fed().await;
    feed.send(Ok(FIRST.into())).await.unwrap();
    let mut stream = world.post("/llm/v1/chat/completions").json(&asked()).send().await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    feed.send(Err(std::io::Error::other("pulled"))).await.unwrap();
    assert!(stream.next().await.unwrap().is_err(), "a broken stream does not look like a whole one");
    let events = world.heard.wait_for(3).await;
    assert!(matches!(events[2].kind, LlmEventKind::Ended { outcome: LlmOutcome::Broken, .. }), "{events:?}");
}

#[tokio::test]
async fn a_whole_answer_and_the_other_dialects_pass_too() {
    let log = Log::default();
    let seen = log.clone();
    let answer = move |request: Request<Body>| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            seen.lock().unwrap().push(Seen { uri: parts.uri.clone(), headers: parts.headers, body });
            let usage = json!({ "input_tokens": 4, "output_tokens": 5 });
            Ok::<_, Infallible>(axum::Json(json!({ "model": "m-9", "usage": usage, "path": parts.uri.to_string() })))
        }
    };
    let router = Router::new()
        .route("/v1/responses", post(answer.clone()))
        .route("/v1/messages", post(answer.clone()))
        .route("/v1/models", get(answer));
    let provider = serve(router).await;
    let world = world(|config| {
        config.openai = llm_upstream(provider);
        config.anthropic = llm_upstream(provider);
    })
    .await;
    for (path, expected) in [("/llm/v1/responses", "/v1/responses"), ("/llm/anthropic/v1/messages?beta=true", "/v1/messages?beta=true")] {
        let already = world.heard.so_far().len();
        let body: Value =
            world.post(path).header("anthropic-version", "2023-06-01").json(&asked()).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["path"], expected);
        let events = world.heard.wait_for(already + 3).await;
        let LlmEventKind::Ended { usage, outcome, .. } = events[already + 2].kind else { panic!("{events:?}") };
        assert_eq!((usage, outcome), (Some(LlmUsage { input_tokens: 4, output_tokens: 5, cached_input_tokens: 0 }), LlmOutcome::Complete));
    }
    // Anthropic's clients show their key in a header of its own.
    let request = client().post(world.url("/llm/anthropic/v1/messages")).header("x-api-key", world.token.expose()).json(&asked());
    assert_eq!(request.send().await.unwrap().status(), 200);
    let answer = client().get(world.url("/llm/v1/models")).bearer_auth(world.token.expose()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let log = log.lock().unwrap();
    assert_eq!(log[1].headers["x-api-key"], MODEL_KEY);
    assert_eq!(log[1].headers["anthropic-version"], "2023-06-01");
    assert!(log[1].headers.get("authorization").is_none());
    assert_eq!(log[2].headers["x-api-key"], MODEL_KEY);
    assert_eq!(log[3].headers["authorization"], format!("Bearer {MODEL_KEY}"));
}

async fn refused(world: &World, path: &str, body: &Value) -> (u16, Value) {
    let answer = world.post(path).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_pass_and_the_budget_decide() {
    let (provider, log) = hello().await;
    let world = world(|config| config.openai = llm_upstream(provider)).await;
    let chat = "/llm/v1/chat/completions";

    *world.budget.0.lock().unwrap() = Some("the session's budget of $5 is spent".to_owned());
    let (status, body) = refused(&world, chat, &asked()).await;
    assert_eq!((status, body["error"]["message"].as_str().unwrap()), (402, "longshore: the session's budget of $5 is spent"));
    *world.budget.0.lock().unwrap() = None;

    world.change(|pass| pass.llm = LlmRight::Only(vec!["m-2".to_owned()]));
    let (status, body) = refused(&world, chat, &asked()).await;
    assert_eq!((status, body["error"]["code"].as_str().unwrap()), (403, "model_not_allowed"));
    assert_eq!(refused(&world, chat, &json!({ "messages": [] })).await.0, 403);
    let twice = world.post(chat).body(r#"{"model":"m-2","model":"m-1"}"#).send().await.unwrap();
    assert_eq!(twice.status(), 400, "a model that is named twice could be read twice");
    assert_eq!(world.post(chat).body("no json").send().await.unwrap().status(), 400);

    world.change(|pass| pass.llm = LlmRight::None);
    assert_eq!(refused(&world, chat, &asked()).await.0, 403);
    let models = client().get(world.url("/llm/v1/models")).bearer_auth(world.token.expose()).send().await.unwrap();
    assert_eq!(models.status(), 403);

    let stranger = client().post(world.url(chat)).bearer_auth("lsx_wrong").json(&asked()).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    assert_eq!(stranger.json::<Value>().await.unwrap()["error"]["type"], "authentication_error");
    let (status, body) = refused(&world, "/llm/anthropic/v1/messages", &asked()).await;
    assert_eq!((status, body["type"].as_str().unwrap()), (403, "error"));

    assert_eq!(log.lock().unwrap().len(), 0, "nothing of this was sent upstream");
    assert_eq!(world.heard.so_far(), []);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let (provider, log) = hello().await;
    let world = world(|config| {
        config.openai = llm_upstream(provider);
        config.limits.llm_request = 1024 * 1024;
    })
    .await;
    let big = json!({ "model": "m-1", "messages": [{ "role": "user", "content": "x".repeat(2 * 1024 * 1024) }] });
    let (status, body) = refused(&world, "/llm/v1/chat/completions", &big).await;
    assert_eq!((status, body["error"]["message"].as_str().unwrap()), (413, "longshore: a model request may have 1 MiB"));
    assert_eq!(log.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_provider_s_errors_pass_and_its_key_does_not() {
    let fail = |status: u16, key: &'static str| {
        let body = json!({ "error": { "message": format!("bad request of {key}") } }).to_string();
        let builder = Response::builder().status(StatusCode::from_u16(status).unwrap()).header("retry-after", "7");
        builder
            .header("content-type", "application/json")
            .header("location", format!("http://example.com/{key}"))
            .body(Body::from(body))
            .unwrap()
    };
    let router = Router::new().fallback(move |request: Request<Body>| async move {
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        fail(asked["model"].as_str().unwrap().parse().unwrap(), MODEL_KEY)
    });
    let provider = serve(router).await;
    let world = world(|config| config.openai = llm_upstream(provider)).await;
    for (status, expected) in [(400, 400), (401, 401), (403, 403), (429, 429), (500, 500), (529, 529), (302, 502)] {
        let answer = world.post("/llm/v1/chat/completions").json(&json!({ "model": status.to_string() })).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
        if status == 429 {
            assert_eq!(answer.headers()["retry-after"], "7");
        }
        let all = format!("{:?}", answer.headers());
        let text = answer.text().await.unwrap();
        assert!(!all.contains(MODEL_KEY) && !text.contains(MODEL_KEY), "{all} {text}");
        assert!(serde_json::from_str::<Value>(&text).unwrap()["error"]["message"].is_string(), "{text}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_502_in_openai_s_shape() {
    let world = world(|config| config.openai = llm_upstream("127.0.0.1:1".parse().unwrap())).await;
    let (status, body) = refused(&world, "/llm/v1/chat/completions", &asked()).await;
    assert_eq!((status, body["error"]["type"].as_str().unwrap()), (502, "upstream_unreachable"));
    let events = world.heard.wait_for(2).await;
    assert!(matches!(events[1].kind, LlmEventKind::Ended { status: 502, outcome: LlmOutcome::Broken, .. }), "{events:?}");
}

#[tokio::test]
async fn one_sandbox_has_a_limit_of_open_requests() {
    let (feed, fed) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let fed = std::sync::Arc::new(std::sync::Mutex::new(Some(fed)));
    let router = Router::new().fallback(move |_: Request<Body>| {
        let stream = fed.lock().unwrap().take();
        async move { Response::new(stream.map_or_else(Body::empty, |stream| Body::from_stream(ReceiverStream::new(stream)))) }
    });
    let provider = serve(router).await;
    let world = world(|config| {
        config.openai = llm_upstream(provider);
        config.limits.open_per_sandbox = 1;
    })
    .await;
    let open = world.post("/llm/v1/chat/completions").json(&asked()).send().await.unwrap();
    assert_eq!(refused(&world, "/llm/v1/chat/completions", &asked()).await.0, 429);
    drop(feed);
    open.bytes().await.unwrap();
    world.heard.wait_for(2).await;
    // The place is given back with the body, which may be a moment after its last byte was read here.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.post("/llm/v1/chat/completions").json(&asked()).send().await.unwrap().status() != 200 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shutdown_lets_an_open_stream_end() {
    let (world, feed, _) = fed().await;
    feed.send(Ok(FIRST.into())).await.unwrap();
    let mut stream = world.post("/llm/v1/chat/completions").json(&asked()).send().await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    world.shutdown.cancel();
    feed.send(Ok(LAST.into())).await.unwrap();
    drop(feed);
    assert_eq!(stream.next().await.unwrap().unwrap(), LAST);
    tokio::time::timeout(Duration::from_secs(20), world.serving).await.expect("ended by itself").unwrap().unwrap();
    assert!(client().get(format!("http://{}/healthz", world.address)).send().await.is_err());
}

#[tokio::test]
async fn a_shutdown_has_an_end() {
    let (feed, fed) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let fed = std::sync::Arc::new(std::sync::Mutex::new(Some(fed)));
    let router = Router::new().fallback(move |_: Request<Body>| {
        let stream = fed.lock().unwrap().take().unwrap();
        async move { Response::new(Body::from_stream(ReceiverStream::new(stream))) }
    });
    let provider = serve(router).await;
    let world = world(|config| {
        config.openai = llm_upstream(provider);
        config.limits.drain = Duration::from_millis(50);
    })
    .await;
    let open = world.post("/llm/v1/chat/completions").json(&asked()).send().await.unwrap();
    world.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), world.serving).await.expect("ended by the limit").unwrap().unwrap();
    assert!(open.bytes().await.is_err());
    drop(feed);
}

#[tokio::test]
async fn an_agent_that_is_warmed_up_is_answered_here_and_costs_nothing() {
    // There is no provider at all.
    let world = world(|config| config.openai = None).await;
    world.change(|pass| pass.llm = LlmRight::Priming);
    let answer = world.post("/llm/v1/chat/completions").json(&asked()).send().await.unwrap();
    assert_eq!((answer.status(), answer.headers()["content-type"].to_str().unwrap()), (StatusCode::OK, "text/event-stream"));
    let text = answer.text().await.unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    let [said, end, "[DONE]"] = events[..] else { panic!("{text}") };
    let (said, end): (Value, Value) = (serde_json::from_str(said).unwrap(), serde_json::from_str(end).unwrap());
    assert_eq!((&said["choices"][0]["delta"]["content"], &said["model"]), (&json!("ok"), &json!("m-1")));
    assert_eq!(end["choices"][0]["finish_reason"], "stop");
    let whole: Value = world.post("/llm/v1/chat/completions").json(&json!({ "model": "m-2" })).send().await.unwrap().json().await.unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "ok");
    let heard = world.heard.wait_for(2).await;
    let kinds: Vec<_> = heard.iter().map(|event| event.kind.clone()).collect();
    let primed = |model: &str| LlmEventKind::Primed { model: Some(model.to_owned()) };
    assert_eq!(kinds, [primed("m-1"), primed("m-2")]);
    assert_eq!(refused(&world, "/llm/anthropic/v1/messages", &asked()).await.0, 501);
}
