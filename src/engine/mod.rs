//! Pure decisions: facts in, values out. No I/O, no clock, no randomness.

pub mod boot;
pub mod decide;
pub mod explain;
pub mod facts;
pub mod grant;
pub mod https;
pub mod identify;
pub mod import;
pub mod known;
pub mod lease;
pub mod level;
pub mod outcome;
pub mod outlook;
pub mod point;
pub mod prefix;
pub mod reply;
pub mod resolve;
pub mod select;
pub mod sightings;
pub mod snippet;
pub mod stranger;
pub mod target;
pub mod verdict;
pub mod window;
