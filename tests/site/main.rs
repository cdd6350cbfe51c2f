//! Whole crawls: the real program over generated shops whose catalogue is
//! known to the last row, and the shop's own log of requests.
//!
//! A crawl has to end with exactly the products that a correct and polite
//! visitor finds, or say that it is incomplete and delist nobody.

#![allow(clippy::unwrap_used)]

// The journeys, the kills and the fleet use the rest of them.
#[allow(dead_code, unreachable_pub)]
#[path = "../../fleet/tests/support/clock.rs"]
mod clock;
#[allow(dead_code)]
#[path = "../fleet/cloud.rs"]
mod cloud;
#[allow(dead_code)]
#[path = "../fleet/crew.rs"]
mod crew;
#[allow(dead_code)]
#[path = "../journey/look.rs"]
mod look;
#[allow(dead_code)]
#[path = "../chaos/outcome.rs"]
mod outcome;
#[allow(dead_code)]
#[path = "../journey/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../journey/support.rs"]
mod support;
#[allow(dead_code)]
#[path = "../fleet/wait.rs"]
mod wait;

mod catalogue;
mod child;
mod credentials;
mod deliveries;
mod desk;
mod doubtful;
mod hostile;
mod incomplete;
mod killed;
mod polite;
mod render;
mod robots;
mod rows;
mod shops;
mod turns;
