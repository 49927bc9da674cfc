//! VRRP versions 2 and 3 (RFC 9568): which of several routers holds the virtual addresses.
//!
//! Nothing here opens a socket or reads a clock: packets and the time are arguments, what is to be done is returned.
#![forbid(unsafe_code)]

pub mod declared;
