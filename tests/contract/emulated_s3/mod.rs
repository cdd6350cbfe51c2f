//! The S3 adapter in the suites, over the wire against an emulator. Each case
//! has a prefix of its own in one bucket.

mod stores;

use stores::{S3BlobsHarness, S3CatalogueHarness, S3StateHarness};

mod state {
    state_contract!(super::S3StateHarness::fresh);
}
mod blobs {
    blobs_contract!(super::S3BlobsHarness::fresh);
}
mod catalogue {
    catalogue_contract!(super::S3CatalogueHarness::fresh);
}
