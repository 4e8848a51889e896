//! An agent's output, line by line, from a byte offset on.

use std::{fs::File, io, os::unix::fs::FileExt};

use serde::{Deserialize, Serialize};

/// How far `out` was read: a byte offset, always just behind a line's end. Stored with the events made of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub u64);

impl Cursor {
    pub const START: Cursor = Cursor(0);
}

/// What an agent may cost.
#[derive(Debug, Clone, Copy)]
pub struct OutputLimits {
    /// Bytes in one line.
    pub line: usize,
    /// Bytes in `out`, the generation's whole life; in `err` as well.
    pub total: u64,
    /// Lines that are no message, and messages that nobody waits for.
    pub noise: u32,
    /// Requests of the agent's that are answered.
    pub requests: u32,
    /// What is done in one turn. Neighbouring words are one piece, since they are stored together.
    pub pieces: u32,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { line: 8 << 20, total: 512 << 20, noise: 10_000, requests: 10_000, pieces: 50_000 }
    }
}

/// Why an agent's output is not read any further.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("a line of its output is longer than {limit} bytes")]
    LineTooLong { limit: usize },
    #[error("its output is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("its output has {length} bytes, but {cursor} were read: it was cut off")]
    Shrunk { length: u64, cursor: u64 },
    #[error("byte {cursor} of its output is not a line's start")]
    Misplaced { cursor: u64 },
    #[error("its output cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A whole line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// The cursor behind it.
    pub(crate) end: Cursor,
}

const CHUNK: usize = 64 << 10;

/// Reads are plain reads: the file lies in the page cache, and a thread to wait for each would cost more than it spares.
#[derive(Debug)]
pub(crate) struct OutputReader {
    file: File,
    /// The offset of `buffer[0]`.
    start: u64,
    buffer: Vec<u8>,
    /// `buffer[..consumed]` was given out.
    consumed: usize,
    /// `buffer[..searched]` holds no line's end behind `consumed`.
    searched: usize,
    limits: OutputLimits,
}

impl OutputReader {
    pub(crate) fn open(file: File, cursor: Cursor, limits: OutputLimits) -> Result<Self, OutputError> {
        let length = file.metadata()?.len();
        if length < cursor.0 {
            return Err(OutputError::Shrunk { length, cursor: cursor.0 });
        }
        let mut before = [b'\n'];
        if cursor.0 > 0 {
            file.read_exact_at(&mut before, cursor.0 - 1)?;
        }
        if before != [b'\n'] {
            return Err(OutputError::Misplaced { cursor: cursor.0 });
        }
        Ok(Self { file, start: cursor.0, buffer: Vec::new(), consumed: 0, searched: 0, limits })
    }

    /// The next whole line, or `None` where there is none yet.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>, OutputError> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                let bytes = self.buffer[self.consumed..end].to_vec();
                if bytes.len() > self.limits.line {
                    return Err(OutputError::LineTooLong { limit: self.limits.line });
                }
                self.consumed = end + 1;
                self.searched = self.consumed;
                return Ok(Some(Line { bytes, end: Cursor(self.start + self.consumed as u64) }));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() - self.consumed > self.limits.line {
                return Err(OutputError::LineTooLong { limit: self.limits.line });
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Behind the last line that was given out.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor(self.start + self.consumed as u64)
    }

    /// How many bytes were seen, whole lines or not: grows with every sign of life.
    pub(crate) fn seen(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    fn fill(&mut self) -> Result<bool, OutputError> {
        self.buffer.drain(..self.consumed);
        self.start += self.consumed as u64;
        self.searched -= self.consumed;
        self.consumed = 0;
        let (held, end) = (self.buffer.len(), self.seen());
        // Not only what was read: whoever writes faster than is read here fills the disk.
        if self.file.metadata()?.len() > self.limits.total {
            return Err(OutputError::TooLarge { limit: self.limits.total });
        }
        self.buffer.resize(held + CHUNK, 0);
        let read = self.file.read_at(&mut self.buffer[held..], end);
        self.buffer.truncate(held + read.as_ref().map_or(0, |read| *read));
        let read = read?;
        if read == 0 {
            if held == 0 {
                // A quiet agent holds no buffer.
                self.buffer = Vec::new();
            }
            let length = self.file.metadata()?.len();
            if length < end {
                return Err(OutputError::Shrunk { length, cursor: end });
            }
        }
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn reader(file: &tempfile::NamedTempFile, cursor: u64, limits: OutputLimits) -> Result<OutputReader, OutputError> {
        OutputReader::open(File::open(file.path()).unwrap(), Cursor(cursor), limits)
    }

    fn all(reader: &mut OutputReader) -> Vec<Line> {
        std::iter::from_fn(|| reader.next_line().unwrap()).collect()
    }

    proptest! {
        /// However the agent's writes are cut into pieces, and wherever one starts to read again: every line once, in order.
        #[test]
        fn every_line_is_read_once(lines in proptest::collection::vec("[a-z]{0,40}", 1..30), piece in 1usize..50, again in 0usize..30) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let mut first = reader(&file, 0, OutputLimits::default()).unwrap();
            let mut read = Vec::new();
            for piece in text.as_bytes().chunks(piece) {
                file.write_all(piece).unwrap();
                read.extend(all(&mut first));
            }
            let texts: Vec<_> = read.iter().map(|line| String::from_utf8(line.bytes.clone()).unwrap()).collect();
            prop_assert_eq!(&texts, &lines);

            let again = again.min(read.len() - 1);
            let rest = all(&mut reader(&file, read[again].end.0, OutputLimits::default()).unwrap());
            prop_assert_eq!(&rest[..], &read[again + 1..]);
        }
    }

    #[test]
    fn an_endless_line_is_an_error_that_holds_no_more_than_the_limit() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let mut reader = reader(&file, 0, OutputLimits { line: 1000, ..OutputLimits::default() }).unwrap();
        assert!(matches!(reader.next_line(), Err(OutputError::LineTooLong { limit: 1000 })));
        assert!(reader.buffer.len() <= CHUNK + 1000);
    }

    #[test]
    fn too_much_output_and_output_cut_off_are_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&b"line\n".repeat(100_000)).unwrap();
        let mut reader_ = reader(&file, 0, OutputLimits { total: 100_000, ..OutputLimits::default() }).unwrap();
        let error = reader_.next_line().unwrap_err();
        assert!(matches!(error, OutputError::TooLarge { limit: 100_000 }), "before much of it was read: {error}");

        let mut reader_ = reader(&file, 500_000, OutputLimits::default()).unwrap();
        file.as_file().set_len(10).unwrap();
        assert!(matches!(reader_.next_line(), Err(OutputError::Shrunk { length: 10, cursor: 500_000 })));
        assert!(matches!(reader(&file, 11, OutputLimits::default()), Err(OutputError::Shrunk { .. })));
        assert!(matches!(reader(&file, 7, OutputLimits::default()), Err(OutputError::Misplaced { cursor: 7 })));
    }
}
