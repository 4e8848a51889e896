//! A GitHub on a loopback socket, filled from folders: `github-emulator --repository acme/shop=samples/shop --user ada:Ada:ada@example.com`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use longshore_emulators::github::{Consent, GitHubEmulator, GitHubSetup, Level, NewUser, Repositories, WebhookTarget};

/// GitHub for development: REST, App authentication, OAuth, webhooks, git, pages.
#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "127.0.0.1:7380")]
    bind: SocketAddr,
    /// Folder for the bare repositories; a temporary one without it.
    #[arg(long)]
    data: Option<PathBuf>,
    /// `owner/name=folder`: a repository made from what lies in the folder. May be repeated.
    #[arg(long = "repository", value_name = "OWNER/NAME=FOLDER")]
    repositories: Vec<String>,
    /// `login:name:email`: a person with write access to every repository. May be repeated.
    #[arg(long = "user", value_name = "LOGIN:NAME:EMAIL")]
    users: Vec<String>,
    /// Where webhooks go.
    #[arg(long, requires = "webhook_secret")]
    webhook_url: Option<String>,
    #[arg(long, env = "GITHUB_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,
    /// Sign-in through OAuth is taken to be approved by this login, without a page.
    #[arg(long)]
    approve_as: Option<String>,
    /// The App's private key is written here, for the service's configuration.
    #[arg(long)]
    write_key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::parse();
    let webhook = options.webhook_url.zip(options.webhook_secret).map(|(url, secret)| WebhookTarget { url, secret });
    let setup = GitHubSetup {
        bind: options.bind,
        data: options.data,
        webhook,
        consent: options.approve_as.map_or(Consent::Ask, Consent::ApprovedBy),
        ..GitHubSetup::default()
    };
    let github = GitHubEmulator::start(setup).await?;
    let mut logins = Vec::new();
    for user in &options.users {
        let mut parts = user.splitn(3, ':');
        let (Some(login), Some(name), Some(email)) = (parts.next(), parts.next(), parts.next()) else {
            anyhow::bail!("--user {user}: expected login:name:email");
        };
        let token = github.add_user(NewUser::new(login, name, email));
        println!("user {login}: token {token}");
        logins.push(login.to_owned());
    }
    for repository in &options.repositories {
        let (name, folder) =
            repository.split_once('=').with_context(|| format!("--repository {repository}: expected owner/name=folder"))?;
        let (owner, short) = name.split_once('/').with_context(|| format!("--repository {repository}: expected owner/name=folder"))?;
        github.create_repository(owner, short, folder.as_ref()).await.with_context(|| format!("cannot make {name} from {folder}"))?;
        for login in &logins {
            github.grant(name, login, Level::Write)?;
        }
        github.install_app(owner, Repositories::All);
        println!("repository {}", github.plain_clone_url(name));
    }
    if let Some(path) = options.write_key {
        std::fs::write(&path, github.private_key_pem()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("web {}\napi {}\napp id {} client id {}", github.web_url, github.api_url, github.app_id(), github.client_id());
    tokio::signal::ctrl_c().await?;
    github.stop().await;
    Ok(())
}
