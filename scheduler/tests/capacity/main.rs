//! What a tick does about the number of instances: days of a fleet on a frozen
//! clock, with a group that boots and workers that take their time.
#![allow(clippy::unwrap_used)]

mod fleet;
mod nights;
#[path = "../../../fleet/tests/support/mod.rs"]
mod support;
