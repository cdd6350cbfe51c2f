//! What the integration tests share: a clock that tests move, a bounded wait,
//! and the harnesses through which an adapter enters the contract suites.
//!
//! The suites themselves are in `contract/`.

mod bucket;
mod clock;
mod connect_proxy;
pub mod emulator;
pub mod group;
mod harness;
mod imds;
pub mod model;
pub mod proxy;
pub mod python;
pub mod sshd;
mod wait;

pub use bucket::make_bucket;
pub use clock::ManualClock;
pub use connect_proxy::{ConnectProxy, Connected};
pub use harness::{
    BlobsHarness, QUEUE_RECEIVE_COUNT_MAX, QUEUE_VISIBILITY, QueueHarness, StateHarness,
};
pub use imds::Imds;
pub use wait::{WAIT_MAX, until};
