//! The folder between the service and an agent's process: what was sent is read from the file that it was sent through.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::wire::mark_of;

/// The longest line that is sent: a prompt with a few screenshots.
const MAX_SENT_LINE: usize = 32 << 20;
/// The longest `in` that is read back. One generation's prompts come nowhere near it.
const MAX_INPUT: u64 = 512 << 20;
/// The end of `err` that a failure may quote.
const STDERR_TAIL: u64 = 4096;

/// Why a carrier cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    #[error("the carrier's file {} cannot be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a plain file", path.display())]
    NotAFile { path: PathBuf },
    #[error("a message of {bytes} bytes is too long for the agent (at most {MAX_SENT_LINE})")]
    MessageTooLong { bytes: usize },
    #[error("{} has {bytes} bytes, more than one agent is ever sent", path.display())]
    InputTooLarge { path: PathBuf, bytes: u64 },
    #[error("a message without an id cannot be sent exactly once")]
    NoId,
}

/// Whether this call wrote the message, or an earlier one did (perhaps before a restart of the service).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Now,
    Before,
}

/// One container generation's `in`, `out` and `err`. At most one `Carrier` may be open for a folder.
#[derive(Debug)]
pub struct Carrier {
    folder: PathBuf,
    input: File,
    output: File,
    errors: File,
    /// Ids of everything that stands in `in` as a whole line.
    sent: HashSet<String>,
    /// `in` up to here is whole lines that `sent` knows.
    known: u64,
}

impl Carrier {
    /// Makes the three files where they are missing, then opens the folder.
    pub fn create(folder: &Path) -> Result<Self, CarrierError> {
        std::fs::create_dir_all(folder).map_err(|source| CarrierError::Io { path: folder.to_owned(), source })?;
        for name in ["in", "out", "err"] {
            let path = folder.join(name);
            let made = OpenOptions::new().append(true).create(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
            made.map_err(|source| CarrierError::Io { path, source })?;
        }
        Self::open(folder)
    }

    /// Opens an existing folder, reads back what was sent, and closes a line that a crash left torn.
    pub fn open(folder: &Path) -> Result<Self, CarrierError> {
        let input = open_plain(&folder.join("in"), OpenOptions::new().read(true).append(true))?;
        let output = open_plain(&folder.join("out"), OpenOptions::new().read(true))?;
        let errors = open_plain(&folder.join("err"), OpenOptions::new().read(true))?;
        let mut carrier = Self { folder: folder.to_owned(), input, output, errors, sent: HashSet::new(), known: 0 };
        carrier.catch_up()?;
        Ok(carrier)
    }

    /// Whether a message with this id stands in `in`.
    pub fn has_sent(&self, id: &str) -> bool {
        self.sent.contains(id)
    }

    /// Sends the message unless one with its id was sent before. After an error the message may or may not have got through; the same
    /// call again settles it.
    pub fn send(&mut self, message: &Value) -> Result<Delivery, CarrierError> {
        let id = mark_of(message).ok_or(CarrierError::NoId)?;
        // A write that failed half-way in this process left the same tear as one that a crash cut off.
        self.catch_up()?;
        if self.sent.contains(&id) {
            return Ok(Delivery::Before);
        }
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        if line.len() > MAX_SENT_LINE {
            return Err(CarrierError::MessageTooLong { bytes: line.len() });
        }
        self.input.write_all(&line).map_err(|source| self.io("in", source))?;
        self.known += line.len() as u64;
        self.sent.insert(id);
        Ok(Delivery::Now)
    }

    /// Ids of what was sent, in no order.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &str> {
        self.sent.iter().map(String::as_str)
    }

    /// A second handle on `out`, for reading.
    pub(crate) fn output(&self) -> Result<File, CarrierError> {
        self.output.try_clone().map_err(|source| self.io("out", source))
    }

    /// How many bytes the agent printed beside its output.
    pub(crate) fn stderr_length(&self) -> u64 {
        self.errors.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The last bytes of `err`; empty where it cannot be read.
    pub(crate) fn stderr_tail(&self) -> Vec<u8> {
        let length = self.stderr_length();
        let mut tail = vec![0; usize::try_from(length.min(STDERR_TAIL)).unwrap_or(0)];
        let read = self.errors.read_at(&mut tail, length.saturating_sub(STDERR_TAIL)).unwrap_or(0);
        tail.truncate(read);
        tail
    }

    fn catch_up(&mut self) -> Result<(), CarrierError> {
        let length = self.input.metadata().map_err(|source| self.io("in", source))?.len();
        if length <= self.known {
            return Ok(());
        }
        if length > MAX_INPUT {
            return Err(CarrierError::InputTooLarge { path: self.folder.join("in"), bytes: length });
        }
        let mut unknown = vec![0; usize::try_from(length - self.known).unwrap_or(0)];
        self.input.read_exact_at(&mut unknown, self.known).map_err(|source| self.io("in", source))?;
        let mut end = length;
        if unknown.last() != Some(&b'\n') {
            // The agent may have read the torn part already, so it can only be closed, never taken back. A cut-off JSON object is never
            // valid JSON: either the line was whole but for its end, and counts, or the agent skips it.
            self.input.write_all(b"\n").map_err(|source| self.io("in", source))?;
            end += 1;
            tracing::warn!(folder = %self.folder.display(), "closed a torn line to the agent");
        }
        for line in unknown.split(|byte| *byte == b'\n') {
            if let Some(id) = serde_json::from_slice::<Value>(line).ok().as_ref().and_then(mark_of) {
                self.sent.insert(id);
            }
        }
        self.known = end;
        Ok(())
    }

    fn io(&self, name: &str, source: io::Error) -> CarrierError {
        CarrierError::Io { path: self.folder.join(name), source }
    }
}

/// Opens a file that a hostile process may have replaced: neither a link to something of the host's nor a pipe that blocks is taken.
fn open_plain(path: &Path, options: &mut OpenOptions) -> Result<File, CarrierError> {
    let failed = |source| CarrierError::Io { path: path.to_owned(), source };
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(CarrierError::NotAFile { path: path.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn message(id: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "method": "session/prompt", "params": {"text": "ünïcode\nand a line"}})
    }

    fn input(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("in")).unwrap()
    }

    #[test]
    fn a_message_is_written_once_however_often_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let mut carrier = Carrier::create(folder.path()).unwrap();
        assert_eq!(carrier.send(&message("prompt-1")).unwrap(), Delivery::Now);
        assert_eq!(carrier.send(&message("prompt-1")).unwrap(), Delivery::Before);
        drop(carrier);
        let mut carrier = Carrier::open(folder.path()).unwrap();
        assert!(carrier.has_sent("prompt-1") && !carrier.has_sent("prompt-2"));
        assert_eq!(carrier.send(&message("prompt-1")).unwrap(), Delivery::Before);
        assert_eq!(input(folder.path()).lines().count(), 1);
    }

    #[test]
    fn what_is_no_plain_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(Carrier::create(folder.path()).unwrap());
        std::fs::remove_file(folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
        assert!(matches!(Carrier::open(folder.path()), Err(CarrierError::Io { .. })));
        std::fs::remove_file(folder.path().join("out")).unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        assert!(matches!(Carrier::open(folder.path()), Err(CarrierError::NotAFile { .. })));
    }

    #[test]
    fn a_folder_without_files_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = Carrier::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&folder.path().join("in").display().to_string()), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Wherever a crash cuts a write, after opening again: the message counts as sent exactly if the agent gets it whole, every whole
        /// line is there once, and the message can be sent.
        #[test]
        fn a_write_cut_anywhere_is_delivered_exactly_once(cut in 0usize..200) {
            let folder = tempfile::tempdir().unwrap();
            Carrier::create(folder.path()).unwrap().send(&message("prompt-1")).unwrap();
            let mut line = message("prompt-2").to_string();
            line.push('\n');
            let cut = cut.min(line.len());
            OpenOptions::new().append(true).open(folder.path().join("in")).unwrap().write_all(&line.as_bytes()[..cut]).unwrap();

            let mut carrier = Carrier::open(folder.path()).unwrap();
            prop_assert_eq!(carrier.has_sent("prompt-2"), cut + 1 >= line.len());
            carrier.send(&message("prompt-2")).unwrap();
            carrier.send(&message("prompt-3")).unwrap();

            let text = std::fs::read(folder.path().join("in")).unwrap();
            let received: Vec<String> = text.split(|byte| *byte == b'\n')
                .filter_map(|line| serde_json::from_slice::<Value>(line).ok()).filter_map(|value| mark_of(&value)).collect();
            prop_assert_eq!(received, ["prompt-1", "prompt-2", "prompt-3"]);
        }

        #[test]
        fn any_bytes_in_the_file_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            drop(Carrier::create(folder.path()).unwrap());
            std::fs::write(folder.path().join("in"), &bytes).unwrap();
            let mut carrier = Carrier::open(folder.path()).unwrap();
            carrier.send(&message("prompt-9")).unwrap();
            let last = std::fs::read(folder.path().join("in")).unwrap();
            let expected = format!("{}\n", message("prompt-9"));
            prop_assert!(last.ends_with(expected.as_bytes()));
        }
    }
}
