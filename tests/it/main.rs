//! One integration binary: each module drives a boundary of the system.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod api;
mod api_activity;
mod api_devices;
mod api_document;
mod api_health;
mod api_places;
mod api_profiles;
mod api_replay;
mod cli;
mod cli_store;
mod decide;
mod demo;
mod device_plane;
mod dhcp;
mod explain;
mod fourth_vendor;
mod fuzz;
#[path = "../../fuzz/src/dhcp.rs"]
pub mod fuzz_dhcp;
#[path = "../../fuzz/src/play.rs"]
pub mod fuzz_play;
#[path = "../../fuzz/src/sip.rs"]
pub mod fuzz_sip;
#[path = "../../fuzz/src/tftp.rs"]
pub mod fuzz_tftp;
mod http;
mod http_hostile;
mod import_api;
mod import_cli;
mod import_kill;
mod import_plan;
mod import_support;
mod manifest;
mod outcome;
mod outlook;
mod point;
mod power_cut;
mod prove;
mod relay;
mod render;
mod replies;
mod serve;
mod serve_power;
mod serve_process;
mod serve_signals;
mod serve_slow;
mod serve_storm;
mod simulate_bench;
mod simulate_families;
mod simulate_phones;
mod simulate_python;
mod simulate_switch;
mod simulate_verb;
mod simulate_ztp;
mod sip;
mod snippets;
mod store;
mod store_kill;
mod store_sample;
mod support;
mod tftp;
mod tftp_clients;
mod tftp_end;
mod tftp_lossy;
mod tftp_support;
mod tidy;
mod tls;
mod vendors;
mod walks;
