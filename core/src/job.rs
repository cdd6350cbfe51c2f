//! Bodies of messages. Versioned: an unknown version or shape is buried, not
//! guessed at.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::image::KnownImage;
use crate::ports::MESSAGE_BYTES_MAX;
use crate::refetch::Wanted;
use crate::upkeep::{UPKEEP_PIPE, UpkeepTask};
use crate::{JobId, JobName, PipeId, RunId};

/// The version that this program writes and the only one that it reads.
pub const BODY_VERSION: u32 = 1;

/// Most images in one job.
pub const JOB_IMAGES_MAX: usize = 100;

/// A body that this program does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error(
        "message version {found} is not known; this program reads version {BODY_VERSION}: redrive the job with the version that wrote it"
    )]
    Version { found: u64 },
    #[error("message is not a job: {reason}")]
    Shape { reason: String },
}

/// Work for a crawler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CrawlJob {
    /// Collect the pipe for the run.
    Collect { run: RunId },
    /// Fold the image results of the pipe into the catalogue.
    Fold { pipe: PipeId, fold: i64 },
    /// Fetch images of the pipe that no run has to fetch.
    Refetch {
        pipe: PipeId,
        refetch: i64,
        wanted: Wanted,
    },
    /// Look after what is stored, of whatever pipe.
    Upkeep {
        task: UpkeepTask,
        due: DateTime<Utc>,
    },
}

impl CrawlJob {
    pub fn id(&self) -> JobId {
        match self {
            Self::Collect { run } => JobId::from(run),
            Self::Fold { pipe, fold } => JobName::fold_id(pipe, *fold),
            Self::Refetch { pipe, refetch, .. } => JobName::refetch_id(pipe, *refetch),
            Self::Upkeep { task, due } => JobName::upkeep_id(task.kind(), *due),
        }
    }

    pub fn pipe(&self) -> &PipeId {
        match self {
            Self::Collect { run } => &run.pipe,
            Self::Fold { pipe, .. } | Self::Refetch { pipe, .. } => pipe,
            Self::Upkeep { .. } => &UPKEEP_PIPE,
        }
    }

    /// One worker at a time for each pipe.
    pub fn group(&self) -> String {
        self.pipe().to_string()
    }

    pub fn encode(&self) -> String {
        encode(self)
    }

    pub fn decode(body: &str) -> Result<Self, BodyError> {
        decode(body)
    }
}

/// One image to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageTask {
    pub product_id: String,
    pub url: String,
    #[serde(default)]
    pub known: KnownImage,
    /// Set where the stored variants were made by an earlier recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remake: Option<Remake>,
}

/// An image whose variants are to be made anew from the same source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remake {
    /// Format of the source, which names a kept original together with its hash.
    pub format: String,
    /// Whether the image is due for nothing else: the partner is then not asked
    /// where the original was kept.
    pub alone: bool,
}

/// Work for an image worker: images of one host and one pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageJob {
    pub run: RunId,
    /// Hash of the image host, `#`, shard.
    pub group: String,
    pub images: Vec<ImageTask>,
}

impl ImageJob {
    /// Named by the run that planned it and what it fetches, so that planning
    /// the same images again gives the same job.
    pub fn id(&self) -> JobId {
        let mut hash = Sha256::new();
        hash.update(self.run.to_string());
        hash.update([0]);
        hash.update(&self.group);
        for image in &self.images {
            hash.update([0]);
            hash.update(&image.product_id);
            hash.update([0]);
            hash.update(&image.url);
        }
        JobName::image_id(&self.run, &hex::encode(hash.finalize())[..24])
    }

    pub fn encode(&self) -> String {
        encode(self)
    }

    pub fn decode(body: &str) -> Result<Self, BodyError> {
        let job: Self = decode(body)?;
        if job.images.len() > JOB_IMAGES_MAX {
            let reason = format!(
                "{} images where at most {JOB_IMAGES_MAX} are allowed",
                job.images.len()
            );
            return Err(BodyError::Shape { reason });
        }
        Ok(job)
    }

    /// Group of the jobs of an image host: at most `shards` of them are in
    /// flight anywhere. The host is hashed, since ids hold 128 characters.
    pub fn group_of(host: &str, shard: u32) -> String {
        format!(
            "{}#{shard}",
            &hex::encode(Sha256::digest(host.to_ascii_lowercase()))[..16]
        )
    }
}

/// Room for the envelope round a task list.
const ENVELOPE_BYTES: usize = 512;

/// Cuts tasks of one group into jobs within both bounds, in order.
pub fn pack_image_jobs(run: &RunId, group: &str, tasks: Vec<ImageTask>) -> Vec<ImageJob> {
    let mut jobs = Vec::new();
    let mut images: Vec<ImageTask> = Vec::new();
    let mut bytes = ENVELOPE_BYTES;
    for task in tasks {
        let size = serde_json::to_string(&task).map_or(0, |text| text.len() + 1);
        let full = images.len() == JOB_IMAGES_MAX || bytes + size > MESSAGE_BYTES_MAX;
        if full && !images.is_empty() {
            jobs.push(ImageJob {
                run: run.clone(),
                group: group.to_owned(),
                images: std::mem::take(&mut images),
            });
            bytes = ENVELOPE_BYTES;
        }
        bytes += size;
        images.push(task);
    }
    if !images.is_empty() {
        jobs.push(ImageJob {
            run: run.clone(),
            group: group.to_owned(),
            images,
        });
    }
    jobs
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    v: u32,
    job: &'a T,
}

fn encode<T: Serialize>(job: &T) -> String {
    serde_json::to_string(&Envelope {
        v: BODY_VERSION,
        job,
    })
    .expect("jobs have string keys only and always serialise")
}

fn decode<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, BodyError> {
    let shape = |error: serde_json::Error| BodyError::Shape {
        reason: error.to_string(),
    };
    let mut value: serde_json::Value = serde_json::from_str(body).map_err(shape)?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(found) if found == u64::from(BODY_VERSION) => {}
        Some(found) => return Err(BodyError::Version { found }),
        None => {
            return Err(BodyError::Shape {
                reason: "it has no version `v`".to_owned(),
            });
        }
    }
    let job = value
        .get_mut("job")
        .map(serde_json::Value::take)
        .unwrap_or_default();
    serde_json::from_value(job).map_err(shape)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::image::ImageStatus;
    use crate::refetch::{Ages, Failed};

    fn run() -> RunId {
        RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap()
    }

    fn task(n: usize) -> ImageTask {
        ImageTask {
            product_id: format!("p{n}"),
            url: format!("https://img.shop.test/{n}.jpg"),
            known: KnownImage::default(),
            remake: None,
        }
    }

    #[test]
    fn bodies_survive_encoding() {
        let collect = CrawlJob::Collect { run: run() };
        assert_eq!(
            collect.encode(),
            r#"{"v":1,"job":{"kind":"collect","run":"shop@2026-11-21T03:00:00.000Z"}}"#
        );
        assert_eq!(CrawlJob::decode(&collect.encode()), Ok(collect));
        let fold = CrawlJob::Fold {
            pipe: run().pipe,
            fold: 7,
        };
        assert_eq!(fold.id().as_str(), "shop#images@7");
        assert_eq!(CrawlJob::decode(&fold.encode()), Ok(fold));
        let refetch = CrawlJob::Refetch {
            pipe: run().pipe,
            refetch: 2,
            wanted: Wanted::Failed(Failed {
                statuses: vec![ImageStatus::NotFound],
                which: Ages::Any,
            }),
        };
        assert_eq!(refetch.id().as_str(), "shop#refetch@2");
        assert_eq!(
            refetch.encode(),
            r#"{"v":1,"job":{"kind":"refetch","pipe":"shop","refetch":2,"wanted":{"failed":{"statuses":["not_found"],"which":"any"}}}}"#
        );
        assert_eq!(CrawlJob::decode(&refetch.encode()), Ok(refetch));
    }

    #[test]
    fn unknown_bodies_are_refused_not_guessed_at() {
        let check = |body: &str, expected: &str| {
            let error = CrawlJob::decode(body).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        };
        check(
            r#"{"v":2,"job":{"kind":"collect"}}"#,
            "version 2 is not known",
        );
        check(r#"{"job":{}}"#, "no version");
        check(r#"{"v":1,"job":{"kind":"dance"}}"#, "dance");
        check(r#"{"v":1}"#, "not a job");
        check("hello", "not a job");
    }

    #[test]
    fn jobs_stay_within_both_bounds_and_lose_no_image() {
        let check = |count: usize, url_bytes: usize| {
            let tasks: Vec<_> = (0..count)
                .map(|n| ImageTask {
                    url: format!("https://h.test/{}", "u".repeat(url_bytes)),
                    ..task(n)
                })
                .collect();
            let jobs = pack_image_jobs(&run(), "g#0", tasks.clone());
            for job in &jobs {
                assert!(job.encode().len() <= MESSAGE_BYTES_MAX);
                assert!((1..=JOB_IMAGES_MAX).contains(&job.images.len()));
            }
            let packed: Vec<_> = jobs.into_iter().flat_map(|job| job.images).collect();
            assert_eq!(packed, tasks);
        };
        check(0, 10);
        check(1, 10);
        check(250, 10);
        check(250, 2_000);
    }

    #[test]
    fn the_same_images_are_the_same_job() {
        let job = |n: usize| ImageJob {
            run: run(),
            group: ImageJob::group_of("Img.Shop.test", 0),
            images: vec![task(n)],
        };
        assert_eq!(job(1).id(), job(1).id());
        assert_ne!(job(1).id(), job(2).id());
        assert_eq!(ImageJob::group_of("img.shop.test", 0), job(1).group);
    }
}
