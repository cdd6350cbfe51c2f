//! What every worker of Trawler runs on: the ledger of jobs over State, the
//! consumer loop with its lease keeper, drain, pause, checkpoints, manifests
//! of image work and dead letters.
//!
//! It speaks to the outside world through the ports of `trawler_core` alone
//! and knows no adapter. What a job does is a [`Handler`]'s matter; when what
//! is due is the scheduler's.
//!
//! Where a worker waits for several things it looks at them in a fixed order
//! (`biased`), so that a simulated history can be replayed from its seed.
//!
//! ```text
//! Worker ── receive 1 a free slot ──> delivery: take ─> handler ─> judge ─> ledger ─> ack
//!                                       └ keeper: renews the lease, watches pause flags
//! ```

mod audit;
mod backoff;
mod boots;
mod cache;
mod checkpoint;
mod conclude;
mod context;
pub mod dead;
mod delivery;
mod documents;
mod drain;
mod flag_changes;
mod handler;
mod held_folder;
mod hold;
mod jobs;
mod keeper;
mod maintenance;
pub mod manifests;
pub mod metrics_page;
mod notices;
mod pauses;
mod pipe_set;
mod pipe_sets;
mod pipes;
mod ports;
mod progress;
mod removals;
mod retry;
mod runs;
mod secret_text;
mod sending;
mod settled;
mod slots;
mod tenure;
mod worker;

pub use audit::{Audit, audit};
pub use boots::tell_start;
pub use checkpoint::CheckpointError;
pub use context::JobContext;
pub use documents::{At, Created, DocumentError, Documents, Loaded, UpdateError, chain};
pub use drain::Drain;
pub use handler::{Brief, Handler, TakenJob};
pub use held_folder::HeldFolder;
pub use hold::Interrupt;
pub use jobs::{Jobs, JobsError, Planned, Take};
pub use maintenance::{Maintenance, MaintenanceError};
pub use metrics_page::MetricsPage;
pub use notices::AllNotices;
pub use pauses::Pauses;
pub use pipe_set::{PipeFile, PipeSet, PipeSetFiles, TableFile};
pub use pipe_sets::{Parent, PipeSets, Publication, PublishError, Published};
pub use pipes::{CurrentSet, PipeError, PipeSource, Pipes, TABLE_BYTES_MAX, read_table};
pub use ports::Ports;
pub use progress::{Progress, ProgressBoard};
pub use removals::{Look, Removals, Stays};
pub use retry::retry;
pub use secret_text::secret_text;
pub use sending::{SendReport, Unsent};
pub use settled::{JobBrief, LOG_RECORDS, Survey};
pub use slots::{Slots, TakenSlot};
pub use tenure::Tenure;
pub use worker::{Worker, WorkerOptions, WorkerReport};
