//! The ports that a process was given, in one handful.

use std::sync::Arc;

use trawler_core::QueueName;
use trawler_core::ports::{Blobs, Clock, Metrics, Queue, State};

use crate::{Documents, Jobs};

/// Every port that workers and the scheduler use. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    pub state: Arc<dyn State>,
    pub blobs: Arc<dyn Blobs>,
    pub crawl: Arc<dyn Queue>,
    pub image: Arc<dyn Queue>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<dyn Metrics>,
}

impl Ports {
    pub fn queue(&self, name: QueueName) -> &Arc<dyn Queue> {
        match name {
            QueueName::Crawl => &self.crawl,
            QueueName::Image => &self.image,
        }
    }

    /// Documents with an empty cache; keep it, and its clones share the cache.
    pub fn documents(&self) -> Documents {
        Documents::new(Arc::clone(&self.state), Arc::clone(&self.clock))
    }

    /// The ledger with an empty cache; keep it, and its clones share the cache.
    pub fn jobs(&self) -> Jobs {
        Jobs::new(self)
    }
}
