//! Ports on paper: everything is read from where it is and written elsewhere,
//! so that a run can be tried to its very end and nothing of it stays.
//!
//! [`PaperState`] holds what is written in memory, [`PaperBlobs`] in another
//! store of blobs. Both keep the obligations of their ports towards whoever
//! works with them; what others write underneath meanwhile shows through.

mod blobs;
mod state;

pub use blobs::PaperBlobs;
pub use state::PaperState;
