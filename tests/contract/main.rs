//! The contract suites of `Queue`, `State`, `Blobs` and the catalogue's commit,
//! and the adapters that are held to them.
//!
//! A case is a function over a harness; a suite lists its cases once, and
//! every adapter below gets each of them as a test of its own. To hold another
//! adapter to a suite, write its harness and name it here.

#![allow(clippy::unwrap_used)]

#[macro_use]
mod suite;

mod blobs;
mod catalogue;
mod emulated;
mod emulated_s3;
mod local_adapter;
mod machine;
mod naive;
mod paper;
mod processes;
mod queue;
mod simulation;
mod state;
mod strict;

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
    mod catalogue {
        catalogue_contract!(crate::catalogue::LocalCatalogueHarness::fresh);
    }
}

/// A map in memory, where no write takes time.
mod memory {
    mod catalogue {
        catalogue_contract!(crate::catalogue::MemoryCatalogueHarness::fresh);
    }
}

/// Over a store that is only read.
mod on_paper {
    mod state {
        state_contract!(crate::paper::PaperStateHarness::fresh);
    }
    mod blobs {
        blobs_contract!(crate::paper::PaperBlobsHarness::fresh);
    }
}

/// A list in memory: proof that the suite asks for nothing but what the port
/// says.
mod naive_model {
    mod queue {
        queue_contract!(crate::naive::NaiveHarness::fresh);
    }
}

/// SQS and S3 as `trawler_tests::model` has them, which the fleet is simulated
/// against.
mod strict_model {
    mod queue {
        queue_contract!(crate::strict::SqsHarness::fresh);
    }
    mod state {
        state_contract!(crate::strict::S3StateHarness::fresh);
    }
    mod blobs {
        blobs_contract!(crate::strict::S3BlobsHarness::fresh);
    }
    mod catalogue {
        catalogue_contract!(crate::catalogue::ModelCatalogueHarness::fresh);
    }
}
