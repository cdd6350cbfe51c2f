//! Large objects in parts, made visible by one conditional call at the end.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use trawler_core::ports::{BlobMeta, Put};

use super::blobs::{NONCE, head, taken_by};
use super::bucket::{Bucket, NOTHING, patience};
use super::call::Call;
use super::error::Fault;
use super::retry::{Attempts, nonce, repeat};

/// A part that is lost costs this much to send again; S3 takes 5 MiB at least.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// As S3 counts them.
const PARTS_MAX: usize = 10_000;

/// Parts under way at a time: enough to fill a link of 1 Gbit/s.
const PARTS_AT_A_TIME: usize = 4;

/// A conflict at the end asks for a new upload; it comes when others put the
/// same key at that very moment, and theirs will then be there.
const UPLOADS_MAX: u32 = 3;

/// How one upload ended.
enum End {
    Done(Put),
    /// S3 asks for a new upload.
    Again(Fault),
}

/// Puts an object if its key is free. What S3 holds of an upload that fails is
/// removed; of one whose process dies it is removed by the bucket's rule for
/// incomplete uploads, which `create` makes or asks for.
pub(super) async fn in_parts(
    bucket: &Bucket,
    key: &str,
    body: &Bytes,
    meta: BlobMeta,
) -> Result<Put, Fault> {
    // A look costs a hundredth of what sending the parts in vain does.
    if head(bucket, key).await?.is_some() {
        return Ok(Put::Existed);
    }
    let nonce = nonce();
    let mut begun = 1;
    loop {
        let id = start(bucket, key, meta, &nonce).await?;
        let end = match send(bucket, key, &id, body).await {
            Ok(parts) => complete(bucket, key, &id, parts, body.len(), &nonce).await,
            Err(fault) => Err(fault),
        };
        if !matches!(end, Ok(End::Done(Put::Created))) {
            abort(bucket, key, &id).await;
        }
        match end? {
            End::Done(put) => return Ok(put),
            End::Again(fault) if begun == UPLOADS_MAX => return Err(fault),
            End::Again(_) => begun += 1,
        }
    }
}

/// The id of a new upload. An attempt without an answer may leave an upload
/// without parts behind, which costs nothing.
async fn start(bucket: &Bucket, key: &str, meta: BlobMeta, nonce: &str) -> Result<String, Fault> {
    let answer = repeat(|| async {
        let sealed = bucket.sealed();
        let request = bucket
            .client
            .create_multipart_upload()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(key))
            .checksum_algorithm(ChecksumAlgorithm::Crc32C)
            .checksum_type(ChecksumType::FullObject)
            .content_type(meta.content_type)
            .set_cache_control(bucket.cache_control(meta))
            .metadata(NONCE, nonce)
            .set_storage_class(bucket.options.storage_class())
            .set_server_side_encryption(sealed.algorithm)
            .set_ssekms_key_id(sealed.kms_key)
            .set_bucket_key_enabled(sealed.bucket_key);
        request
            .send()
            .await
            .map_err(bucket.fault(Call::StartUpload, key))
    })
    .await?;
    answer.upload_id.ok_or_else(|| Fault::Refused {
        call: format!(
            "{} s3://{}/{key}",
            Call::StartUpload.name(),
            bucket.place.bucket
        ),
        answer: "an answer without the id of the upload".to_owned(),
    })
}

async fn send(
    bucket: &Bucket,
    key: &str,
    id: &str,
    body: &Bytes,
) -> Result<Vec<CompletedPart>, Fault> {
    let part_bytes = PART_BYTES.max(body.len().div_ceil(PARTS_MAX));
    let parts = (0..body.len()).step_by(part_bytes).zip(1_i32..);
    stream::iter(parts)
        .map(|(from, number)| {
            let part = body.slice(from..body.len().min(from + part_bytes));
            send_part(bucket, key, id, number, part)
        })
        .buffered(PARTS_AT_A_TIME)
        .try_collect()
        .await
}

async fn send_part(
    bucket: &Bucket,
    key: &str,
    id: &str,
    number: i32,
    part: Bytes,
) -> Result<CompletedPart, Fault> {
    let answer = repeat(|| async {
        let request = bucket
            .client
            .upload_part()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(key))
            .upload_id(id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32C)
            .body(part.clone().into());
        let sent = request
            .customize()
            .config_override(patience(part.len() as u64))
            .send();
        sent.await.map_err(bucket.fault(Call::UploadPart, key))
    })
    .await?;
    Ok(CompletedPart::builder()
        .part_number(number)
        .set_e_tag(answer.e_tag)
        .set_checksum_crc32_c(answer.checksum_crc32_c)
        .build())
}

async fn complete(
    bucket: &Bucket,
    key: &str,
    id: &str,
    parts: Vec<CompletedPart>,
    bytes: usize,
    nonce: &str,
) -> Result<End, Fault> {
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let mut attempts = Attempts::begin();
    loop {
        let request = bucket
            .client
            .complete_multipart_upload()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(key))
            .upload_id(id)
            .if_none_match(NOTHING)
            .checksum_type(ChecksumType::FullObject)
            .mpu_object_size(i64::try_from(bytes).unwrap_or(i64::MAX))
            .multipart_upload(parts.clone());
        // S3 puts the parts together while the caller waits.
        let sent = request
            .customize()
            .config_override(patience(bytes as u64))
            .send();
        match sent.await.map_err(bucket.fault(Call::CompleteUpload, key)) {
            Ok(_) => return Ok(End::Done(Put::Created)),
            Err(Fault::Unmet(call) | Fault::NoUpload(call)) => {
                return match taken_by(bucket, key, nonce).await? {
                    Some(put) => Ok(End::Done(put)),
                    // Taken and gone again, or removed by the bucket's rules.
                    None => Ok(End::Again(Fault::Contended(call))),
                };
            }
            // After a conflict an upload cannot be completed any longer.
            Err(fault @ Fault::Contended(_)) => return Ok(End::Again(fault)),
            Err(fault) => attempts.after(fault).await?,
        }
    }
}

/// Removes what S3 holds of an upload. Failing to costs storage and nothing
/// else, until the bucket's rule for incomplete uploads removes it.
async fn abort(bucket: &Bucket, key: &str, id: &str) {
    let aborted = repeat(|| async {
        let request = bucket
            .client
            .abort_multipart_upload()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(key))
            .upload_id(id);
        request
            .send()
            .await
            .map_err(bucket.fault(Call::AbortUpload, key))
    })
    .await;
    match aborted {
        Ok(_) | Err(Fault::NoUpload(_)) => {}
        Err(fault) => {
            tracing::warn!(key, error = %fault.told(), "cannot remove the upload of {key}");
        }
    }
}
