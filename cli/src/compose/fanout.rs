//! Metrics that several listeners want.

use std::sync::Arc;

use trawler_core::ports::{Metric, Metrics};

/// Tells each of them, in order.
pub(super) struct Fanout(pub(super) Vec<Arc<dyn Metrics>>);

impl Metrics for Fanout {
    fn record(&self, metric: Metric) {
        for listener in &self.0 {
            listener.record(metric);
        }
    }
}
