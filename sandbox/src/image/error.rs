//! Why a build failed, and what an operator can try.

use std::{io, path::PathBuf, time::Duration};

use super::{BuildStep, trial::Bound};
use crate::{EngineError, ExecEnd, ImageRef, error::tells_of_full_disk};

/// A command of a build that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    pub step: BuildStep,
    pub command: String,
    pub end: ExecEnd,
    /// The end of what it wrote.
    pub log_tail: String,
    /// All of it.
    pub log: PathBuf,
    pub suggestion: String,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "`{}` of step `{}` {}.\n{}\nTry: {}. The whole log is {}",
        .0.command, .0.step, .0.end.words(), .0.log_tail, .0.suggestion, .0.log.display()
    )]
    Step(Box<StepFailure>),
    #[error(
        "the base image {image} is not on this engine: `make setup` builds the usual one; `image.base` in the manifest or `images.base` in the configuration names another"
    )]
    BaseMissing { image: ImageRef },
    #[error(
        "the engine's disk is full (step `{step}`): free space on it (`docker system df` shows what takes it); the last good image stays in use"
    )]
    DiskFull { step: BuildStep },
    #[error(
        "a secret of the build was left in {files:?}, so the image was thrown away: let the commands of the manifest not write it there"
    )]
    SecretLeft { files: Vec<String> },
    #[error("a sandbox started from the new image did not work ({reason}); the last good image stays in use")]
    Boot { reason: String },
    #[error(
        "the new image has {}, the one before {}, and {} is the most that a new one may have; the last good image stays in use. If it is meant to grow, `longshore images rebuild owner/repo` takes it as it is; `images.max_growth` and `images.growth_floor_mb` in the configuration let all grow more",
        megabytes(*bytes), megabytes(bound.before), megabytes(bound.most)
    )]
    TooLarge { bytes: u64, bound: Bound<u64> },
    #[error(
        "a sandbox of the new image takes {:.1} s until its agent answers, one of the image before took {:.1} s, and {:.1} s is the most that a new one may take; the last good image stays in use. If it is meant to be so, `longshore images rebuild owner/repo` takes it as it is; `images.max_start_ratio` and `images.start_floor_s` in the configuration let all take longer",
        took.as_secs_f64(), bound.before.as_secs_f64(), bound.most.as_secs_f64()
    )]
    TooSlow { took: Duration, bound: Bound<Duration> },
    #[error(
        "the build had written {} by step `{step}`, and {} is the most, so it was ended; the last good image stays in use. Find what writes so much, or raise `images.build_disk_mb` in the configuration",
        megabytes(*written), megabytes(*most)
    )]
    WroteTooMuch { step: BuildStep, written: u64, most: u64 },
    #[error("cannot write the build's log {}: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl BuildError {
    pub(super) fn step(failure: StepFailure) -> Self {
        if tells_of_full_disk(&failure.log_tail) { Self::DiskFull { step: failure.step } } else { Self::Step(Box::new(failure)) }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

/// What to try, by what the output tells. The first that fits.
pub(super) fn suggestion(step: BuildStep, end: ExecEnd, output: &str) -> String {
    let text = output.to_ascii_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    let advice = match end {
        ExecEnd::TimedOut => "raise `image.timeout_s` in the manifest, or find what hangs in the log",
        ExecEnd::OutOfMemory => "raise `limits.memory_mb` in the manifest, or let the command use fewer processes",
        ExecEnd::Exited(_) if step == BuildStep::Services => {
            "see the service's own output above: it runs as the sandbox's user, with its data in a folder of that user's"
        }
        ExecEnd::Exited(_) if step == BuildStep::Boot => {
            "it worked in the build: see what it wants there that a sandbox of the image does not have (root, files in /tmp, processes left running, changed tracked files)"
        }
        ExecEnd::Exited(_) if step == BuildStep::Checkout => {
            if says(&["could not resolve host", "connection refused", "failed to connect", "couldn't connect"]) {
                "see that the service's gateway listens and reaches GitHub"
            } else if says(&["not our ref", "unadvertised object", "not a tree", "did not match"]) {
                "the commit is gone from the repository (a force push?): build again, for its newest one"
            } else {
                "see that `repository` and `base_branch` in the manifest are right, and that the GitHub App is installed on the repository"
            }
        }
        ExecEnd::Exited(_)
            if says(&[
                "could not resolve",
                "temporary failure",
                "name resolution",
                "code enotfound",
                "getaddrinfo enotfound",
                "eai_again",
                "no route to host",
                "network is unreachable",
                "403 forbidden",
                "407 proxy",
                "not in the egress",
            ]) =>
        {
            "add the host that the log names to `egress` in the manifest: builds reach nothing else"
        }
        ExecEnd::Exited(_)
            if says(&["no name server answered", "etimedout", "read timed out", "connection timed out", "gateway timeout"]) =>
        {
            "the network was away or too slow: run it again"
        }
        ExecEnd::Exited(_) if says(&["modulenotfounderror: no module named", "cannot find module"]) => {
            "install the package that holds the missing module in `image.setup`"
        }
        ExecEnd::Exited(127) => "install the missing program in `image.setup_root` (for instance `apt-get install -y …`)",
        ExecEnd::Exited(_) if says(&["command not found", ": not found"]) => {
            "install the missing program in `image.setup_root` (for instance `apt-get install -y …`)"
        }
        ExecEnd::Exited(_) if step != BuildStep::SetupRoot && says(&["permission denied", "are you root", "operation not permitted"]) => {
            "move what needs root from `image.setup` to `image.setup_root`"
        }
        ExecEnd::Exited(100) if step == BuildStep::SetupRoot => {
            "run `apt-get update` before the installation, and see that `egress` holds the mirror's host"
        }
        ExecEnd::Exited(_) => "run the command in a fresh checkout to see whether it works there",
    };
    advice.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_the_failure() {
        let advice = |step, end, text| suggestion(step, end, text);
        assert!(advice(BuildStep::Setup, ExecEnd::Exited(127), "bash: cargo: command not found").contains("setup_root"));
        assert!(advice(BuildStep::Setup, ExecEnd::Exited(1), "npm ERR! code ENOTFOUND").contains("egress"));
        assert!(advice(BuildStep::Check, ExecEnd::Exited(2), "E   ModuleNotFoundError: No module named 'pytz'").contains("missing module"));
        assert!(advice(BuildStep::Warm, ExecEnd::OutOfMemory, "").contains("limits.memory_mb"));
        assert!(advice(BuildStep::Check, ExecEnd::TimedOut, "").contains("timeout_s"));
        assert!(advice(BuildStep::Checkout, ExecEnd::Exited(128), "repository not found").contains("GitHub App"));
    }

    #[test]
    fn a_full_disk_is_said() {
        let failure = StepFailure {
            step: BuildStep::Setup,
            command: "make".to_owned(),
            end: ExecEnd::Exited(2),
            log_tail: "cc: error: No space left on device".to_owned(),
            log: PathBuf::from("log"),
            suggestion: String::new(),
        };
        assert!(matches!(BuildError::step(failure), BuildError::DiskFull { step: BuildStep::Setup }));
    }
}
