//! On wires: namespaces with a switch between them.

mod clients;
mod hostile;
mod lab;
mod modes;
mod raw;
mod rivals;
