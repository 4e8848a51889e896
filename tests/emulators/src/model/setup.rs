//! Starting the emulator, and the handle on it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    catalogue::{Catalogue, CatalogueError},
    conversation::CallKind,
    fault::{Fault, Pace, WaitingFault},
    log::{RecordedRequest, RequestLog},
    script::Script,
    server::{Emulator, router},
};

/// Takes the key of the demo where nothing else is said.
pub const DEMO_API_KEY: &str = "sk-longshore-emulated-model";

/// How long connections may take to end on shutdown.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// What an emulator is started with.
#[derive(Debug, Clone)]
pub struct ModelSetup {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Any of these is accepted, as `Authorization: Bearer` and as `x-api-key`.
    pub api_keys: Vec<String>,
    pub catalogue: Catalogue,
    pub pace: Pace,
    /// What `/v1/models` lists. Requests may name any model.
    pub models: Vec<String>,
    /// Longer conversations are refused, as a model's own limit would.
    pub context_tokens: u64,
    /// Gets one JSON line per request.
    pub log_file: Option<PathBuf>,
}

impl ModelSetup {
    /// The samples' catalogue, a free loopback port, the demo's key, answers without delay.
    pub fn demo() -> Result<Self, CatalogueError> {
        Ok(Self::with_catalogue(Catalogue::bundled()?))
    }

    pub fn with_catalogue(catalogue: Catalogue) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_keys: vec![DEMO_API_KEY.to_owned()],
            catalogue,
            pace: Pace::default(),
            models: vec!["longshore-scripted".to_owned(), "longshore-scripted-fast".to_owned()],
            context_tokens: 200_000,
            log_file: None,
        }
    }
}

/// Why the emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum ModelEmulatorError {
    #[error("the model emulator cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the model emulator cannot write its log {}: {source}", path.display())]
    Log { path: PathBuf, source: std::io::Error },
}

/// A stand-in for a model provider.
#[derive(Debug)]
pub struct ModelEmulator;

impl ModelEmulator {
    /// Listens when this returns.
    pub async fn start(setup: ModelSetup) -> Result<ModelHandle, ModelEmulatorError> {
        let log = RequestLog::new(setup.log_file.as_deref())
            .map_err(|source| ModelEmulatorError::Log { path: setup.log_file.clone().unwrap_or_default(), source })?;
        let failed = |source| ModelEmulatorError::Listen { address: setup.listen, source };
        let listener = TcpListener::bind(setup.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        let emulator = Arc::new(Emulator {
            pace: Mutex::new(setup.pace),
            log,
            faults: Mutex::default(),
            scripts: Mutex::default(),
            answers: AtomicUsize::new(0),
            stop: stop.clone(),
            setup,
        });
        let serve = axum::serve(listener, router(Arc::clone(&emulator))).with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the model emulator ended");
            }
        });
        let base_url = format!("http://{address}/v1");
        Ok(ModelHandle { base_url, address, emulator, task, stop: stop.drop_guard() })
    }
}

/// A running emulator; it ends when this is dropped.
#[derive(Debug)]
pub struct ModelHandle {
    /// `http://…/v1`, what OpenAI's clients call the base URL. (Anthropic's want it without `/v1`.)
    pub base_url: String,
    pub address: SocketAddr,
    emulator: Arc<Emulator>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl ModelHandle {
    /// A key that is accepted.
    pub fn api_key(&self) -> &str {
        self.emulator.setup.api_keys.first().map_or("", String::as_str)
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.emulator.setup.catalogue
    }

    /// Everything that was sent so far, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.emulator.log.requests()
    }

    /// The requests, as soon as they hold a condition; `None` when they do not within `limit`.
    pub async fn wait_for_requests(&self, limit: Duration, holds: impl Fn(&[RecordedRequest]) -> bool) -> Option<Vec<RecordedRequest>> {
        self.emulator.log.wait_for(limit, holds).await
    }

    /// Answers matching conversations from now on, before what was pushed earlier and before the built-in behaviour.
    pub fn push_script(&self, script: Script) {
        self.emulator.scripts.lock().unwrap_or_else(PoisonError::into_inner).push(script);
    }

    /// The next request meets this. Several wait in line.
    pub fn fail_next(&self, fault: Fault) {
        self.queue(WaitingFault { fault, kind: None });
    }

    /// The next request of that kind meets this.
    pub fn fail_next_of(&self, kind: CallKind, fault: Fault) {
        self.queue(WaitingFault { fault, kind: Some(kind) });
    }

    fn queue(&self, waiting: WaitingFault) {
        self.emulator.faults.lock().unwrap_or_else(PoisonError::into_inner).push_back(waiting);
    }

    /// How fast answers come from now on.
    pub fn set_pace(&self, pace: Pace) {
        *self.emulator.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
    }

    /// Ends open answers and waits for the listener to close.
    pub async fn shutdown(self) {
        drop(self.stop);
        let mut task = self.task;
        if tokio::time::timeout(SHUTDOWN_LIMIT, &mut task).await.is_err() {
            task.abort();
        }
    }
}
