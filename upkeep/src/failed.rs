//! Images that failed, counted: how many, by status, and how many of them a
//! retry would take up.

use std::collections::BTreeMap;

use serde::Serialize;
use trawler_catalogue::{STORED_ROWS_MAX, Snapshot};
use trawler_core::PipeId;
use trawler_core::image::ImageStatus;
use trawler_core::recheck::{ImageStanding, is_failure, is_wanted_again};
use trawler_core::refetch::Failed;

use crate::{Upkeep, UpkeepError, Watch};

/// Failed images of one pipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FailedImages {
    pub failed: u64,
    /// Of them what a retry takes up now.
    pub due: u64,
    pub statuses: BTreeMap<&'static str, u64>,
}

impl Upkeep {
    /// What a retry of `wanted` would find in this pipe.
    pub async fn failed(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        wanted: &Failed,
        watch: &Watch<'_>,
    ) -> Result<FailedImages, UpkeepError> {
        let mut found = FailedImages::default();
        let (mut at, total) = (0, snapshot.live_rows(pipe));
        loop {
            let rows = self
                .catalogue
                .stored_images(snapshot, pipe, at, STORED_ROWS_MAX)
                .await?;
            if rows.is_empty() {
                return Ok(found);
            }
            at += rows.len() as u64;
            Upkeep::tell(watch, "products", at, Some(total));
            for row in rows.iter().filter(|row| row.image_link.is_some()) {
                let status = row.status.unwrap_or(ImageStatus::Pending);
                if !is_failure(status) {
                    continue;
                }
                found.failed += 1;
                *found.statuses.entry(status.as_str()).or_default() += 1;
                let standing = ImageStanding {
                    product_id: &row.id,
                    status,
                    tried: row.tried,
                };
                found.due += u64::from(is_wanted_again(standing, wanted));
            }
        }
    }
}
