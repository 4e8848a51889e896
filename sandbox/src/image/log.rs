//! A build's log.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use super::BuildError;

/// What is kept of a command's end for messages.
const TAIL_BYTES: usize = 4000;
const TAIL_LINES: usize = 30;
/// A command that writes without end must not fill the service's disk.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

pub(super) struct BuildLog {
    path: PathBuf,
    file: File,
    written: u64,
    /// The last bytes of the running command.
    recent: Vec<u8>,
    secrets: Vec<String>,
}

impl BuildLog {
    /// Starts the log anew. `secrets` are taken out of messages' tails.
    pub fn create(path: &Path, secrets: Vec<String>) -> Result<Self, BuildError> {
        let failed = |source| BuildError::Log { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = File::create(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, written: 0, recent: Vec::new(), secrets })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn heading(&mut self, text: &str) {
        self.recent.clear();
        self.append(format!("\n== {text}\n").as_bytes());
    }

    pub fn output(&mut self, bytes: &[u8]) {
        self.recent.extend_from_slice(bytes);
        if self.recent.len() > 2 * TAIL_BYTES {
            self.recent.drain(..self.recent.len() - TAIL_BYTES);
        }
        self.append(bytes);
    }

    /// The end of what the running command wrote, readable and without secrets.
    pub fn tail(&self) -> String {
        self.secrets.iter().fold(tail(&self.recent), |text, secret| text.replace(secret.as_str(), "[secret]"))
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.written > MOST_BYTES {
            return;
        }
        self.written += bytes.len() as u64;
        let end: &[u8] = if self.written > MOST_BYTES { b"\n== the log ends here: it grew too long\n" } else { b"" };
        // A log that cannot be written must not fail the build that it is about.
        if let Err(error) = self.file.write_all(bytes).and_then(|()| self.file.write_all(end)) {
            tracing::warn!(path = %self.path.display(), %error, "the build's log cannot be written");
            self.written = u64::MAX / 2;
        }
    }
}

/// The last lines of an output, without control characters.
pub(crate) fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(&output[output.len().saturating_sub(TAIL_BYTES)..]);
    let clean: String = text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let lines: Vec<&str> = clean.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_commands_and_tells_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = BuildLog::create(&folder.path().join("a/b/log"), vec!["hunter2hunter2".to_owned()]).unwrap();
        log.heading("first");
        log.output(b"old news\n");
        log.heading("second");
        for n in 0..100_000 {
            log.output(format!("line {n}\n").as_bytes());
        }
        log.output(b"\x1b[31mtoken hunter2hunter2\n");
        let tail = log.tail();
        assert!(tail.ends_with("[31mtoken [secret]") && tail.contains("line 99999") && !tail.contains("old news"), "{tail}");
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(fs::read_to_string(log.path()).unwrap().contains("line 0\n"));
    }

    #[test]
    fn any_output_has_a_tail() {
        assert_eq!(tail(b""), "");
        assert_eq!(tail(&[0xff, b'\n', 0x07]), "\u{fffd}");
    }
}
