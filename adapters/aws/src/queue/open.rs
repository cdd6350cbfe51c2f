//! QueueFinding a queue, checking that it is what the code needs, and making one.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use trawler_core::ports::Clock;

use super::attributes::{self, Attributes, QueueFinding};
use super::fault::{Fault, causes, clock_is_wrong, denied};
use super::options::SqsOptions;
use super::retry::OPEN;
use super::{SqsQueue, leases::Leases, message::ENVIRONMENT};
use crate::cloud::Cloud;

/// "After you create a queue, you must wait at least one second before you can
/// use it" (CreateQueue); a busy region gets more.
const NEW_QUEUE_MAX: Duration = Duration::from_secs(10);

const NEW_QUEUE_LOOK: Duration = Duration::from_millis(500);

/// Why a queue cannot be worked on, and what to change.
#[derive(Debug, thiserror::Error)]
pub enum SqsOpenError {
    #[error("queue {queue}: {reason}")]
    Options { queue: String, reason: String },
    #[error(
        "queue {queue} is a standard queue by its name, and Trawler needs the order and the locks of a FIFO queue: name one that ends with .fifo; `trawler fleet create` makes it"
    )]
    NotFifo { queue: String },
    #[error(
        "there is no queue {queue} in region {region}, or this process may not see it: make it with `trawler fleet create` or the template, or correct [queue], the region or the account"
    )]
    Missing { queue: String, region: String },
    #[error(
        "queue {queue} was deleted less than a minute ago, and SQS keeps its name for so long: try again in a minute"
    )]
    RecentlyDeleted { queue: String },
    #[error(
        "queue {queue} is in region {found}, and this process works in {region}: set AWS_REGION to {found}, or name a queue of {region}"
    )]
    OtherRegion {
        queue: String,
        found: String,
        region: String,
    },
    #[error(
        "queue {queue} belongs to environment {found}, and this is {environment}: two fleets on one queue take each other's work; give each its own [queue] names"
    )]
    OtherEnvironment {
        queue: String,
        found: String,
        environment: String,
    },
    #[error("{}", list(.0))]
    Attributes(Vec<QueueFinding>),
    #[error("{0}")]
    Denied(String),
    #[error("queue {queue}: {reason}")]
    ClockIsWrong { queue: String, reason: String },
    #[error(
        "queue {queue}: there are no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the instance a role"
    )]
    NoCredentials {
        queue: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "{action} on queue {queue}: SQS did not answer or failed; if that lasts, check AWS_ENDPOINT_URL, AWS_REGION, network and proxy"
    )]
    Unavailable {
        action: &'static str,
        queue: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{action} on queue {queue}: {reason}")]
    Refused {
        action: &'static str,
        queue: String,
        reason: String,
    },
}

fn list(findings: &[QueueFinding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What opening and making have in common.
struct Opening<'a> {
    client: Client,
    clock: &'a dyn Clock,
    options: &'a SqsOptions,
    region: &'a str,
}

impl SqsQueue {
    /// Finds the queue and its dead-letter queue, and checks their attributes
    /// and their environment.
    pub async fn open(
        cloud: &Cloud,
        clock: Arc<dyn Clock>,
        options: SqsOptions,
    ) -> Result<Self, SqsOpenError> {
        let opening = Opening::new(cloud, &*clock, &options)?;
        let found = opening.find().await?;
        let client = opening.client;
        Ok(Self {
            client,
            clock,
            live: found.live.into(),
            dead: found.dead.into(),
            leases: Leases::default(),
            options,
        })
    }

    /// Makes the queue and its dead-letter queue where they are missing, and
    /// opens them. What is there already is not changed: where it differs from
    /// what is needed, opening says so.
    pub async fn create(
        cloud: &Cloud,
        clock: Arc<dyn Clock>,
        options: SqsOptions,
    ) -> Result<Self, SqsOpenError> {
        Opening::new(cloud, &*clock, &options)?.make().await?;
        let end = clock.monotonic() + NEW_QUEUE_MAX;
        loop {
            match Self::open(cloud, Arc::clone(&clock), options.clone()).await {
                Err(SqsOpenError::Missing { .. }) if clock.monotonic() < end => {
                    clock.sleep(NEW_QUEUE_LOOK).await;
                }
                opened => return opened,
            }
        }
    }
}

struct Found {
    live: String,
    dead: String,
}

impl<'a> Opening<'a> {
    fn new(
        cloud: &'a Cloud,
        clock: &'a dyn Clock,
        options: &'a SqsOptions,
    ) -> Result<Self, SqsOpenError> {
        let queue = || options.queue.clone();
        options.check().map_err(|reason| SqsOpenError::Options {
            queue: queue(),
            reason,
        })?;
        let address = options.address();
        if !address.is_fifo() {
            return Err(SqsOpenError::NotFifo { queue: queue() });
        }
        match address.region {
            Some(found) if found != cloud.region() => Err(SqsOpenError::OtherRegion {
                queue: queue(),
                found: found.to_owned(),
                region: cloud.region().to_owned(),
            }),
            _ => Ok(Self {
                client: super::client(cloud),
                clock,
                options,
                region: cloud.region(),
            }),
        }
    }

    /// One call with its retries; `action` is the permission that it needs.
    async fn call<T, F, Fut>(
        &self,
        action: &'static str,
        queue: &str,
        call: F,
    ) -> Result<T, SqsOpenError>
    where
        F: FnMut(Duration) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let end = self.clock.monotonic() + OPEN.within;
        let called = OPEN.run(self.clock, end, call).await;
        called
            .answer
            .map_err(|fault| self.error(action, queue, fault))
    }

    fn error(&self, action: &'static str, queue: &str, fault: Fault) -> SqsOpenError {
        let queue = queue.to_owned();
        match fault {
            Fault::Passing { source, .. } => SqsOpenError::Unavailable {
                action,
                queue,
                source,
            },
            Fault::Denied { said } => SqsOpenError::Denied(denied(action, &queue, &said)),
            Fault::Clock { said } => SqsOpenError::ClockIsWrong {
                queue,
                reason: clock_is_wrong(&said),
            },
            Fault::NoCredentials { source } => SqsOpenError::NoCredentials { queue, source },
            Fault::MissingQueue => SqsOpenError::Missing {
                queue,
                region: self.region.to_owned(),
            },
            Fault::RecentlyDeleted => SqsOpenError::RecentlyDeleted { queue },
            Fault::Refused { code, said } => SqsOpenError::Refused {
                action,
                queue,
                reason: format!("{code}: {said}"),
            },
            Fault::Lost | Fault::TooLong | Fault::NameTaken | Fault::BatchTooLong => {
                SqsOpenError::Refused {
                    action,
                    queue,
                    reason: format!("SQS answers {fault:?}"),
                }
            }
        }
    }

    async fn find(&self) -> Result<Found, SqsOpenError> {
        let address = self.options.address();
        let live = match address.url {
            Some(url) => url.to_owned(),
            None => self.url(address.name, None).await?,
        };
        let attributes = self.attributes(address.name, &live).await?;
        self.check_environment(address.name, &live).await?;
        let mut findings = attributes::check_live(address.name, &attributes, self.options);
        let mut dead = String::new();
        if let Some(redrive) = attributes.redrive() {
            dead = self.url(redrive.name(), Some(redrive.account())).await?;
            let attributes = self.attributes(redrive.name(), &dead).await?;
            findings.extend(attributes::check_dead(redrive.name(), &attributes));
        }
        if findings.is_empty() {
            Ok(Found { live, dead })
        } else {
            Err(SqsOpenError::Attributes(findings))
        }
    }

    async fn url(&self, name: &str, account: Option<&str>) -> Result<String, SqsOpenError> {
        let found = self
            .call("sqs:GetQueueUrl", name, |_| async {
                let request = self.client.get_queue_url().queue_name(name);
                let request = request.set_queue_owner_aws_account_id(account.map(str::to_owned));
                request.send().await.map_err(Fault::of)
            })
            .await?;
        Ok(found.queue_url.unwrap_or_default())
    }

    async fn attributes(&self, name: &str, url: &str) -> Result<Attributes, SqsOpenError> {
        let found = self
            .call("sqs:GetQueueAttributes", name, |_| async {
                let request = self.client.get_queue_attributes().queue_url(url);
                let request = request.attribute_names(QueueAttributeName::All);
                request.send().await.map_err(Fault::of)
            })
            .await?;
        Ok(Attributes::of(found.attributes()))
    }

    /// A queue that says whose it is, and is not ours, is refused. Who may not
    /// read tags is not hindered: every message says whose it is as well.
    async fn check_environment(&self, name: &str, url: &str) -> Result<(), SqsOpenError> {
        let tags = self
            .call("sqs:ListQueueTags", name, |_| async {
                let request = self.client.list_queue_tags().queue_url(url);
                request.send().await.map_err(Fault::of)
            })
            .await;
        let tags = match tags {
            Ok(tags) => tags,
            Err(error @ (SqsOpenError::Denied(_) | SqsOpenError::Refused { .. })) => {
                tracing::debug!(queue = name, reason = %causes(&error), "the tags of queue {name} cannot be read");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let ours = self.options.environment.as_str();
        match tags.tags().and_then(|tags| tags.get(ENVIRONMENT)) {
            Some(found) if found != ours => Err(SqsOpenError::OtherEnvironment {
                queue: name.to_owned(),
                found: found.clone(),
                environment: ours.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    async fn make(&self) -> Result<(), SqsOpenError> {
        let address = self.options.address();
        let dead_name = address.dead_name();
        let dead_url = self
            .make_one(&dead_name, attributes::new_dead(self.options))
            .await?;
        let dead = self.new_attributes(&dead_name, &dead_url).await?;
        let arn = dead.get(&QueueAttributeName::QueueArn).unwrap_or_default();
        self.make_one(address.name, attributes::new_live(self.options, arn))
            .await?;
        Ok(())
    }

    /// The URL of a queue that is there now, made by us or before.
    async fn make_one(
        &self,
        name: &str,
        attributes: std::collections::HashMap<QueueAttributeName, String>,
    ) -> Result<String, SqsOpenError> {
        let attributes = &attributes;
        let made = self
            .call("sqs:CreateQueue and sqs:TagQueue", name, |_| async move {
                let request = self.client.create_queue().queue_name(name);
                let request = request
                    .set_attributes(Some(attributes.clone()))
                    .tags(ENVIRONMENT, self.options.environment.as_str());
                match request.send().await.map_err(Fault::of) {
                    Ok(made) => Ok(made.queue_url),
                    Err(Fault::NameTaken) => Ok(None),
                    Err(fault) => Err(fault),
                }
            })
            .await?;
        match made {
            Some(url) => Ok(url),
            None => self.url(name, None).await,
        }
    }

    /// Of a queue that may have been made just now.
    async fn new_attributes(&self, name: &str, url: &str) -> Result<Attributes, SqsOpenError> {
        let end = self.clock.monotonic() + NEW_QUEUE_MAX;
        loop {
            match self.attributes(name, url).await {
                Err(SqsOpenError::Missing { .. }) if self.clock.monotonic() < end => {
                    self.clock.sleep(NEW_QUEUE_LOOK).await;
                }
                answer => return answer,
            }
        }
    }
}
