//! `longshore init owner/repo`: from a repository to its manifest, proved by a build before it is written.

mod adapt;
mod diff;
mod draft;
mod existing;
mod fetch;
mod propose;
mod prove;
mod survey;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use longshore_sandbox::CommitSha;
use longshore_session::{RepoName, RepositoryManifest, SystemClock};

use self::{
    adapt::{Failed, adapt, is_passing, unknown_hosts},
    draft::Draft,
    existing::Existing,
    propose::propose,
    prove::{Prover, Refuted},
    survey::Survey,
};
use crate::{config::Config, serve};

/// Changes of its own that it tries before it asks a person: each costs a build.
const MOST_CHANGES: usize = 4;

#[derive(Args)]
pub struct InitArgs {
    /// The repository, as on GitHub
    #[arg(value_name = "OWNER/REPO")]
    repository: String,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "longshore.toml", env = "LONGSHORE_CONFIG")]
    config: PathBuf,
    /// Print the proposal, and how it differs from the manifest that is there; build and write nothing
    #[arg(long)]
    no_build: bool,
    /// Replace the manifest that is there (it is kept beside, as *.toml.before)
    #[arg(long)]
    force: bool,
    /// Prove and write this manifest in place of a proposal
    #[arg(long, value_name = "MANIFEST", conflicts_with_all = ["no_build", "egress"])]
    from: Option<PathBuf>,
    /// Let builds and sandboxes also reach this (`host` or `host:port`); may be repeated
    #[arg(long, value_name = "HOST")]
    egress: Vec<String>,
    /// Read this checkout in place of GitHub's, and print the proposal; needs no configuration
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["from", "force"])]
    local: Option<PathBuf>,
}

/// What is to be proved.
enum Plan {
    /// May be changed where a build says how.
    Proposed(Box<Draft>),
    /// Somebody's own words: stands as it is.
    Given { text: String },
}

impl Plan {
    fn text(&self) -> Result<String> {
        match self {
            Self::Proposed(draft) => draft.text(),
            Self::Given { text } => Ok(text.clone()),
        }
    }
}

pub async fn init(args: InitArgs) -> Result<ExitCode> {
    let repo = RepoName::parse(args.repository.as_str())?;
    if let Some(folder) = &args.local {
        let survey = Survey::of_folder(repo, local_branch(folder), folder)?;
        print!("{}", with_egress(propose(&survey), &args.egress)?.text()?);
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::read(&args.config)?;
    let github = serve::github(&config, Arc::new(SystemClock))?;
    let found = fetch::look_up(&github, &repo).await?;
    if found.name != repo {
        println!("{repo} is called {} now.", found.name);
    }
    let repo = found.name.clone();
    let existing = Existing::find(&config.manifests, &repo)?;
    let same_file = |path: &Path| args.from.as_deref().is_some_and(|from| from.canonicalize().ok() == path.canonicalize().ok());
    if let Some(existing) = &existing
        && !args.no_build
        && !args.force
        && !same_file(&existing.path)
    {
        let path = existing.path.display();
        bail!(
            "{repo} has a manifest already: {path}. `longshore init {repo} --no-build` shows what would be proposed now and how that differs; \
             `--from {path}` proves it as it stands; `--force` replaces it"
        );
    }

    let checkout = tempfile::tempdir().context("cannot make a folder for the checkout")?;
    println!("Reading {repo} (branch {}).", found.default_branch);
    let commit = fetch::clone(&config, &github, &found, checkout.path()).await?;
    let mut plan = match &args.from {
        Some(file) => Plan::Given { text: given(file, &repo)? },
        None => {
            let survey = Survey::of_folder(repo.clone(), found.default_branch.clone(), checkout.path())?;
            Plan::Proposed(Box::new(with_egress(propose(&survey), &args.egress)?))
        }
    };
    // It may be large, and nothing reads it any more.
    drop(checkout);
    if args.no_build {
        println!("\n{}", plan.text()?);
        match existing {
            Some(existing) => println!("{}", existing.compared_with(&plan.text()?)),
            None => println!(
                "Nothing was built and nothing was written: without --no-build it is proved and put into {}.",
                config.manifests.display()
            ),
        }
        return Ok(ExitCode::SUCCESS);
    }

    let target = existing.as_ref().map_or_else(|| existing::free_path_for(&config.manifests, &repo), |existing| existing.path.clone());
    println!("\n{}", plan.text()?);
    let prover = Prover::open(&config, &github).await?;
    let proved = tokio::select! {
        proved = prove(&config, &prover, &mut plan, &commit) => proved,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped; nothing was written")),
    };
    if let Err(error) = prover.close().await {
        tracing::warn!(%error, "not everything of the proof could be taken away; the next `longshore init` tries again");
    }
    if !proved? {
        return Ok(ExitCode::FAILURE);
    }
    existing::write(&target, &plan.text()?, existing.as_ref())?;
    serve::manifests(&config).context("the manifest was written, but the folder cannot be read as a whole")?;
    println!("Wrote {}. Read it over: the description and the keywords decide which requests come here.", target.display());
    println!("`longshore serve` reads manifests at its start: start it again.");
    Ok(ExitCode::SUCCESS)
}

/// Builds, and changes the plan where a failure says how, until it works. False when it does not; what to do was printed.
async fn prove(config: &Config, prover: &Prover, plan: &mut Plan, commit: &CommitSha) -> Result<bool> {
    let (mut changes, mut tried_again) = (0, false);
    loop {
        let text = plan.text()?;
        let manifest = RepositoryManifest::parse(Path::new("the manifest"), &text)?;
        serve::check_manifest(&manifest, &config.manifests)?;
        let log = prove::log_path(config, &manifest.repository);
        println!("Building it in a sandbox; the log is {}.", log.display());
        let begun = tokio::time::Instant::now();
        let refuted = match prover.build(&manifest, commit, &log, &mut |line| println!("  {line}")).await {
            Ok(built) => {
                let checked = if manifest.image.check.is_some() { " and its check passed" } else { "" };
                println!("It works: built in {} s{checked}; the image has {} MB.\n", begun.elapsed().as_secs(), built.bytes / 1_000_000);
                if changes > 0 {
                    println!("What is written, with the changes:\n\n{text}");
                }
                return Ok(true);
            }
            Err(refuted) => refuted,
        };
        if let Refuted::Step { failure, output, refused } = &refuted {
            let failed = Failed { step: failure.step, command: &failure.command, end: failure.end, output, refused };
            let what = format!("`{}` {}.", shown(&failure.command), failure.end.words());
            if let Plan::Proposed(draft) = &mut *plan
                && changes < MOST_CHANGES
                && let Some(change) = adapt(draft, &failed)
            {
                changes += 1;
                println!("{what} Trying again with a change: {change}.\n");
                continue;
            }
            if !tried_again && is_passing(&failed) {
                tried_again = true;
                println!("{what} The network was away or too slow: trying again.\n");
                continue;
            }
        }
        report(config, &manifest.repository, &refuted, &text)?;
        return Ok(false);
    }
}

/// What failed, and what a person can do about it.
fn report(config: &Config, repo: &RepoName, refuted: &Refuted, text: &str) -> Result<()> {
    let kept = prove::folder(config).join(format!("{}-{}.toml", repo.owner(), repo.name()));
    std::fs::write(&kept, text).with_context(|| format!("cannot write {}", kept.display()))?;
    match refuted {
        Refuted::Step { failure, refused, .. } => {
            println!(
                "\nIt does not work: `{}` (step `{}`) {}. Its output ends with\n",
                shown(&failure.command),
                failure.step,
                failure.end.words()
            );
            for line in failure.log_tail.lines() {
                println!("    {line}");
            }
            println!("\nTry: {}.", failure.suggestion);
            let hosts = unknown_hosts(refused);
            if !hosts.is_empty() {
                let options: Vec<String> = hosts.iter().map(|host| format!("--egress {host}")).collect();
                println!(
                    "It wanted to reach {}, which the manifest does not name. Where that is right: {}.",
                    hosts.join(", "),
                    options.join(" ")
                );
            }
            println!("The whole log: {}", failure.log.display());
        }
        Refuted::Otherwise(words) => println!("\nIt does not work: {words}."),
    }
    println!(
        "Nothing was written to {}. The manifest that was tried is {}: correct it, then\n  longshore init {repo} --config {} --from {}",
        config.manifests.display(),
        kept.display(),
        config.file.display(),
        kept.display()
    );
    Ok(())
}

fn shown(command: &str) -> String {
    let line = command.lines().next().unwrap_or_default();
    if line.chars().count() <= 120 { line.to_owned() } else { format!("{} …", line.chars().take(120).collect::<String>()) }
}

fn given(file: &Path, repo: &RepoName) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let manifest = RepositoryManifest::parse(file, &text)?;
    if manifest.repository != *repo {
        bail!("{} is the manifest of {}, not of {repo}", file.display(), manifest.repository);
    }
    Ok(text)
}

fn with_egress(mut draft: Draft, entries: &[String]) -> Result<Draft> {
    for entry in entries {
        entry.parse::<longshore_gateway::EgressRule>()?;
        draft.egress.insert(entry.clone(), "asked for on the command line".to_owned());
    }
    Ok(draft)
}

/// What the checkout is on.
fn local_branch(folder: &Path) -> String {
    let head = std::fs::read_to_string(folder.join(".git/HEAD")).unwrap_or_default();
    head.trim().strip_prefix("ref: refs/heads/").unwrap_or("main").to_owned()
}
