//! The simulated unit: a client that plays one family's conduct.
//!
//! A conduct is a `boot.toml`: what a real unit asks, in which order, with which headers and
//! retries, whom it trusts, how it reads what it gets and what it obeys in it. The unit knows no
//! manifest and no template: every next name, certificate and report comes from the file that it
//! got, through readers of its own, so that a mistake of the server is not repeated here and
//! hidden.
//!
//! ```text
//! Conduct::parse(toml) -> Unit::factory(conduct, identity, surroundings) -> boot() -> Story
//! ```

mod apply;
mod ask;
mod belief;
mod client;
mod conduct;
pub mod dhcp;
mod fill;
mod old_tls;
pub mod pnp;
mod python;
mod read;
mod run;
mod script;
mod sections;
mod story;
mod take;
mod tftp;
mod unit;
mod ztp;

use thiserror::Error;

pub use self::client::{ClientCertificate, Failure};
pub use self::conduct::{Conduct, Sample};
pub use self::story::{Again, Made, Purpose, Step, Story};
pub use self::unit::{Account, Clock, Identity, Surroundings, Unit};

/// Why a conduct or a unit of it cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Problem(pub String);
