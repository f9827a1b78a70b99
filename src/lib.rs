//! dialtone: a zero-touch provisioning server for SIP phones and network gear.
//!
//! Layers, imports go down only (`tests/it/tidy.rs` fails on an upward one): `model` holds the
//! words; `catalog` turns `profiles/` into an immutable catalogue; `engine` decides, purely; `pki`
//! holds our own CA and reads certificates;
//! `store` is the durable floor; `net` has the listeners for devices; `simulate` plays
//! units against any server; `cli` is the command line. `docs/progress.md` says
//! what stands and what is still to come.

pub mod admin;
pub mod answer;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod engine;
pub mod hub;
pub mod model;
pub mod net;
pub mod pki;
pub mod service;
pub mod simulate;
pub mod store;
pub mod web;
