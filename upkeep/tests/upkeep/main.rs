//! The upkeep against behaving ports in memory and a real table, and once
//! against the local adapters.

#![allow(clippy::unwrap_used)]

mod counted;
mod removal;
mod removal_orders;
mod restored;
#[path = "../../../fleet/tests/support/mod.rs"]
mod support;
#[path = "../../../catalogue/src/testing.rs"]
mod testing;
mod verified;
mod withheld;
mod world;
