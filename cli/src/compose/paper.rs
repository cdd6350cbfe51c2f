//! A machine on paper: it reads what the real one has, and all that it writes
//! is in a folder that is thrown away.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;
use trawler_catalogue::CatalogueOptions;
use trawler_core::QueueName;
use trawler_core::ports::Queue;
use trawler_fleet::{Pauses, PipeSets, Pipes, Ports};
use trawler_local::{CountingMetrics, LocalStore, PaperBlobs, PaperState, QueueOptions};

use super::{Machine, local};
use crate::config::{Loaded, Place};

/// Documents that stand for work under way, or keep it waiting: on paper there
/// is one job, and it does not wait for a person.
const HIDDEN: &[&str] = &[
    "jobs/",
    "pause/",
    "schedule/",
    "dead/",
    "checkpoints/",
    "manifests/",
];

impl Machine {
    /// This machine with everything that it writes in `dir`.
    pub(crate) async fn on_paper(&self, loaded: &Loaded, dir: &Path) -> anyhow::Result<Self> {
        let clock = Arc::clone(&self.ports.clock);
        let store = LocalStore::open(dir, Arc::clone(&clock)).await?;
        let queue = |queue: QueueName| -> anyhow::Result<Arc<dyn Queue>> {
            let options = QueueOptions {
                visibility: loaded.config.queue.visibility(queue),
                receive_count_max: loaded.config.queue.receives_max,
            };
            Ok(Arc::new(store.queue(queue, options)?))
        };
        let metrics = Arc::new(CountingMetrics::new());
        let state = PaperState::new(Arc::clone(&self.ports.state), HIDDEN);
        let blobs = PaperBlobs::new(Arc::clone(&self.ports.blobs), Arc::new(store.blobs()));
        let ports = Ports {
            state: Arc::new(state),
            blobs: Arc::new(blobs),
            crawl: queue(QueueName::Crawl)?,
            image: queue(QueueName::Image)?,
            clock,
            metrics: metrics.clone(),
        };
        let options = CatalogueOptions {
            // Nobody opens it again.
            checkpoint_every: 0,
            ..self.catalogue_options.clone()
        };
        let catalogue_dir = dir.join("catalogue");
        let over = local::catalogue_store(&catalogue_dir)?;
        let catalogue = self.catalogue().await?.on_paper(over, options).await?;
        let sets = loaded.config.is_fleet().then(|| PipeSets::new(&ports));
        Ok(Self {
            pauses: Pauses::new(&ports),
            pipes: match &sets {
                // The set of a run is named by its document, which is on paper.
                Some(sets) => Pipes::new(sets.clone()),
                None => self.pipes.clone(),
            },
            sets,
            secrets: Arc::clone(&self.secrets),
            sender: Mutex::new(None),
            aws: None,
            ports,
            metrics,
            blobs_dir: dir.join("blobs"),
            catalogue_dir,
            catalogue: OnceCell::new_with(Some(Arc::new(catalogue))),
            catalogue_place: Place::Local,
            catalogue_options: self.catalogue_options.clone(),
            scratch: Some(dir.join("scratch")),
        })
    }
}
