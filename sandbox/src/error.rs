//! What can go wrong between us and an engine. Every message says what to do.

use std::{io, path::PathBuf, time::Duration};

use longshore_session::SandboxId;

use crate::ImageRef;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "the Docker engine does not answer at {socket} ({reason}): start it (`systemctl start docker`, or `make setup` where there is no systemd), \
         and see that this user may open the socket"
    )]
    Unreachable { socket: String, reason: String },
    #[error("the engine did not finish within {} s: {during}", after.as_secs())]
    Timeout { during: String, after: Duration },
    #[error("the image {image} is not on this engine and could not be pulled ({reason}): build it again (base images: `make setup`)")]
    ImageMissing { image: ImageRef, reason: String },
    #[error("there is no sandbox {id}")]
    NoSuchSandbox { id: SandboxId },
    #[error("sandbox {id} is running already")]
    AlreadyRunning { id: SandboxId },
    #[error("sandbox {id} has ended")]
    NotRunning { id: SandboxId },
    #[error("the engine's disk is full ({during}): free space on it (`docker system df` shows what takes it), then try again")]
    DiskFull { during: String },
    #[error(
        "the image registry {registry} does not answer ({reason}): start it (`make setup` starts one on this machine) or correct `images.registry`"
    )]
    RegistryUnreachable { registry: String, reason: String },
    #[error(
        "the image registry {registry} refused ({reason}): correct `images.registry_user` and the password that `images.registry_password_env` names"
    )]
    RegistryRefused { registry: String, reason: String },
    #[error(
        "the sandbox network cannot be closed off ({reason}): iptables must be installed, and the service must run as root or with CAP_NET_ADMIN"
    )]
    Firewall { reason: String },
    #[error(
        "the network {network} is there, but not made as it must be ({wrong}): remove it (`docker network rm {network}`) and start again"
    )]
    WrongNetwork { network: String, wrong: String },
    #[error("cannot use {}: {source}", path.display())]
    Carrier { path: PathBuf, source: io::Error },
    #[error("`{key}` cannot be a variable of a sandbox: {reason}")]
    BadVariable { key: String, reason: &'static str },
    #[error("{path} in sandbox {id} is larger than the {limit} bytes that were asked for at the most")]
    TooLarge { id: SandboxId, path: String, limit: u64 },
    #[error("the engine refused ({during}): {message}")]
    Refused { during: String, message: String },
}

/// Whether a message of the engine's, or a command's output, tells of a full disk.
pub(crate) fn tells_of_full_disk(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["no space left on device", "enospc", "disk quota exceeded"].iter().any(|sign| text.contains(sign))
}
