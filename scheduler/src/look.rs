//! What one tick looks at: everything that is open, and nothing that is
//! history. Each kind is listed once and only changed documents are fetched.
//!
//! The order of the listings matters. Manifests come before image jobs: every
//! job that a manifest says is planned then is in the ledger as it was seen, or
//! is settled. What is seen here may be old when it is used; every change is a
//! compare-and-swap that decides anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use trawler_core::manifest::Manifest;
use trawler_core::open_runs::OpenRuns;
use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::withheld::Withholding;
use trawler_core::{JobId, JobName, PipeId, QueueName, RunId};
use trawler_fleet::{At, DocumentError, JobBrief, manifests};

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

/// All open work, as it was a moment ago.
pub(crate) struct Look {
    pub(crate) schedules: BTreeMap<PipeId, Arc<OpenRuns>>,
    /// What is withheld, of pipes of which anything ever was.
    pub(crate) withheld: BTreeMap<PipeId, Arc<Withholding>>,
    /// Keys of documents that cannot be read, and were told.
    pub(crate) unreadable: HashSet<String>,
    /// In the place of open manifests, the oldest first.
    pub(crate) manifests: Vec<Arc<Manifest>>,
    pub(crate) crawl: Vec<At<JobBrief>>,
    pub(crate) image: Vec<At<JobBrief>>,
    /// Runs that were found to be over.
    pub(crate) over: BTreeSet<RunId>,
}

impl Scheduler {
    pub(crate) async fn look(&self, report: &mut TickReport) -> Result<Look, SchedulerError> {
        let mut unreadable = HashSet::new();
        let schedules = self
            .documents
            .load_readable::<OpenRuns>(OpenRuns::ALL, usize::MAX);
        let schedules = schedules.await?;
        keep_all(schedules.unreadable, report, &mut unreadable)?;
        let withheld = self
            .documents
            .load_readable::<Withholding>(Withholding::ALL, usize::MAX);
        let withheld = withheld.await?;
        keep_all(withheld.unreadable, report, &mut unreadable)?;
        let manifests = manifests::open(&self.documents).await?;
        keep_all(manifests.unreadable, report, &mut unreadable)?;
        let crawl = self.jobs.survey(QueueName::Crawl).await?;
        keep_all(crawl.unreadable, report, &mut unreadable)?;
        let image = self.jobs.survey(QueueName::Image).await?;
        keep_all(image.unreadable, report, &mut unreadable)?;
        let by_pipe = schedules.documents.into_iter();
        Ok(Look {
            schedules: by_pipe.map(|runs| (runs.pipe.clone(), runs)).collect(),
            withheld: withheld
                .documents
                .into_iter()
                .map(|withheld| (withheld.pipe.clone(), withheld))
                .collect(),
            unreadable,
            manifests: manifests.documents,
            crawl: crawl.jobs,
            image: image.jobs,
            over: BTreeSet::new(),
        })
    }
}

impl Look {
    /// What counts of the pipe's file and of what persons said.
    pub(crate) fn state(&self, pipe: &Pipe) -> PipeState {
        let known = self.withheld.get(&pipe.id);
        PipeState::that_counts(pipe.state, known.and_then(|known| known.said))
    }

    pub(crate) fn jobs(&self, queue: QueueName) -> &[At<JobBrief>] {
        match queue {
            QueueName::Crawl => &self.crawl,
            QueueName::Image => &self.image,
        }
    }

    /// Crawl jobs by id.
    pub(crate) fn crawl_jobs(&self) -> HashMap<JobId, Arc<JobBrief>> {
        let jobs = self.crawl.iter();
        jobs.map(|at| (at.document.job.clone(), Arc::clone(&at.document)))
            .collect()
    }

    /// Runs by pipe whose job is open or parked.
    pub(crate) fn unsettled_runs(&self) -> HashMap<PipeId, BTreeSet<RunId>> {
        let mut runs: HashMap<PipeId, BTreeSet<RunId>> = HashMap::new();
        for job in self.crawl.iter().map(|at| &at.document) {
            if !job.status.is_settled()
                && let Some(JobName::Collect(run)) = JobName::parse(QueueName::Crawl, &job.job)
            {
                runs.entry(run.pipe.clone()).or_default().insert(run);
            }
        }
        runs
    }
}

fn keep_all(
    unreadable: Vec<DocumentError>,
    report: &mut TickReport,
    keys: &mut HashSet<String>,
) -> Result<(), SchedulerError> {
    for error in unreadable {
        if let DocumentError::Unreadable { key, .. } = &error {
            keys.insert(key.clone());
        }
        report.keep(error)?;
    }
    Ok(())
}
