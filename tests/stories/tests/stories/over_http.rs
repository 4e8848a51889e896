//! Slack posting to the service, in place of the web socket.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use longshore_emulators::slack::{Delivery, RequestUrls};
use longshore_harness::{Harness, Options};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    stage::tell_alone,
    thread::{Thread, whispers},
};

/// A port for what stands in front of the service, as in real life: Slack is told its address before there is a service.
fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn options(front: SocketAddr) -> Options {
    let mut options = Options::samples(&["acme/storefront"]);
    let url = |path: &str| format!("http://{front}/slack/{path}");
    options.workspace.app.delivery = Delivery::Http(RequestUrls {
        events: url("events"),
        interactivity: url("interactions"),
        options: url("interactions"),
        slash: url("commands"),
    });
    options.configuration = "[slack]\nmode = \"http\"\n".to_owned();
    options
}

/// Passes connections on to the service for as long as the handle lives.
async fn pass_on(front: SocketAddr, harness: &Harness) -> Result<JoinHandle<()>> {
    let text = std::fs::read_to_string(harness.service.config_file())?;
    let service: SocketAddr = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("listen = "))
        .context("the configuration has no address")?
        .trim_matches('"')
        .parse()?;
    let listener = TcpListener::bind(front).await?;
    Ok(tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut inside) = TcpStream::connect(service).await {
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    }))
}

#[test]
fn slack_may_post_to_the_service_and_nobody_else_may() {
    let front = free_address().unwrap();
    tell_alone(options(front), async |harness| {
        let passing = pass_on(front, harness).await?;
        harness.slack.verify_request_url().await?;

        // What nobody signed, what somebody else signed, and what was signed long ago.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let body = json!({
            "type": "event_callback", "team_id": "T0LONGSHORE", "event_id": "Ev0FORGED",
            "event": {
                "type": "app_mention", "user": "U0ANA", "channel": "C0GENERAL", "ts": "1700000000.000100",
                "text": "<@U0LONGSHORE> splitting a bill between three people loses a cent",
            },
        })
        .to_string();
        let now = clock();
        let good = harness.slack.sign(now, &body);
        let forgeries = [
            (None, now, &body),
            (Some("v0=0000000000000000000000000000000000000000000000000000000000000000".to_owned()), now, &body),
            (Some(good.clone()), now - 1, &body),
            (Some(good.clone()), now, &body.replace("a cent", "a lot")),
            (Some(harness.slack.sign(now - 3_600, &body)), now - 3_600, &body),
        ];
        for (signature, at, body) in forgeries {
            for path in ["events", "interactions", "commands"] {
                let mut request = client.post(format!("http://{front}/slack/{path}")).header("X-Slack-Request-Timestamp", at.to_string());
                if let Some(signature) = &signature {
                    request = request.header("X-Slack-Signature", signature);
                }
                let answer = request.body((*body).clone()).send().await?;
                ensure!(answer.status() == 401, "{path} answers {} to {signature:?} at {at}", answer.status());
            }
        }

        let thread = Thread::open(harness, "U0ANA", "C0CHECKOUT", "@longshore splitting a bill between three people loses a cent")?;
        thread.done(1).await?;
        thread.pull().await?;
        harness.slack.person("U0ANA").slash("C0CHECKOUT", "/agent status").await?;
        whispers(harness, "U0ANA", "C0CHECKOUT", "1 idle").await?;
        assert_eq!(harness.service.get("/v1/sessions").await?["sessions"].as_array().map(Vec::len), Some(1), "nobody else got anything");
        passing.abort();
        Ok(())
    });
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "Slack's signatures carry the wall clock's time")]
fn clock() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
