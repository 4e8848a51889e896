//! The way to the app: Socket Mode or signed HTTP, acknowledgements, retries, and a record of each delivery.

mod dispatcher;
mod record;
mod signed;
mod socket;

pub(super) use dispatcher::{Dispatcher, Envelope, EnvelopeKind};
pub use record::{Attempt, AttemptOutcome, DeliveryRecord};
pub(super) use signed::sign;
pub use socket::Disconnect;
pub(super) use socket::{DROP, link};
