//! Documents, sending and manifests against behaving ports with faults.
#![allow(clippy::unwrap_used)]

mod bench;
mod documents;
mod manifest;
mod messages;
mod settled;
#[path = "../support/mod.rs"]
mod support;
