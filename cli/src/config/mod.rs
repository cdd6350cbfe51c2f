//! `trawler.toml`: what this machine does. Each table is a struct of its own
//! in this folder and each key is documented once, there, next to its default
//! and its bound. A missing file or key never changes what Trawler does
//! silently: defaults are the ones written here.

mod check;
mod error;
mod fleet;
mod images;
mod load;
mod net;
mod plan;
mod position;
mod queue;
mod store;
mod template;
mod workers;

use serde::Deserialize;
use trawler_core::Environment;
use trawler_core::verdict::RetryPolicy;

pub(crate) use error::ConfigError;
pub(crate) use fleet::{CapacityConfig, Imds, MetricsConfig, NoticesConfig};
pub(crate) use images::ImagesConfig;
pub(crate) use load::{Loaded, ReadPipe, load, load_config_only, read_pipes};
pub(crate) use net::NetConfig;
pub(crate) use plan::PlanConfig;
pub(crate) use queue::{QueueConfig, QueueKind};
pub(crate) use store::{CatalogueConfig, Encryption, Place, StoreConfig};
pub(crate) use template::{EXAMPLE_PIPE, TRAWLER_TOML};
pub(crate) use workers::{SchedulerConfig, WorkersConfig};

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The name that keeps two fleets apart; part of every queue's name, key
    /// and message. 1 to 32 lower-case ASCII letters, digits and `-`, beginning
    /// with a letter. Default none; needed as soon as anything is on AWS.
    pub(crate) environment: Option<Environment>,
    pub(crate) store: StoreConfig,
    pub(crate) queue: QueueConfig,
    pub(crate) workers: WorkersConfig,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) retry: RetryPolicy,
    pub(crate) net: NetConfig,
    pub(crate) catalogue: CatalogueConfig,
    pub(crate) images: ImagesConfig,
    pub(crate) metrics: MetricsConfig,
    pub(crate) capacity: CapacityConfig,
    pub(crate) plan: PlanConfig,
    pub(crate) notices: NoticesConfig,
}

impl Config {
    /// Whether pipes come in published sets rather than from a folder.
    pub(crate) fn is_fleet(&self) -> bool {
        self.queue.kind == QueueKind::Sqs
    }

    /// Whether anything needs an account of AWS.
    pub(crate) fn is_on_aws(&self) -> bool {
        self.is_fleet()
            || self.store.is_on_s3()
            || self.metrics.cloudwatch
            || self.capacity.is_set()
    }
}
