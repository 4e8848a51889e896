//! Stand-ins for what cannot be had without an account: Slack, GitHub, a model.

#[cfg(feature = "github")]
pub mod github;
#[cfg(feature = "model")]
pub mod model;
#[cfg(feature = "slack")]
pub mod page;
#[cfg(feature = "slack")]
pub mod slack;
