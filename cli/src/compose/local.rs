//! The ports on this machine: one SQLite file and folders below `store.dir`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use tokio::sync::OnceCell;
use trawler_core::QueueName;
use trawler_core::ports::{Blobs, Clock, Queue, State};
use trawler_local::{LocalStore, QueueOptions};

use crate::config::{Loaded, QueueConfig};

/// Opened with its first use, so that a machine of a fleet gets no empty
/// database.
pub(super) struct Local {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    store: OnceCell<LocalStore>,
}

impl Local {
    pub(super) fn of(loaded: &Loaded, clock: Arc<dyn Clock>) -> Self {
        Self {
            dir: loaded.store_dir(),
            clock,
            store: OnceCell::new(),
        }
    }

    pub(super) async fn state(&self) -> anyhow::Result<Arc<dyn State>> {
        Ok(Arc::new(self.store().await?.state()))
    }

    pub(super) async fn blobs(&self) -> anyhow::Result<Arc<dyn Blobs>> {
        Ok(Arc::new(self.store().await?.blobs()))
    }

    pub(super) async fn queue(
        &self,
        config: &QueueConfig,
        queue: QueueName,
    ) -> anyhow::Result<Arc<dyn Queue>> {
        let options = QueueOptions {
            visibility: config.visibility(queue),
            receive_count_max: config.receives_max,
        };
        Ok(Arc::new(self.store().await?.queue(queue, options)?))
    }

    async fn store(&self) -> anyhow::Result<&LocalStore> {
        let open = || LocalStore::open(&self.dir, Arc::clone(&self.clock));
        Ok(self.store.get_or_try_init(open).await?)
    }
}

pub(super) fn catalogue_store(dir: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    Ok(trawler_catalogue::local_store(dir)?)
}
