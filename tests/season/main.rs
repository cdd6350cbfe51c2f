//! A season: sixty days of twenty shops, and what goes wrong in that time.
//! Whatever a partner serves, the catalogue shows what is right or what was
//! right last; whoever decides is in the audit trail.

#![allow(clippy::unwrap_used)]

// The journeys use the rest of them.
#[allow(dead_code)]
#[path = "../journey/look.rs"]
mod look;
#[allow(dead_code)]
#[path = "../journey/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../journey/support.rs"]
mod support;

mod disaster;
mod partner;
mod season;
