//! The emulators against others' clients and real programs: what they are trusted for.

#[cfg(feature = "github")]
mod github;
#[cfg(feature = "model")]
mod model;
#[cfg(feature = "slack")]
mod page;
#[cfg(feature = "slack")]
mod slack;
