//! Puts a report file among the blobs, for a person to look at.

use std::path::Path;

use trawler_core::ports::{BlobMeta, Blobs};
use trawler_core::verdict::Failure;

/// Stores the file under the key; the report of this very delivery may be
/// there already.
pub(crate) async fn put(blobs: &dyn Blobs, key: &str, file: &Path) -> Result<(), Failure> {
    let bytes = tokio::fs::read(file)
        .await
        .map_err(|error| Failure::transient(format!("read report {}: {error}", file.display())))?;
    let meta = BlobMeta {
        content_type: "application/x-ndjson",
        immutable: false,
    };
    match blobs.put(key, bytes.into(), meta).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = format!("store report {key}: {error}");
            Err(if error.is_transient() {
                Failure::transient(reason)
            } else {
                Failure::permanent(reason)
            })
        }
    }
}
