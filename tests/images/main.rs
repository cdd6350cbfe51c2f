//! Images, proven: what comes out of real files against another program's
//! decoding, bombs against the bounds, and a worker that is killed again and
//! again against one that nobody disturbed.

#![allow(clippy::unwrap_used)]

// The journeys, the sites and the chaos use the rest of them.
#[allow(dead_code)]
#[path = "../site/child.rs"]
mod child;
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

mod bombs;
mod crafted;
mod files;
mod hostile;
mod killed;
mod reference;
mod table;
mod together;
mod wire;
