//! What the name of a job says: which run, fold, refetch or upkeep it belongs to.
//!
//! A settled job has no record for long; who asks for it then finds the
//! document that tells how it ended by the job's name alone.

use chrono::{DateTime, Utc};

use crate::refetch::Refetches;
use crate::upkeep::{UPKEEP_PIPE, UpkeepKind};
use crate::{JobId, PipeId, QueueName, RunId, RunSeq};

/// Between pipe and number of a fold's name.
const FOLD: &str = "#images@";

/// Between pipe and number of a refetch's name.
const REFETCH: &str = "#refetch@";

/// Between kind and due instant of an upkeep's name, in milliseconds.
const DUE: &str = "@";

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobName {
    Collect(RunId),
    Fold {
        pipe: PipeId,
        fold: i64,
    },
    Refetch {
        pipe: PipeId,
        refetch: i64,
    },
    Upkeep {
        kind: UpkeepKind,
        due: DateTime<Utc>,
    },
    /// An image job of this run, or of the refetch that the run id stands for.
    Image(RunId),
}

impl JobName {
    /// `None` for a name that no job of the queue can have.
    pub fn parse(queue: QueueName, job: &JobId) -> Option<Self> {
        match queue {
            QueueName::Crawl => {
                if let Some((pipe, fold)) = job.as_str().split_once(FOLD) {
                    return Some(Self::Fold {
                        pipe: PipeId::parse(pipe).ok()?,
                        fold: fold.parse().ok()?,
                    });
                }
                if let Some((pipe, refetch)) = job.as_str().split_once(REFETCH) {
                    return Some(Self::Refetch {
                        pipe: PipeId::parse(pipe).ok()?,
                        refetch: refetch.parse().ok()?,
                    });
                }
                if let Some((pipe, rest)) = job.as_str().split_once('#')
                    && pipe == UPKEEP_PIPE.as_str()
                {
                    let (kind, due) = rest.split_once(DUE)?;
                    let mut kinds = UpkeepKind::ALL.into_iter();
                    return Some(Self::Upkeep {
                        kind: kinds.find(|known| known.as_str() == kind)?,
                        due: DateTime::from_timestamp_millis(due.parse().ok()?)?,
                    });
                }
                let run = RunId::parse(job.as_str()).ok()?;
                Refetches::number(&run)
                    .is_none()
                    .then_some(Self::Collect(run))
            }
            QueueName::Image => {
                let (run, _) = job.as_str().split_once('#')?;
                let (pipe, seq) = run.split_once('@')?;
                Some(Self::Image(RunId {
                    pipe: PipeId::parse(pipe).ok()?,
                    seq: RunSeq(seq.parse().ok()?),
                }))
            }
        }
    }

    pub fn fold_id(pipe: &PipeId, fold: i64) -> JobId {
        JobId::parse(&format!("{pipe}{FOLD}{fold}"))
            .expect("a pipe id and a number make a job id within its bound")
    }

    pub fn refetch_id(pipe: &PipeId, refetch: i64) -> JobId {
        JobId::parse(&format!("{pipe}{REFETCH}{refetch}"))
            .expect("a pipe id and a number make a job id within its bound")
    }

    pub fn upkeep_id(kind: UpkeepKind, due: DateTime<Utc>) -> JobId {
        let due = due.timestamp_millis();
        JobId::parse(&format!("{}#{kind}{DUE}{due}", *UPKEEP_PIPE))
            .expect("a pipe id, a kind and a number make a job id within its bound")
    }

    /// The name of an image job: its run, and what it fetches in 24 hex digits.
    pub fn image_id(run: &RunId, content: &str) -> JobId {
        JobId::parse(&format!("{}@{}#{content}", run.pipe, run.seq))
            .expect("a pipe id, 14 digits and 24 hex digits make a job id within its bound")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_tells_what_the_job_belongs_to() {
        let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let check = |queue, job: &str, expected: Option<JobName>| {
            let job = JobId::parse(job).unwrap();
            assert_eq!(JobName::parse(queue, &job), expected, "{job}");
        };
        let crawl = QueueName::Crawl;
        check(
            crawl,
            "shop@2026-11-21T03:00:00.000Z",
            Some(JobName::Collect(run.clone())),
        );
        let pipe = run.pipe.clone();
        let fold = JobName::fold_id(&pipe, 7);
        check(crawl, fold.as_str(), Some(JobName::Fold { pipe, fold: 7 }));
        let refetch = JobName::refetch_id(&run.pipe, 3);
        check(
            crawl,
            refetch.as_str(),
            Some(JobName::Refetch {
                pipe: run.pipe.clone(),
                refetch: 3,
            }),
        );
        for kind in UpkeepKind::ALL {
            let due = DateTime::from_timestamp_millis(1_763_780_400_000).unwrap();
            let upkeep = JobName::upkeep_id(kind, due);
            check(crawl, upkeep.as_str(), Some(JobName::Upkeep { kind, due }));
        }
        check(crawl, "trawler-upkeep#other@1", None);
        check(crawl, "shop@refetch-3", None);
        check(crawl, "job", None);
        let image = JobName::image_id(&run, "0123456789abcdef01234567");
        check(
            QueueName::Image,
            image.as_str(),
            Some(JobName::Image(run.clone())),
        );
        check(QueueName::Image, "shop#0123456789abcdef01234567", None);
        check(QueueName::Image, "job", None);
    }

    #[test]
    fn the_longest_name_fits() {
        let pipe = PipeId::parse(&"p".repeat(64)).unwrap();
        let run = RunId {
            pipe,
            seq: RunSeq(99_999_999_999_999),
        };
        let job = JobName::image_id(&run, &"0".repeat(24));
        assert!(job.as_str().len() <= crate::id::JOB_ID_CHARS_MAX);
    }
}
