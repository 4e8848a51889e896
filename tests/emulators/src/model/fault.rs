//! What goes wrong on demand.

use std::time::Duration;

use super::conversation::CallKind;

/// What happens to a request instead of its usual answer, or on the way of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After` (whole seconds).
    RateLimited { retry_after: Duration },
    /// This status (500, 502, 503, 529 …) with an error in the vendor's shape.
    Status(u16),
    /// The usual answer, at another pace.
    Slow(Pace),
    /// The connection breaks after so many pieces of the answer.
    DropAfter(usize),
    /// Nothing more comes after so many pieces of the answer, and the connection stays open until the emulator ends.
    StallAfter(usize),
    /// The model declines in the vendor's own form.
    Refusal(String),
    /// 400: the prompt is longer than the model takes.
    ContextLengthExceeded,
    /// The answer is cut at the token limit (`length` / `max_tokens`) after so many pieces of text.
    CutAfter(usize),
}

/// How fast an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Before the first token (and before the whole answer of a request that does not stream).
    pub first_token: Duration,
    /// Between two pieces.
    pub per_token: Duration,
}

/// A fault that waits for its request.
#[derive(Debug, Clone)]
pub(super) struct WaitingFault {
    pub(super) fault: Fault,
    /// Any where it is not given.
    pub(super) kind: Option<CallKind>,
}
