//! What AWS does that policies have to live with, as small models: the metrics
//! of a queue, alarms over them, the launch of instances, and spot.

pub(crate) mod alarm;
pub(crate) mod launch;
pub(crate) mod metrics;
