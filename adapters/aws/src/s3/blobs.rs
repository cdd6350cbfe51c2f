//! `Blobs` on S3: objects that are put if absent.
//!
//! Every put carries a nonce in the object's metadata. When an attempt went
//! without an answer and the next one finds the key taken, the nonce tells
//! whether it was ours.

use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, Object, ObjectIdentifier};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_core::ports::{BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put, keys};

use super::bucket::{Bucket, NOTHING, patience};
use super::call::Call;
use super::error::{Fault, S3OpenError};
use super::location::{Folder, S3Location};
use super::options::S3Options;
use super::retry::{Attempts, nonce, repeat};
use super::upload;
use crate::cloud::Cloud;

/// Keys of one DeleteObjects, as S3 takes them.
const DELETE_MAX: usize = 1000;

/// Past the largest object of S3, and within what every store can read as a
/// number.
const OFFSET_MAX: u64 = 1 << 50;

/// Metadata that names the put.
pub(super) const NONCE: &str = "trawler-put";

/// Objects under `{prefix}/{environment}/blobs/`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3Blobs {
    bucket: Bucket,
}

impl S3Blobs {
    pub async fn open(
        cloud: &Cloud,
        location: S3Location,
        options: S3Options,
    ) -> Result<Self, S3OpenError> {
        let bucket = Bucket::open(cloud, &location, options, Folder::Blobs).await?;
        Ok(Self { bucket })
    }

    async fn put_whole(&self, key: &str, body: &Bytes, meta: BlobMeta) -> Result<Put, Fault> {
        let bucket = &self.bucket;
        let nonce = nonce();
        let mut attempts = Attempts::begin();
        loop {
            let sealed = bucket.sealed();
            let request = bucket
                .client
                .put_object()
                .bucket(&bucket.place.bucket)
                .key(bucket.key(key))
                .if_none_match(NOTHING)
                .body(body.clone().into())
                // S3 refuses other bytes than these, and tells the hash to who asks.
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .content_type(meta.content_type)
                .set_cache_control(bucket.cache_control(meta))
                .metadata(NONCE, &nonce)
                .set_storage_class(bucket.options.storage_class())
                .set_server_side_encryption(sealed.algorithm)
                .set_ssekms_key_id(sealed.kms_key)
                .set_bucket_key_enabled(sealed.bucket_key);
            let sent = request
                .customize()
                .config_override(patience(body.len() as u64))
                .send();
            match sent.await.map_err(bucket.fault(Call::Put, key)) {
                Ok(_) => return Ok(Put::Created),
                Err(Fault::Unmet(_)) if !attempts.unanswered => return Ok(Put::Existed),
                Err(Fault::Unmet(call)) => {
                    if let Some(put) = taken_by(bucket, key, &nonce).await? {
                        return Ok(put);
                    }
                    // Taken and gone again: free for us.
                    attempts.after(Fault::Contended(call)).await?;
                }
                Err(fault) => attempts.after(fault).await?,
            }
        }
    }
}

/// Whose the object under a key is; `None` when there is none.
pub(super) async fn taken_by(
    bucket: &Bucket,
    key: &str,
    nonce: &str,
) -> Result<Option<Put>, Fault> {
    let found = head(bucket, key).await?;
    let ours = |found: HeadObjectOutput| {
        let stored = found.metadata().and_then(|metadata| metadata.get(NONCE));
        if stored.is_some_and(|stored| stored == nonce) {
            Put::Created
        } else {
            Put::Existed
        }
    };
    Ok(found.map(ours))
}

pub(super) async fn head(bucket: &Bucket, key: &str) -> Result<Option<HeadObjectOutput>, Fault> {
    let found = repeat(|| async {
        let request = bucket
            .client
            .head_object()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(key));
        request.send().await.map_err(bucket.fault(Call::Head, key))
    })
    .await;
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Fault::NoObject(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

async fn part(bucket: &Bucket, key: &str, range: &Range<u64>) -> Result<Bytes, Fault> {
    let (start, end) = (range.start.min(OFFSET_MAX), range.end.min(OFFSET_MAX + 1));
    if end <= start {
        // A range of nothing cannot be asked for; whether the object is there
        // has to be known all the same.
        let shown = || {
            format!(
                "HeadObject s3://{}/{}",
                bucket.place.bucket,
                bucket.key(key)
            )
        };
        let found = head(bucket, key).await?;
        return found
            .map(|_| Bytes::new())
            .ok_or_else(|| Fault::NoObject(shown()));
    }
    let bytes = format!("bytes={start}-{}", end - 1);
    let got = repeat(|| async {
        let request = bucket
            .client
            .get_object()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(key))
            .range(&bytes);
        let answer = request.send().await.map_err(bucket.fault(Call::Get, key))?;
        bucket.collect(key, answer).await
    })
    .await;
    match got {
        Ok((body, _)) => Ok(body),
        Err(Fault::BehindEnd(_)) => Ok(Bytes::new()),
        Err(fault) => Err(fault),
    }
}

/// Deletes up to [`DELETE_MAX`] objects. Those that failed by chance are tried
/// again alone.
async fn delete_some(bucket: &Bucket, keys: &[String]) -> Result<(), Fault> {
    let mut left: Vec<String> = keys.iter().map(|key| bucket.key(key)).collect();
    let mut attempts = Attempts::begin();
    while !left.is_empty() {
        let objects = left.iter().map(|key| {
            let object = ObjectIdentifier::builder().key(key).build();
            object.expect("the key is given")
        });
        let objects = Delete::builder()
            .set_objects(Some(objects.collect()))
            .quiet(true)
            .build()
            .expect("the objects are given");
        let request = bucket
            .client
            .delete_objects()
            .bucket(&bucket.place.bucket)
            .checksum_algorithm(ChecksumAlgorithm::Crc32C)
            .delete(objects);
        let sent = request.send().await;
        let answer = match sent.map_err(bucket.fault(Call::DeleteMany, &keys[0])) {
            Ok(answer) => answer,
            Err(fault) => {
                attempts.after(fault).await?;
                continue;
            }
        };
        let mut failed = None;
        left.clear();
        for error in answer.errors.unwrap_or_default() {
            let code = error.code.unwrap_or_default();
            let key = error.key.unwrap_or_default();
            let fault = Fault::of_one(Call::DeleteMany, &key, &bucket.place, &code, error.message);
            if !fault.is_transient() {
                return Err(fault);
            }
            left.push(key);
            failed = Some(fault);
        }
        if let Some(fault) = failed {
            attempts.after(fault).await?;
        }
    }
    Ok(())
}

/// S3 tells it of every object; what does not counts as very old.
fn modified(object: &Object) -> DateTime<Utc> {
    let told = object.last_modified();
    told.and_then(|told| DateTime::from_timestamp(told.secs(), told.subsec_nanos()))
        .unwrap_or_default()
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError> {
        const VERB: &str = "put";
        check_key(VERB, key)?;
        let put = if body.len() as u64 > self.bucket.options.multipart_above {
            upload::in_parts(&self.bucket, key, &body, meta).await
        } else {
            self.put_whole(key, &body, meta).await
        };
        put.map_err(failed(VERB, key))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        const VERB: &str = "get";
        check_key(VERB, key)?;
        let got = match range {
            None => self.bucket.whole(key).await.map(|(body, _)| body),
            Some(range) => part(&self.bucket, key, &range).await,
        };
        got.map_err(failed(VERB, key))
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        const VERB: &str = "head";
        check_key(VERB, key)?;
        let found = head(&self.bucket, key).await.map_err(failed(VERB, key))?;
        Ok(found.map(|found| BlobHead {
            bytes: found.content_length().unwrap_or(0).unsigned_abs(),
            content_type: found.content_type,
            cache_control: found.cache_control,
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        const VERB: &str = "list";
        keys::check_list(prefix, after, limit).map_err(|reason| refused(VERB, prefix, reason))?;
        let listed = self.bucket.list(prefix, after, limit, |key, object| {
            Some(BlobEntry {
                key,
                bytes: object.size().unwrap_or(0).unsigned_abs(),
                modified: modified(&object),
                tag: object.e_tag.unwrap_or_default(),
            })
        });
        listed.await.map_err(failed(VERB, prefix))
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        const VERB: &str = "delete";
        for key in keys {
            check_key(VERB, key)?;
        }
        for some in keys.chunks(DELETE_MAX) {
            delete_some(&self.bucket, some)
                .await
                .map_err(failed(VERB, &some[0]))?;
        }
        Ok(())
    }
}

fn check_key(verb: &'static str, key: &str) -> Result<(), BlobError> {
    keys::check_key(key).map_err(|reason| refused(verb, key, reason))
}

fn refused(verb: &'static str, key: &str, reason: String) -> BlobError {
    let key = key.to_owned();
    BlobError::Refused { verb, key, reason }
}

fn failed(verb: &'static str, key: &str) -> impl FnOnce(Fault) -> BlobError {
    let key = key.to_owned();
    move |fault| match fault {
        Fault::NoObject(_) => BlobError::NotFound { verb, key },
        fault if fault.is_transient() => BlobError::Unavailable {
            verb,
            key,
            source: Box::new(fault),
        },
        fault => BlobError::Refused {
            verb,
            key,
            reason: fault.told(),
        },
    }
}
