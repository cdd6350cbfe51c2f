//! The ports on AWS: queues on SQS FIFO, blobs, state and the catalogue's
//! object store on S3, metrics on CloudWatch, notices from the instance's
//! metadata service, capacity on Auto Scaling.
//!
//! AWS types appear in this crate alone. The obligations are the ports' own,
//! and the contract suite in `tests/contract` holds this crate to them, over
//! the wire against an emulator.

mod cloud;

pub use cloud::{Cloud, CloudError};
