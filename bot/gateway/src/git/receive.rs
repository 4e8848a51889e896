//! A push: its commands are read and judged, then its bytes are streamed on.

use std::{io::Write, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
};
use bytes::{Bytes, BytesMut};
use flate2::write::GzDecoder;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use longshore_session::{RepoName, fault_point};
use tokio::sync::oneshot;

use super::{
    Ask, REQUEST_HEADERS, Refusal, Service, allowed,
    pktline::{self, Packet},
    push::{self, PushError, PushHead},
};
use crate::{
    Access, Pass,
    body::{self, BodyError, Chunks, HeldBody},
    door::{Entry, Peer},
    gateway::{Shared, only},
};

pub(super) async fn receive_pack(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path((owner, name)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let refused = async {
        let (parts, body) = request.into_parts();
        let Entry { pass, slot } = shared.enter(&parts.headers, &header::AUTHORIZATION, peer)?;
        let repo = allowed(&pass, Service::ReceivePack, &owner, &name)?;
        let response = shared.push(&pass, &repo, &parts.headers, body).await?;
        Ok(response.map(|body| HeldBody::wrap(body, slot)))
    };
    refused.await.unwrap_or_else(Refusal::response)
}

impl Shared {
    async fn push(&self, pass: &Pass, repo: &RepoName, headers: &HeaderMap, body: Body) -> Result<Response<Body>, Refusal> {
        let limits = &self.config.limits;
        let mut pack = plain(headers, body::chunks(body, limits.stall))?;
        let (head, read) = match read_head(&mut pack).await {
            Ok(read) => read,
            Err(refusal) => {
                body::drain(pack, limits.push).await;
                return Err(refusal);
            }
        };
        if head.commands.is_empty() {
            // Before a long push git asks whether it may, with a push of nothing. It may: the commands are judged when they come.
            return Ok(result(Vec::new()));
        }
        let allowed = pass.push.as_ref().map(super::super::pass::PushRule::git_ref).unwrap_or_default();
        if let Some(reasons) = push::judge(&head.commands, &allowed) {
            tracing::info!(sandbox = %pass.sandbox, %repo, refs = head.commands.len(), "a push was refused");
            let branch = allowed.trim_start_matches("refs/heads/");
            let message = format!(
                "nothing was pushed. From this sandbox only the branch {branch} can be pushed:\n  git push origin HEAD:{branch}\nNo tags, no deletions, no other branches."
            );
            body::drain(pack, limits.push).await;
            return Ok(result(push::refusal(&head, "ok", &reasons, &message)));
        }
        // What was read goes first, exactly as it was read; the rest follows as it comes.
        let (over, mut rest) = oneshot::channel();
        let outgoing = up_to(limits.push, Box::pin(stream::once(async { Ok(read) }).chain(pack)), over);
        let mut forwarded = only(headers, &REQUEST_HEADERS);
        if !headers.contains_key(header::CONTENT_ENCODING) {
            forwarded.extend(only(headers, &["content-length"]));
        }
        let ask =
            Ask { repo, access: Access::Write, method: Method::POST, path: Service::ReceivePack.name(), query: None, headers: forwarded };
        fault_point!("push.forwarded.before");
        let answer = self.ask_git(ask, Some(outgoing)).await;
        fault_point!("push.forwarded.after");
        if let Ok(rest) = rest.try_recv() {
            body::drain(rest, limits.push).await;
            let mib = limits.push / (1024 * 1024);
            let reason = format!("the push is larger than {mib} MiB");
            tracing::info!(sandbox = %pass.sandbox, %repo, "a push was too large");
            let reasons = vec![reason.clone(); head.commands.len()];
            return Ok(result(push::refusal(&head, "pack too large", &reasons, &format!("{reason}; nothing was pushed"))));
        }
        answer
    }
}

/// The stream, broken off after `limit` bytes (so that upstream nothing comes of it). What is left of it then goes to `over`: the client reads
/// no answer before it has sent all.
fn up_to(limit: u64, stream: Chunks, over: oneshot::Sender<Chunks>) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    stream::unfold(Some((stream, over, limit)), move |state| async move {
        let (mut stream, over, left) = state?;
        match stream.next().await? {
            Ok(chunk) => match left.checked_sub(chunk.len() as u64) {
                Some(left) => Some((Ok(chunk), Some((stream, over, left)))),
                None => {
                    // Nobody waits for it any more where the push was given up.
                    let _ = over.send(stream);
                    Some((Err(BodyError::TooLarge(limit)), None))
                }
            },
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// A receive-pack answer of our own.
fn result(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-git-receive-pack-result"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The push's head, and all bytes that were read for it (some of the pack may be among them).
pub(super) async fn read_head(pack: &mut Chunks) -> Result<(PushHead, Bytes), Refusal> {
    let refused = |error: PushError| Refusal::new(StatusCode::FORBIDDEN, error.to_string());
    let mut read = BytesMut::new();
    // Each packet is looked at once on the way to the end of the commands, however small the pieces are in which they come.
    let mut scanned = 0;
    loop {
        match pktline::take(&read[scanned..]).map_err(|error| refused(error.into()))? {
            Some((Packet::Flush, _)) => match push::read_head(&read).map_err(refused)? {
                Some(head) => return Ok((head, read.freeze())),
                None => return Err(refused(PushError::Malformed)),
            },
            Some((_, taken)) => {
                scanned += taken;
                if scanned > push::LONGEST_HEAD {
                    return Err(refused(PushError::TooLong));
                }
                continue;
            }
            None => {}
        }
        match pack.next().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk),
            Some(Err(error)) => return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the push could not be read: {error}"))),
            None => return Err(Refusal::new(StatusCode::BAD_REQUEST, "the push ended before its commands did")),
        }
    }
}

/// The push without its transfer's encoding: what was judged must be what the upstream reads.
pub(super) fn plain(headers: &HeaderMap, body: Chunks) -> Result<Chunks, Refusal> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    match (encodings.next().map(HeaderValue::as_bytes), encodings.next()) {
        (None | Some(b"identity"), None) => Ok(body),
        (Some(b"gzip" | b"x-gzip"), None) => Ok(unzip(body)),
        _ => Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a push may be encoded with gzip or not at all")),
    }
}

fn unzip(body: Chunks) -> Chunks {
    // One chunk of network may hold a thousand times as much; it is fed in pieces, so that memory stays bounded by the piece.
    const PIECE: usize = 1024;
    let pieces = body.flat_map(|chunk| {
        let pieces = match chunk {
            Ok(chunk) => chunk.chunks(PIECE).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(pieces)
    });
    let state = Some((pieces.boxed(), GzDecoder::new(Vec::new())));
    let plain = stream::unfold(state, |state| async move {
        let (mut body, mut decoder) = state?;
        loop {
            match body.next().await {
                Some(Ok(chunk)) => {
                    if decoder.write_all(&chunk).is_err() {
                        return Some((Err(BodyError::Encoding), None));
                    }
                    let plain = std::mem::take(decoder.get_mut());
                    if !plain.is_empty() {
                        return Some((Ok(plain.into()), Some((body, decoder))));
                    }
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None => {
                    return match decoder.finish() {
                        Ok(plain) if plain.is_empty() => None,
                        Ok(plain) => Some((Ok(plain.into()), None)),
                        Err(_) => Some((Err(BodyError::Encoding), None)),
                    };
                }
            }
        }
    });
    Box::pin(plain.fuse())
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    async fn unzipped(bytes: Vec<u8>, size: usize) -> Result<Vec<u8>, BodyError> {
        let chunks: Vec<Result<Bytes, BodyError>> = bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut stream = unzip(Box::pin(stream::iter(chunks)));
        let mut out = Vec::new();
        while let Some(chunk) = stream.next().await {
            out.extend(chunk?);
        }
        Ok(out)
    }

    #[tokio::test]
    async fn gzip_is_undone_however_it_is_cut() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text).unwrap();
        let zipped = encoder.finish().unwrap();
        for size in [1, 7, 4096, zipped.len()] {
            assert_eq!(unzipped(zipped.clone(), size).await.unwrap(), text);
        }
        let cut = zipped[..zipped.len() / 2].to_vec();
        assert!(matches!(unzipped(cut, 100).await, Err(BodyError::Encoding)));
        assert!(matches!(unzipped(b"no gzip at all".to_vec(), 100).await, Err(BodyError::Encoding)));
    }
}
