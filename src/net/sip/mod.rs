//! SIP PnP: a multicast SUBSCRIBE for `ua-profile` asks where the configuration is.

pub mod subscribe;
