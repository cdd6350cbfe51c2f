//! The catalogue's object store: `object_store`'s client of S3, with the
//! account, region and endpoint of the SDK's.
//!
//! Log entries are put under `If-None-Match`. What becomes of a put whose
//! answer was lost, or that met another at the same moment (409), the
//! catalogue decides by reading its log.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::bucket::Bucket;
use super::credentials::SdkCredentials;
use super::endpoint;
use super::error::S3OpenError;
use super::location::{Folder, S3Location};
use super::options::{S3Encryption, S3Options};
use super::steady::Steady;
use crate::cloud::{CALL_MAX, CONNECT_MAX, Cloud};

/// One attempt with its body. Files go up in parts of a few megabytes and come
/// down in ranges.
const REQUEST_MAX: Duration = Duration::from_secs(20);

/// Nothing comes for so long: the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Attempts of one request by the client; the catalogue and the job's own
/// retries come on top.
const RETRIES_MAX: usize = 4;

const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);
const WAIT_GROWTH: f64 = 2.0;

/// Connections that stay open between requests, for the readers and writers of
/// a few jobs at a time.
const IDLE_CONNECTIONS_MAX: usize = 64;
const IDLE_MAX: Duration = Duration::from_secs(20);

/// The store whose root is `{prefix}/{environment}/catalogue/`.
pub async fn catalogue_store(
    cloud: &Cloud,
    location: &S3Location,
    options: &S3Options,
) -> Result<Arc<dyn ObjectStore>, S3OpenError> {
    let bucket = Bucket::open(cloud, location, options.clone(), Folder::Catalogue).await?;
    let unusable = |source| S3OpenError::Unusable {
        place: bucket.shown(),
        source,
    };
    let credentials = SdkCredentials::of(cloud)
        .ok_or_else(|| unusable(crate::cloud::CloudError::no_credentials().into()))?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&location.bucket)
        .with_region(cloud.region())
        .with_credentials(Arc::new(credentials))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Computed for the signature anyway.
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(retries())
        .with_virtual_hosted_style_request(!endpoint::wants_path_style(cloud));
    let mut client = ClientOptions::new()
        .with_connect_timeout(CONNECT_MAX)
        .with_timeout(REQUEST_MAX)
        .with_read_timeout(SILENCE_MAX)
        .with_pool_idle_timeout(IDLE_MAX)
        .with_pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
    if let Some(url) = endpoint::configured(cloud) {
        client = client.with_allow_http(url.starts_with("http://"));
        builder = builder.with_endpoint(url);
    }
    builder = match &options.encryption {
        None => builder,
        Some(S3Encryption::S3) => {
            let key: Result<AmazonS3ConfigKey, _> = "aws_server_side_encryption".parse();
            builder.with_config(key.expect("the key is one of the client's"), "AES256")
        }
        Some(S3Encryption::Kms { key }) => {
            builder.with_sse_kms_encryption(key).with_bucket_key(true)
        }
    };
    let built = builder.with_client_options(client).build();
    let store = built.map_err(|error| unusable(error.into()))?;
    let root = Path::from(bucket.place.root.trim_end_matches('/'));
    let store = Steady::new(store, bucket.place.clone());
    Ok(Arc::new(PrefixStore::new(store, root)))
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: WAIT_FIRST,
            max_backoff: WAIT_MAX,
            base: WAIT_GROWTH,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: CALL_MAX,
    }
}
