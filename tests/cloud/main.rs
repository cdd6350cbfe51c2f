//! What the AWS adapter does beyond the ports' contracts, over the wire
//! against emulators: checks at start, metrics, notices, capacity.

#![allow(clippy::unwrap_used)]
