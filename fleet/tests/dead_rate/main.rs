//! A hundred thousand dead letters against a queue that takes 300 requests a
//! second and a store that takes 10 ms for everything, in virtual time.
#![allow(clippy::unwrap_used)]

mod clock;
mod queue;
mod redrive;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod world;
