//! The handler against a real shop and the ports of one machine: what is
//! requested, stored and recorded, on good days and on bad ones.
#![allow(clippy::unwrap_used)]

mod again;
mod asked;
mod bench;
mod failing;
mod judged;
mod leaving;
mod originals;
mod stored;
#[path = "../support/mod.rs"]
mod support;
mod unasked;
#[path = "../support/world.rs"]
mod world;
