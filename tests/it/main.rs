//! One integration binary: each module drives a boundary of the system.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(clippy::as_conversions, reason = "figures in tests are small")]

mod admin;
mod catalog;
mod cli;
mod explain;
mod hostile;
mod http;
mod import;
mod power_cut;
mod simulate;
mod store;
mod support;
mod tidy;
mod tls;
mod vendors;
mod walks;
