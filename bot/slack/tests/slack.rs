//! The crate against the Slack emulator, over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is not as it should be")]

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use longshore_emulators::slack::{AttemptOutcome, Delivery as Way, Disconnect, Fault, Limits, NewFile, NewPost, RequestUrls, RetryTimes};
use longshore_emulators::slack::{SlackEmulator, SlackHandle, WorkspaceSetup};
use longshore_session::{ChannelId, MessageTs, PromptId, SessionId, SlackUserId, SystemClock};
use longshore_slack::{
    Action, AgentHelp, AppToken, BotIdentity, BotToken, Delivery, FileUpload, Inbound, Inbox, InboxError, InboxFuture, Metadata, Notice,
    Post, PostTo, Posted, Priority, QueuePlace, QueuedNotice, SigningSecret, SlackClient, SlackConfig, SlackError, SlackHttpConfig,
    SlackSetupError, SocketMode, Stored, Verdict, check, http_router,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// An inbox in memory that can be told to fail.
struct MemoryInbox {
    keys: Mutex<HashSet<String>>,
    /// Everything that was given, repeats too.
    given: watch::Sender<Vec<Delivery>>,
    broken: AtomicBool,
}

impl MemoryInbox {
    fn new() -> Arc<Self> {
        Arc::new(Self { keys: Mutex::default(), given: watch::channel(Vec::new()).0, broken: AtomicBool::new(false) })
    }

    /// Waits for deliveries that mean what is looked for.
    async fn wait<T>(&self, bot: &BotIdentity, look: impl Fn(&[(Delivery, Inbound)]) -> Option<T>) -> T {
        let mut given = self.given.subscribe();
        let found = async {
            loop {
                let parsed: Vec<(Delivery, Inbound)> =
                    given.borrow_and_update().iter().map(|delivery| (delivery.clone(), Inbound::parse(delivery, bot))).collect();
                if let Some(found) = look(&parsed) {
                    return found;
                }
                given.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the delivery never came")
    }

    fn kept(&self) -> usize {
        self.keys.lock().unwrap().len()
    }
}

impl Inbox for MemoryInbox {
    fn store(&self, delivery: Delivery) -> InboxFuture<'_> {
        Box::pin(async move {
            let broken = self.broken.load(Ordering::SeqCst);
            let new = !broken && self.keys.lock().unwrap().insert(delivery.key.clone());
            self.given.send_modify(|given| given.push(delivery));
            match (broken, new) {
                (true, _) => Err(InboxError("the disk is full".into())),
                (false, true) => Ok(Stored::New),
                (false, false) => Ok(Stored::Duplicate),
            }
        })
    }
}

fn workspace() -> WorkspaceSetup {
    let mut setup = WorkspaceSetup::demo();
    setup.limits = Limits::off();
    setup.retries = RetryTimes { acknowledge_within: Duration::from_secs(3), pauses: vec![Duration::from_millis(50); 3] };
    setup
}

fn config(slack: &SlackHandle) -> SlackConfig {
    let mut config = SlackConfig::new(BotToken::parse(slack.bot_token()).unwrap());
    config.api_url = slack.api_url().parse().unwrap();
    config.app_token = Some(AppToken::parse(slack.app_token()).unwrap());
    config.request_timeout = Duration::from_secs(5);
    config
}

fn bot(slack: &SlackHandle) -> BotIdentity {
    BotIdentity { user: slack.bot_user_id().parse().unwrap(), bot_id: None }
}

/// The emulator, a connected Socket Mode, its inbox, and the bot.
struct Connected {
    slack: SlackHandle,
    inbox: Arc<MemoryInbox>,
    sockets: SocketMode,
    shutdown: CancellationToken,
    bot: BotIdentity,
}

impl Connected {
    async fn start(setup: WorkspaceSetup) -> Self {
        let slack = SlackEmulator::start(setup).await.unwrap();
        let (inbox, shutdown) = (MemoryInbox::new(), CancellationToken::new());
        let sockets = SocketMode::start(config(&slack), inbox.clone(), Arc::new(SystemClock), shutdown.clone()).await.unwrap();
        tokio::time::timeout(PATIENCE, sockets.connected().wait_for(|count| *count > 0)).await.unwrap().unwrap();
        let bot = bot(&slack);
        Self { slack, inbox, sockets, shutdown, bot }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.sockets.closed()).await.unwrap();
        self.slack.shutdown().await;
    }
}

fn posts(parsed: &[(Delivery, Inbound)]) -> Vec<(&str, &Post)> {
    parsed
        .iter()
        .filter_map(|(delivery, inbound)| match inbound {
            Inbound::Message(post) => Some((delivery.payload["event"]["type"].as_str().unwrap(), post)),
            _ => None,
        })
        .collect()
}

fn queued(place: usize) -> QueuedNotice {
    QueuedNotice {
        session: SessionId::parse("s-1").unwrap(),
        prompt: PromptId::parse("p-1").unwrap(),
        asker: SlackUserId::parse("U0ANA").unwrap(),
        asked: "and the other thing".to_owned(),
        waiting: QueuePlace::Waiting { place },
    }
}

#[tokio::test]
async fn a_mention_comes_in_as_two_events_with_one_post_key() {
    let connected = Connected::start(workspace()).await;
    let ts = connected.slack.person("U0ANA").post("C0CHECKOUT", "@longshore the <checkout> charges twice & late").unwrap();
    let (kinds, post) = connected
        .inbox
        .wait(&connected.bot, |parsed| {
            let found = posts(parsed);
            let mut kinds: Vec<String> = found.iter().map(|(kind, _)| (*kind).to_owned()).collect();
            kinds.sort();
            let same = found.windows(2).all(|pair| pair[0].1 == pair[1].1);
            (found.len() == 2 && same).then(|| (kinds, found[0].1.clone()))
        })
        .await;
    assert_eq!(kinds, ["app_mention", "message"]);
    assert_eq!(post.key().ts.as_str(), ts);
    assert_eq!((post.text.as_str(), post.mentions_bot, post.user.as_str()), ("the <checkout> charges twice & late", true, "U0ANA"));
    let acknowledged = |slack: &SlackHandle| {
        let deliveries = slack.deliveries();
        (deliveries.len() == 2 && deliveries.iter().all(|delivery| delivery.is_acknowledged())).then_some(())
    };
    connected.slack.wait_until(acknowledged, PATIENCE).await.unwrap();
    connected.stop().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_stored() {
    let connected = Connected::start({
        let mut setup = workspace();
        setup.retries.acknowledge_within = Duration::from_millis(200);
        setup
    })
    .await;
    connected.inbox.broken.store(true, Ordering::SeqCst);
    connected.slack.person("U0ANA").post("C0CHECKOUT", "no mention, one event").unwrap();
    connected.inbox.wait(&connected.bot, |parsed| (!parsed.is_empty()).then_some(())).await;
    assert!(connected.slack.deliveries().iter().all(|delivery| !delivery.is_acknowledged()));
    assert_eq!(connected.inbox.kept(), 0);

    connected.inbox.broken.store(false, Ordering::SeqCst);
    let acknowledged = |slack: &SlackHandle| slack.deliveries().iter().all(|delivery| delivery.is_acknowledged()).then_some(());
    connected.slack.wait_until(acknowledged, PATIENCE).await.unwrap();
    assert_eq!(connected.inbox.kept(), 1);
    let delivery = connected.slack.deliveries().remove(0);
    assert!(delivery.attempts.len() >= 2, "Slack sent it again");
    assert!(!matches!(delivery.attempts[0].outcome, AttemptOutcome::Acknowledged), "{:?}", delivery.attempts[0].outcome);
    connected.stop().await;
}

#[tokio::test]
async fn a_repeated_delivery_has_the_same_key_and_is_acknowledged() {
    let connected = Connected::start(workspace()).await;
    connected.slack.person("U0ANA").post("C0CHECKOUT", "just talk").unwrap();
    let acknowledged = |slack: &SlackHandle| slack.deliveries().first().filter(|delivery| delivery.is_acknowledged()).cloned();
    let delivery = connected.slack.wait_until(acknowledged, PATIENCE).await.unwrap();
    connected.slack.redeliver(delivery.event_id.as_deref().unwrap()).unwrap();
    let keys: HashSet<String> = connected
        .inbox
        .wait(&connected.bot, |parsed| (parsed.len() == 2).then(|| parsed.iter().map(|(delivery, _)| delivery.key.clone()).collect()))
        .await;
    assert_eq!(keys.len(), 1);
    assert_eq!(connected.inbox.kept(), 1);
    connected.stop().await;
}

#[tokio::test]
async fn lost_and_refreshed_sockets_come_back() {
    let connected = Connected::start(workspace()).await;
    let post_and_wait = async |text: &str| {
        connected.slack.wait_until(|slack| (slack.sockets() > 0).then_some(()), PATIENCE).await.unwrap();
        connected.slack.person("U0ANA").post("C0CHECKOUT", text).unwrap();
        connected.inbox.wait(&connected.bot, |parsed| posts(parsed).iter().any(|(_, post)| post.text == text).then_some(())).await;
    };
    post_and_wait("one").await;
    connected.slack.drop_sockets();
    post_and_wait("two").await;
    connected.slack.disconnect_sockets(Disconnect::RefreshRequested);
    post_and_wait("three").await;
    connected.stop().await;
}

#[tokio::test]
async fn a_refused_app_token_is_said_at_once() {
    let slack = SlackEmulator::start(workspace()).await.unwrap();
    let mut config = config(&slack);
    config.app_token = Some(AppToken::parse("xapp-wrong").unwrap());
    let started = SocketMode::start(config.clone(), MemoryInbox::new(), Arc::new(SystemClock), CancellationToken::new()).await;
    let error = started.map(drop).unwrap_err();
    assert!(matches!(error, SlackSetupError::AppTokenRefused(SlackError::Refused { .. })), "{error}");
    config.app_token = None;
    let started = SocketMode::start(config, MemoryInbox::new(), Arc::new(SystemClock), CancellationToken::new()).await;
    assert!(started.map(drop).unwrap_err().to_string().contains("xapp-"));
    slack.shutdown().await;
}

#[tokio::test]
async fn commands_and_clicks_come_in_and_are_answered() {
    let connected = Connected::start(workspace()).await;
    let client = SlackClient::new(&config(&connected.slack)).unwrap();
    let ana = connected.slack.person("U0ANA");

    ana.slash("C0CHECKOUT", "/agent help").await.unwrap();
    let call = connected
        .inbox
        .wait(&connected.bot, |parsed| {
            parsed.iter().find_map(|(_, inbound)| match inbound {
                Inbound::Command(call) => Some(call.clone()),
                _ => None,
            })
        })
        .await;
    assert_eq!((call.command.as_str(), call.text.as_str(), call.user.as_str()), ("/agent", "help", "U0ANA"));
    client.respond(&call.response_url, &AgentHelp { bot: connected.bot.user.clone() }.render()).await.unwrap();
    let shown =
        |_: &SlackHandle| ana.ephemerals().iter().any(|message| message["text"].as_str().unwrap().contains("Mention me")).then_some(());
    connected.slack.wait_until(shown, PATIENCE).await.unwrap();

    let posted = client.post_message(&checkout(), &stop_card(), None).await.unwrap();
    ana.press("C0CHECKOUT", posted.ts.as_str(), "stop").await.unwrap();
    let click = connected
        .inbox
        .wait(&connected.bot, |parsed| {
            parsed.iter().find_map(|(_, inbound)| match inbound {
                Inbound::Action(click) => Some(click.clone()),
                _ => None,
            })
        })
        .await;
    assert_eq!(click.action, Some(Action::Stop("s-7k2m9q4dxw".parse().unwrap())));
    assert_eq!(click.message.as_ref(), Some(&posted.ts));
    let asked = Notice::StopAsked { by: click.user.clone() }.render();
    client.respond_replacing(click.response_url.as_deref().unwrap(), &asked).await.unwrap();
    let replaced = |slack: &SlackHandle| {
        slack
            .messages("C0CHECKOUT")
            .iter()
            .any(|message| message["ts"] == posted.ts.as_str() && message["text"] == asked.text.as_str())
            .then_some(())
    };
    connected.slack.wait_until(replaced, PATIENCE).await.unwrap();
    connected.stop().await;
}

fn checkout() -> PostTo {
    PostTo { channel: ChannelId::parse("C0CHECKOUT").unwrap(), thread: None }
}

fn stop_card() -> longshore_slack::Message {
    longshore_slack::TurnCard {
        session: "s-7k2m9q4dxw".parse().unwrap(),
        repo: None,
        branch: None,
        why: None,
        asker: "U0ANA".parse().unwrap(),
        phase: longshore_slack::CardPhase::Working,
        plan: Vec::new(),
        step: None,
        hindrance: None,
        elapsed: Duration::from_secs(1),
        spent: longshore_slack::Spent::default(),
        session_url: None,
        rerouting: longshore_slack::Rerouting::Closed,
    }
    .render()
}

#[tokio::test]
async fn a_message_is_posted_found_again_and_changed() {
    let slack = SlackEmulator::start(workspace()).await.unwrap();
    let client = SlackClient::new(&config(&slack)).unwrap();
    let me = client.auth_test().await.unwrap();
    assert_eq!(
        (me.identity.user.as_str(), me.identity.bot_id.as_deref(), me.team.as_str()),
        ("U0LONGSHORE", Some("B0LONGSHORE"), "T0LONGSHORE")
    );

    let root = MessageTs::parse(slack.person("U0ANA").post("C0CHECKOUT", "@longshore hi").unwrap()).unwrap();
    let to = PostTo { thread: Some(root.clone()), ..checkout() };
    // The post takes effect and its answer is lost: the outcome is unknown, and the message is found by its key.
    slack.fail_next("chat.postMessage", Fault::AnswerLost, 1);
    let message = queued(1).render();
    let metadata = Metadata::keyed("longshore_test", "p-1");
    let error = client.post_message(&to, &message, Some(&metadata)).await.unwrap_err();
    assert!(matches!(error, SlackError::UnknownOutcome { .. }), "{error:?}");
    let ts = client.find_by_metadata(&to.channel, &root, "p-1").await.unwrap().expect("it stands there");
    assert_eq!(client.find_by_metadata(&to.channel, &root, "p-2").await.unwrap(), None);

    let at = Posted { channel: to.channel.clone(), ts };
    client.update_message(&at, &queued(3).render(), Priority::Progress).await.unwrap();
    client.add_reaction(&at, "eyes").await.unwrap();
    client.add_reaction(&at, "eyes").await.unwrap();
    let page = client.replies(&to.channel, &root, 10).await.unwrap();
    assert_eq!((page.replies.len(), page.truncated), (2, false));
    assert!(page.replies[1].text.contains("2 prompts wait before"));
    assert!(client.replies(&to.channel, &root, 1).await.unwrap().truncated);
    assert!(client.permalink(&to.channel, &root).await.unwrap().starts_with("http"));
    assert_eq!(client.channel_name(&to.channel).await.unwrap(), "checkout");
    let ana = client.user_info(&"U0ANA".parse().unwrap()).await.unwrap();
    assert_eq!((ana.name.as_str(), ana.email.as_deref(), ana.is_bot), ("Ana Kovač", Some("ana@example.com"), false));
    slack.shutdown().await;
}

#[tokio::test]
async fn a_429_is_waited_out_and_a_refusal_says_what_to_do() {
    let slack = SlackEmulator::start(workspace()).await.unwrap();
    let client = SlackClient::new(&config(&slack)).unwrap();
    let message = Notice::NothingToStop.render();
    slack.fail_next("chat.postMessage", Fault::RateLimited { seconds: 1 }, 1);
    client.post_message(&checkout(), &message, None).await.unwrap();
    let calls: Vec<(bool, u16)> =
        slack.calls().iter().filter(|call| call.method == "chat.postMessage").map(|call| (call.ok, call.status)).collect();
    assert_eq!(calls, [(false, 429), (true, 200)]);

    let mut impatient = config(&slack);
    impatient.patience = Duration::from_millis(100);
    slack.fail_next("chat.postMessage", Fault::RateLimited { seconds: 30 }, 1);
    let error = SlackClient::new(&impatient).unwrap().post_message(&checkout(), &message, None).await.unwrap_err();
    assert!(matches!(error, SlackError::RateLimited { retry_after, .. } if retry_after > Duration::from_secs(25)), "{error:?}");

    slack.fail_next("chat.update", Fault::ServerError { status: 503 }, 1);
    let at = Posted { channel: checkout().channel, ts: "1.2".parse().unwrap() };
    let error = client.update_message(&at, &message, Priority::Final).await.unwrap_err();
    assert!(matches!(error, SlackError::Transient { .. }), "{error:?}");

    let outside = PostTo { channel: ChannelId::parse("C0RANDOM").unwrap(), thread: None };
    let error = client.post_message(&outside, &message, None).await.unwrap_err();
    assert_eq!(error.code(), Some("not_in_channel"));
    assert!(error.closed_place().is_some() && error.to_string().contains("/invite"), "{error}");
    slack.shutdown().await;
}

#[tokio::test]
async fn files_go_up_and_come_down() {
    let connected = Connected::start(workspace()).await;
    let client = SlackClient::new(&config(&connected.slack)).unwrap();
    let file = NewFile {
        name: "log.txt".to_owned(),
        mimetype: Some("text/plain".to_owned()),
        content: b"a log line".to_vec(),
        ..NewFile::default()
    };
    let post = NewPost { text: "@longshore see".to_owned(), thread_ts: None, files: vec![file] };
    let ts = connected.slack.person("U0ANA").post_with("C0CHECKOUT", post).unwrap();
    let received =
        connected.inbox.wait(&connected.bot, |parsed| posts(parsed).iter().find_map(|(_, post)| post.files.first().cloned())).await;
    assert_eq!((received.name.as_str(), received.mimetype.as_str(), received.size), ("log.txt", "text/plain", Some(10)));
    assert_eq!(client.download_file(&received, 1024).await.unwrap().as_ref(), b"a log line");
    let error = client.download_file(&received, 3).await.unwrap_err();
    assert_eq!(error.code(), Some("too_large"));
    let foreign = longshore_slack::FileRef { url: Some("https://drive.example.com/x".to_owned()), ..received };
    assert_eq!(client.download_file(&foreign, 1024).await.unwrap_err().code(), Some("external_file"));

    let to = PostTo { thread: Some(ts.parse().unwrap()), ..checkout() };
    let upload = FileUpload {
        name: "diff.patch".to_owned(),
        title: "The diff".to_owned(),
        content: "+1\n".into(),
        comment: Some("Here it is.".to_owned()),
    };
    client.upload_file(&to, &upload).await.unwrap();
    let has_file = |messages: &[serde_json::Value]| {
        messages.iter().any(|message| message.pointer("/files/0/name").is_some_and(|name| name == "diff.patch"))
    };
    connected.slack.wait_for_thread("C0CHECKOUT", &ts, has_file, PATIENCE).await.unwrap();
    connected.stop().await;
}

/// The signed door on a port of its own. Gives its address.
async fn door(inbox: Arc<MemoryInbox>, secret: &str, limit: usize) -> String {
    let mut config = SlackHttpConfig::new(SigningSecret::parse(secret).unwrap());
    config.body_limit = limit;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = http_router(config, inbox, Arc::new(SystemClock));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test]
async fn slack_reaches_the_signed_door() {
    let inbox = MemoryInbox::new();
    let mut setup = workspace();
    let address = door(inbox.clone(), &setup.app.signing_secret, 1024 * 1024).await;
    setup.app.delivery = Way::Http(RequestUrls {
        events: format!("{address}/slack/events"),
        interactivity: format!("{address}/slack/interactions"),
        options: format!("{address}/slack/interactions"),
        slash: format!("{address}/slack/commands"),
    });
    let slack = SlackEmulator::start(setup).await.unwrap();
    let bot = bot(&slack);
    slack.verify_request_url().await.unwrap();
    let client = SlackClient::new(&config(&slack)).unwrap();
    let ana = slack.person("U0ANA");
    ana.post("C0CHECKOUT", "@longshore over http").unwrap();
    ana.slash("C0CHECKOUT", "/agent status").await.unwrap();
    let posted = client.post_message(&checkout(), &stop_card(), None).await.unwrap();
    ana.press("C0CHECKOUT", posted.ts.as_str(), "stop").await.unwrap();
    inbox
        .wait(&bot, |parsed| {
            let any = |look: fn(&Inbound) -> bool| parsed.iter().any(|(_, inbound)| look(inbound));
            let all = any(|inbound| matches!(inbound, Inbound::Message(post) if post.mentions_bot && post.text == "over http"))
                && any(|inbound| matches!(inbound, Inbound::Command(call) if call.text == "status"))
                && any(|inbound| matches!(inbound, Inbound::Action(click) if click.action.is_some()));
            all.then_some(())
        })
        .await;
    slack.shutdown().await;
}

#[tokio::test]
async fn the_signed_door_refuses_what_it_must() {
    let inbox = MemoryInbox::new();
    let slack = SlackEmulator::start(workspace()).await.unwrap();
    let address = door(inbox.clone(), &slack.signing_secret(), 1_000).await;
    let now = longshore_session::Clock::now(&SystemClock).0 / 1_000;
    let body = r#"{"type":"event_callback","team_id":"T1","event_id":"Ev1","event":{"type":"message"}}"#;
    let send = async |at: i64, signature: String, body: String| {
        raw_post(&address, "/slack/events", &[("x-slack-request-timestamp", &at.to_string()), ("x-slack-signature", &signature)], body)
            .await
    };
    assert_eq!(send(now, slack.sign(now, body), body.to_owned()).await, StatusCode::OK);
    assert_eq!(send(now, slack.sign(now, "other"), body.to_owned()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send(now - 600, slack.sign(now - 600, body), body.to_owned()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send(now, "v0=".to_owned(), body.to_owned()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(raw_post(&address, "/slack/events", &[], body.to_owned()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send(now, slack.sign(now, "{"), "{".to_owned()).await, StatusCode::BAD_REQUEST);
    let large = "x".repeat(2_000);
    assert_eq!(send(now, slack.sign(now, &large), large.clone()).await, StatusCode::PAYLOAD_TOO_LARGE);
    // Refused by what it announces, before a byte of the body is sent.
    assert_eq!(raw_exchange(&address, "content-length: 5000000", "").await, StatusCode::PAYLOAD_TOO_LARGE);
    // And while it streams in, where nothing is announced.
    let chunk = format!("7d0\r\n{large}\r\n");
    assert_eq!(raw_exchange(&address, "transfer-encoding: chunked", &chunk).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(inbox.kept(), 1);

    inbox.broken.store(true, Ordering::SeqCst);
    assert_eq!(send(now, slack.sign(now, body), body.to_owned()).await, StatusCode::SERVICE_UNAVAILABLE);
    slack.shutdown().await;
}

async fn raw_post(address: &str, path: &str, headers: &[(&str, &str)], body: String) -> StatusCode {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let mut request = axum::http::Request::post(format!("{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.request(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap().status()
}

/// Sends a signed-looking request by hand and reads the status of the answer, without ending the body.
async fn raw_exchange(address: &str, length: &str, body: &str) -> StatusCode {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = address.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST /slack/events HTTP/1.1\r\nhost: {host}\r\nx-slack-request-timestamp: 1\r\nx-slack-signature: v0=00\r\n{length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_doctor_names_what_is_missing() {
    let mut setup = workspace();
    setup.app.bot_scopes = ["app_mentions:read", "commands", "users:read", "channels:history", "channels:read"].map(str::to_owned).to_vec();
    let slack = SlackEmulator::start(setup).await.unwrap();
    let findings = check(&config(&slack)).await;
    let verdict = |what: &str| findings.iter().find(|finding| finding.what == what).map(|finding| finding.verdict.clone()).unwrap();
    assert!(matches!(verdict("Slack bot token"), Verdict::Good { .. }));
    assert!(matches!(verdict("Slack scope chat:write"), Verdict::Broken { .. }));
    assert!(matches!(verdict("Slack scope files:read"), Verdict::Lacking { .. }));
    assert!(matches!(verdict("Slack app token (Socket Mode)"), Verdict::Good { .. }));

    let mut wrong = config(&slack);
    wrong.bot_token = BotToken::parse("xoxb-wrong").unwrap();
    wrong.app_token = Some(AppToken::parse("xapp-wrong").unwrap());
    let findings = check(&wrong).await;
    assert_eq!(findings.len(), 2);
    assert!(
        findings.iter().all(|finding| matches!(&finding.verdict, Verdict::Broken { remedy, .. } if !remedy.is_empty())),
        "{findings:?}"
    );
    slack.shutdown().await;
}

/// Slack's own rules for blocks, as the emulator keeps them, next to the limits that the unit tests check.
#[tokio::test]
async fn slack_takes_every_layout() {
    use longshore_slack::{
        AgentRepos, AgentStatus, AgentStop, CardPhase, CheckEnd, CheckResult, Continuation, Covers, DiffStat, FinalReply, ImageLine,
        ImageState, Outcome, PlanItem, PlanStatus, PoolLine, PullRequestLine, PullRequestLink, PullRequestStanding, ReceiptPhase,
        RepositoryPicker, Rerouting, Rest, SessionLine, SessionStage, Spent, StatusScope, TurnCard, Verification,
    };
    let slack = SlackEmulator::start(workspace()).await.unwrap();
    let client = SlackClient::new(&config(&slack)).unwrap();
    let repo = |name: &str| longshore_session::RepoName::parse(name).unwrap();
    let (session, asker): (longshore_session::SessionId, longshore_session::SlackUserId) =
        ("s-7k2m9q4dxw".parse().unwrap(), "U0ANA".parse().unwrap());
    let item = |status| PlanItem { text: "Find *where* <it> is sent".to_owned(), status };
    let card = TurnCard {
        session: session.clone(),
        repo: Some(repo("acme/shop")),
        branch: Some(session.branch()),
        why: Some("the channel is mostly about it".to_owned()),
        asker: asker.clone(),
        phase: CardPhase::Working,
        plan: [PlanStatus::Done, PlanStatus::Doing, PlanStatus::Pending, PlanStatus::Dropped].map(item).to_vec(),
        step: Some("running the tests".to_owned()),
        hindrance: None,
        elapsed: Duration::from_secs(80),
        spent: Spent::default(),
        session_url: Some("https://longshore.example.com/s/1".to_owned()),
        rerouting: Rerouting::Offered,
    };
    let line = |stage| SessionLine {
        session: Some(session.clone()),
        repo: Some(repo("acme/shop")),
        title: "the totals are <wrong>".to_owned(),
        asker: asker.clone(),
        stage,
        since: Duration::from_secs(5),
        age: Duration::from_secs(50),
        spent: Spent { micros: 1, unpriced_tokens: 2 },
        pull_request: Some(PullRequestLine {
            number: 7,
            url: "https://github.com/acme/shop/pull/7".to_owned(),
            standing: PullRequestStanding::Merged,
        }),
        thread_url: Some("https://harbour.slack.com/archives/C1/p1".to_owned()),
        stoppable: true,
    };
    let check = CheckResult {
        command: "make <test>".to_owned(),
        commit: "0123456789abcdef".to_owned(),
        end: CheckEnd::Exited(1),
        took: Duration::from_secs(5),
        tail: "a <b> & ```c```\n".repeat(300),
    };
    let done = FinalReply {
        session: session.clone(),
        repo: Some(repo("acme/shop")),
        asker: asker.clone(),
        joined: Vec::new(),
        outcome: Outcome::Done { summary: format!("# Done\n\n```rust\n{}```\n", "let x = 1;\n".repeat(2_000)) },
        diff: Some(DiffStat { files: 1, added: 2, removed: 3 }),
        pull_request: None,
        verified: Verification::Ran(check),
        spent: Spent::default(),
        session_url: None,
        receipt: vec![ReceiptPhase { name: "sandbox".to_owned(), took: Duration::from_millis(40) }],
        continuation: Continuation::Seamless,
        note: Some("Answered by a scripted model.".to_owned()),
    };
    let pull_request = PullRequestLink {
        url: "https://github.com/acme/shop/pull/1".to_owned(),
        number: 1,
        title: "Charge once".to_owned(),
        standing: PullRequestStanding::Unknown,
        covers: Covers::All,
        follows: None,
    };
    let outcome = Outcome::Failed { what: "No.".to_owned(), next: "Wait.".to_owned(), reference: "r-1".to_owned() };
    let failed = FinalReply { outcome, pull_request: Some(pull_request), ..done.clone() };
    let picker = |others: usize| RepositoryPicker {
        prompt: "p-abc".parse().unwrap(),
        asker: asker.clone(),
        asked: "the totals are wrong".to_owned(),
        candidates: vec![longshore_slack::Candidate { repo: repo("acme/shop"), reason: "it computes totals".to_owned() }],
        others: (0..others).map(|n| repo(&format!("acme/other-{n}"))).collect(),
    };
    let image = ImageLine {
        repo: repo("acme/shop"),
        state: ImageState::Ready { commit: "0123456789ab".to_owned(), age: Duration::from_secs(60) },
        last_failure: Some(("`make` ended with status 2".to_owned(), Duration::from_secs(60))),
        pool: PoolLine { waiting: 1, being_made: 0 },
        taken_back: None,
    };
    let working = SessionStage::Live(CardPhase::Working);
    let mut messages = vec![
        card.render(),
        picker(2).render(),
        picker(250).render(),
        AgentStatus {
            scope: StatusScope::Mine,
            running: vec![line(working.clone())],
            asking: vec![line(SessionStage::Asking { question: "Which one?".to_owned() })],
            queued: vec![line(SessionStage::Live(CardPhase::Queued { place: 1 })), line(SessionStage::Behind { place: 1 })],
            idle: vec![line(SessionStage::Idle { rest: Rest::Awake })],
            elsewhere: 2,
            images: vec![image.clone()],
        }
        .render(),
        AgentStop { mine: vec![line(working)] }.render(),
        AgentRepos { disk: None, repositories: vec![image] }.render(),
        AgentHelp { bot: bot(&slack).user }.render(),
        Notice::Empty.render(),
    ];
    messages.extend(done.render());
    messages.extend(failed.render());
    assert!(messages.len() > 10, "the long summary takes more than one");
    for (index, message) in messages.into_iter().enumerate() {
        // In turns, so that no channel's pace holds the test up.
        let channel = ["C0GENERAL", "C0CHECKOUT", "C0PLATFORM", "G0SECRET", "D0ANA", "D0BEN"][index % 6];
        let posted = client.post_message(&PostTo { channel: channel.parse().unwrap(), thread: None }, &message, None).await;
        posted.unwrap_or_else(|error| panic!("{error}: {}", serde_json::to_string_pretty(&message.blocks).unwrap()));
    }
    slack.shutdown().await;
}
