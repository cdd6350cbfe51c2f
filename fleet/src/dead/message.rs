//! Messages that name no job, kept as dead letters of their own names.

use bytes::Bytes;
use trawler_core::QueueName;
use trawler_core::dead::DeadLetter;
use trawler_core::ports::{BlobError, BlobMeta, Lease};

use crate::retry::retry;
use crate::{Jobs, JobsError};

const TEXT: BlobMeta = BlobMeta {
    content_type: "text/plain; charset=utf-8",
    immutable: true,
};

impl Jobs {
    /// Keeps the message whole, a long body among the blobs; where its letter
    /// is. A message that comes again is kept once.
    pub async fn keep_message(
        &self,
        queue: QueueName,
        lease: &Lease,
        reason: &str,
    ) -> Result<String, JobsError> {
        let letter = DeadLetter::of_message(queue, lease, reason, self.clock().now());
        if let Some(key) = &letter.body_at {
            let body = Bytes::copy_from_slice(lease.body.as_bytes());
            retry(self.clock(), BlobError::is_transient, || {
                self.ports.blobs.put(key, body.clone(), TEXT)
            })
            .await?;
        }
        let key = DeadLetter::key(queue, &letter.job);
        self.documents.create(&key, &letter).await?;
        Ok(key)
    }

    /// The whole body of a letter.
    pub(super) async fn letter_body(&self, letter: &DeadLetter) -> Result<String, JobsError> {
        let Some(key) = &letter.body_at else {
            return Ok(letter.body.clone());
        };
        let body = retry(self.clock(), BlobError::is_transient, || {
            self.ports.blobs.get(key, None)
        })
        .await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Before the letter goes, by which it would be found.
    pub(super) async fn delete_body(&self, key: &str) -> Result<(), JobsError> {
        let keys = [key.to_owned()];
        retry(self.clock(), BlobError::is_transient, || {
            self.ports.blobs.delete(&keys)
        })
        .await?;
        Ok(())
    }
}
