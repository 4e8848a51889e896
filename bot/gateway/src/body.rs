//! Bodies on their way through: never gathered where they can be streamed, never waited for without end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use hyper::body::{Body as _, Frame, SizeHint};
use longshore_session::has_more_values_than;

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("no bytes for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    #[error("not valid gzip")]
    Encoding,
    #[error("broken off")]
    Broken(#[source] axum::BoxError),
}

impl BodyError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Stalled(_) | Self::Encoding | Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// May be polled after its end, so that whoever reads on after an error need not know how far another came.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The data of `body`; ends with an error when nothing comes for `stall`.
pub(crate) fn chunks(body: Body, stall: Duration) -> Chunks {
    with_stall(body.into_data_stream(), stall)
}

/// Ends `stream` with an error when nothing comes for `stall`, and after the first error.
pub(crate) fn with_stall<S, E>(stream: S, stall: Duration) -> Chunks
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<axum::BoxError>,
{
    let state = Some(Box::pin(stream));
    let chunks = stream::unfold(state, move |state| async move {
        let mut inner = state?;
        match tokio::time::timeout(stall, inner.next()).await {
            Err(_) => Some((Err(BodyError::Stalled(stall)), None)),
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(inner))),
            Ok(Some(Err(error))) => Some((Err(BodyError::Broken(error.into())), None)),
        }
    });
    Box::pin(chunks.fuse())
}

/// Ends `stream` with an error once more than `limit` bytes came.
pub(crate) fn with_limit(stream: Chunks, limit: u64) -> Chunks {
    let limited = stream::unfold(Some((stream, 0u64)), move |state| async move {
        let (mut stream, seen) = state?;
        match stream.next().await? {
            Ok(chunk) => {
                let seen = seen.saturating_add(chunk.len() as u64);
                if seen > limit { Some((Err(BodyError::TooLarge(limit)), None)) } else { Some((Ok(chunk), Some((stream, seen)))) }
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    Box::pin(limited.fuse())
}

/// The whole body, up to `limit` bytes.
pub(crate) async fn gather(body: Body, limit: usize, stall: Duration) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge(limit as u64));
    }
    let mut stream = with_limit(chunks(body, stall), limit as u64);
    let mut whole = Vec::new();
    while let Some(chunk) = stream.next().await {
        whole.extend_from_slice(&chunk?);
    }
    Ok(whole.into())
}

/// Values in one JSON body. A tree of small values takes many times the bytes of its text.
const MOST_VALUES: usize = 100_000;

/// Whether a body is not worth reading.
pub(crate) fn is_swollen(json: &[u8]) -> bool {
    has_more_values_than(json, MOST_VALUES)
}

/// A body that keeps something alive until it has been sent or given up: the sandbox's place among the open requests.
pub(crate) struct HeldBody<G> {
    body: Body,
    _held: G,
}

impl<G: Send + Unpin + 'static> HeldBody<G> {
    pub(crate) fn wrap(body: Body, held: G) -> Body {
        Body::new(Self { body, _held: held })
    }
}

impl<G: Send + Unpin + 'static> hyper::body::Body for HeldBody<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Poll::Ready(ready!(Pin::new(&mut self.body).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads a body to its end and forgets it, so that the client comes to reading the answer; gives up after `limit` bytes or a stall.
pub(crate) async fn drain(stream: Chunks, limit: u64) {
    let mut stream = with_limit(stream, limit);
    while let Some(Ok(_)) = stream.next().await {}
}

/// A small response body whole, for looking into an upstream's error. What is longer than `limit` is cut.
pub(crate) async fn first_bytes(mut stream: Chunks, limit: usize) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        whole.extend_from_slice(&chunk);
        if whole.len() >= limit {
            whole.truncate(limit);
            break;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_values_are_too_many_and_a_long_text_is_one() {
        assert!(is_swollen(format!("[{}0]", "0,".repeat(MOST_VALUES)).as_bytes()));
        assert!(!is_swollen(format!("[{}0]", "0,".repeat(MOST_VALUES - 10)).as_bytes()));
        assert!(!is_swollen(format!("{{\"text\":\"{}\"}}", r#"[,{\",\\"#.repeat(MOST_VALUES)).as_bytes()));
    }
}
