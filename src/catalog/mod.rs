//! Vendor knowledge as data: `profiles/` and `firmware-policies/` become an immutable [`Catalog`].
pub mod manifest;
pub mod pattern;
