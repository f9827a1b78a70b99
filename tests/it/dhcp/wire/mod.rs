//! On wires: namespaces with a switch between them.

mod clients;
pub(crate) mod golden;
mod hostile;
pub(crate) mod lab;
mod modes;
pub(crate) mod raw;
mod rivals;
mod root;
mod simulate;
mod vanish;
