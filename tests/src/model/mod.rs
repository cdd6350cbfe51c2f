//! A strict model of SQS FIFO and S3 inside the test process, on a clock that
//! tests move: what the fleet's code is simulated against, and where requests
//! are counted.
//!
//! Two layers, as in the world. [`Sqs`] and [`S3`] are the services: they know
//! nothing of Trawler, refuse what AWS refuses and count what AWS bills (facts
//! from the SQS and S3 API references and quota pages). [`ModelQueue`],
//! [`ModelState`] and [`ModelBlobs`] are the ports over them, each call one or
//! more requests over a [`Wire`] that may be slow, busy, cut or lose answers,
//! and that belongs to a process which may be frozen or die ([`Life`]).
//! [`ModelObjects`] is the catalogue's store over the same [`S3`].
//!
//! Everything is decided by the seed and by the clock. With [`VirtualClock`]
//! time passes only when nothing else can happen, so that days take
//! milliseconds and a seed replays its history.
//!
//! It proves nothing about wire formats; the emulators do.

mod life;
mod meter;
mod objects;
mod queue;
mod s3;
mod shelf;
mod sqs;
mod stores;
mod throttle;
mod time;
mod wire;

pub use life::{Life, LifeClock};
pub use meter::{Action, Bill, Meter};
pub use objects::ModelObjects;
pub use queue::ModelQueue;
pub use s3::{Condition, Folder, Head, Object, S3, S3Error};
pub use sqs::{Entry, Received, Side, Sqs, SqsError, SqsOptions};
pub use stores::{ModelBlobs, ModelState};
pub use time::VirtualClock;
pub use wire::{FaultRates, Network, Outage, Wire};
