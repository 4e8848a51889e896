//! The OCI registry that images are pushed to: where it is, who we are to it, and its own HTTP API for what an engine does not do.

mod api;

use std::fmt;

use secrecy::SecretString;

pub(crate) use self::api::{Deletion, Registry};

/// How the registry is spoken to by us. Engines decide for themselves: an address of the loopback network, and what their `insecure-registries`
/// name, may be plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tls,
    Plain,
}

/// Who we are to a registry.
#[derive(Clone)]
pub struct RegistryCredentials {
    pub user: String,
    pub password: SecretString,
}

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryCredentials({}, …)", self.user)
    }
}

/// Where images are pushed to and pulled from.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// `host:port`, as the engine reaches it; a path may follow (`ghcr.io/acme`).
    pub address: String,
    pub credentials: Option<RegistryCredentials>,
    pub transport: Transport,
}

impl RegistryConfig {
    /// A registry that wants no credentials; plain where it is on this machine.
    pub fn at(address: impl Into<String>) -> Self {
        let address = address.into();
        let transport = if is_loopback(host_of(&address)) { Transport::Plain } else { Transport::Tls };
        Self { address, credentials: None, transport }
    }

    /// The host with its port, without the path.
    pub(crate) fn host(&self) -> &str {
        host_of(&self.address)
    }

    /// The credentials that an image of this name is pulled or pushed with: no other registry gets ours.
    pub(crate) fn credentials_for(&self, image: &str) -> Option<&RegistryCredentials> {
        self.credentials.as_ref().filter(|_| image.split_once('/').is_some_and(|(host, _)| host == self.host()))
    }
}

fn host_of(address: &str) -> &str {
    address.split_once('/').map_or(address, |(host, _)| host)
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_their_own_registry_only() {
        let mut config = RegistryConfig::at("registry.example.com/team");
        assert_eq!((config.host(), config.transport), ("registry.example.com", Transport::Tls));
        config.credentials = Some(RegistryCredentials { user: "builder".to_owned(), password: "hunter2hunter2".into() });
        assert!(config.credentials_for("registry.example.com/team/longshore/acme-shop@sha256:1").is_some());
        for other in ["registry.example.com.evil.example/x", "other.example/x", "longshore/base:latest", "registry.example.com"] {
            assert!(config.credentials_for(other).is_none(), "{other}");
        }
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }

    #[test]
    fn a_registry_of_this_machine_is_plain() {
        for (address, transport) in [
            ("127.0.0.1:5055", Transport::Plain),
            ("127.7.0.1", Transport::Plain),
            ("localhost:5000", Transport::Plain),
            ("[::1]:5000", Transport::Plain),
            ("registry:5000", Transport::Tls),
            ("ghcr.io/acme", Transport::Tls),
        ] {
            assert_eq!(RegistryConfig::at(address).transport, transport, "{address}");
        }
    }
}
