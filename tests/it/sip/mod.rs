//! SIP PnP: messages and exchanges without sockets, and the server beside a call server.

mod beside;
mod exchange;
