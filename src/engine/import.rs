//! Inventories: from a file that people made to a plan that dry run and commit share.
//!
//! ```text
//! bytes -> text -> sheet -> columns          the file as a table whose columns mean something
//! row -> draft                               typed fields of one row, with all its problems
//! drafts of one MAC or serial -> join        one device with its lines
//! (device, what the store holds) -> plan     create, update, unchanged or rejected
//! ```
//! Separator and encoding are detected, damage by spreadsheets is recognised and never repaired by
//! guess, columns are matched by header. It must not know the store, the API or the clock.

pub mod columns;
pub mod damage;
pub mod draft;
pub mod inventory;
pub mod join;
pub mod plan;
pub mod problem;
pub mod sheet;
pub mod text;
pub mod words;
