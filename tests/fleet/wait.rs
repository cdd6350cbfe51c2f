//! Waiting on the state of a fleet, with a bound.

use std::time::{Duration, Instant};

use trawler_core::{JobId, RunId};
use trawler_fleet::{Ports, manifests};

use crate::outcome;

/// State lies behind a socket; each look costs some requests.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until `holds`.
///
/// # Panics
/// When it does not within the bound.
pub(crate) async fn wait_for(what: &str, bound: Duration, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + bound;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {bound:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether these runs are planned and all work that followed is settled.
pub(crate) async fn is_done(ports: &Ports, runs: &[RunId]) -> bool {
    let jobs = outcome::jobs(ports).await;
    let is_planned = |run: &RunId| jobs.iter().any(|job| job.job == JobId::from(run));
    if !runs.iter().all(is_planned) || !jobs.iter().all(|job| job.status.is_settled()) {
        return false;
    }
    let unsettled = manifests::unsettled(&ports.documents()).await;
    unsettled.expect("read the manifests").is_empty()
}
