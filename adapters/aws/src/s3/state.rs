//! `State` on S3: one object a document, written under the condition that it
//! is absent or has the expected ETag.
//!
//! An object is one line with a nonce and then the document's bytes. By the
//! nonce no two writes have the same ETag, even of the same bytes, which makes
//! the ETag the version; and a writer whose answer was lost knows its own
//! write again. Lists carry ETags, so that nobody has to read documents to see
//! which ones changed.
//!
//! An object without that line was put by a person, to mend a document: all of
//! it is the document, and no writer takes it for its own.

use async_trait::async_trait;
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use trawler_core::ports::{
    STATE_VALUE_BYTES_MAX, State, StateEntry, StateError, Version, Versioned, keys,
};

use super::bucket::{Bucket, NOTHING};
use super::call::Call;
use super::error::{Fault, S3OpenError};
use super::location::{Folder, S3Location};
use super::options::S3Options;
use super::retry::{Attempts, nonce};
use crate::cloud::Cloud;

/// Begins the first line of every document; the number is that of the form.
const HEADER: &str = "trawler-state 1 ";

/// Hexadecimal digits of a nonce.
const NONCE_CHARS: usize = 32;

/// Documents under `{prefix}/{environment}/state/`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3State {
    bucket: Bucket,
}

impl S3State {
    pub async fn open(
        cloud: &Cloud,
        location: S3Location,
        options: S3Options,
    ) -> Result<Self, S3OpenError> {
        let bucket = Bucket::open(cloud, &location, options, Folder::State).await?;
        Ok(Self { bucket })
    }

    /// One conditional write: of a document that must not exist, or of one
    /// that is at `expected`.
    async fn write(
        &self,
        key: &str,
        value: &[u8],
        expected: Option<&Version>,
    ) -> Result<Version, Fault> {
        let nonce = nonce();
        let body = object_of(&nonce, value);
        let mut attempts = Attempts::begin();
        loop {
            match self.put(key, &body, expected).await {
                Ok(answer) => return version_of(answer.e_tag).ok_or_else(|| self.unnamed(key)),
                Err(fault @ (Fault::Unmet(_) | Fault::NoObject(_))) => {
                    // Not what was expected: by our own doing, perhaps.
                    if !attempts.unanswered {
                        return Err(fault);
                    }
                    let found = self.read(key).await?;
                    return match found {
                        Some(found) if found.nonce == nonce => Ok(found.document.version),
                        Some(_) | None => Err(fault),
                    };
                }
                Err(Fault::Contended(call)) => {
                    let contended = Fault::Contended(call.clone());
                    let Err(contended) = attempts.after(contended).await else {
                        continue;
                    };
                    // Others write at this very moment: by now they have won.
                    if !attempts.unanswered {
                        return Err(Fault::Unmet(call));
                    }
                    // Or it is our own attempt that is still under way.
                    let found = self.read(key).await?;
                    return match found {
                        Some(found) if found.nonce == nonce => Ok(found.document.version),
                        found if is_at(found.as_ref(), expected) => Err(contended),
                        Some(_) | None => Err(Fault::Unmet(call)),
                    };
                }
                Err(fault) => attempts.after(fault).await?,
            }
        }
    }

    async fn put(
        &self,
        key: &str,
        body: &Bytes,
        expected: Option<&Version>,
    ) -> Result<PutObjectOutput, Fault> {
        let bucket = &self.bucket;
        let sealed = bucket.sealed();
        let request = bucket
            .client
            .put_object()
            .bucket(&bucket.place.bucket)
            .key(bucket.key(key))
            .body(body.clone().into())
            .checksum_algorithm(ChecksumAlgorithm::Crc32C)
            .content_type("application/octet-stream")
            .set_if_none_match(expected.is_none().then(|| NOTHING.to_owned()))
            .set_if_match(expected.map(etag_of))
            .set_server_side_encryption(sealed.algorithm)
            .set_ssekms_key_id(sealed.kms_key)
            .set_bucket_key_enabled(sealed.bucket_key);
        request.send().await.map_err(bucket.fault(Call::Put, key))
    }

    async fn remove(&self, key: &str, expected: &Version) -> Result<(), Fault> {
        let bucket = &self.bucket;
        let mut attempts = Attempts::begin();
        loop {
            let request = bucket
                .client
                .delete_object()
                .bucket(&bucket.place.bucket)
                .key(bucket.key(key))
                .if_match(etag_of(expected));
            match request
                .send()
                .await
                .map_err(bucket.fault(Call::Delete, key))
            {
                Ok(_) => return Ok(()),
                // Gone, by us or by somebody who wanted the same.
                Err(Fault::NoObject(_)) if attempts.unanswered => return Ok(()),
                Err(Fault::Contended(call)) => {
                    let contended = Fault::Contended(call.clone());
                    let Err(contended) = attempts.after(contended).await else {
                        continue;
                    };
                    if !attempts.unanswered {
                        return Err(Fault::Unmet(call));
                    }
                    return match self.read(key).await? {
                        None => Ok(()),
                        found if is_at(found.as_ref(), Some(expected)) => Err(contended),
                        Some(_) => Err(Fault::Unmet(call)),
                    };
                }
                Err(fault) => attempts.after(fault).await?,
            }
        }
    }

    async fn read(&self, key: &str) -> Result<Option<Read>, Fault> {
        let (body, head) = match self.bucket.whole(key).await {
            Ok(found) => found,
            Err(Fault::NoObject(_)) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let version = version_of(head.e_tag).ok_or_else(|| self.unnamed(key))?;
        let (nonce, value) = parts_of(&body);
        Ok(Some(Read {
            nonce: nonce.to_owned(),
            document: Versioned {
                value: value.to_vec(),
                version,
            },
        }))
    }

    fn unnamed(&self, key: &str) -> Fault {
        let bucket = &self.bucket;
        Fault::NoVersion(format!("s3://{}/{}", bucket.place.bucket, bucket.key(key)))
    }
}

/// Whether a document is still where a write expects it, or still absent: the
/// write may come about yet.
fn is_at(found: Option<&Read>, expected: Option<&Version>) -> bool {
    found.map(|found| &found.document.version) == expected
}

/// A stored document and the write that stored it.
struct Read {
    /// Empty where no writer of ours stored it.
    nonce: String,
    document: Versioned,
}

fn object_of(nonce: &str, value: &[u8]) -> Bytes {
    let mut body = format!("{HEADER}{nonce}\n").into_bytes();
    body.extend_from_slice(value);
    body.into()
}

/// Nonce and document. Of an object that is none of ours the nonce is empty and
/// the document is the whole; whether it is one, its reader judges.
fn parts_of(body: &[u8]) -> (&str, &[u8]) {
    written_by_us(body).unwrap_or(("", body))
}

fn written_by_us(body: &[u8]) -> Option<(&str, &[u8])> {
    let rest = body.strip_prefix(HEADER.as_bytes())?;
    let (nonce, rest) = rest.split_at_checked(NONCE_CHARS)?;
    let value = rest.strip_prefix(b"\n")?;
    Some((std::str::from_utf8(nonce).ok()?, value))
}

fn version_of(etag: Option<String>) -> Option<Version> {
    let etag = etag?;
    let bare = etag.trim_matches('"');
    (!bare.is_empty()).then(|| Version(bare.to_owned()))
}

fn etag_of(version: &Version) -> String {
    format!("\"{}\"", version.0)
}

/// Whether a version can be an ETag of S3. One that cannot was never given
/// out by us, and would not fit into a header.
fn is_version(version: &Version) -> bool {
    let is_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !version.0.is_empty() && version.0.bytes().all(is_char)
}

#[async_trait]
impl State for S3State {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        const VERB: &str = "get";
        check_key(VERB, key)?;
        let found = self.read(key).await.map_err(failed(VERB, key))?;
        Ok(found.map(|found| found.document))
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        const VERB: &str = "create";
        check_key(VERB, key)?;
        check_value(VERB, key, value)?;
        let written = self.write(key, value, None).await;
        written.map_err(failed(VERB, key))
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        const VERB: &str = "replace";
        check_key(VERB, key)?;
        check_value(VERB, key, value)?;
        check_version(VERB, key, expected)?;
        let written = self.write(key, value, Some(expected)).await;
        written.map_err(failed(VERB, key))
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        const VERB: &str = "delete";
        check_key(VERB, key)?;
        check_version(VERB, key, expected)?;
        let removed = self.remove(key, expected).await;
        removed.map_err(failed(VERB, key))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        const VERB: &str = "list";
        keys::check_list(prefix, after, limit).map_err(|reason| refused(VERB, prefix, reason))?;
        let listed = self.bucket.list(prefix, after, limit, |key, object| {
            let version = version_of(object.e_tag)?;
            Some(StateEntry { key, version })
        });
        listed.await.map_err(failed(VERB, prefix))
    }
}

fn check_key(verb: &'static str, key: &str) -> Result<(), StateError> {
    keys::check_key(key).map_err(|reason| refused(verb, key, reason))
}

fn check_value(verb: &'static str, key: &str, value: &[u8]) -> Result<(), StateError> {
    if value.len() <= STATE_VALUE_BYTES_MAX {
        return Ok(());
    }
    let reason = format!(
        "the document has {} bytes, the most is {STATE_VALUE_BYTES_MAX}",
        value.len()
    );
    Err(refused(verb, key, reason))
}

fn check_version(verb: &'static str, key: &str, version: &Version) -> Result<(), StateError> {
    if is_version(version) {
        return Ok(());
    }
    let key = key.to_owned();
    Err(StateError::Conflict { verb, key })
}

fn refused(verb: &'static str, key: &str, reason: String) -> StateError {
    let key = key.to_owned();
    StateError::Refused { verb, key, reason }
}

fn failed(verb: &'static str, key: &str) -> impl FnOnce(Fault) -> StateError {
    let key = key.to_owned();
    move |fault| match fault {
        Fault::Unmet(_) | Fault::NoObject(_) => StateError::Conflict { verb, key },
        fault if fault.is_transient() => StateError::Unavailable {
            verb,
            key,
            source: Box::new(fault),
        },
        fault => StateError::Refused {
            verb,
            key,
            reason: fault.told(),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn documents_come_out_as_they_went_in() {
        for value in [&b""[..], b"{}", b"\n", &[0, 255, b'\n']] {
            let nonce = nonce();
            let body = object_of(&nonce, value);
            assert_eq!(parts_of(&body), (nonce.as_str(), value));
        }
        assert_ne!(nonce(), nonce());
    }

    #[test]
    fn what_others_wrote_is_a_document_of_no_writer() {
        for body in [
            "",
            "{}",
            "trawler-state 1 ab\n{}",
            "trawler-state 2 0123456789abcdef0123456789abcdef\n{}",
        ] {
            assert_eq!(parts_of(body.as_bytes()), ("", body.as_bytes()));
        }
    }
}
