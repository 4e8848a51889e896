//! Bytes both ways, until one side ends, nothing moves any more, or the service stops; and the record of how many there were.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use longshore_session::SandboxId;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    net::TcpStream,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::Target;
use crate::body::{BodyError, Chunks};

/// One allowed connection; its line in the log is written when it ends.
pub(super) struct Record {
    sandbox: SandboxId,
    host: String,
    port: u16,
    began: Instant,
    sent: AtomicU64,
    received: AtomicU64,
    /// Milliseconds from `began` to the last byte, either way.
    moved: AtomicU64,
}

impl Record {
    pub fn open(sandbox: SandboxId, target: &Target) -> Self {
        Self {
            sandbox,
            host: target.host.clone(),
            port: target.port,
            began: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }

    /// Counts what the sandbox sends.
    pub fn sent(self: Arc<Self>, stream: Chunks) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        stream.inspect(move |chunk| count(chunk, &self.sent))
    }

    /// Counts what the sandbox gets.
    pub fn received(self: Arc<Self>, stream: Chunks) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        stream.inspect(move |chunk| count(chunk, &self.received))
    }

    fn moved(&self, counter: &AtomicU64, bytes: usize) {
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.fetch_max(now, Ordering::Relaxed);
    }

    /// Returns when nothing has moved for `span`.
    async fn idle(&self, span: Duration) {
        loop {
            let last = self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed));
            if last.elapsed() >= span {
                return;
            }
            tokio::time::sleep_until(last + span).await;
        }
    }
}

fn count(chunk: &Result<Bytes, BodyError>, counter: &AtomicU64) {
    if let Ok(chunk) = chunk {
        counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        tracing::info!(
            target: "longshore::egress",
            sandbox = %self.sandbox,
            host = %self.host,
            port = self.port,
            allowed = true,
            sent = *self.sent.get_mut(),
            received = *self.received.get_mut(),
            ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a connection ended"
        );
    }
}

pub(super) struct Tunnel {
    pub idle: Duration,
    pub end: CancellationToken,
    pub record: Record,
}

impl Tunnel {
    pub async fn run<C: AsyncRead + AsyncWrite + Unpin>(self, mut client: C, upstream: TcpStream) {
        let Self { idle, end, record } = self;
        let mut upstream = Counted { stream: upstream, record: &record };
        tokio::select! {
            copied = copy_bidirectional(&mut client, &mut upstream) => if let Err(error) = copied {
                tracing::debug!(host = %record.host, %error, "a tunnel broke off");
            },
            () = record.idle(idle) => tracing::debug!(host = %record.host, "nothing moved in a tunnel"),
            () = end.cancelled() => {}
        }
    }
}

/// The far side of a tunnel: all that moves passes here once.
struct Counted<'a> {
    stream: TcpStream,
    record: &'a Record,
}

impl AsyncRead for Counted<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.record.moved(&self.record.received, buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.record.moved(&self.record.sent, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
