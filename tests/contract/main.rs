//! The contract suites of `Queue`, `State` and `Blobs`, and the adapters that
//! are held to them.
//!
//! A case is a function over a harness; a suite lists its cases once, and
//! every adapter below gets each of them as a test of its own. To hold another
//! adapter to a suite, write its harness and name it here.

#![allow(clippy::unwrap_used)]

#[macro_use]
mod suite;

mod blobs;
mod local_adapter;
mod memory;
mod model;
mod processes;
mod queue;
mod simulation;
mod state;

/// SQLite and files.
mod local {
    mod queue {
        queue_contract!(crate::local_adapter::LocalQueueHarness::fresh);
    }
    mod state {
        state_contract!(crate::local_adapter::LocalStateHarness::fresh);
    }
    mod blobs {
        blobs_contract!(crate::local_adapter::LocalBlobsHarness::fresh);
    }
}

/// The strict models in memory: proof that the suites ask for nothing but what
/// the ports say.
mod strict_model {
    mod queue {
        queue_contract!(crate::model::ModelHarness::fresh);
    }
    mod state {
        state_contract!(crate::memory::MemoryStateHarness::fresh);
    }
    mod blobs {
        blobs_contract!(crate::memory::MemoryBlobsHarness::fresh);
    }
}
