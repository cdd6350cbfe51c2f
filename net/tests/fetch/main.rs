//! The fetcher against real servers on loopback, which the tests start and end.
//! Loopback is let in by configuration, port by port, as a user would do it.
#![allow(clippy::unwrap_used)]

mod bodies;
mod bounds;
mod conditional;
mod cookies;
mod hops;
mod invariant_8_no_private_address;
mod kept;
mod memory;
mod pace;
mod proxy;
mod retries;
mod server;
mod tls;
mod trace;
mod tunnel;
