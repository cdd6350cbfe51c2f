//! Who may tell this process to leave: signals everywhere, the instance's
//! metadata service in a fleet.

use std::sync::Arc;

use anyhow::Context;
use trawler_aws::{InstanceMetadata, InstanceNotices};
use trawler_core::ports::{Clock, Notices};
use trawler_fleet::AllNotices;
use trawler_local::SignalNotices;

use crate::config::{Config, Imds};

/// From now on SIGTERM and SIGINT no longer end the process by themselves.
pub(crate) async fn listen(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<AllNotices> {
    let signals = SignalNotices::listen().context("listen for signals")?;
    let mut sources: Vec<Arc<dyn Notices>> = vec![Arc::new(signals)];
    let is_asked = match config.notices.imds {
        Imds::Auto => config.is_fleet(),
        Imds::Yes => true,
        Imds::No => false,
    };
    if is_asked {
        let metadata = Arc::new(InstanceMetadata::new());
        match InstanceNotices::listen(metadata, clock).await {
            Ok(instance) => sources.push(Arc::new(instance)),
            Err(error) if config.notices.imds == Imds::Yes => {
                return Err(error).context(
                    "listen for notices of the instance, which notices.imds = true demands",
                );
            }
            Err(error) => {
                tracing::info!("no notices of an instance: {error}");
            }
        }
    }
    Ok(AllNotices::new(sources))
}
