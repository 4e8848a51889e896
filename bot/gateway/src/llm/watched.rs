//! Tells the observer of one model request, whatever becomes of it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use longshore_session::SandboxId;
use tokio::time::Instant;

use super::reading::{Dialect, Form, Reader};
use crate::{
    LlmEvent, LlmEventKind, LlmObserver, LlmOutcome,
    body::{BodyError, Chunks},
};

static NEXT_REQUEST: AtomicU64 = AtomicU64::new(1);

/// The number of a new request.
pub(super) fn next_request() -> u64 {
    NEXT_REQUEST.fetch_add(1, Ordering::Relaxed)
}

/// One request under observation. Ends its story when it is dropped, if nobody did before.
pub(super) struct Watch {
    observer: Arc<dyn LlmObserver>,
    sandbox: SandboxId,
    request: u64,
    began: Instant,
    asked_model: Option<String>,
    dialect: Dialect,
    /// 499 (as nginx has it) until the provider or the gateway answered: the client went away before.
    status: u16,
    reader: Reader,
    told_token: bool,
    ended: bool,
}

impl Watch {
    pub fn begin(observer: Arc<dyn LlmObserver>, sandbox: SandboxId, model: Option<String>, dialect: Dialect) -> Self {
        let watch = Self {
            observer,
            sandbox,
            request: next_request(),
            began: Instant::now(),
            asked_model: model.clone(),
            dialect,
            status: 499,
            reader: Reader::new(dialect, Form::Whole),
            told_token: false,
            ended: false,
        };
        watch.tell(LlmEventKind::Began { model });
        watch
    }

    pub fn answered(&mut self, status: u16) {
        self.status = status;
    }

    pub fn end(&mut self, outcome: LlmOutcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.reader.finish();
        let model = self.reader.told.model.take().or_else(|| self.asked_model.take());
        self.tell(LlmEventKind::Ended { status: self.status, model, usage: self.reader.told.usage, outcome, took: self.began.elapsed() });
    }

    /// The answer's body, read on its way through.
    pub fn over(mut self, stream: Chunks, is_event_stream: bool) -> Watched {
        self.reader = Reader::new(self.dialect, if is_event_stream { Form::Events } else { Form::Whole });
        Watched { stream, watch: self }
    }

    fn tell(&self, kind: LlmEventKind) {
        self.observer.observe(LlmEvent { sandbox: self.sandbox.clone(), request: self.request, kind });
    }

    fn saw(&mut self, chunk: &[u8]) {
        self.reader.push(chunk);
        if self.reader.told.token && !std::mem::replace(&mut self.told_token, true) {
            self.tell(LlmEventKind::FirstToken { after: self.began.elapsed() });
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(if self.reader.told.last { LlmOutcome::Complete } else { LlmOutcome::Abandoned });
    }
}

pub(super) struct Watched {
    stream: Chunks,
    watch: Watch,
}

impl Stream for Watched {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.stream.as_mut().poll_next(cx));
        match &next {
            Some(Ok(chunk)) => self.watch.saw(chunk),
            Some(Err(error)) => {
                tracing::warn!(sandbox = %self.watch.sandbox, %error, "the model provider broke off");
                self.watch.end(LlmOutcome::Broken);
            }
            None => self.watch.end(LlmOutcome::Complete),
        }
        Poll::Ready(next)
    }
}
