//! A client of one bucket, bound to one folder of one environment, and the
//! calls that blobs, documents and the probe share.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::{Object, ServerSideEncryption};
use bytes::Bytes;
use trawler_core::ports::BlobMeta;
use trawler_core::ports::keys::LIST_MAX;

use super::call::{Call, Place};
use super::endpoint;
use super::error::{Fault, S3OpenError};
use super::location::{Folder, S3Location};
use super::options::{S3Encryption, S3Options};
use super::probe;
use super::retry::repeat;
use crate::cloud::{ATTEMPT_MAX, Cloud};

/// What a body must at least move at, or its attempt is given up.
const BYTES_PER_SECOND_MIN: u64 = 512 * 1024;

/// `If-None-Match` of a write that must find nothing.
pub(super) const NOTHING: &str = "*";

#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) options: S3Options,
    pub(super) place: Place,
}

/// Server-side encryption as the headers of a write.
pub(super) struct Sealed {
    pub(super) algorithm: Option<ServerSideEncryption>,
    pub(super) kms_key: Option<String>,
    pub(super) bucket_key: Option<bool>,
}

impl Bucket {
    /// Looks whether the bucket can be reached and keeps conditions.
    pub(super) async fn open(
        cloud: &Cloud,
        location: &S3Location,
        options: S3Options,
        folder: Folder,
    ) -> Result<Self, S3OpenError> {
        options.check()?;
        // The probe lies beside the documents, whatever is opened: one proof
        // a location is enough.
        let state = Self::at(cloud, location, options, Folder::State);
        probe::prove_conditions(&state).await?;
        let root = location.root(&state.options.environment, folder);
        let place = Place {
            root,
            ..state.place
        };
        Ok(Self { place, ..state })
    }

    fn at(cloud: &Cloud, location: &S3Location, options: S3Options, folder: Folder) -> Self {
        let config = Builder::from(cloud.config())
            .force_path_style(endpoint::wants_path_style(cloud))
            // Tried again by `retry`, which knows what an attempt may have done.
            .retry_config(RetryConfig::disabled())
            // Or the algorithm that a request names would be a word without a sum.
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            // A range comes with the checksum of the whole from some stores.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self {
            client: Client::from_conf(config),
            place: Place {
                bucket: location.bucket.clone(),
                root: location.root(&options.environment, folder),
                region: cloud.region().to_owned(),
                endpoint: endpoint::shown(cloud),
            },
            options,
        }
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.place.root)
    }

    /// For errors that an open gives back.
    pub(super) fn shown(&self) -> String {
        format!("s3://{}/{}", self.place.bucket, self.place.root)
    }

    pub(super) fn sealed(&self) -> Sealed {
        let (algorithm, kms_key, bucket_key) = match &self.options.encryption {
            None => (None, None, None),
            Some(S3Encryption::S3) => (Some(ServerSideEncryption::Aes256), None, None),
            Some(S3Encryption::Kms { key }) => {
                let algorithm = Some(ServerSideEncryption::AwsKms);
                (algorithm, Some(key.clone()), Some(true))
            }
        };
        Sealed {
            algorithm,
            kms_key,
            bucket_key,
        }
    }

    pub(super) fn fault<E>(
        &self,
        call: Call,
        key: &str,
    ) -> impl FnOnce(SdkError<E, HttpResponse>) -> Fault
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        move |error| Fault::of(call, &self.key(key), &self.place, error)
    }

    /// What caches are told of a blob.
    pub(super) fn cache_control(&self, meta: BlobMeta) -> Option<String> {
        meta.immutable.then(|| self.options.cache_control.clone())
    }

    /// The whole object with its head, checked against its checksum where it
    /// has one.
    pub(super) async fn whole(&self, key: &str) -> Result<(Bytes, GetObjectOutput), Fault> {
        repeat(|| async {
            let request = self
                .client
                .get_object()
                .bucket(&self.place.bucket)
                .key(self.key(key))
                .checksum_mode(aws_sdk_s3::types::ChecksumMode::Enabled);
            let answer = request.send().await.map_err(self.fault(Call::Get, key))?;
            self.collect(key, answer).await
        })
        .await
    }

    /// The body of an answer. One that breaks off, stands still or is not what
    /// its checksum says is no answer.
    pub(super) async fn collect(
        &self,
        key: &str,
        mut answer: GetObjectOutput,
    ) -> Result<(Bytes, GetObjectOutput), Fault> {
        let bytes = answer.content_length().unwrap_or(0).unsigned_abs();
        let body = std::mem::take(&mut answer.body);
        let broken = |source| Fault::NoAnswer {
            call: format!("read s3://{}/{}", self.place.bucket, self.key(key)),
            endpoint: self.place.endpoint.clone(),
            source,
        };
        match tokio::time::timeout(attempt_max(bytes), body.collect()).await {
            Ok(Ok(body)) => Ok((body.into_bytes(), answer)),
            Ok(Err(error)) => Err(broken(error.into())),
            Err(elapsed) => Err(broken(elapsed.into())),
        }
    }

    /// Objects under the root in order of key, without it in their keys.
    pub(super) async fn list<T>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        entry: impl Fn(String, Object) -> Option<T>,
    ) -> Result<Vec<T>, Fault> {
        let mut entries = Vec::new();
        let mut start = after.map(|after| self.key(after));
        loop {
            let wanted = (limit - entries.len()).min(LIST_MAX);
            let page = repeat(|| async {
                let request = self
                    .client
                    .list_objects_v2()
                    .bucket(&self.place.bucket)
                    .prefix(self.key(prefix))
                    .set_start_after(start.clone())
                    .max_keys(i32::try_from(wanted).unwrap_or(i32::MAX));
                request.send().await.map_err(self.fault(Call::List, prefix))
            })
            .await?;
            let is_truncated = page.is_truncated().unwrap_or(false);
            let found = page.contents.unwrap_or_default();
            let last = found.last().and_then(|object| object.key.clone());
            for object in found {
                let key = object.key.as_deref().unwrap_or_default();
                // What is no key of ours was put there by somebody else.
                if let Some(key) = key.strip_prefix(&self.place.root)
                    && trawler_core::ports::keys::check_key(key).is_ok()
                {
                    let key = key.to_owned();
                    entries.extend(entry(key, object));
                }
            }
            // S3 may answer with fewer than asked for although there are more;
            // callers take a short page for the end.
            match last {
                Some(last) if is_truncated && entries.len() < limit => start = Some(last),
                _ => return Ok(entries),
            }
        }
    }
}

/// How long an attempt with a body of that size may take.
pub(super) fn attempt_max(bytes: u64) -> Duration {
    ATTEMPT_MAX + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
}

/// Overrides the time-outs of calls whose answer does not come at once.
pub(super) fn patience(bytes: u64) -> Builder {
    let attempt = attempt_max(bytes);
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt)
        .build();
    Builder::new().timeout_config(timeouts)
}
