//! Pure decisions: facts in, values out. No I/O, no clock, no randomness.

pub mod explain;
pub mod facts;
pub mod identify;
pub mod import;
pub mod known;
pub mod level;
pub mod outlook;
pub mod sightings;
pub mod target;
pub mod window;
