//! Turns the pipe's due images into the run's manifest, or those that a refetch
//! wants into its own. The scheduler's tick
//! sends its jobs as there is room: it alone knows how much, and a look at the
//! whole ledger after every run would cost more than the run.
//!
//! Images come from the rows of the catalogue, not from what this run changed,
//! so that a run also picks up what an earlier one left. An image that an
//! unsettled manifest of the pipe has already is left to that one; but not one
//! that is to be repaired, since that one may find it unchanged.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use trawler_catalogue::ImageRow;
use trawler_core::RunId;
use trawler_core::drain::STEP_ROWS_MAX;
use trawler_core::image::{ImageStatus, KnownImage};
use trawler_core::job::{ImageJob, ImageTask, JOB_IMAGES_MAX, pack_image_jobs};
use trawler_core::manifest::Manifest;
use trawler_core::pipe::{ImageOptions, Pipe};
use trawler_core::recheck::{ImageStanding, is_image_due, is_wanted_again};
use trawler_core::refetch::Failed;
use trawler_core::verdict::Ending;
use trawler_fleet::manifests::{self, ManifestWriter, PART_JOBS};
use trawler_fleet::{JobContext, TakenJob};
use url::Url;

use crate::crawler::Crawler;
use crate::failure::{catalogue_failure, documents_failure, manifest_failure};

/// Groups that are filled at once; a pipe whose every row names another host
/// flushes early instead of growing.
const OPEN_GROUPS_MAX: usize = 10_000;

/// Due images taken between two looks at the flags.
const CANDIDATES_A_STEP: usize = STEP_ROWS_MAX;

/// Which images are planned.
#[derive(Debug, Clone)]
pub(crate) enum Pick {
    /// Those that are due for a run at this instant.
    Due(DateTime<Utc>),
    Failed(Failed),
    /// Of these products, as if nothing were known of them.
    Listed(Arc<HashSet<String>>),
}

impl Pick {
    fn takes(&self, row: &ImageRow, options: &ImageOptions) -> bool {
        let standing = ImageStanding {
            product_id: &row.id,
            // A status that this program does not know is looked into anew.
            status: row.status.unwrap_or(ImageStatus::Pending),
            tried: row.tried,
        };
        match self {
            Self::Due(due) => is_image_due(standing, options, *due),
            Self::Failed(failed) => is_wanted_again(standing, failed),
            Self::Listed(products) => products.contains(&row.id),
        }
    }
}

/// The planning of the images of one run, or of one refetch.
pub(crate) struct PlanImages<'a> {
    pub(crate) crawler: &'a Crawler,
    pub(crate) pipe: &'a Pipe,
    pub(crate) run: &'a RunId,
    pub(crate) pick: Pick,
    pub(crate) job: &'a TakenJob,
    pub(crate) ctx: &'a JobContext,
}

/// What was planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PlannedImages {
    pub(crate) jobs: u64,
    pub(crate) images: u64,
}

impl PlanImages<'_> {
    pub(crate) async fn run(&self) -> Result<PlannedImages, Ending> {
        let manifest = match self.existing().await? {
            Some(manifest) => manifest,
            None => self.write().await?,
        };
        Ok(PlannedImages {
            jobs: manifest.jobs,
            images: manifest.images,
        })
    }

    /// The manifest of an earlier delivery; it stays as it is.
    async fn existing(&self) -> Result<Option<Manifest>, Ending> {
        manifests::find(&self.crawler.documents, self.run)
            .await
            .map_err(documents_failure)
    }

    async fn write(&self) -> Result<Manifest, Ending> {
        let under_way = match self.pick {
            Pick::Due(_) | Pick::Failed(_) => self.under_way().await?,
            Pick::Listed(_) => HashSet::new(),
        };
        let snapshot = self
            .crawler
            .catalogue
            .snapshot()
            .await
            .map_err(catalogue_failure)?;
        let options = Arc::new(self.pipe.images.clone());
        let mut packer = Packer::new(self.run, self.pipe.images.shards);
        let mut writer = ManifestWriter::new(&self.crawler.ports, self.run, self.job.epoch);
        let mut after: Option<String> = None;
        loop {
            self.ctx.step().await?;
            let (pick, options) = (self.pick.clone(), Arc::clone(&options));
            let is_due = move |row: &ImageRow| pick.takes(row, &options);
            let page = self
                .crawler
                .catalogue
                .image_candidates(
                    &snapshot,
                    &self.pipe.id,
                    after.as_deref(),
                    CANDIDATES_A_STEP,
                    is_due,
                )
                .await
                .map_err(catalogue_failure)?;
            for mut row in page.rows {
                if matches!(self.pick, Pick::Listed(_)) {
                    row.known = KnownImage::default();
                }
                if under_way.contains(&name(&row.id, &row.image_link)) {
                    continue;
                }
                for job in packer.push(row) {
                    writer.push(&job).await.map_err(manifest_failure)?;
                }
            }
            after = match page.next {
                Some(next) => Some(next),
                None => break,
            };
        }
        for job in packer.finish() {
            writer.push(&job).await.map_err(manifest_failure)?;
        }
        writer.finish().await.map_err(manifest_failure)
    }

    /// Images that unsettled manifests of the pipe will fetch or have fetched.
    async fn under_way(&self) -> Result<HashSet<[u8; 16]>, Ending> {
        let ports = &self.crawler.ports;
        let unsettled = manifests::unsettled_of(&self.crawler.documents, &self.pipe.id)
            .await
            .map_err(documents_failure)?;
        let mut names = HashSet::new();
        for manifest in unsettled {
            let mut from = 0;
            while from < manifest.jobs {
                self.ctx.step().await?;
                let jobs = manifests::read_jobs(ports, &manifest, from, PART_JOBS)
                    .await
                    .map_err(manifest_failure)?;
                from += jobs.len() as u64;
                let images = jobs.iter().flat_map(|job| &job.images);
                names.extend(images.map(|image| name(&image.product_id, &image.url)));
            }
        }
        Ok(names)
    }
}

/// Names an image of a product in 16 bytes, since a first load plans millions.
fn name(product_id: &str, url: &str) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update(product_id)
        .chain_update([0])
        .chain_update(url)
        .finalize();
    std::array::from_fn(|at| digest[at])
}

/// Fills jobs host by host and shard by shard.
struct Packer<'a> {
    run: &'a RunId,
    shards: u32,
    open: BTreeMap<String, Vec<ImageTask>>,
}

impl<'a> Packer<'a> {
    fn new(run: &'a RunId, shards: u32) -> Self {
        Self {
            run,
            shards: shards.max(1),
            open: BTreeMap::new(),
        }
    }

    /// Takes an image; gives back the jobs that are full.
    fn push(&mut self, row: ImageRow) -> Vec<ImageJob> {
        let host = Url::parse(&row.image_link)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default();
        let digest = Sha256::digest(&row.id);
        let shard = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % self.shards;
        let group = ImageJob::group_of(&host, shard);
        let tasks = self.open.entry(group.clone()).or_default();
        tasks.push(ImageTask {
            product_id: row.id,
            url: row.image_link,
            known: row.known,
        });
        if tasks.len() == JOB_IMAGES_MAX {
            let tasks = std::mem::take(tasks);
            return pack_image_jobs(self.run, &group, tasks);
        }
        if self.open.len() > OPEN_GROUPS_MAX {
            self.finish()
        } else {
            Vec::new()
        }
    }

    /// The jobs that are left, in order of group.
    fn finish(&mut self) -> Vec<ImageJob> {
        std::mem::take(&mut self.open)
            .into_iter()
            .flat_map(|(group, tasks)| pack_image_jobs(self.run, &group, tasks))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(n: usize, url: String) -> ImageRow {
        ImageRow {
            id: format!("p{n:06}"),
            image_link: url,
            status: Some(ImageStatus::Pending),
            tried: None,
            known: KnownImage::default(),
        }
    }

    fn pack(rows: Vec<ImageRow>, shards: u32) -> Vec<ImageJob> {
        let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let mut packer = Packer::new(&run, shards);
        let mut jobs: Vec<ImageJob> = rows.into_iter().flat_map(|row| packer.push(row)).collect();
        jobs.extend(packer.finish());
        jobs
    }

    #[test]
    fn jobs_are_of_one_host_and_lose_no_image() {
        let rows: Vec<_> = (0..1000)
            .map(|n| row(n, format!("https://img{}.test/{n}.jpg", n % 3)))
            .collect();
        let jobs = pack(rows, 2);
        assert_eq!(jobs.iter().map(|job| job.images.len()).sum::<usize>(), 1000);
        for job in &jobs {
            let host = |task: &ImageTask| {
                Url::parse(&task.url)
                    .unwrap()
                    .host_str()
                    .unwrap()
                    .to_owned()
            };
            let first = host(&job.images[0]);
            assert!(job.images.iter().all(|task| host(task) == first));
        }
        let groups: HashSet<_> = jobs.iter().map(|job| job.group.clone()).collect();
        assert_eq!(groups.len(), 6, "three hosts in two shards each");
    }

    #[test]
    fn a_pipe_with_a_host_a_row_stays_bounded() {
        let rows: Vec<_> = (0..OPEN_GROUPS_MAX + 500)
            .map(|n| row(n, format!("https://h{n}.test/a.jpg")))
            .collect();
        let count = rows.len();
        let jobs = pack(rows, 1);
        assert_eq!(jobs.len(), count);
    }

    #[test]
    fn an_image_without_a_host_is_planned_and_judged_by_the_worker() {
        assert_eq!(pack(vec![row(1, "not a url".to_owned())], 1).len(), 1);
    }
}
