//! The worker against behaving ports: every rule of the lease, the ledger, the
//! drain and the pause, each in a test of its name.
#![allow(clippy::unwrap_used)]

mod bench;
mod lease;
mod leaving;
mod message;
mod outage;
mod pause;
#[path = "../support/mod.rs"]
mod support;
mod verdict;
