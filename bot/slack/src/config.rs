//! What the crate is told at start, with secrets that never print themselves.

use std::{fmt, time::Duration};

use serde::Deserialize;
use url::Url;

/// A secret that has the wrong shape. Never contains the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Slack {kind} is not valid: {expected}")]
pub struct InvalidSecret {
    kind: &'static str,
    expected: &'static str,
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Errors when the text has not the shape of this secret; the error does not repeat it.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidSecret> {
                let text = text.into().trim().to_owned();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidSecret { kind: $kind, expected: $expected }) }
            }

            /// The secret itself, for the one place that sends it.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidSecret;
            fn try_from(text: String) -> Result<Self, InvalidSecret> {
                Self::parse(text)
            }
        }
    };
}

fn printable(text: &str) -> bool {
    text.len() <= 512 && text.chars().all(|c| c.is_ascii_graphic())
}

secret!(
    /// The bot user's token (`xoxb-…`), from "OAuth & Permissions".
    BotToken, "bot token", "it starts with `xoxb-` and is found under \"OAuth & Permissions\" of the Slack app",
    |text| text.starts_with("xoxb-") && text.len() > 5 && printable(text)
);
secret!(
    /// The app-level token (`xapp-…`) with `connections:write`, from "Basic Information"; needed for Socket Mode only.
    AppToken, "app token", "it starts with `xapp-` and is made under \"Basic Information › App-Level Tokens\" with the scope `connections:write`",
    |text| text.starts_with("xapp-") && text.len() > 5 && printable(text)
);
secret!(
    /// What Slack signs its HTTP requests with, from "Basic Information"; needed for HTTP only.
    SigningSecret, "signing secret", "it is found under \"Basic Information › App Credentials\" of the Slack app",
    |text| text.len() >= 8 && printable(text)
);

/// Where Slack is and who we are there.
#[derive(Debug, Clone)]
pub struct SlackConfig {
    /// Base of the Web API, without a slash at the end. `https://slack.com/api` but for tests and the demo.
    pub api_url: Url,
    pub bot_token: BotToken,
    /// Given when events come by Socket Mode.
    pub app_token: Option<AppToken>,
    /// How long one request may take. A post that exceeds it has an unknown outcome.
    pub request_timeout: Duration,
    /// How long a call may wait for its turn under Slack's rate limits, all repeats included.
    pub patience: Duration,
    /// How many sockets are kept open, so that one may be renewed while another receives. At least 1.
    pub sockets: u32,
}

impl SlackConfig {
    /// The real Slack, with its usual limits.
    pub fn new(bot_token: BotToken) -> Self {
        Self {
            api_url: default_api_url(),
            bot_token,
            app_token: None,
            request_timeout: Duration::from_secs(15),
            patience: Duration::from_secs(90),
            sockets: 2,
        }
    }
}

#[expect(clippy::expect_used, reason = "a constant that a test parses")]
fn default_api_url() -> Url {
    Url::parse("https://slack.com/api").expect("a valid address")
}

/// What the signed HTTP door needs.
#[derive(Debug, Clone)]
pub struct SlackHttpConfig {
    pub signing_secret: SigningSecret,
    /// Bytes of the largest body that is read.
    pub body_limit: usize,
}

impl SlackHttpConfig {
    /// One MiB: several times what Slack sends.
    pub fn new(signing_secret: SigningSecret) -> Self {
        Self { signing_secret, body_limit: 1024 * 1024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_checked_by_its_prefix_and_never_printed() {
        let error = BotToken::parse("xapp-1-secret").unwrap_err().to_string();
        assert!(error.contains("xoxb-") && !error.contains("secret"), "{error}");
        let token = BotToken::parse(" xoxb-very-secret\n").unwrap();
        assert_eq!(token.expose(), "xoxb-very-secret");
        assert_eq!(format!("{token:?}"), "BotToken(…)");
    }

    #[test]
    fn the_default_is_the_real_slack() {
        assert_eq!(SlackConfig::new(BotToken::parse("xoxb-1").unwrap()).api_url.as_str(), "https://slack.com/api");
    }
}
