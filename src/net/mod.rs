//! Protocols: bytes to facts, answers to bytes. They decide nothing.

pub mod sip;
