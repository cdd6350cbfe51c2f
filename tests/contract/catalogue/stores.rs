//! The stores that need no cloud: a folder, a map in memory, and the strict
//! model of S3.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tempfile::TempDir;
use trawler_catalogue::local_store;
use trawler_tests::model::{FaultRates, Life, Meter, ModelObjects, Network, S3, Wire};

use super::CatalogueHarness;
use super::testing::{DAY_0_MS, StillClock};

pub(crate) struct LocalCatalogueHarness(TempDir);

impl LocalCatalogueHarness {
    pub(crate) async fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl CatalogueHarness for LocalCatalogueHarness {
    async fn store(&self) -> Arc<dyn ObjectStore> {
        local_store(&self.0.path().join("deep/catalogue")).unwrap()
    }
}

#[derive(Default)]
pub(crate) struct MemoryCatalogueHarness(Arc<InMemory>);

impl MemoryCatalogueHarness {
    pub(crate) async fn fresh() -> Self {
        Self::default()
    }
}

#[async_trait]
impl CatalogueHarness for MemoryCatalogueHarness {
    async fn store(&self) -> Arc<dyn ObjectStore> {
        self.0.clone()
    }
}

/// A bucket of the strict model, and a way to it on which requests are refused
/// now and then. The waits of its client take no time.
pub(crate) struct ModelCatalogueHarness {
    clock: Arc<StillClock>,
    s3: Arc<S3>,
    network: Arc<Network>,
}

impl ModelCatalogueHarness {
    /// With faults that the client makes up for.
    pub(crate) async fn fresh() -> Self {
        let busy = FaultRates {
            throttled: 0.02,
            failed: 0.02,
            slow: 0.02,
            ..FaultRates::default()
        };
        Self::with(0, busy)
    }

    pub(super) fn with(seed: u64, rates: FaultRates) -> Self {
        let clock = StillClock::at(DAY_0_MS);
        Self {
            s3: S3::new(clock.clone(), &Arc::<Meter>::default()),
            network: Network::new(clock.clone(), seed, rates),
            clock,
        }
    }

    /// A handle that nothing troubles.
    pub(super) fn direct(&self) -> Arc<dyn ObjectStore> {
        ModelObjects::new(&self.s3, &Wire::direct(self.clock.clone()))
    }
}

#[async_trait]
impl CatalogueHarness for ModelCatalogueHarness {
    async fn store(&self) -> Arc<dyn ObjectStore> {
        let life = Life::charmed(self.clock.clone());
        ModelObjects::new(&self.s3, &Wire::new(&self.network, &life))
    }
}
