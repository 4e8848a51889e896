//! Commands in a sandbox.

use std::time::{Duration, Instant};

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
    query_parameters::KillContainerOptions,
};
use futures_util::StreamExt;
use longshore_session::SandboxId;
use tokio::io::AsyncWriteExt;

use super::{
    DockerEngine,
    client::{QUICK, SLOW},
};
use crate::{Command, EngineError, Exec, ExecEnd, ExecOutput, ExecUser};

/// Marks every process that comes of one command, wherever it moves to.
const MARK: &str = "LONGSHORE_EXEC";

/// Sources the sandbox's variables and becomes the command. `timeout` is for the case that nobody is left to watch the clock.
const WRAPPER: &str =
    "[ ! -r /run/longshore/env ] || . /run/longshore/env; unset LONGSHORE_AGENT; s=$1; shift; exec timeout -k 5 \"$s\" \"$@\"";

/// Kills all processes that bear the mark, in rounds, because they may be forking and take a moment to die. It forks nothing itself, so that it works at the limit of
/// processes too. Status 9: some would not go.
const KILLER: &str = r#"
for ((round = 0; round < 200; round++)); do
    found=
    for process in /proc/[0-9]*; do
        variables=()
        { mapfile -d '' -t variables <"$process/environ"; } 2>/dev/null || continue
        for variable in "${variables[@]}"; do
            if [[ $variable == "$1" ]]; then { kill -9 "${process##*/}" && found=1; } 2>/dev/null; break; fi
        done
    done
    [[ -n $found ]] || exit 0
done
exit 9"#;

/// A part of a command's output, as it comes.
pub(crate) enum Part<'a> {
    Stdout(&'a [u8]),
    Stderr(&'a [u8]),
}

/// What one run of a prepared command left.
struct Raw {
    end: RawEnd,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    dropped: u64,
}

enum RawEnd {
    Status(i32),
    OutOfTime,
}

/// A command in the engine's own terms.
struct Prepared {
    words: Vec<String>,
    user: ExecUser,
    folder: String,
    variables: Vec<String>,
    stdin: Option<bytes::Bytes>,
    timeout: Duration,
    output_limit: usize,
}

impl DockerEngine {
    /// Runs a command, and shows its output to `watcher` as it comes (all of it, also what is dropped from the result).
    pub(crate) async fn run(
        &self,
        id: &SandboxId,
        exec: Exec,
        watcher: &mut (dyn FnMut(Part<'_>) + Send),
    ) -> Result<ExecOutput, EngineError> {
        let begun = Instant::now();
        let mark = format!("{MARK}={:016x}", rand::random::<u64>());
        // Later than our own limit: it must only strike where we don't.
        let backstop = exec.timeout.as_secs() + 10;
        let mut words: Vec<String> = ["/bin/bash", "-c", WRAPPER, "longshore"].map(str::to_owned).to_vec();
        words.push(backstop.to_string());
        match exec.command {
            Command::Argv(argv) => words.extend(argv),
            Command::Shell(line) => words.extend(["/bin/bash".to_owned(), "-c".to_owned(), line]),
        }
        let mut variables: Vec<String> = exec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect();
        variables.push(mark.clone());
        let prepared = Prepared {
            words,
            user: exec.user,
            folder: exec.folder.unwrap_or_else(|| "/workspace".to_owned()),
            variables,
            stdin: exec.stdin,
            timeout: exec.timeout,
            output_limit: exec.output_limit,
        };
        let raw = self.run_resumed(id, prepared, watcher).await?;
        let end = match raw.end {
            RawEnd::OutOfTime => {
                self.kill_marked(id, exec.user, &mark).await;
                ExecEnd::TimedOut
            }
            // A killed child shows as almost any status of its parent's.
            RawEnd::Status(code) if code > 1 && self.memory_ran_out(id).await => ExecEnd::OutOfMemory,
            RawEnd::Status(code) => ExecEnd::Exited(code),
        };
        Ok(ExecOutput { end, stdout: raw.stdout, stderr: raw.stderr, dropped: raw.dropped, took: begun.elapsed() })
    }

    async fn run_resumed(
        &self,
        id: &SandboxId,
        prepared: Prepared,
        watcher: &mut (dyn FnMut(Part<'_>) + Send),
    ) -> Result<Raw, EngineError> {
        let exec = match self.create_exec(id, &prepared).await {
            Err(EngineError::Refused { message, .. }) if message.contains("is paused") => {
                self.go_on(id).await?;
                self.create_exec(id, &prepared).await?
            }
            other => other?,
        };
        Box::pin(self.follow(&exec, prepared, watcher)).await
    }

    async fn create_exec(&self, id: &SandboxId, prepared: &Prepared) -> Result<String, EngineError> {
        let options = CreateExecOptions {
            attach_stdin: Some(prepared.stdin.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(prepared.variables.clone()),
            cmd: Some(prepared.words.clone()),
            user: Some(match prepared.user {
                ExecUser::Agent => "1000:1000".to_owned(),
                ExecUser::Root => "0:0".to_owned(),
            }),
            working_dir: Some(prepared.folder.clone()),
            ..Default::default()
        };
        let name = self.container_name(id);
        let call = self.client().docker.create_exec(&name, options);
        match self.client().call("preparing a command", SLOW, call).await {
            Ok(created) => Ok(created.id),
            Err(fault) if fault.is(404) => Err(EngineError::NoSuchSandbox { id: id.clone() }),
            // 409 is said of a paused container and of one that has ended.
            Err(fault) => match fault.error {
                EngineError::Refused { message, .. } if message.contains("is not running") => {
                    Err(EngineError::NotRunning { id: id.clone() })
                }
                error => Err(error),
            },
        }
    }

    async fn follow(&self, exec: &str, prepared: Prepared, watcher: &mut (dyn FnMut(Part<'_>) + Send)) -> Result<Raw, EngineError> {
        let deadline = tokio::time::Instant::now() + prepared.timeout;
        let options = StartExecOptions { detach: false, tty: false, output_capacity: Some(64 * 1024) };
        let started = self.client().call("running a command", SLOW, self.client().docker.start_exec(exec, Some(options))).await?;
        let StartExecResults::Attached { mut output, mut input } = started else {
            return Err(EngineError::Refused { during: "running a command".to_owned(), message: "no output was attached".to_owned() });
        };
        // In a task of its own: a command may want its output read before it reads on.
        let feeder = prepared.stdin.map(|stdin| {
            tokio::spawn(async move {
                // A command that reads no further closes its end, which is its right.
                let _ = input.write_all(&stdin).await;
                let _ = input.shutdown().await;
            })
        });

        let mut raw = Raw { end: RawEnd::OutOfTime, stdout: Vec::new(), stderr: Vec::new(), dropped: 0 };
        // A process left in the background may hold the output open: now and then we ask whether the command itself still runs.
        let mut look = tokio::time::interval_at(tokio::time::Instant::now() + Duration::from_secs(1), Duration::from_secs(1));
        let status = loop {
            tokio::select! {
                part = output.next() => match part {
                    Some(Ok(part)) => raw.take(part, prepared.output_limit, watcher),
                    Some(Err(error)) => break Some(Err(self.client().fault("reading a command's output", error).error)),
                    None => break Some(self.status(exec).await),
                },
                _ = look.tick() => match self.status_now(exec).await {
                    Ok(None) => {}
                    Ok(Some(status)) => {
                        // What it wrote last may still be on the way.
                        while let Ok(Some(Ok(part))) = tokio::time::timeout(Duration::from_millis(200), output.next()).await {
                            raw.take(part, prepared.output_limit, watcher);
                        }
                        break Some(Ok(status));
                    }
                    Err(error) => break Some(Err(error)),
                },
                () = tokio::time::sleep_until(deadline) => break None,
            }
        };
        if let Some(feeder) = feeder {
            feeder.abort();
        }
        if let Some(status) = status {
            raw.end = RawEnd::Status(status?);
        }
        Ok(raw)
    }

    /// The status of a command whose output has ended: the engine may need a moment to hear of it.
    async fn status(&self, exec: &str) -> Result<i32, EngineError> {
        let deadline = tokio::time::Instant::now() + QUICK;
        loop {
            if let Some(status) = self.status_now(exec).await? {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(EngineError::Timeout { during: "waiting for a command's status".to_owned(), after: QUICK });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn status_now(&self, exec: &str) -> Result<Option<i32>, EngineError> {
        let state = self.client().call("reading a command's status", QUICK, self.client().docker.inspect_exec(exec)).await?;
        let status = if state.running == Some(false) { state.exit_code } else { None };
        Ok(status.map(|code| i32::try_from(code).unwrap_or(i32::MAX)))
    }

    /// Ends every process of a command; where that cannot be done, the sandbox.
    async fn kill_marked(&self, id: &SandboxId, user: ExecUser, mark: &str) {
        let words = ["/bin/bash", "-c", KILLER, "longshore", mark].map(str::to_owned).to_vec();
        let killed = match self.run_own(id, user, words).await {
            Ok(Raw { end: RawEnd::Status(0), .. }) => true,
            // It went by itself, with all that was in it.
            Err(EngineError::NoSuchSandbox { .. } | EngineError::NotRunning { .. }) => true,
            _ => false,
        };
        if killed {
            return;
        }
        tracing::warn!(sandbox = %id, "a command could not be killed at its time limit; killing the sandbox");
        let name = self.container_name(id);
        let call = self.client().docker.kill_container(&name, None::<KillContainerOptions>);
        if let Err(fault) = self.client().call("killing a sandbox", SLOW, call).await {
            tracing::error!(sandbox = %id, error = %fault.error, "the sandbox could not be killed");
            return;
        }
        // The engine answers before the last process is gone: whoever looks next must not find it running still.
        if tokio::time::timeout(SLOW, self.wait_for_end(id)).await.is_err() {
            tracing::error!(sandbox = %id, "the sandbox was killed and does not end");
        }
    }

    /// Whether the out-of-memory killer has struck since we last looked.
    async fn memory_ran_out(&self, id: &SandboxId) -> bool {
        let script = "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null; true";
        let words = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let Ok(raw) = self.run_own(id, ExecUser::Agent, words).await else { return false };
        let kills = oom_kills(&String::from_utf8_lossy(&raw.stdout));
        let before = self.remember(|memory| memory.oom_kills.insert(id.clone(), kills)).unwrap_or(0);
        kills > before
    }

    /// A command of our own, without the wrapper.
    async fn run_own(&self, id: &SandboxId, user: ExecUser, words: Vec<String>) -> Result<Raw, EngineError> {
        let prepared = Prepared {
            words,
            user,
            folder: "/".to_owned(),
            variables: Vec::new(),
            stdin: None,
            timeout: Duration::from_secs(10),
            output_limit: 16 * 1024,
        };
        self.run_resumed(id, prepared, &mut |_| {}).await
    }
}

impl Raw {
    fn take(&mut self, part: LogOutput, limit: usize, watcher: &mut (dyn FnMut(Part<'_>) + Send)) {
        let (kept, bytes) = match &part {
            LogOutput::StdErr { message } => {
                watcher(Part::Stderr(message));
                (&mut self.stderr, message)
            }
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                watcher(Part::Stdout(message));
                (&mut self.stdout, message)
            }
        };
        let room = limit.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
        self.dropped += (bytes.len() - room) as u64;
    }
}

/// Both generations of control groups have a line `oom_kill N`.
fn oom_kills(text: &str) -> u64 {
    text.lines().filter_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_of_control_groups_are_read() {
        assert_eq!(oom_kills("low 0\nhigh 0\noom 4\noom_kill 3\noom_group_kill 0\n"), 3);
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(oom_kills(""), 0);
    }

    #[test]
    fn output_beyond_the_limit_is_counted() {
        let mut raw = Raw { end: RawEnd::OutOfTime, stdout: Vec::new(), stderr: Vec::new(), dropped: 0 };
        let mut seen = 0;
        for _ in 0..3 {
            raw.take(LogOutput::StdOut { message: bytes::Bytes::from_static(b"12345") }, 8, &mut |part| match part {
                Part::Stdout(bytes) | Part::Stderr(bytes) => seen += bytes.len(),
            });
        }
        assert_eq!((raw.stdout.as_slice(), raw.dropped, seen), (&b"12345123"[..], 7, 15));
    }
}
