//! What every worker of Trawler runs on: the ledger of jobs over State, the
//! consumer loop with its lease keeper, drain, pause, checkpoints, manifests
//! of image work and dead letters.
//!
//! It speaks to the outside world through the ports of `trawler_core` alone
//! and knows no adapter. What a job does is a [`Handler`]'s matter; when what
//! is due is the scheduler's.
//!
//! ```text
//! Worker ── receive 1 a free slot ──> delivery: take ─> handler ─> judge ─> ledger ─> ack
//!                                       └ keeper: renews the lease, watches pause flags
//! ```

mod cache;
mod checkpoint;
mod conclude;
mod context;
mod dead;
mod delivery;
mod documents;
mod drain;
mod handler;
mod hold;
mod jobs;
mod keeper;
pub mod manifests;
mod pauses;
mod ports;
mod progress;
mod retry;
mod worker;

pub use checkpoint::CheckpointError;
pub use context::JobContext;
pub use documents::{Created, DocumentError, Documents, Loaded, UpdateError, chain};
pub use drain::Drain;
pub use handler::{Handler, TakenJob};
pub use hold::Interrupt;
pub use jobs::{Jobs, JobsError, Planned, SendReport, Take, Unsent};
pub use pauses::Pauses;
pub use ports::Ports;
pub use progress::{Progress, ProgressBoard};
pub use worker::{Worker, WorkerOptions, WorkerReport};
