//! The words of dialtone: plain data and the rules that hold for it alone.
//!
//! **Invariant:** nothing here does I/O, reads a clock, draws a random number, or knows a
//! serialised form. Stored shapes live in `store::codec`, wire shapes in `web::wire`.

pub mod access;
pub mod activation;
pub mod certificate;
pub mod device;
pub mod dhcp;
pub mod enrolment;
pub mod event;
pub mod identity;
pub mod lease;
pub mod profile;
pub mod secret;
pub mod site;
