//! What lies in a sandbox, and what it is worth elsewhere.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use longshore_emulators::model::Script;
use longshore_harness::Harness;
use reqwest::StatusCode;

use crate::{
    hold::{Held, docker, held, host_shell, play},
    stage::tell,
    thread::{SOON, Thread},
};

/// What is put into the sandbox on purpose: a scan that does not find it finds nothing.
const CANARY: &str = "canary-7f3a9d52c1e84b60";

/// Everything that must not be found, in every form that it might have.
struct Needles {
    /// One per line, for `grep -F`.
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Needles {
    /// `own` is the sandbox's own token, which its processes know and nothing of it may keep.
    fn of(harness: &Harness, own: Option<&str>) -> Result<Self> {
        let mut secrets: Vec<String> = harness.service.environment().iter().map(|(_, value)| value.clone()).collect();
        secrets.extend(harness.people.tokens.values().cloned());
        secrets.extend(harness.github.tokens());
        secrets.push(harness.slack.signing_secret());
        // A key's lines in the middle are its own; the first ones are much the same for all keys.
        let key = harness.github.private_key_pem();
        secrets.extend(key.lines().skip(2).filter(|line| line.len() > 40).map(str::to_owned));
        let sandbox_secret = std::fs::read(harness.service.data_folder().join("sandbox-secret"))?;
        let hex = sandbox_secret.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        secrets.extend([hex, URL_SAFE_NO_PAD.encode(&sandbox_secret), STANDARD.encode(&sandbox_secret)]);
        secrets.push(CANARY.to_owned());
        secrets.extend(own.map(str::to_owned));
        ensure!(secrets.len() > 20, "there are only {} secrets", secrets.len());
        ensure!(secrets.iter().any(|secret| secret.starts_with("ghs_")), "no installation token was ever given out");
        ensure!(secrets.iter().all(|secret| secret.len() >= 12), "a secret is so short that it would be found by chance");
        let mut lines = BTreeSet::new();
        for secret in secrets {
            // As git and HTTP send it.
            for text in [secret.clone(), format!("x-access-token:{secret}"), format!(":{secret}"), format!("sandbox:{secret}")] {
                lines.insert(STANDARD.encode(text));
            }
            lines.insert(secret);
        }
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("needles");
        std::fs::write(&file, lines.into_iter().collect::<Vec<_>>().join("\n") + "\n")?;
        Ok(Self { file, _folder: folder })
    }

    /// What of it a shell line's output holds.
    async fn found_in(&self, line: &str) -> Result<BTreeSet<String>> {
        let file = self.file.display();
        // grep ends with 1 where it finds nothing, which is what is hoped for.
        let found = host_shell(&format!("{line} | {{ LC_ALL=C grep -aoFf {file} || [ $? = 1 ]; }} | LC_ALL=C sort -u")).await?;
        Ok(found.lines().map(str::to_owned).collect())
    }

    /// Fails unless the canary is found there, and nothing else.
    async fn only_canary(&self, place: &str, line: &str) -> Result<()> {
        let found = self.found_in(line).await?;
        ensure!(found.contains(CANARY), "the scan of {place} does not even find the canary");
        ensure!(found.len() == 1, "{place} holds {found:?}");
        Ok(())
    }
}

#[test]
fn nothing_in_a_sandbox_is_of_use_outside_of_it() {
    tell(async |stage| {
        play(stage, held(Script::for_prompt("storefront, to be looked at"), "secrets").say("I was looked at."));
        let thread = Thread::open(stage, "U0ANA", "C0ROOM17", "@longshore acme/storefront: storefront, to be looked at")?;
        let held = Held::at(&thread, 1, "secrets").await?;
        let name = held.container.clone();
        // In a file, in a process's environment and command line, in git's (compressed) objects, and in the configuration of the commit.
        docker(&[
            "exec",
            &name,
            "sh",
            "-c",
            &format!("echo {CANARY} > /home/agent/canary && git -C /workspace hash-object -w /home/agent/canary"),
        ])
        .await?;
        docker(&["exec", "-d", "-e", &format!("CANARY={CANARY}"), &name, "sh", "-c", "mkfifo /tmp/canary; cat /tmp/canary"]).await?;
        docker(&["exec", &name, "sh", "-c", "until [ -p /tmp/canary ]; do sleep 0.1; done"]).await?;
        let carrier = carrier_of(stage, &name)?;
        let needles = Needles::of(stage, None)?;

        let processes = format!("for pid in $(docker top {name} -eo pid | tail -n +2); do cat /proc/$pid/environ /proc/$pid/cmdline; done");
        needles.only_canary("the processes", &processes).await?;
        let found = needles.found_in(&format!("cat {}/*", carrier.display())).await?;
        ensure!(found.is_empty(), "the carrier holds {found:?}");

        let needles = Needles::of(stage, Some(&Door::of(&carrier, &name).await?.token))?;
        needles.only_canary("the file system", &format!("docker export {name}")).await?;
        let objects = "git -C /workspace cat-file --batch-all-objects --batch";
        needles.only_canary("git's objects", &format!("docker exec {name} {objects}")).await?;

        let snapshot = format!("longshore-story/{}:looked-at", stage.namespace());
        docker(&["commit", "--change", &format!("LABEL canary={CANARY}"), &name, &snapshot]).await?;
        let looked = async {
            let inspected = format!("docker inspect {name} {snapshot}; docker history --no-trunc {snapshot}");
            needles.only_canary("what the engine tells", &format!("({inspected})")).await?;
            // Every layer, with what later ones hide.
            needles.only_canary("the snapshot", &format!("docker save {snapshot}")).await
        };
        let looked = looked.await;
        docker(&["image", "rm", "--force", &snapshot]).await?;
        looked?;

        worth_nothing_elsewhere(&carrier, &name).await?;
        held.let_go().await?;
        thread.done(1).await?;
        worth_nothing_afterwards(&thread, &carrier, &name).await
    });
}

fn carrier_of(stage: &Harness, container: &str) -> Result<PathBuf> {
    let id = container.strip_prefix(&format!("{}-", stage.namespace())).context("the container is not ours")?;
    Ok(stage.service.data_folder().join("carriers").join(id))
}

/// A sandbox's own token, its address, and the gateway's.
struct Door {
    token: String,
    gateway: SocketAddr,
    sandbox: IpAddr,
}

impl Door {
    async fn of(carrier: &std::path::Path, container: &str) -> Result<Self> {
        let environment = std::fs::read_to_string(carrier.join("env"))?;
        let value = |name: &str| {
            let line = environment.lines().find_map(|line| line.trim_start_matches("export ").strip_prefix(&format!("{name}=")));
            line.map(|value| value.trim_matches('\'').to_owned()).with_context(|| format!("the sandbox has no {name}"))
        };
        let port = value("LONGSHORE_GATEWAY")?.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).context("no port")?;
        let hosts = docker(&["inspect", "--format", "{{json .HostConfig.ExtraHosts}}", container]).await?;
        let hosts: Vec<String> = serde_json::from_str(&hosts)?;
        let host = hosts.iter().find_map(|host| host.strip_prefix("gateway.longshore:")).context("no gateway")?;
        let address = docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container]).await?;
        Ok(Self { token: value("LONGSHORE_TOKEN")?, gateway: SocketAddr::new(host.parse()?, port), sandbox: address.trim().parse()? })
    }

    /// How the gateway answers to the token from an address of the host's, for each of its uses.
    async fn knock(&self, from: Option<IpAddr>) -> Result<Vec<(&'static str, StatusCode)>> {
        let base = format!("http://{}", self.gateway);
        let client = reqwest::Client::builder().no_proxy().local_address(from).build()?;
        let basic = format!("Basic {}", STANDARD.encode(format!("sandbox:{}", self.token)));
        let git = client.get(format!("{base}/git/acme/storefront.git/info/refs?service=git-upload-pack")).header("authorization", &basic);
        let llm = client.post(format!("{base}/llm/v1/chat/completions")).bearer_auth(&self.token).body("{}");
        let mcp = client
            .post(format!("{base}/mcp"))
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        let proxy = reqwest::Proxy::http(&base)?.basic_auth("sandbox", &self.token);
        let through = reqwest::Client::builder().proxy(proxy).local_address(from).build()?.get("http://example.invalid/");
        let mut answers = Vec::new();
        for (use_, request) in [("git", git), ("llm", llm), ("mcp", mcp), ("proxy", through)] {
            answers.push((use_, request.send().await?.status()));
        }
        Ok(answers)
    }
}

impl Door {
    async fn knock_from_the_sandboxs_address(&self) -> Result<Vec<(&'static str, StatusCode)>> {
        let lent = async |what: &str| host_shell(&format!("ip address {what} {}/32 dev lo", self.sandbox)).await;
        lent("add").await?;
        let answers = self.knock(Some(self.sandbox)).await;
        lent("del").await?;
        answers
    }
}

fn refused() -> Vec<(&'static str, StatusCode)> {
    let (unauthorized, proxy) = (StatusCode::UNAUTHORIZED, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    vec![("git", unauthorized), ("llm", unauthorized), ("mcp", unauthorized), ("proxy", proxy)]
}

async fn worth_nothing_elsewhere(carrier: &std::path::Path, container: &str) -> Result<()> {
    let door = Door::of(carrier, container).await?;
    // The same token, in its own sandbox, is good.
    docker(&["exec", container, "sh", "-c", ". /run/longshore/env && git -C /workspace ls-remote origin HEAD"]).await?;
    assert_eq!(door.knock(None).await?, refused(), "from the host");
    // From another sandbox's place in the same network.
    let network = docker(&["inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}", container]).await?;
    let image = docker(&["inspect", "--format", "{{.Config.Image}}", container]).await?;
    let knock = format!(
        "import urllib.request, urllib.error\n\
         request = urllib.request.Request('http://{}/git/acme/storefront.git/info/refs?service=git-upload-pack', headers={{'Authorization': 'Bearer {}'}})\n\
         try: print(urllib.request.urlopen(request, timeout=10).status)\n\
         except urllib.error.HTTPError as error: print(error.code)",
        door.gateway, door.token
    );
    let answer = docker(&["run", "--rm", "--network", network.trim(), "--entrypoint", "python3", image.trim(), "-c", &knock]).await?;
    assert_eq!(answer.trim(), "401", "from another container");
    Ok(())
}

async fn worth_nothing_afterwards(thread: &Thread<'_>, carrier: &std::path::Path, name: &str) -> Result<()> {
    let door = Door::of(carrier, name).await?;
    // With the sandbox's address lent to the host for a moment, the token is good: it is the address that was missing before.
    let answers = door.knock_from_the_sandboxs_address().await?;
    ensure!(answers.contains(&("git", StatusCode::OK)), "refused at its own address ({answers:?}), so what follows shows nothing");

    // The service tells its operator that somebody took a sandbox away.
    thread.harness.expect_errors(&thread.session().await?.id);
    docker(&["rm", "--force", name]).await?;
    let refused_at_last = async {
        while door.knock_from_the_sandboxs_address().await? != refused() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(SOON, refused_at_last).await.context("the token of a sandbox that is gone is still good")?
}
