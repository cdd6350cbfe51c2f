//! The ports on one machine: queues and state in one SQLite file, blobs as
//! files, the system's clock and signals.
//!
//! Nothing has to be installed or started, and several processes may work on
//! the same folder at once. The obligations are the ports' own, and the
//! contract suite in `tests/contract` holds this crate to them. It does not
//! reach over a network: SQLite's locks and the links of the blob store need a
//! local, case-sensitive file system.
//!
//! ```text
//! <folder>/trawler.db    queues, their backstop dead letters, state
//! <folder>/holders/      a locked file for each process that receives
//! <folder>/blobs/        one file an object, at the path that is its key
//! <folder>/blobs/~tmp/   objects on their way in; never listed
//! ```

mod blobs;
mod capacity;
mod clock;
mod database;
mod metrics;
mod notices;
mod paper;
mod queue;
mod schema;
mod state;
mod store;

pub use blobs::LocalBlobs;
pub use capacity::OneMachine;
pub use clock::SystemClock;
pub use metrics::{CountingMetrics, MetricsSnapshot};
pub use notices::SignalNotices;
pub use paper::{PaperBlobs, PaperState};
pub use queue::{LocalQueue, QueueOptions};
pub use schema::SCHEMA_VERSION;
pub use state::LocalState;
pub use store::{LocalStore, OpenError};
