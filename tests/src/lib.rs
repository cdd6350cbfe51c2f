//! What the integration tests share: a clock that tests move, a bounded wait,
//! and the harnesses through which an adapter enters the contract suites.
//!
//! The suites themselves are in `contract/`.

mod clock;
pub mod emulator;
mod harness;
mod wait;

pub use clock::ManualClock;
pub use harness::{
    BlobsHarness, QUEUE_RECEIVE_COUNT_MAX, QUEUE_VISIBILITY, QueueHarness, StateHarness,
};
pub use wait::{WAIT_MAX, until};
