//! What is withheld, and pictures that are withdrawn, where others are at work
//! on the same pipe and where somebody wants the job to stop.

#![allow(clippy::unwrap_used)]

mod pictures;
mod stopped;
#[path = "../../../fleet/tests/support/mod.rs"]
mod support;
#[path = "../../../catalogue/src/testing.rs"]
mod testing;
