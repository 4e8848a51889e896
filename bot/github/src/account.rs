//! Whose token it is.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{GitHub, GitHubError};

impl GitHub {
    /// The login of the person whose token this is. `Unauthenticated` where GitHub does not take it.
    pub async fn login_of(&self, token: &SecretString) -> Result<String, GitHubError> {
        #[derive(Deserialize)]
        struct Shape {
            login: String,
        }
        let shape: Shape = self.get(&self.with_token(token.expose_secret())?, "/user").await?;
        Ok(shape.login)
    }
}
