//! The commands of a build, run one after another in its container.

use std::time::Duration;

use longshore_session::{RepositoryManifest, SandboxId, Service};
use tokio::time::Instant;

use super::{BuildError, BuildStep, Progress, StepFailure, error::suggestion, log::BuildLog};
use crate::{CommitSha, DockerEngine, Exec, ExecOutput, ExecUser, carrier::shell_quoted, docker::Part, error::tells_of_full_disk};

/// A build under way.
pub(super) struct Run<'a> {
    pub engine: &'a DockerEngine,
    pub sandbox: SandboxId,
    pub log: BuildLog,
    /// Where `image.timeout_s` ends.
    pub deadline: Instant,
    pub progress: Progress,
}

impl Run<'_> {
    /// Runs shell lines in the checkout; the first that fails ends the build.
    pub async fn lines(&mut self, step: BuildStep, user: ExecUser, lines: &[String]) -> Result<(), BuildError> {
        for line in lines {
            self.line(step, user, line, line).await?;
        }
        Ok(())
    }

    /// Runs one shell line, which messages show as `title`.
    pub async fn line(&mut self, step: BuildStep, user: ExecUser, title: &str, line: &str) -> Result<ExecOutput, BuildError> {
        let sandbox = self.sandbox.clone();
        self.line_in(&sandbox, step, user, title, line).await
    }

    /// As [`Self::line`], in another sandbox than the build's.
    pub async fn line_in(
        &mut self,
        sandbox: &SandboxId,
        step: BuildStep,
        user: ExecUser,
        title: &str,
        line: &str,
    ) -> Result<ExecOutput, BuildError> {
        self.log.heading(&format!("{step}: {title}"));
        let remaining = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let exec = Exec::shell(line).user(user).timeout(remaining);
        let log = &mut self.log;
        let output = self
            .engine
            .run(sandbox, exec, &mut |part| match part {
                Part::Stdout(bytes) | Part::Stderr(bytes) => log.output(bytes),
            })
            .await?;
        self.log.output(format!("== {} after {:.1} s\n", output.end.words(), output.took.as_secs_f64()).as_bytes());
        if output.succeeded() {
            return Ok(output);
        }
        let log_tail = self.log.tail();
        if tells_of_full_disk(&log_tail) {
            return Err(BuildError::DiskFull { step });
        }
        let suggestion = suggestion(step, output.end, &log_tail);
        Err(BuildError::step(StepFailure {
            step,
            command: title.to_owned(),
            end: output.end,
            log_tail,
            log: self.log.path().to_owned(),
            suggestion,
        }))
    }
}

/// Brings `/workspace` to a commit: a clone where there is none yet, a fetch where there is.
pub(super) fn checkout(manifest: &RepositoryManifest, commit: &CommitSha) -> String {
    let url = shell_quoted(&format!("https://github.com/{}.git", manifest.repository));
    let branch = shell_quoted(&manifest.base_branch);
    format!(
        "set -e\n\
         export GIT_TERMINAL_PROMPT=0\n\
         if [ -d .git ]; then git remote set-url origin {url}; git fetch --quiet --prune --tags --force origin\n\
         else git clone --quiet --no-checkout {url} .; fi\n\
         git cat-file -e {commit}^{{commit}} 2>/dev/null || git fetch --quiet origin {commit}\n\
         git checkout --quiet --force -B {branch} {commit}\n\
         git branch --quiet --set-upstream-to=origin/{branch} {branch} 2>/dev/null || true\n"
    )
}

/// Undoes what commands changed in tracked files, and hides what they left beside them: a session's commits hold neither.
pub(super) fn tidy(commit: &CommitSha) -> String {
    format!(
        "set -e\n\
         git reset --quiet --hard {commit}\n\
         mkdir -p .git/info\n\
         git -c core.quotePath=false ls-files --others --exclude-standard --directory --no-empty-directory | head -n 2000 | sed 's|^|/|' >>.git/info/exclude\n"
    )
}

/// Starts the services and waits for them; ends them well. Of the base image.
pub(super) const SERVICES_UP: &str = "/opt/longshore/services up";
pub(super) const SERVICES_DOWN: &str = "/opt/longshore/services down";

/// Writes down the services of a recipe, where `/opt/longshore/services` looks for them. Run as root.
pub(super) fn define(services: &[Service]) -> String {
    let mut script = "set -e\n\
         [ -x /opt/longshore/services ] || { echo 'the base image has no /opt/longshore/services: build it anew (`make base-image`)' >&2; exit 1; }\n\
         rm -rf /opt/longshore/services.d\n"
        .to_owned();
    for (index, service) in services.iter().enumerate() {
        let folder = format!("/opt/longshore/services.d/{index:02}-{}", service.name);
        script.push_str(&format!("mkdir -p {folder}\n"));
        let ready_s = service.ready_s.to_string();
        let files = [
            ("start", Some(&service.start)),
            ("ready", service.ready.as_ref()),
            ("stop", service.stop.as_ref()),
            ("ready_s", Some(&ready_s)),
        ];
        for (file, content) in files {
            if let Some(content) = content {
                script.push_str(&format!("printf '%s\\n' {} >{folder}/{file}\n", shell_quoted(content)));
            }
        }
    }
    script
}

/// Ends whatever the commands left running, first politely: nothing may change under what follows. Run as root. Spared are the container's own
/// process, which is the oldest child of its init process, and this command with the `timeout` that it runs under.
pub(super) const END_PROCESSES: &str = r#"
main=$(pgrep --oldest --parent 1)
others() {
    found=()
    while read -r pid parent state name; do
        case $pid in 1 | "$main" | "$$" | "$PPID") continue ;; esac
        if [ "$parent" != "$$" ] && [ "$name" != ps ] && [ "${state#Z}" = "$state" ]; then found+=("$pid"); names+=" $name"; fi
    done <<<"$(ps -e -o pid=,ppid=,stat=,comm=)"
    [ "${#found[@]}" -gt 0 ]
}
names=
others || exit 0
echo "still running:$names"
kill -TERM "${found[@]}" 2>/dev/null
for round in $(seq 50); do
    sleep 0.2
    others || exit 0
done
for round in $(seq 20); do
    kill -KILL "${found[@]}" 2>/dev/null
    sleep 0.2
    others || exit 0
done
echo "would not end: ${found[*]}" >&2
exit 1"#;

/// Takes out what no image should hold. Run as root.
pub(super) const SCRUB: &str = "\
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /tmp/* /tmp/.[!.]* /var/tmp/* \
    /home/agent/.npm/_logs /home/agent/.bash_history /root/.bash_history /workspace/.git/FETCH_HEAD
for key in $(git -C /workspace config --local --name-only --get-regexp '^(http\\..*extraheader|credential\\..*|url\\..*)$' 2>/dev/null); do
    git -C /workspace config --local --unset-all \"$key\"
done
true";

/// Prints the files that hold one of the texts on stdin, one per line.
pub(super) const FIND_SECRETS: &str =
    "grep -rlF --devices=skip -f /dev/stdin /etc /home /opt /root /srv /tmp /usr/local /var /workspace 2>/dev/null | head -n 20; true";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_branch_name_is_one_word() {
        let text = "repository = \"acme/shop\"\ndescription = \"x\"\nbase_branch = \"a b'; rm -rf /\"\n";
        let manifest = RepositoryManifest::parse(Path::new("x.toml"), text).unwrap();
        let script = checkout(&manifest, &CommitSha::parse("a".repeat(40)).unwrap());
        assert!(script.contains(r"-B 'a b'\''; rm -rf /'"), "{script}");
    }
}
