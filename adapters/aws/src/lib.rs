//! The ports on AWS: queues on SQS FIFO, blobs, state and the catalogue's
//! object store on S3, metrics on CloudWatch, notices from the instance's
//! metadata service, capacity on Auto Scaling; and the interface of a function
//! that Lambda starts.
//!
//! AWS types appear in this crate alone. The obligations are the ports' own,
//! and the contract suite in `tests/contract` holds this crate to them, over
//! the wire against an emulator.

mod capacity;
mod cloud;
mod function;
mod metrics;
mod notices;
mod parameters;
mod queue;
mod s3;

pub use capacity::{AutoScaling, AutoScalingOptions, Shrink};
pub use cloud::{Cloud, CloudError};
pub use function::{Function, FunctionCall, FunctionError};
pub use metrics::{CloudWatchMetrics, MetricsReport, MetricsSender, NAMESPACE};
pub use notices::{InstanceMetadata, InstanceNotices, MetadataError};
pub use parameters::{ParameterError, Parameters};
pub use queue::{QueueFinding, SqsOpenError, SqsOptions, SqsQueue};
pub use s3::{
    BucketFinding, InvalidLocation, S3Blobs, S3Encryption, S3Location, S3OpenError, S3Options,
    S3State, catalogue_store, create_bucket,
};
