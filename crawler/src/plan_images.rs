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
use trawler_core::job::{ImageJob, ImageTask, JOB_IMAGES_MAX, Remake, pack_image_jobs};
use trawler_core::manifest::Manifest;
use trawler_core::pipe::{ImageOptions, Pipe};
use trawler_core::recheck::{ImageStanding, Remaking, is_image_due, is_wanted_again};
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
    Due(DueAt),
    Failed(Failed),
    /// Of these products, as if nothing were known of them.
    Listed(Arc<HashSet<String>>),
}

/// What is due for a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DueAt {
    due: DateTime<Utc>,
    /// When the pipe was due before that, by its schedule.
    before: Option<DateTime<Utc>>,
}

impl DueAt {
    pub(crate) fn of(pipe: &Pipe, run: &RunId) -> Self {
        let due = run.due();
        let schedule = pipe.schedule().ok();
        let earlier = due - chrono::Duration::milliseconds(1);
        Self {
            due,
            before: schedule.and_then(|schedule| schedule.latest_at_or_before(earlier)),
        }
    }
}

/// By what images are picked.
#[derive(Clone)]
struct Rules {
    pick: Pick,
    options: Arc<ImageOptions>,
    remaking: Option<Arc<Remaking>>,
}

/// Why a picked image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Because {
    /// The partner is asked what there is.
    Wanted,
    /// It was made by an earlier recipe, and nothing else.
    Outdated,
}

impl Rules {
    fn takes(&self, row: &ImageRow) -> Option<Because> {
        let standing = ImageStanding {
            product_id: &row.id,
            // A status that this program does not know is looked into anew.
            status: row.status.unwrap_or(ImageStatus::Pending),
            tried: row.tried,
        };
        let wanted = match &self.pick {
            Pick::Due(at) => is_image_due(standing, &self.options, at.due),
            Pick::Failed(failed) => is_wanted_again(standing, failed),
            Pick::Listed(products) => products.contains(&row.id),
        };
        if wanted {
            return Some(Because::Wanted);
        }
        let Pick::Due(at) = &self.pick else {
            return None;
        };
        let remaking = self.outdated(row).filter(|_| self.options.collect)?;
        let is_due = remaking.is_due(standing, at.before, at.due);
        is_due.then_some(Because::Outdated)
    }

    /// Set where the row's variants are of another recipe.
    fn outdated(&self, row: &ImageRow) -> Option<&Remaking> {
        let remaking = self.remaking.as_deref()?;
        let recipe = row.known.recipe.as_deref();
        remaking.is_outdated(recipe).then_some(remaking)
    }

    fn remake(&self, row: &ImageRow) -> Option<Remake> {
        self.outdated(row)?;
        Some(Remake {
            format: row.format.clone()?,
            alone: self.takes(row) == Some(Because::Outdated),
        })
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
        let rules = Rules {
            pick: self.pick.clone(),
            options: Arc::new(self.pipe.images.clone()),
            remaking: self.crawler.options.remaking.clone().map(Arc::new),
        };
        let mut packer = Packer::new(self.run, self.pipe.images.shards);
        let mut writer = ManifestWriter::new(&self.crawler.ports, self.run, self.job.epoch);
        let mut after: Option<String> = None;
        loop {
            self.ctx.step().await?;
            let picking = rules.clone();
            let is_due = move |row: &ImageRow| picking.takes(row).is_some();
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
                let mut remake = rules.remake(&row);
                if matches!(self.pick, Pick::Listed(_)) {
                    (row.known, remake) = (KnownImage::default(), None);
                }
                if under_way.contains(&name(&row.id, &row.image_link)) {
                    continue;
                }
                for job in packer.push(row, remake) {
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
    fn push(&mut self, row: ImageRow, remake: Option<Remake>) -> Vec<ImageJob> {
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
            remake,
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
            format: None,
        }
    }

    fn pack(rows: Vec<ImageRow>, shards: u32) -> Vec<ImageJob> {
        let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let mut packer = Packer::new(&run, shards);
        let mut jobs: Vec<ImageJob> = rows
            .into_iter()
            .flat_map(|row| packer.push(row, None))
            .collect();
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
    fn outdated_images_say_whether_they_are_due_for_nothing_else() {
        let due = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap().due();
        let at = DueAt {
            due,
            before: Some(due - chrono::Duration::days(1)),
        };
        let check = |pick: Pick, status, recipe: &str, recheck, expected: Option<Option<bool>>| {
            let rules = Rules {
                pick,
                options: Arc::new(ImageOptions {
                    recheck,
                    ..ImageOptions::default()
                }),
                remaking: Some(Arc::new(Remaking {
                    recipe: "new".to_owned(),
                    days: 1,
                })),
            };
            let row = ImageRow {
                status: Some(status),
                known: KnownImage {
                    recipe: Some(recipe.to_owned()),
                    ..KnownImage::default()
                },
                format: Some("png".to_owned()),
                tried: Some(due),
                ..row(1, "https://a.test/1".to_owned())
            };
            let found = rules.takes(&row).map(|_| {
                let remake = rules.remake(&row);
                remake.map(|remake| remake.alone)
            });
            assert_eq!(found, expected, "{status:?} {recipe} {recheck:?}");
        };
        use ImageStatus::{NotFound, Stored};
        use trawler_core::image::Recheck::{EveryRun, Never};
        let for_run = || Pick::Due(at);
        check(for_run(), Stored, "new", Never, None);
        check(for_run(), Stored, "old", Never, Some(Some(true)));
        check(for_run(), Stored, "old", EveryRun, Some(Some(false)));
        check(for_run(), Stored, "new", EveryRun, Some(None));
        // What failed keeps to its retries.
        check(for_run(), NotFound, "old", Never, None);
        check(for_run(), NotFound, "old", EveryRun, Some(Some(false)));
        let failed = Pick::Failed(Failed {
            statuses: Vec::new(),
            which: trawler_core::refetch::Ages::Any,
        });
        check(failed.clone(), Stored, "old", Never, None);
        check(failed, NotFound, "old", Never, Some(Some(false)));
    }

    #[test]
    fn an_image_without_a_host_is_planned_and_judged_by_the_worker() {
        assert_eq!(pack(vec![row(1, "not a url".to_owned())], 1).len(), 1);
    }
}
