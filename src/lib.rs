//! dialtone: a zero-touch provisioning server for SIP phones and network gear.
//!
//! Layers, imports go down only (`tests/it/tidy.rs` fails on an upward one): `model` holds the
//! words; `catalog` turns `profiles/` into an immutable catalogue; `engine` decides, purely; `pki`
//! reads certificates; `net` decodes protocols; `cli` is the command line. `docs/progress.md` says
//! what stands and what is still to come.

pub mod answer;
pub mod catalog;
pub mod cli;
pub mod engine;
pub mod model;
pub mod net;
pub mod pki;
pub mod store;
