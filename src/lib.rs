//! dialtone: a zero-touch provisioning server for SIP phones and network gear.

pub mod admin;
pub mod answer;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod engine;
pub mod model;
pub mod net;
pub mod pki;
pub mod service;
pub mod simulate;
pub mod store;
pub mod web;
