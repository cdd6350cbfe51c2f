//! What AWS does that policies have to live with, as small models: the metrics
//! of a queue, alarms over them, the launch of instances, spot, and bad days.

pub(crate) mod alarm;
pub(crate) mod launch;
pub(crate) mod metrics;
pub(crate) mod weather;
