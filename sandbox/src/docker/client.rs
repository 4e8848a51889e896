//! Calls to the engine: each with a time limit, each error in our own words.

use std::{fmt, future::Future, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use futures_util::{Stream, StreamExt};

use crate::{EngineError, error::tells_of_full_disk};

/// For what an engine answers from memory.
pub(super) const QUICK: Duration = Duration::from_secs(20);
/// For what makes or ends a process, or moves little data.
pub(super) const SLOW: Duration = Duration::from_secs(120);
/// For what writes or sends a whole image.
pub(super) const BULK: Duration = Duration::from_secs(900);

pub(super) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// A failed call, with the engine's status code where it was the engine that failed it.
pub(super) struct Fault {
    pub status: Option<u16>,
    pub error: EngineError,
}

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

impl Fault {
    pub fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }
}

/// Makes "no such thing" (404), "it is so already" (304) and "it is being done already" (409) a success, for calls that only want a state to hold.
pub(super) fn already(result: Result<(), Fault>) -> Result<(), EngineError> {
    match result {
        Err(fault) if !(fault.is(404) || fault.is(304) || fault.is(409)) => Err(fault.error),
        _ => Ok(()),
    }
}

#[derive(Clone)]
pub(super) struct Client {
    pub docker: Docker,
    pub socket: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("socket", &self.socket).finish()
    }
}

impl Client {
    pub async fn connect(socket: &str) -> Result<Self, EngineError> {
        let unreachable = |reason: String| EngineError::Unreachable { socket: socket.to_owned(), reason };
        let docker = Docker::connect_with_unix(socket, SLOW.as_secs(), API_DEFAULT_VERSION).map_err(|error| unreachable(reason(&error)))?;
        let negotiated = tokio::time::timeout(QUICK, docker.negotiate_version()).await;
        let docker = match negotiated {
            Ok(Ok(docker)) => docker,
            Ok(Err(error)) => return Err(unreachable(reason(&error))),
            Err(_) => return Err(unreachable(format!("no answer within {} s", QUICK.as_secs()))),
        };
        Ok(Self { docker, socket: socket.to_owned() })
    }

    /// Awaits one answer. `during` names the call in errors.
    pub async fn call<T>(&self, during: &str, limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        // Futures of the HTTP client are large; on the heap they don't make every caller's so.
        match tokio::time::timeout(limit, Box::pin(call)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.fault(during, error)),
            Err(_) => Err(Fault { status: None, error: EngineError::Timeout { during: during.to_owned(), after: limit } }),
        }
    }

    /// Reads an answer that comes in parts to its end; `limit` is for the whole of it.
    pub async fn drain<T>(&self, during: &str, limit: Duration, parts: impl Stream<Item = Result<T, Error>>) -> Result<(), Fault> {
        self.call(during, limit, async {
            let mut parts = std::pin::pin!(parts);
            while let Some(part) = parts.next().await {
                part?;
            }
            Ok(())
        })
        .await
    }

    pub fn fault(&self, during: &str, error: Error) -> Fault {
        let during = during.to_owned();
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                let error =
                    if tells_of_full_disk(&message) { EngineError::DiskFull { during } } else { EngineError::Refused { during, message } };
                Fault { status: Some(status_code), error }
            }
            Error::DockerStreamError { error } if tells_of_full_disk(&error) => {
                Fault { status: None, error: EngineError::DiskFull { during } }
            }
            Error::DockerStreamError { error } => Fault { status: None, error: EngineError::Refused { during, message: error } },
            Error::RequestTimeoutError => Fault { status: None, error: EngineError::Timeout { during, after: SLOW } },
            error @ (Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::SocketNotFoundError(_)) => {
                Fault { status: None, error: EngineError::Unreachable { socket: self.socket.clone(), reason: reason(&error) } }
            }
            error => Fault { status: None, error: EngineError::Refused { during, message: reason(&error) } },
        }
    }
}

/// The error with what caused it: the outermost message of an HTTP client says little.
fn reason(error: &Error) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
