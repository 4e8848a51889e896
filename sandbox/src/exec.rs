//! A command in a sandbox, and what came of it.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Argv(Vec<String>),
    /// A line for `bash -c`.
    Shell(String),
}

/// Who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecUser {
    /// uid and gid 1000, as the agent.
    Agent,
    /// uid 0, which in a sandbox has no capability either.
    Root,
}

/// A command to run in a sandbox. The words of it can be read by anyone who may see the engine's events: no secret belongs there, but into
/// `stdin` or the sandbox's variables.
#[derive(Debug, Clone)]
pub struct Exec {
    pub command: Command,
    pub user: ExecUser,
    /// An absolute path; `/workspace` where none is given.
    pub folder: Option<String>,
    /// More variables, beside those of the sandbox. Not for secrets.
    pub environment: Vec<(String, String)>,
    pub stdin: Option<Bytes>,
    /// Every process of the command is killed after this.
    pub timeout: Duration,
    /// Bytes kept of stdout, and of stderr; the rest is read and dropped.
    pub output_limit: usize,
}

impl Exec {
    fn new(command: Command) -> Self {
        Self {
            command,
            user: ExecUser::Agent,
            folder: None,
            environment: Vec::new(),
            stdin: None,
            timeout: Duration::from_secs(60),
            output_limit: 1024 * 1024,
        }
    }

    /// A line for the shell: as the agent, one minute, one MiB of output.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::new(Command::Shell(line.into()))
    }

    /// A program and its arguments: as the agent, one minute, one MiB of output.
    pub fn argv<I, S>(words: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self::new(Command::Argv(words.into_iter().map(Into::into).collect()))
    }

    pub fn user(mut self, user: ExecUser) -> Self {
        self.user = user;
        self
    }

    pub fn folder(mut self, folder: impl Into<String>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    pub fn stdin(mut self, stdin: impl Into<Bytes>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    pub fn variable(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecEnd {
    /// With this status; 128 + N where signal N ended it.
    Exited(i32),
    /// It was killed at its time limit.
    TimedOut,
    /// The kernel killed it, or a process of its, for memory.
    OutOfMemory,
}

impl ExecEnd {
    /// The end of a sentence that begins with the command.
    pub fn words(self) -> String {
        match self {
            Self::Exited(code) => format!("ended with status {code}"),
            Self::TimedOut => "took too long and was killed".to_owned(),
            Self::OutOfMemory => "ran out of memory".to_owned(),
        }
    }
}

/// What a command left.
#[derive(Debug, Clone)]
pub struct ExecOutput {
    pub end: ExecEnd,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Bytes that were dropped because of `output_limit`.
    pub dropped: u64,
    pub took: Duration,
}

impl ExecOutput {
    pub fn succeeded(&self) -> bool {
        self.end == ExecEnd::Exited(0)
    }

    /// None where it was killed for time or memory.
    pub fn exit_code(&self) -> Option<i32> {
        match self.end {
            ExecEnd::Exited(code) => Some(code),
            ExecEnd::TimedOut | ExecEnd::OutOfMemory => None,
        }
    }

    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    pub fn stderr_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}
