//! The head of a push: the commands that say which refs shall become what. Read whole before anything is sent upstream.
//!
//! Source: gitprotocol-pack(5), "Reference Update Request and Packfile Transfer"; git's own reader is `read_head_info` in `builtin/receive-pack.c`.

use super::pktline::{self, Packet, PacketError};

/// One ref and what shall become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// As sent; compared as bytes, since git's refs are bytes.
    pub git_ref: Vec<u8>,
    pub change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    CreateOrUpdate,
    Delete,
}

/// A push's head, and how many bytes it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushHead {
    /// Empty for the probe that git sends before a long push.
    pub commands: Vec<Command>,
    pub capabilities: Capabilities,
    pub length: usize,
}

/// What the client can read in the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub report_status: bool,
    /// `side-band-64k`; receive-pack has no older kind.
    pub side_band: bool,
}

/// Why a push is not read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error("the push's commands are not as git writes them")]
    Malformed,
    #[error("the push names too many refs")]
    TooLong,
    #[error("signed pushes are not passed on: push without --signed")]
    Signed,
    #[error("push options are not passed on: push without --push-option")]
    Options,
}

/// Bytes of commands that are read at most: several hundred refs, where one is allowed.
pub const LONGEST_HEAD: usize = 256 * 1024;

/// Reads the head of a push from the bytes that came so far. None while the end of the commands is not among them.
pub fn read_head(bytes: &[u8]) -> Result<Option<PushHead>, PushError> {
    let mut commands: Vec<Command> = Vec::new();
    let mut capabilities = Capabilities::default();
    let mut length = 0;
    loop {
        if length > LONGEST_HEAD {
            return Err(PushError::TooLong);
        }
        let Some((packet, taken)) = pktline::take(&bytes[length..])? else {
            return if bytes.len() > LONGEST_HEAD { Err(PushError::TooLong) } else { Ok(None) };
        };
        length += taken;
        match packet {
            Packet::Flush => return Ok(Some(PushHead { commands, capabilities, length })),
            Packet::Data(line) if line.starts_with(b"push-cert") => return Err(PushError::Signed),
            Packet::Data(line) if line.starts_with(b"shallow ") => {
                let id = line.strip_prefix(b"shallow ").unwrap_or_default();
                if object_id(id.strip_suffix(b"\n").unwrap_or(id)).is_none() {
                    return Err(PushError::Malformed);
                }
            }
            Packet::Data(line) => {
                let (text, listed) = match line.iter().position(|c| *c == 0) {
                    // git reads capabilities behind every command, and writes them behind the first.
                    Some(_) if !commands.is_empty() => return Err(PushError::Malformed),
                    Some(nul) => (&line[..nul], &line[nul + 1..]),
                    None => (line, &[][..]),
                };
                for capability in listed.split(|c| matches!(c, b' ' | b'\n' | 0)) {
                    match capability {
                        b"report-status" | b"report-status-v2" => capabilities.report_status = true,
                        b"side-band-64k" => capabilities.side_band = true,
                        b"push-options" => return Err(PushError::Options),
                        _ => {}
                    }
                }
                commands.push(command(text.strip_suffix(b"\n").unwrap_or(text)).ok_or(PushError::Malformed)?);
            }
            Packet::Delimiter | Packet::ResponseEnd => return Err(PushError::Malformed),
        }
    }
}

/// `old-id SP new-id SP ref`.
fn command(line: &[u8]) -> Option<Command> {
    let mut parts = line.splitn(3, |c| *c == b' ');
    let (old, new, git_ref) = (object_id(parts.next()?)?, object_id(parts.next()?)?, parts.next()?);
    if old.len() != new.len() || git_ref.is_empty() {
        return None;
    }
    let change = if new.iter().all(|c| *c == b'0') { Change::Delete } else { Change::CreateOrUpdate };
    Some(Command { git_ref: git_ref.to_vec(), change })
}

/// SHA-1 or SHA-256 in hexadecimal.
fn object_id(text: &[u8]) -> Option<&[u8]> {
    (matches!(text.len(), 40 | 64) && text.iter().all(u8::is_ascii_hexdigit)).then_some(text)
}

/// Why each ref of the push is refused, in the push's order; None when all are allowed. One refused ref refuses them all, since nothing is sent on.
pub fn judge(commands: &[Command], allowed: &str) -> Option<Vec<String>> {
    let own = |command: &Command| command.git_ref == allowed.as_bytes();
    let reasons: Vec<Option<String>> = commands
        .iter()
        .map(|command| match command.change {
            Change::Delete => Some("refs are not deleted from a sandbox".to_owned()),
            Change::CreateOrUpdate if own(command) => None,
            Change::CreateOrUpdate if command.git_ref.starts_with(b"refs/tags/") => Some("tags are not pushed from a sandbox".to_owned()),
            Change::CreateOrUpdate => Some(format!("this session pushes to {} only", allowed.trim_start_matches("refs/heads/"))),
        })
        .collect();
    if reasons.iter().all(Option::is_none) {
        return None;
    }
    Some(reasons.into_iter().map(|reason| reason.unwrap_or_else(|| "not pushed, since another ref was refused".to_owned())).collect())
}

/// A receive-pack answer that refuses every ref with its reason and says `message` in the sandbox's terminal.
///
/// `unpack` is `ok` or what went wrong with the pack. Without `report-status` the client reads no reasons: only the side band is left to say it.
pub fn refusal(head: &PushHead, unpack: &str, reasons: &[String], message: &str) -> Vec<u8> {
    let mut report = Vec::new();
    if head.capabilities.report_status {
        pktline::put(&mut report, format!("unpack {unpack}\n").as_bytes());
        for (command, reason) in head.commands.iter().zip(reasons) {
            let line = [b"ng ", command.git_ref.as_slice(), b" longshore: ", reason.as_bytes(), b"\n"].concat();
            pktline::put(&mut report, &line);
        }
        pktline::put_flush(&mut report);
    }
    if !head.capabilities.side_band {
        return report;
    }
    let mut out = Vec::new();
    for line in message.lines() {
        pktline::put(&mut out, format!("\u{2}longshore: {line}\n").as_bytes());
    }
    for part in report.chunks(pktline::LONGEST - 5) {
        pktline::put(&mut out, &[b"\x01", part].concat());
    }
    pktline::put_flush(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: &str = "0000000000000000000000000000000000000000";
    const NEW: &str = "1111111111111111111111111111111111111111";

    fn packets(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            pktline::put(&mut out, line.as_bytes());
        }
        pktline::put_flush(&mut out);
        out
    }

    fn read(lines: &[&str]) -> Result<PushHead, PushError> {
        read_head(&packets(lines)).map(Option::unwrap)
    }

    #[test]
    fn a_push_as_git_writes_it() {
        let mut bytes = packets(&[
            &format!("shallow {NEW}"),
            &format!("{OLD} {NEW} refs/heads/longshore/s-1\0 report-status-v2 side-band-64k object-format=sha1 agent=git/2.47.3"),
            &format!("{NEW} {OLD} refs/heads/main"),
        ]);
        let length = bytes.len();
        bytes.extend(b"PACK....");
        let head = read_head(&bytes).unwrap().unwrap();
        assert_eq!(head.length, length);
        assert_eq!(head.capabilities, Capabilities { report_status: true, side_band: true });
        assert_eq!(head.commands[0], Command { git_ref: b"refs/heads/longshore/s-1".to_vec(), change: Change::CreateOrUpdate });
        assert_eq!(head.commands[1].change, Change::Delete);
        for cut in 0..length {
            assert_eq!(read_head(&bytes[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn what_would_be_read_differently_upstream_is_refused() {
        assert_eq!(read(&["push-cert\0push-cert=nonce"]), Err(PushError::Signed));
        assert_eq!(read(&[&format!("{OLD} {NEW} refs/heads/x\0push-options")]), Err(PushError::Options));
        let first = format!("{OLD} {NEW} refs/heads/x\0report-status");
        assert_eq!(read(&[&first, &format!("{OLD} {NEW} refs/heads/x\0push-options")]), Err(PushError::Malformed));
        for bad in ["", "x", &format!("{OLD} {NEW}"), &format!("{OLD} {NEW} "), &format!("{OLD}  {NEW} refs/heads/x"), "shallow x"] {
            assert_eq!(read(&[bad]), Err(PushError::Malformed), "{bad}");
        }
        assert_eq!(read_head(b"0001"), Err(PushError::Malformed));
        let many = vec![first.as_str(); 5000];
        let many: Vec<&str> = many.iter().map(|line| line.split('\0').next().unwrap()).collect();
        assert_eq!(read(&many), Err(PushError::TooLong));
    }

    #[test]
    fn only_the_own_branch_may_be_pushed() {
        let judged = |line: &str| judge(&read(&[line]).unwrap().commands, "refs/heads/longshore/s-1");
        assert_eq!(judged(&format!("{OLD} {NEW} refs/heads/longshore/s-1")), None);
        assert_eq!(judged(&format!("{OLD} {NEW} refs/heads/longshore/s-1\n")), None);
        for other in ["main", "longshore/s-1 ", "longshore/s-1/x", "longshore/S-1", "longshore/s-2"] {
            let reasons = judged(&format!("{OLD} {NEW} refs/heads/{other}")).unwrap();
            assert_eq!(reasons, ["this session pushes to longshore/s-1 only"], "{other}");
        }
        assert_eq!(judged(&format!("{NEW} {OLD} refs/heads/longshore/s-1")).unwrap(), ["refs are not deleted from a sandbox"]);
        assert_eq!(judged(&format!("{OLD} {NEW} refs/tags/v1")).unwrap(), ["tags are not pushed from a sandbox"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_head(&bytes);
        }

        #[test]
        fn any_packets_are_read_or_refused(lines in proptest::collection::vec("[0-9a-f \\x00]{0,20}(refs/heads/)?[a-z \\x00]{0,20}", 0..6)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let bytes = packets(&lines);
            if let Ok(Some(head)) = read_head(&bytes) {
                prop_assert_eq!(head.length, bytes.len());
            }
        }

        /// Where the stream is cut decides nothing.
        #[test]
        fn a_cut_head_is_never_read_differently(refs in proptest::collection::vec("refs/(heads|tags)/[a-z/]{1,12}", 1..5), cut in 0usize..400) {
            let lines: Vec<String> = refs.iter().map(|name| format!("{OLD} {NEW} {name}")).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let bytes = packets(&lines);
            let whole = read_head(&bytes).unwrap().unwrap();
            prop_assert_eq!(whole.commands.len(), refs.len());
            if cut < bytes.len() {
                prop_assert_eq!(read_head(&bytes[..cut]), Ok(None));
            }
        }
    }
}
