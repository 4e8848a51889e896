//! `longshore images`: asks the running service about its images, and for one.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use longshore_session::{RepoName, Timestamp};
use serde_json::Value;

use super::collect::{self, Mode, gigabytes};
use crate::config::Config;

#[derive(Args)]
pub struct ImagesArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Every repository's image (the default)
    List,
    /// A repository's builds, newest first
    History { repository: String },
    /// The log of a build; the newest one's where no number is given
    Log { repository: String, build: Option<u64> },
    /// Build in full now, and take what comes however large or slow it is
    Rebuild { repository: String },
    /// Remove images that nothing refers to any more, now; also while no service runs
    Gc {
        /// Tell what would go, and remove nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub async fn images(config: &Config, args: ImagesArgs) -> Result<()> {
    let verb = args.verb.unwrap_or(Verb::List);
    if let Verb::Gc { dry_run } = verb {
        return gc(config, if dry_run { Mode::DryRun } else { Mode::Remove }).await;
    }
    let service = Service::of(config)?;
    match verb {
        Verb::Gc { .. } => {}
        Verb::List => {
            let answer = service.get("/v1/images").await?;
            for image in list(&answer, "images") {
                println!("{}", image_line(&image));
            }
            if !answer["disk"].is_null() {
                println!("{}", disk_lines(&answer["disk"]).join("\n"));
            }
        }
        Verb::History { repository } => {
            for build in list(&service.get(&builds(&repository)?).await?, "builds") {
                println!("{}", build_line(&build));
            }
        }
        Verb::Log { repository, build } => {
            let path = builds(&repository)?;
            let build = match build {
                Some(build) => build,
                None => list(&service.get(&path).await?, "builds")
                    .first()
                    .and_then(|build| build["id"].as_u64())
                    .with_context(|| format!("{repository} was never built"))?,
            };
            print!("{}", service.text(reqwest::Method::GET, &format!("{path}/{build}/log")).await?);
        }
        Verb::Rebuild { repository } => {
            service.text(reqwest::Method::POST, &format!("/v1/images/{}/rebuild", RepoName::parse(repository.as_str())?)).await?;
            println!("It builds. `longshore images history {repository}` tells what comes of it.");
        }
    }
    Ok(())
}

/// By the service where one runs, which knows what it is about to use; else here.
async fn gc(config: &Config, mode: Mode) -> Result<()> {
    let outcome = if tokio::net::TcpStream::connect(reached(config)).await.is_ok() {
        let path = match mode {
            Mode::Remove => "/v1/images/collect",
            Mode::DryRun => "/v1/images/collect?dry_run=true",
        };
        serde_json::from_str(&Service::of(config)?.text(reqwest::Method::POST, path).await?)?
    } else {
        serde_json::to_value(collect::alone(config, mode).await?)?
    };
    println!("{}", outcome_lines(&outcome).join("\n"));
    Ok(())
}

/// Where the service listens, from this machine.
fn reached(config: &Config) -> std::net::SocketAddr {
    let mut address = config.http.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn builds(repository: &str) -> Result<String> {
    Ok(format!("/v1/images/{}/builds", RepoName::parse(repository)?))
}

/// The service that runs with this configuration.
struct Service {
    url: String,
    token: String,
    client: reqwest::Client,
}

impl Service {
    fn of(config: &Config) -> Result<Self> {
        if config.http.api_token_env.is_empty() {
            bail!("`http.api_token_env` is not set in {}: the service tells nobody about its images without it", config.file.display());
        }
        let token = config.secret("http", "api_token_env", &config.http.api_token_env)?;
        Ok(Self { url: format!("http://{}", reached(config)), token, client: reqwest::Client::builder().no_proxy().build()? })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(reqwest::Method::GET, path).await?)?)
    }

    async fn text(&self, method: reqwest::Method, path: &str) -> Result<String> {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.send().await.with_context(|| format!("no service answers at {}: `longshore serve` runs it", self.url))?;
        let status = answer.status();
        let text = answer.text().await?;
        if status.is_success() {
            return Ok(text);
        }
        let said = serde_json::from_str::<Value>(&text).ok().and_then(|value| value["error"].as_str().map(str::to_owned));
        bail!("the service refuses ({status}): {}", said.unwrap_or(text))
    }
}

fn list(answer: &Value, key: &str) -> Vec<Value> {
    answer[key].as_array().cloned().unwrap_or_default()
}

fn image_line(listed: &Value) -> String {
    let image = &listed["image"];
    let mut line = listed["repository"].as_str().unwrap_or_default().to_owned();
    match image["commit"].as_str() {
        Some(commit) => line.push_str(&format!("  {}  {}", short(commit), megabytes(&image["size"]))),
        None => line.push_str("  no image yet"),
    }
    if !image["building_since"].is_null() {
        line.push_str("  (building)");
    }
    if let Some(failure) = image["failure"].as_str() {
        line.push_str(&format!("  last build failed: {}", failure.lines().next().unwrap_or_default()));
    }
    line
}

fn build_line(build: &Value) -> String {
    let took =
        build["ended"].as_i64().zip(build["began"].as_i64()).map(|(ended, began)| format!("{:.1} s", (ended - began) as f64 / 1000.0));
    let began = build["began"].as_i64().map(|at| Timestamp(at).minute()).unwrap_or_default();
    let mut line = format!(
        "{:>5}  {began}  {:<11}  {:<10}  {}",
        build["id"].to_string(),
        build["outcome"].as_str().unwrap_or_default(),
        short(build["commit"].as_str().unwrap_or("-")),
        took.unwrap_or_default()
    );
    if !build["bytes"].is_null() {
        line.push_str(&format!("  {}", megabytes(&build["bytes"])));
    }
    if let Some(reason) = build["reason"].as_str() {
        line.push_str(&format!("  {}", reason.lines().next().unwrap_or_default()));
    }
    line
}

/// What a collection did, or would do.
fn outcome_lines(outcome: &Value) -> Vec<String> {
    let is_dry = outcome["dry_run"] == true;
    let texts = |key: &str| list(outcome, key).into_iter().filter_map(|text| text.as_str().map(str::to_owned)).collect::<Vec<_>>();
    let verbs = if is_dry {
        [("given_up", "would give up "), ("engine", "would remove from the engine "), ("registry", "would delete from the registry ")]
    } else {
        [("given_up", "gave up "), ("engine", "removed from the engine "), ("registry", "deleted from the registry ")]
    };
    let mut lines: Vec<String> =
        verbs.into_iter().flat_map(|(key, verb)| texts(key).into_iter().map(move |image| format!("{verb}{image}"))).collect();
    if lines.is_empty() {
        lines.push("Everything is needed, or is too young to go.".to_owned());
    } else {
        let (engine, registry) = (size(&outcome["freed_engine"]), size(&outcome["freed_registry"]));
        let frees = if is_dry { "That would free" } else { "That freed" };
        lines.push(format!("{frees} {engine} in the engine and {registry} in the registry."));
    }
    lines.extend(disk_lines(&outcome["disk"]));
    lines
}

/// What images take.
fn disk_lines(disk: &Value) -> Vec<String> {
    let taken = |key: &str| match disk[key]["count"].as_u64() {
        Some(count) => format!("{} ({count})", size(&disk[key]["bytes"])),
        None => "unknown".to_owned(),
    };
    let at = disk["at"].as_i64().map(|at| Timestamp(at).minute()).unwrap_or_default();
    let mut lines = vec![
        format!("engine     {}, up to {}", taken("engine"), size(&disk["limit"])),
        format!("registry   {}, up to {}", taken("registry"), size(&disk["limit"])),
        format!("snapshots  {}, up to {}", taken("snapshots"), size(&disk["snapshot_limit"])),
        format!("           as of {at}"),
    ];
    lines.extend(list(disk, "notes").iter().filter_map(|note| note.as_str().map(|note| format!("note: {note}"))));
    lines
}

fn size(bytes: &Value) -> String {
    gigabytes(bytes.as_u64().unwrap_or(0))
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

fn megabytes(bytes: &Value) -> String {
    format!("{} MB", bytes.as_u64().unwrap_or(0) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_tell_what_happened() {
        let image = json!({ "repository": "acme/shop", "image": { "commit": "0123456789abcdef", "size": 700_000_000, "failure": "it broke\nlong story" } });
        assert_eq!(image_line(&image), "acme/shop  0123456789  700 MB  last build failed: it broke");
        let build =
            json!({ "id": 7, "began": 0, "ended": 12_300, "outcome": "failed", "commit": null, "bytes": null, "reason": "no disk\nmore" });
        assert!(
            build_line(&build).starts_with("    7  ") && build_line(&build).ends_with("failed       -           12.3 s  no disk"),
            "{}",
            build_line(&build)
        );
        let mut outcome = json!({
            "dry_run": true, "engine": ["r/longshore/a@sha256:1"], "registry": [], "given_up": [], "freed_engine": 1_u64 << 31, "freed_registry": 0,
            "disk": { "at": 0, "engine": { "count": 2, "bytes": 1_u64 << 30 }, "registry": null, "snapshots": { "count": 0, "bytes": 0 },
                      "limit": 100_u64 << 30, "snapshot_limit": 50_u64 << 30, "notes": ["the registry is away"] },
        });
        let expected = [
            "would remove from the engine r/longshore/a@sha256:1",
            "That would free 2.0 GB in the engine and 0.0 GB in the registry.",
            "engine     1.0 GB (2), up to 100.0 GB",
            "registry   unknown, up to 100.0 GB",
            "snapshots  0.0 GB (0), up to 50.0 GB",
            "           as of 1970-01-01 00:00 UTC",
            "note: the registry is away",
        ];
        assert_eq!(outcome_lines(&outcome), expected);
        outcome["engine"] = json!([]);
        assert_eq!(outcome_lines(&outcome)[0], "Everything is needed, or is too young to go.");
    }
}
