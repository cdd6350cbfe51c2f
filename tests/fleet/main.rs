//! The fleet as it runs: the real program in every role, as processes of their
//! own, on an emulated cloud behind a proxy that fails.
//!
//! One emulator serves all tests. What is measured or needs the machine runs
//! alone; what mostly waits runs side by side (`cloud::alone`, `cloud::beside`).

#![allow(clippy::unwrap_used)]

// The journeys, the kills on one machine and the tests of adapters use the rest
// of them.
#[allow(dead_code)]
#[path = "../chaos/outcome.rs"]
mod outcome;
#[allow(dead_code)]
#[path = "../journey/support.rs"]
mod support;
#[allow(dead_code)]
#[path = "../cloud/wire.rs"]
mod wire;

mod chaos;
mod cloud;
mod crew;
mod drain;
mod met;
mod outage;
mod partners;
mod people;
mod place;
mod planned;
mod scale;
mod storm;
mod wait;
mod zombie;
