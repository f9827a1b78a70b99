//! Inventories: reading a file that people made.
//!
//! Separator and encoding are detected, damage by spreadsheets is recognised and never repaired by
//! guess, columns are matched by header. It must not know the store, the API or the clock. The plan
//! that dry run and commit will share comes on top of it.

pub mod columns;
pub mod damage;
pub mod problem;
pub mod sheet;
pub mod text;
