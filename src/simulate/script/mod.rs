//! A script that the unit got, played: a shell with the few programs that such scripts use.
//!
//! Nothing of the machine is touched: files are those of the unit's own flash, `sleep` lets the
//! unit's clock pass, programs answer as the conduct says, and only `curl` and `wget` leave the
//! unit. What is not known is said, and fails as an unknown command does.

mod arith;
mod ast;
mod candidate;
mod curl;
mod expand;
mod parse;
mod programs;
mod regex;
mod shell;
mod test;
mod text;
mod variables;
mod words;

pub(super) use self::programs::KEPT;
pub(super) use self::shell::{Ended, Shell};
