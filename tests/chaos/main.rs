//! The real program, really killed: on the same shops, a folder that is
//! disturbed must end as one that is not.

#![allow(clippy::unwrap_used)]

// The journeys use the rest of it.
#[allow(dead_code)]
#[path = "../journey/support.rs"]
mod support;

mod commit;
mod drain;
mod kill;
// The fleet uses the rest of it.
#[allow(dead_code)]
mod outcome;
mod together;
mod world;
