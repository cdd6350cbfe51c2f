//! Emulators of the cloud, started by the tests themselves on 127.0.0.1 and
//! ended by their own process id.
//!
//! MiniStack speaks SQS, S3, CloudWatch, and CloudFormation with what the
//! template in `infra/` makes; moto is there for Auto Scaling and
//! EC2 alone, since its SQS takes stale receipts and repeated dedup ids. Both
//! prove the wire format; what the semantics are, the strict model says.

mod process;

pub use process::{Emulator, Ministack, Moto, REGION};

#[cfg(test)]
mod tests;
