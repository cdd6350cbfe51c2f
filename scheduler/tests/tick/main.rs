//! The scheduler's tick on a frozen clock: what is due, twice, late, and cut
//! off at every write.
#![allow(clippy::unwrap_used)]

mod bench;
mod broken;
mod decide;
mod images;
mod older;
mod planning;
mod refetch;
mod reprocess;
mod settled;
#[path = "../../../fleet/tests/support/mod.rs"]
mod support;
mod upkeep;
mod waiting;
mod withheld;
