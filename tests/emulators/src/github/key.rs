//! The App's RSA key.

use std::sync::OnceLock;

use base64::Engine as _;
use jsonwebtoken::DecodingKey;
use rsa::{
    RsaPrivateKey,
    pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _, LineEnding},
    pkcs8::DecodePrivateKey as _,
    traits::PublicKeyParts as _,
};

use super::setup::GitHubSetup;

#[derive(Clone)]
pub(super) struct AppKey {
    pub(super) pem: String,
    pub(super) verifying: DecodingKey,
}

impl AppKey {
    /// The setup's key, or one that this process generates once.
    pub(super) fn of(setup: &GitHubSetup) -> Result<Self, String> {
        let pem = match &setup.app.private_key_pem {
            Some(pem) => pem.clone(),
            None => generated()?,
        };
        let key = RsaPrivateKey::from_pkcs1_pem(&pem)
            .or_else(|_| RsaPrivateKey::from_pkcs8_pem(&pem).map_err(|error| error.to_string()))
            .map_err(|error| format!("the App's private key is no RSA key in PEM: {error}"))?;
        let number = |value: &rsa::BigUint| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_bytes_be());
        let verifying = DecodingKey::from_rsa_components(&number(key.n()), &number(key.e())).map_err(|error| error.to_string())?;
        Ok(Self { pem, verifying })
    }
}

fn generated() -> Result<String, String> {
    static PEM: OnceLock<Result<String, String>> = OnceLock::new();
    PEM.get_or_init(|| {
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).map_err(|error| error.to_string())?;
        key.to_pkcs1_pem(LineEnding::LF).map(|pem| pem.to_string()).map_err(|error| error.to_string())
    })
    .clone()
}
