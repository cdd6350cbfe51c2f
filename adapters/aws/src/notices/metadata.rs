//! The metadata service of the instance that this process runs on (IMDSv2).
//!
//! The SDK's client asks for the session token, keeps it and renews it before
//! it ends. `AWS_EC2_METADATA_SERVICE_ENDPOINT` leads elsewhere. There are no
//! retries below: who polls every two seconds comes again anyhow. What is asked
//! once in the life of a process, who this instance is, is asked again here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::imds::client::{Client, error::ImdsError};
use aws_config::provider_config::ProviderConfig;
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// The service is on the machine itself: what takes longer is not there.
const CONNECT_MAX: Duration = Duration::from_millis(400);

/// One answer; normally a millisecond.
const ANSWER_MAX: Duration = Duration::from_millis(400);

/// As long as the service allows. A new one costs a request.
const TOKEN_TTL: Duration = Duration::from_secs(6 * 60 * 60);

/// Tries of a value that nobody comes back for. A machine that just started
/// may be asked before its service answers; off EC2 this costs three seconds.
const TRIES: u32 = 3;

const WAIT_FIRST: Duration = Duration::from_millis(200);

const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
const REGION: &str = "/latest/meta-data/placement/region";

/// What is read of the identity document.
#[derive(Deserialize)]
struct Identity {
    /// When the instance was launched: from then on it was pending.
    #[serde(rename = "pendingTime")]
    pending: DateTime<Utc>,
}

/// Why the metadata service said nothing.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("the address {found:?} of the metadata service is none: {reason}")]
    Endpoint { found: String, reason: String },
    #[error(
        "ask the metadata service for {path}: nobody answers; this is no EC2 instance, or its metadata service is off, or a container lies between and the hop limit is 1"
    )]
    Unreachable {
        path: &'static str,
        #[source]
        source: Box<ImdsError>,
    },
    #[error("ask the metadata service for {path}: it answers with status {status}")]
    Status { path: &'static str, status: u16 },
    #[error("ask the metadata service for {path}: it does not know this instance's value")]
    Absent { path: &'static str },
    #[error("ask the metadata service for {path}: its answer is not what AWS documents: {reason}")]
    Unreadable { path: &'static str, reason: String },
}

impl MetadataError {
    /// Whether the service may answer later. Where there is none it never will.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // It throttles by 403 and fails by 5xx.
            Self::Status { status, .. } => *status == 403 || *status >= 500,
            Self::Endpoint { .. } | Self::Absent { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// Asks the metadata service.
pub struct InstanceMetadata {
    endpoint: Option<String>,
    /// Exchanged for a new one when its token is refused.
    client: Mutex<Client>,
}

impl InstanceMetadata {
    /// Where the environment or the profile says, or at the usual address.
    /// Nothing is asked yet.
    pub fn new() -> Self {
        Self {
            client: Mutex::new(builder().build()),
            endpoint: None,
        }
    }

    /// At another address, such as `http://127.0.0.1:1338`.
    pub fn at(endpoint: &str) -> Result<Self, MetadataError> {
        Ok(Self {
            client: Mutex::new(client_at(endpoint)?),
            endpoint: Some(endpoint.to_owned()),
        })
    }

    pub async fn instance_id(&self) -> Result<String, MetadataError> {
        self.required(INSTANCE_ID).await
    }

    pub async fn region(&self) -> Result<String, MetadataError> {
        self.required(REGION).await
    }

    /// When the instance was launched.
    pub async fn launched(&self) -> Result<DateTime<Utc>, MetadataError> {
        let text = self.required(IDENTITY).await?;
        let identity: Result<Identity, _> = serde_json::from_str(&text);
        let identity = identity.map_err(|error| MetadataError::Unreadable {
            path: IDENTITY,
            reason: error.to_string(),
        })?;
        Ok(identity.pending)
    }

    async fn required(&self, path: &'static str) -> Result<String, MetadataError> {
        let mut wait = WAIT_FIRST;
        for _ in 1..TRIES {
            match self.get(path).await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "asked again: {error}");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                answer => return answer?.ok_or(MetadataError::Absent { path }),
            }
        }
        let value = self.get(path).await?;
        value.ok_or(MetadataError::Absent { path })
    }

    /// The value at a path; `None` when the service has none.
    pub(super) async fn get(&self, path: &'static str) -> Result<Option<String>, MetadataError> {
        match self.ask(path).await {
            // The token is no longer known, as after a hibernation.
            Err(MetadataError::Status { status: 401, .. }) => {
                self.forget_token()?;
                self.ask(path).await
            }
            answer => answer,
        }
    }

    async fn ask(&self, path: &'static str) -> Result<Option<String>, MetadataError> {
        let client = self
            .client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match client.get(path).await {
            Ok(value) => Ok(Some(String::from(value).trim().to_owned())),
            Err(ImdsError::ErrorResponse(context)) => match context.response().status().as_u16() {
                404 => Ok(None),
                status => Err(MetadataError::Status { path, status }),
            },
            Err(error) => Err(MetadataError::Unreachable {
                path,
                source: Box::new(error),
            }),
        }
    }

    fn forget_token(&self) -> Result<(), MetadataError> {
        let fresh = match &self.endpoint {
            Some(endpoint) => client_at(endpoint)?,
            None => builder().build(),
        };
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl Default for InstanceMetadata {
    fn default() -> Self {
        Self::new()
    }
}

fn client_at(endpoint: &str) -> Result<Client, MetadataError> {
    let builder = builder()
        .endpoint(endpoint)
        .map_err(|error| MetadataError::Endpoint {
            found: endpoint.to_owned(),
            reason: error.to_string(),
        })?;
    Ok(builder.build())
}

fn builder() -> aws_config::imds::client::Builder {
    let config = ProviderConfig::without_region()
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::builder()
        .configure(&config)
        .max_attempts(1)
        .token_ttl(TOKEN_TTL)
        .connect_timeout(CONNECT_MAX)
        .read_timeout(ANSWER_MAX)
        .operation_attempt_timeout(CONNECT_MAX + ANSWER_MAX)
        // The token and the value.
        .operation_timeout(2 * (CONNECT_MAX + ANSWER_MAX))
}
