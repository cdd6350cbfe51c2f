//! The ports on AWS. Each is checked when it is opened, so that what is wrong
//! with the account is told before the first message is taken.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::ObjectStore;
use trawler_aws::{
    AutoScaling, AutoScalingOptions, Cloud, CloudError, CloudWatchMetrics, InstanceMetadata,
    MetricsSender, Parameters, S3Blobs, S3Encryption, S3Location, S3OpenError, S3Options, S3State,
    SqsOpenError, SqsOptions, SqsQueue, catalogue_store,
};
use trawler_core::ports::{Blobs, Capacity, Clock, Queue, State};
use trawler_core::{Environment, QueueName};
use trawler_fleet::chain;

use crate::config::{Config, Encryption, Imds, MetricsConfig, QueueConfig};
use crate::end::Misuse;

/// The account, and what of it the configuration names.
#[derive(Clone)]
pub(crate) struct Aws {
    cloud: Cloud,
    environment: Environment,
    options: S3Options,
}

impl Aws {
    /// Reaches nothing but, on an instance, its metadata service.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let environment = config
            .environment
            .clone()
            .ok_or_else(|| Misuse::new("environment: found none; name the fleet"))?;
        let cloud = Cloud::open().await.map_err(cloud_error)?;
        let store = &config.store;
        let encryption = match (store.encryption, &store.kms_key) {
            (Encryption::Bucket, _) => None,
            (Encryption::S3, _) => Some(S3Encryption::S3),
            (Encryption::Kms, key) => Some(S3Encryption::Kms {
                key: key.clone().unwrap_or_default(),
            }),
        };
        Ok(Self {
            cloud,
            options: S3Options {
                storage_class: store.storage_class.clone(),
                encryption,
                multipart_above: store.multipart_above_mib << 20,
                cache_control: config.images.cache_control.clone(),
                environment: environment.clone(),
            },
            environment,
        })
    }

    pub(crate) fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    pub(super) async fn state(&self, location: &str) -> anyhow::Result<Arc<dyn State>> {
        let place = S3Location::parse(location)?;
        let state = S3State::open(&self.cloud, place, self.options.clone()).await;
        Ok(Arc::new(
            state.map_err(|error| s3_error("store.state", error))?,
        ))
    }

    pub(super) async fn blobs(&self, location: &str) -> anyhow::Result<Arc<dyn Blobs>> {
        let place = S3Location::parse(location)?;
        let blobs = S3Blobs::open(&self.cloud, place, self.options.clone()).await;
        Ok(Arc::new(
            blobs.map_err(|error| s3_error("store.blobs", error))?,
        ))
    }

    pub(super) async fn catalogue_store(
        &self,
        location: &str,
    ) -> anyhow::Result<Arc<dyn ObjectStore>> {
        let place = S3Location::parse(location)?;
        catalogue_store(&self.cloud, &place, &self.options)
            .await
            .map_err(|error| s3_error("store.catalogue", error))
    }

    pub(super) async fn queue(
        &self,
        config: &QueueConfig,
        queue: QueueName,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Arc<dyn Queue>> {
        let options = self.queue_options(config, queue);
        let opened = SqsQueue::open(&self.cloud, clock, options).await;
        Ok(Arc::new(opened.map_err(|error| sqs_error(queue, error))?))
    }

    pub(crate) fn queue_options(&self, config: &QueueConfig, queue: QueueName) -> SqsOptions {
        SqsOptions {
            name: queue,
            environment: self.environment.clone(),
            queue: config.on_sqs(queue, &self.environment),
            visibility: config.visibility(queue),
            receive_count_max: config.receives_max,
        }
    }

    pub(crate) fn parameters(&self, clock: &Arc<dyn Clock>) -> Parameters {
        Parameters::new(&self.cloud, Arc::clone(clock))
    }

    pub(super) fn metrics(
        &self,
        config: &MetricsConfig,
        clock: Arc<dyn Clock>,
    ) -> (Arc<CloudWatchMetrics>, MetricsSender) {
        let environment = self.environment.clone();
        CloudWatchMetrics::start(&self.cloud, clock, environment, &config.namespace)
    }

    /// The groups, and this machine's place in one of them if it is an
    /// instance.
    pub(super) async fn capacity(
        &self,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Arc<dyn Capacity>> {
        let groups = [
            (QueueName::Crawl, &config.capacity.crawl_group),
            (QueueName::Image, &config.capacity.image_group),
        ];
        let groups = groups
            .into_iter()
            .filter_map(|(queue, group)| Some((queue, group.clone()?)));
        let options = AutoScalingOptions {
            groups: groups.collect(),
            lifecycle_hook: config.capacity.lifecycle_hook.clone(),
            ..AutoScalingOptions::default()
        };
        let metadata = InstanceMetadata::new();
        let instance = instance(config.notices.imds, &metadata).await?;
        let launched = match &instance {
            Some(_) => launched(&metadata).await,
            None => None,
        };
        let opened = AutoScaling::open(&self.cloud, clock, options, instance).await;
        let capacity = opened.map_err(|error| told("capacity", &error, error.is_transient()))?;
        Ok(Arc::new(capacity.launched(launched)))
    }
}

/// When this instance was launched. The plan does without it.
async fn launched(metadata: &InstanceMetadata) -> Option<DateTime<Utc>> {
    let launched = metadata.launched().await;
    launched
        .inspect_err(|error| tracing::info!(%error, "how long this machine took to start is not known: {error}"))
        .ok()
}

/// Who this machine is in its group, if it is an instance.
async fn instance(imds: Imds, metadata: &InstanceMetadata) -> anyhow::Result<Option<String>> {
    if imds == Imds::No {
        return Ok(None);
    }
    match metadata.instance_id().await {
        Ok(instance) => Ok(Some(instance)),
        Err(error) if imds == Imds::Yes => {
            let told = "capacity: a worker needs to know which instance of its group it is, and notices.imds = true demands an answer";
            Err(anyhow::Error::new(error).context(told))
        }
        Err(error) => {
            tracing::warn!(%error, "this machine has no place in its group: it is not protected from scale-in and does not leave by itself; off EC2 set notices.imds to false: {error}");
            Ok(None)
        }
    }
}

/// What somebody has to change is misuse; what did not answer is not.
fn told(key: &str, error: &(dyn std::error::Error + 'static), is_transient: bool) -> anyhow::Error {
    let text = format!("{key}: {}", chain(error));
    if is_transient {
        anyhow::Error::msg(text)
    } else {
        Misuse::new(text).into()
    }
}

fn s3_error(key: &str, error: S3OpenError) -> anyhow::Error {
    told(key, &error, error.is_transient())
}

pub(crate) fn sqs_error(queue: QueueName, error: SqsOpenError) -> anyhow::Error {
    let is_transient = match &error {
        SqsOpenError::Unavailable { .. } | SqsOpenError::RecentlyDeleted { .. } => true,
        SqsOpenError::Options { .. }
        | SqsOpenError::NotFifo { .. }
        | SqsOpenError::Missing { .. }
        | SqsOpenError::OtherRegion { .. }
        | SqsOpenError::OtherEnvironment { .. }
        | SqsOpenError::Attributes(_)
        | SqsOpenError::Denied(_)
        | SqsOpenError::ClockIsWrong { .. }
        | SqsOpenError::NoCredentials { .. }
        | SqsOpenError::Refused { .. } => false,
    };
    told(&format!("queue.{queue}"), &error, is_transient)
}

fn cloud_error(error: CloudError) -> anyhow::Error {
    told("AWS", &error, false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_metadata_service_that_is_demanded_and_silent_is_an_error() {
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let silent = InstanceMetadata::at(&endpoint).unwrap();
        let told = instance(Imds::Yes, &silent).await.unwrap_err();
        let told = format!("{told:#}");
        assert!(told.contains("notices.imds = true"), "{told}");
        assert!(told.contains("this is no EC2 instance"), "{told}");
        assert_eq!(instance(Imds::Auto, &silent).await.unwrap(), None);
        assert_eq!(instance(Imds::No, &silent).await.unwrap(), None);
    }
}
