//! Pushes that git would not write.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::io::Write;

use axum::body::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};

use super::{
    pktline::{self, Packet},
    push::{self, PushHead},
    receive,
};
use crate::body::Chunks;

const OWN: &str = "refs/heads/longshore/s-1";

/// The first byte says in pieces of what size the rest comes.
pub const PUSHES: &[&[u8]] = &[
    b"\x05009d0000000000000000000000000000000000000000 1111111111111111111111111111111111111111 refs/heads/longshore/s-1\0 report-status-v2 side-band-64k agent=git/2.470000PACK",
    b"\x01007d0000000000000000000000000000000000000000 1111111111111111111111111111111111111111 refs/heads/longshore/s-1\0 report-status006faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1111111111111111111111111111111111111111 refs/heads/longshore/s-1\n0000",
    b"!006e0000000000000000000000000000000000000000 1111111111111111111111111111111111111111 refs/heads/longshore/s-10065aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1111111111111111111111111111111111111111 refs/heads/main0000",
    b"\xff0034shallow 1111111111111111111111111111111111111111006e0000000000000000000000000000000000000000 1111111111111111111111111111111111111111 refs/heads/longshore/s-10000",
    b"\x03006e1111111111111111111111111111111111111111 0000000000000000000000000000000000000000 refs/heads/longshore/s-10000",
    b"\x070013push-cert\0nonce0000",
    b"\x080000",
];

/// However a push is cut and wherever it is zipped, it is read the same; and none that git would take for a change of another ref, a deletion or a
/// signed one is let through.
pub fn push(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let size = usize::from(*size).max(1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let whole = push::read_head(bytes);
    let pieces = runtime.block_on(streamed(&HeaderMap::new(), bytes, size));
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(bytes).unwrap();
    let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    assert_eq!(runtime.block_on(streamed(&headers, &zipped.finish().unwrap(), size)), pieces, "zipped or not");
    let head = whole.clone().ok().flatten();
    assert_eq!(pieces, head, "in pieces or at once");

    let Some(head) = head else { return };
    assert!(head.length <= bytes.len());
    assert_eq!(push::read_head(&bytes[..head.length]), whole, "what comes behind the head is no part of it");
    let reasons = push::judge(&head.commands, OWN);
    match &reasons {
        None => {
            for (new, name) in as_git_reads(&bytes[..head.length]) {
                assert_eq!(name, OWN.as_bytes(), "{}", String::from_utf8_lossy(&name));
                assert!(new.iter().any(|digit| *digit != b'0'), "a deletion");
            }
            assert!(packets(&bytes[..head.length]).iter().all(|line| !line.starts_with(b"push-cert")));
        }
        Some(reasons) => {
            assert_eq!(reasons.len(), head.commands.len());
            let refusal = push::refusal(&head, "ok", reasons, "no\nnot this");
            packets(&refusal);
        }
    }
}

/// The head as the gateway reads it from a request; None where it is refused.
async fn streamed(headers: &HeaderMap, bytes: &[u8], size: usize) -> Option<PushHead> {
    let chunks: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body: Chunks = stream::iter(chunks).boxed();
    let Ok(mut plain) = receive::plain(headers, body) else { return None };
    let (head, read) = receive::read_head(&mut plain).await.ok()?;
    assert!(read.len() >= head.length, "what was judged goes upstream");
    Some(head)
}

/// What `read_head_info` of `builtin/receive-pack.c` makes of the commands, leniently: any line with two ids and a name changes that ref. Each
/// text ends at its first zero byte, since git's are C's.
fn as_git_reads(head: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut commands = Vec::new();
    for line in packets(head) {
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let hex = |part: &[u8]| part.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        for length in [40, 64] {
            let Some((old, rest)) = text.split_at_checked(length) else { continue };
            let Some(rest) = rest.strip_prefix(b" ") else { continue };
            let Some((new, rest)) = rest.split_at_checked(length) else { continue };
            let Some(name) = rest.strip_prefix(b" ") else { continue };
            if hex(old) == length && hex(new) == length {
                commands.push((new.to_vec(), name.to_vec()));
            }
        }
    }
    commands
}

/// The data packets up to the flush, read by plain means.
fn packets(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..4]).unwrap(), 16).unwrap();
        match length {
            0 => break,
            _ => lines.push(bytes[4..length].to_vec()),
        }
        let (packet, taken) = pktline::take(bytes).unwrap().unwrap();
        assert_eq!((packet, taken), (Packet::Data(&bytes[4..length]), length));
        bytes = &bytes[length..];
    }
    lines
}
