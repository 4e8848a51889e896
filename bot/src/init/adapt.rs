//! What a failed build says clearly enough to act on. Each change is told to whoever asked, and stands in the manifest with its reason.

mod missing;

use longshore_sandbox::{BuildStep, ExecEnd};

use super::{
    draft::Draft,
    propose::{Service, add_usual},
};

/// Hosts that packages and tools are commonly fetched from. Others are named to the operator, who decides: a build may be made to ask for anything.
const KNOWN_HOSTS: [(&str, &str); 26] = [
    ("deb.debian.org", "Debian's packages"),
    ("security.debian.org", "Debian's packages"),
    ("pypi.org", "Python packages"),
    ("files.pythonhosted.org", "Python packages"),
    ("registry.npmjs.org", "JavaScript packages"),
    ("registry.yarnpkg.com", "JavaScript packages"),
    ("repo.yarnpkg.com", "yarn itself"),
    ("nodejs.org", "Node itself and its headers"),
    ("index.crates.io", "crates"),
    ("static.crates.io", "crates"),
    ("crates.io", "crates"),
    ("static.rust-lang.org", "Rust's toolchain"),
    ("proxy.golang.org", "Go modules"),
    ("sum.golang.org", "Go modules"),
    ("storage.googleapis.com", "Go itself and its modules"),
    ("go.dev", "Go itself"),
    ("dl.google.com", "Go itself"),
    ("rubygems.org", "gems"),
    ("index.rubygems.org", "gems"),
    ("repo.maven.apache.org", "Java packages"),
    ("repo1.maven.org", "Java packages"),
    ("plugins.gradle.org", "Java packages"),
    ("services.gradle.org", "Gradle itself"),
    ("github.com", "releases on GitHub"),
    ("release-assets.githubusercontent.com", "releases on GitHub"),
    ("objects.githubusercontent.com", "releases on GitHub"),
];
/// Tests beyond this number that fail are no exception.
const MOST_LEFT_OUT: usize = 10;
/// MiB; beyond, an operator decides.
const MOST_MEMORY: u32 = 8192;

/// A step that did not succeed.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    pub step: BuildStep,
    pub command: &'a str,
    pub end: ExecEnd,
    pub output: &'a str,
    /// `host:port` that the gateway did not let out.
    pub refused: &'a [String],
}

/// Changes the draft so that another try may work, and says what it changed. `None` where nothing is clear enough.
pub fn adapt(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    reach(draft, failed)
        .or_else(|| more_memory(draft, failed))
        .or_else(|| missing::install(draft, failed))
        .or_else(|| not_in_debian(draft, failed))
        .or_else(|| unlocked(draft, failed))
        .or_else(|| without_before(draft, failed))
        .or_else(|| start_service(draft, failed))
        .or_else(|| leave_out_tests(draft, failed))
        .or_else(|| leave_out_warm(draft, failed))
}

/// Whether another try without any change may do: the network was away or too slow.
pub fn is_passing(failed: &Failed<'_>) -> bool {
    let signs = [
        "no name server answered",
        "ETIMEDOUT",
        "ECONNRESET",
        "EAI_AGAIN",
        "Read timed out",
        "Connection timed out",
        "Temporary failure",
        "Connection reset by peer",
    ];
    matches!(failed.step, BuildStep::SetupRoot | BuildStep::Setup) && signs.iter().any(|sign| failed.output.contains(sign))
}

/// The hosts that are not known, for a person to judge.
pub fn unknown_hosts(refused: &[String]) -> Vec<&str> {
    refused.iter().map(String::as_str).filter(|target| known(target).is_none()).collect()
}

fn known(target: &str) -> Option<&'static str> {
    let (host, port) = target.rsplit_once(':')?;
    let (_, what) = KNOWN_HOSTS.iter().find(|(known, _)| *known == host)?;
    matches!(port, "80" | "443").then_some(*what)
}

fn reach(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    let wanted: Vec<(&String, &str)> = failed.refused.iter().filter_map(|target| Some((target, known(target)?))).collect();
    let mut added = Vec::new();
    for (target, what) in wanted {
        if draft.egress.insert(target.clone(), what.to_owned()).is_none() {
            added.push(target.as_str());
        }
    }
    (!added.is_empty()).then(|| format!("it may now reach {}", added.join(", ")))
}

fn more_memory(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    let now = draft.memory_mb.unwrap_or(2048);
    if failed.end != ExecEnd::OutOfMemory || now >= MOST_MEMORY {
        return None;
    }
    draft.memory_mb = Some(now * 2);
    Some(format!("`limits.memory_mb` is {} now, because memory was used up", now * 2))
}

/// Workflows commonly run on Ubuntu, which has packages that Debian has not.
fn not_in_debian(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    let lines = failed.output.lines();
    let unknown = lines.filter_map(|line| {
        line.strip_prefix("E: Unable to locate package ")
            .or_else(|| line.strip_prefix("E: Package '").and_then(|rest| rest.strip_suffix("' has no installation candidate")))
    });
    let gone: Vec<&str> = unknown.map(str::trim).filter(|name| draft.packages.remove(*name)).collect();
    if gone.is_empty() {
        return None;
    }
    let gone = gone.join(", ");
    draft.note(format!("The repository's workflows install {gone}, which Debian 12 does not have."));
    Some(format!("{gone} left out, because Debian 12 does not have it"))
}

/// A lock file that does not fit its manifest.
fn unlocked(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    let out_of_step = failed.output.contains("can only install packages when your package.json and package-lock.json")
        || failed.output.contains("npm ci` can only install with an existing package-lock");
    let line = draft.setup.iter_mut().find(|line| line.command == failed.command)?;
    if !out_of_step || !line.command.contains("npm ci") {
        return None;
    }
    line.command = line.command.replace("npm ci", "npm install");
    line.why = "The lock file does not fit package.json, so that `npm ci` refuses it.".to_owned();
    Some("`npm install` in place of `npm ci`, because the lock file does not fit package.json".to_owned())
}

/// `npm test` runs `pretest` first, which is commonly a linter.
fn without_before(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    let before = failed.output.lines().any(|line| line.starts_with("> ") && line.trim_end().ends_with(" pretest"));
    let itself = failed.output.lines().any(|line| line.starts_with("> ") && line.trim_end().ends_with(" test"));
    let line = draft.check.iter_mut().find(|line| line.command.ends_with("npm test"))?;
    if failed.step != BuildStep::Check || !before || itself {
        return None;
    }
    line.command.push_str(" --ignore-scripts");
    line.why = "Without the scripts round it: what `pretest` runs fails in a sandbox.".to_owned();
    Some("the check runs `test` without `pretest`, which fails".to_owned())
}

/// Nobody listens where a database commonly does.
fn start_service(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    let refused: Vec<&str> = failed.output.lines().filter(|line| line.to_ascii_lowercase().contains("refused")).collect();
    let wanted = |service: &Service| {
        let port = service.port().to_string();
        refused.iter().any(|line| line.split(|c: char| !c.is_ascii_digit()).any(|word| word == port))
    };
    let service =
        Service::ALL.into_iter().find(|service| wanted(service) && !draft.services.iter().any(|recipe| recipe.service == *service))?;
    add_usual(service, &format!("because the tests look for it on port {}", service.port()), draft);
    Some(format!("{service} runs in the sandbox now, because nobody listened on port {}", service.port()))
}

/// A few tests that fail in a sandbox (they want a network, a terminal, another time zone) must not make all others useless.
fn leave_out_tests(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    // The check runs twice: in the build, and in a sandbox of the new image.
    let checks = failed.step == BuildStep::Check || draft.check_command().is_some_and(|check| check == failed.command);
    // A test that fails may leave a process that the runner waits for without end: what failed was told before.
    if !checks || !matches!(failed.end, ExecEnd::Exited(_) | ExecEnd::TimedOut) {
        return None;
    }
    let (options, names) = if let Some(line) = draft.check.iter().find(|line| line.command.contains("-m pytest")) {
        pytest_failures(failed.output, &line.command)
    } else if draft.check.iter().any(|line| line.command.contains("cargo test")) {
        cargo_failures(failed.output)
    } else {
        return None;
    };
    if names.is_empty() || names.len() > MOST_LEFT_OUT {
        return None;
    }
    let line = draft.check.iter_mut().find(|line| line.command.contains("-m pytest") || line.command.contains("cargo test"))?;
    let (inner, close) = match line.command.strip_suffix(')') {
        Some(inner) => (inner.to_owned(), ")"),
        None => (line.command.clone(), ""),
    };
    let dashes = if inner.contains("cargo test") && !inner.contains(" -- ") { " --" } else { "" };
    line.command = format!("{inner}{dashes} {}{close}", options.join(" "));
    let why = format!("Left out, because they fail in a sandbox as the repository stands: {}.", names.join(", "));
    line.why = if line.why.is_empty() { why.clone() } else { format!("{} {why}", line.why) };
    Some(format!("the check leaves out {} that fail: {}", count(names.len()), names.join(", ")))
}

fn count(number: usize) -> String {
    if number == 1 { "1 test".to_owned() } else { format!("{number} tests") }
}

/// pytest's own summary: `FAILED path::name - why`, `ERROR path - why`.
fn pytest_failures(output: &str, command: &str) -> (Vec<String>, Vec<String>) {
    let (mut options, mut names): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for line in output.lines() {
        let Some((kind, rest)) =
            line.strip_prefix("FAILED ").map(|rest| ("FAILED", rest)).or_else(|| line.strip_prefix("ERROR ").map(|rest| ("ERROR", rest)))
        else {
            continue;
        };
        let id = rest.split(" - ").next().unwrap_or(rest).trim();
        // A parameter may hold anything; the whole function goes then.
        let id = id.split('[').next().unwrap_or(id);
        let sound = id.contains(".py") && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-./: ".contains(c)) && !id.contains(' ');
        if !sound || names.iter().any(|known| known == id) {
            continue;
        }
        let option = if kind == "ERROR" && !id.contains("::") { format!("--ignore={id}") } else { format!("--deselect={id}") };
        if !command.contains(&option) {
            options.push(option);
            names.push(id.to_owned());
        }
    }
    // Where everything fails it is not those tests that are at fault.
    let passed = output.lines().rev().find_map(|line| number_before(line, " passed")).unwrap_or(0);
    let only_collecting = !options.is_empty() && options.iter().all(|option| option.starts_with("--ignore")) && options.len() <= 2;
    if passed >= 4 * names.len() || only_collecting { (options, names) } else { (Vec::new(), Vec::new()) }
}

/// `test path::name ... FAILED`.
fn cargo_failures(output: &str) -> (Vec<String>, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    for line in output.lines() {
        let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) else { continue };
        // Tests in documentation have names with blanks and line numbers.
        let sound = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
        if sound && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    let passed: usize =
        output.lines().filter(|line| line.starts_with("test result:")).filter_map(|line| number_before(line, " passed")).sum();
    if passed < 4 * names.len() {
        return (Vec::new(), Vec::new());
    }
    (names.iter().map(|name| format!("--skip {name}")).collect(), names)
}

/// `12` of `… 12 passed`.
fn number_before(line: &str, word: &str) -> Option<usize> {
    let before = &line[..line.find(word)?];
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What only makes later work quicker can be done without.
fn leave_out_warm(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    if failed.step != BuildStep::Warm {
        return None;
    }
    let before = draft.warm.len();
    draft.warm.retain(|line| line.command != failed.command);
    (draft.warm.len() < before).then(|| {
        draft.note(format!("`{}` was left out of `image.warm`: it fails as the repository stands.", failed.command));
        format!("`{}` is left out of `image.warm`, because it fails", failed.command)
    })
}

#[cfg(test)]
mod tests;
