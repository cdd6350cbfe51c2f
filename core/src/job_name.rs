//! What the name of a job says: which run or which fold it belongs to.
//!
//! A settled job has no record for long; who asks for it then finds the
//! document that tells how it ended by the job's name alone.

use crate::{JobId, PipeId, QueueName, RunId, RunSeq};

/// Between pipe and number of a fold's name.
const FOLD: &str = "#images@";

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobName {
    Collect(RunId),
    Fold {
        pipe: PipeId,
        fold: i64,
    },
    /// An image job of this run.
    Image(RunId),
}

impl JobName {
    /// `None` for a name that no job of the queue can have.
    pub fn parse(queue: QueueName, job: &JobId) -> Option<Self> {
        match queue {
            QueueName::Crawl => match job.as_str().split_once(FOLD) {
                Some((pipe, fold)) => Some(Self::Fold {
                    pipe: PipeId::parse(pipe).ok()?,
                    fold: fold.parse().ok()?,
                }),
                None => RunId::parse(job.as_str()).ok().map(Self::Collect),
            },
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
