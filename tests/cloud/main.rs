//! What the AWS adapter does beyond the ports' contracts, over the wire
//! against emulators: checks at start, metrics, notices, capacity.

#![allow(clippy::unwrap_used)]

mod capacity;
mod endpoints;
mod metrics;
mod notices;
mod parameters;
mod queue_checks;
mod queue_faults;
mod queue_support;
mod s3_clock;
mod s3_create;
mod s3_documents;
mod s3_faults;
mod s3_objects;
mod s3_open;
mod s3_support;
mod wire;
