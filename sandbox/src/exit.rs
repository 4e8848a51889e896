//! How a sandbox ended.

/// Why a sandbox runs no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// We stopped it, or its process ended with status 0.
    Stopped,
    /// The kernel killed it because it used up its memory.
    OutOfMemory,
    /// A signal from outside killed it.
    Killed { signal: i32 },
    /// Its process ended with a status of its own.
    Failed { code: i32 },
    /// The engine knows it no longer.
    Gone,
}

impl Exit {
    /// `status` is the process's exit status, 128 + N for signal N.
    pub(crate) fn from_status(status: i64, oom_killed: OomKilled) -> Self {
        let code = i32::try_from(status).unwrap_or(i32::MAX);
        match (code, oom_killed) {
            (137, OomKilled::Yes) => Self::OutOfMemory,
            (0, _) => Self::Stopped,
            (129..=159, _) => Self::Killed { signal: code - 128 },
            _ => Self::Failed { code },
        }
    }

    /// One sentence for a person who knows nothing of containers.
    pub fn words(&self) -> String {
        match self {
            Self::Stopped => "The sandbox was stopped.".to_owned(),
            Self::OutOfMemory => {
                "The sandbox ran out of memory. Give it more (`limits.memory_mb` in the repository's manifest) or ask for less at once."
                    .to_owned()
            }
            Self::Killed { signal: 9 } => "The sandbox was killed from outside, for instance because the machine restarted.".to_owned(),
            Self::Killed { signal } => format!("The sandbox was ended from outside (signal {signal})."),
            Self::Failed { code } => format!("The agent's process ended on its own, with status {code}."),
            Self::Gone => "The sandbox is gone: the machine lost it, or somebody removed it.".to_owned(),
        }
    }
}

/// Whether the kernel's out-of-memory killer struck in the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OomKilled {
    Yes,
    No,
}

impl From<Option<bool>> for OomKilled {
    fn from(flag: Option<bool>) -> Self {
        if flag == Some(true) { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_a_name() {
        assert_eq!(Exit::from_status(0, OomKilled::No), Exit::Stopped);
        assert_eq!(Exit::from_status(137, OomKilled::Yes), Exit::OutOfMemory);
        assert_eq!(Exit::from_status(137, OomKilled::No), Exit::Killed { signal: 9 });
        assert_eq!(Exit::from_status(143, OomKilled::No), Exit::Killed { signal: 15 });
        // A child of the process was killed for memory, the process itself ended of something else.
        assert_eq!(Exit::from_status(2, OomKilled::Yes), Exit::Failed { code: 2 });
        assert!(Exit::OutOfMemory.words().contains("limits.memory_mb"));
    }
}
