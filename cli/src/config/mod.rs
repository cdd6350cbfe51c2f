//! `trawler.toml`: what this machine does. Each table is a struct of its own
//! in this folder and each key is documented once, there, next to its default
//! and its bound. A missing file or key never changes what Trawler does
//! silently: defaults are the ones written here.

mod images;
mod load;
mod net;
mod queue;
mod store;
mod template;
mod workers;

use serde::Deserialize;
use trawler_core::verdict::RetryPolicy;

pub(crate) use images::ImagesConfig;
pub(crate) use load::{ConfigError, Loaded, load};
pub(crate) use net::NetConfig;
pub(crate) use queue::QueueConfig;
pub(crate) use store::{CatalogueConfig, StoreConfig};
pub(crate) use template::{EXAMPLE_PIPE, TRAWLER_TOML};
pub(crate) use workers::{SchedulerConfig, WorkersConfig};

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) store: StoreConfig,
    pub(crate) queue: QueueConfig,
    pub(crate) workers: WorkersConfig,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) retry: RetryPolicy,
    pub(crate) net: NetConfig,
    pub(crate) catalogue: CatalogueConfig,
    pub(crate) images: ImagesConfig,
}
