//! The stores that need no cloud: a folder and a map in memory.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tempfile::TempDir;
use trawler_catalogue::local_store;

use super::CatalogueHarness;

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
