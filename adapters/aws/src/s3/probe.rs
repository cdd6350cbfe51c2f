//! Proof that a store keeps the conditions of writes, once for a location.
//!
//! A store that passes over `If-None-Match` answers as if all were well, and
//! two workers overwrite each other's documents. So the first open tries the
//! conditions on an object of its own and notes in it that they hold; every
//! later open reads the note, which costs one GET and shows on the way that
//! bucket, region and credentials are right.

use aws_sdk_s3::operation::put_object::PutObjectOutput;
use bytes::Bytes;

use super::bucket::{Bucket, NOTHING};
use super::call::Call;
use super::error::{Fault, S3OpenError};
use super::retry::repeat;

/// No key of a document: `~` is not in their alphabet, so no list shows it.
const KEY: &str = "~probe";

/// What the object says before and after the proof.
const UNPROVEN: &str = "conditional writes: not proven\n";
const PROVEN: &str = "conditional writes: proven\n";

/// An ETag that no object has: the MD5 of nothing and no upload's.
const NEVER: &str = "\"00000000000000000000000000000000\"";

pub(super) async fn prove_conditions(bucket: &Bucket) -> Result<(), S3OpenError> {
    let unusable = |fault: Fault| S3OpenError::Unusable {
        place: bucket.shown(),
        source: Box::new(fault),
    };
    match bucket.whole(KEY).await {
        Ok((body, _)) if body == PROVEN => return Ok(()),
        Ok(_) | Err(Fault::NoObject(_)) => {}
        Err(fault) => return Err(unusable(fault)),
    }
    let broken = prove(bucket).await.map_err(unusable)?;
    match broken {
        None => Ok(()),
        Some((condition, call)) => Err(S3OpenError::NoConditionalWrites {
            place: bucket.shown(),
            condition,
            call: call.name(),
        }),
    }
}

/// The first condition that is not kept.
async fn prove(bucket: &Bucket) -> Result<Option<(&'static str, Call)>, Fault> {
    // Whether this one finds the object or makes it, the next one finds it.
    put(bucket, UNPROVEN, Condition::IfNoneMatch).await?;
    if put(bucket, UNPROVEN, Condition::IfNoneMatch)
        .await?
        .is_some()
    {
        return Ok(Some(("If-None-Match", Call::Put)));
    }
    if put(bucket, UNPROVEN, Condition::IfMatch(NEVER))
        .await?
        .is_some()
    {
        return Ok(Some(("If-Match", Call::Put)));
    }
    if delete_at(bucket, NEVER).await? {
        return Ok(Some(("If-Match", Call::Delete)));
    }
    let (body, head) = bucket.whole(KEY).await?;
    let etag = head.e_tag().unwrap_or_default();
    if body == UNPROVEN
        && put(bucket, PROVEN, Condition::IfMatch(etag))
            .await?
            .is_none()
    {
        // Somebody else has noted it, unless the very ETag is refused.
        let (body, _) = bucket.whole(KEY).await?;
        if body != PROVEN {
            return Ok(Some(("If-Match", Call::Put)));
        }
    }
    Ok(None)
}

enum Condition<'a> {
    IfNoneMatch,
    IfMatch(&'a str),
}

/// `None` when the condition did not hold.
async fn put(
    bucket: &Bucket,
    body: &'static str,
    condition: Condition<'_>,
) -> Result<Option<PutObjectOutput>, Fault> {
    let answer = repeat(|| async {
        let sealed = bucket.sealed();
        let request = bucket
            .client
            .put_object()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(KEY))
            .body(Bytes::from_static(body.as_bytes()).into())
            .content_type("text/plain")
            .set_server_side_encryption(sealed.algorithm)
            .set_ssekms_key_id(sealed.kms_key)
            .set_bucket_key_enabled(sealed.bucket_key);
        let request = match condition {
            Condition::IfNoneMatch => request.if_none_match(NOTHING),
            Condition::IfMatch(etag) => request.if_match(etag),
        };
        request.send().await.map_err(bucket.fault(Call::Put, KEY))
    })
    .await;
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Fault::Unmet(_) | Fault::NoObject(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Whether something was deleted.
async fn delete_at(bucket: &Bucket, etag: &str) -> Result<bool, Fault> {
    let answer = repeat(|| async {
        let request = bucket
            .client
            .delete_object()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(KEY))
            .if_match(etag);
        request
            .send()
            .await
            .map_err(bucket.fault(Call::Delete, KEY))
    })
    .await;
    match answer {
        Ok(_) => Ok(true),
        Err(Fault::Unmet(_) | Fault::NoObject(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}
