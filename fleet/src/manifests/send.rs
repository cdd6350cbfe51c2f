//! From manifests into the ledger and the queue, as far as there is room.
//!
//! A job whose host is full waits and does not hold back those behind it, up
//! to [`LOOK_AHEAD_JOBS`] of them. Records count as sent from the start; that a
//! batch was sent to its end is noted in the manifest, once for all of it. What
//! is not noted there is sent again, under the same dedup ids.
//!
//! Requests a batch of 200 jobs: 200 PUT (the records), 400 GET (of the result
//! and of the manifest, see `settled`), 20 sends, 1 GET and 1 PUT of the
//! manifest; and 1 GET a part of 1,000 jobs.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use trawler_core::job::ImageJob;
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::{LOOK_AHEAD_JOBS, Manifest};
use trawler_core::{JobId, QueueName, RunId};

use super::window::host_of;
use super::{ManifestError, PART_JOBS, Room, Windows, read_jobs, unsettled};
use crate::{At, DocumentError, Documents, JobBrief, Jobs, Ports};

/// Jobs that are planned and sent in one go.
const SEND_JOBS: usize = 200;

/// Hosts that are remembered of a manifest whose jobs wait; with more of them
/// its parts are read again at each look.
const WAITING_HOSTS_MAX: usize = 64;

/// The image jobs of the ledger, by id.
pub struct Ledger<'a>(HashMap<&'a JobId, &'a JobBrief>);

impl<'a> Ledger<'a> {
    pub fn of(jobs: &'a [At<JobBrief>]) -> Self {
        let by_id = jobs.iter().map(|at| (&at.document.job, &*at.document));
        Self(by_id.collect())
    }

    /// The room that its unsettled jobs leave.
    pub fn room(&self, windows: Windows) -> Room {
        let unsettled = self.0.values().filter(|job| !job.status.is_settled());
        Room::new(windows, unsettled.map(|job| job.group.as_str()))
    }
}

/// Sends jobs of manifests, and remembers which of them wait for a full host,
/// so that looking at these again costs nothing.
#[derive(Default)]
pub struct Filler {
    waiting: Mutex<HashMap<RunId, Waiting>>,
}

/// All that may be planned of a manifest waits for these hosts.
struct Waiting {
    planned: u64,
    hosts: BTreeSet<String>,
}

/// One pass over one manifest.
struct Pass<'a> {
    ports: &'a Ports,
    jobs: &'a Jobs,
    ledger: &'a Ledger<'a>,
    manifest: Manifest,
    hosts: BTreeSet<String>,
    sent: u64,
}

impl Filler {
    /// Plans and sends jobs of the manifest as far as there is room and not
    /// too far ahead of the first that waits; says how many. Jobs that an
    /// earlier try planned are passed.
    pub async fn send_more(
        &self,
        ports: &Ports,
        jobs: &Jobs,
        manifest: &Manifest,
        ledger: &Ledger<'_>,
        room: &mut Room,
    ) -> Result<u64, ManifestError> {
        if manifest.planned >= manifest.jobs || room.is_full() || self.waits(manifest, room) {
            return Ok(0);
        }
        let mut pass = Pass {
            ports,
            jobs,
            ledger,
            manifest: manifest.clone(),
            hosts: BTreeSet::new(),
            sent: 0,
        };
        pass.run(room).await?;
        self.remember(&pass, room);
        Ok(pass.sent)
    }

    fn waits(&self, manifest: &Manifest, room: &Room) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&manifest.run).is_some_and(|waiting| {
            let same = waiting.planned == manifest.planned_jobs();
            same && !waiting.hosts.iter().any(|host| room.has_place(host))
        })
    }

    fn remember(&self, pass: &Pass<'_>, room: &Room) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (run, planned) = (pass.manifest.run.clone(), pass.manifest.planned_jobs());
        let few = (1..=WAITING_HOSTS_MAX).contains(&pass.hosts.len());
        // A pass that the whole queue's window ended has not seen every host.
        if few && !room.is_full() {
            let hosts = pass.hosts.clone();
            waiting.insert(run, Waiting { planned, hosts });
        } else {
            waiting.remove(&run);
        }
    }

    /// Forgets all manifests but these.
    pub fn keep_only<'a>(&self, manifests: impl Iterator<Item = &'a RunId>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.is_empty() {
            let open: BTreeSet<&RunId> = manifests.collect();
            waiting.retain(|run, _| open.contains(run));
        }
    }
}

impl Pass<'_> {
    async fn run(&mut self, room: &mut Room) -> Result<(), ManifestError> {
        let part_jobs = PART_JOBS as u64;
        let mut at = self.manifest.planned;
        while at < self.end() && !room.is_full() {
            let rest = usize::try_from(part_jobs - at % part_jobs).expect("at most a part");
            let part = read_jobs(self.ports, &self.manifest, at, rest).await?;
            for batch in part.chunks(SEND_JOBS) {
                if at >= self.end() || room.is_full() {
                    return Ok(());
                }
                self.send_batch(at, batch, room).await?;
                at += batch.len() as u64;
            }
        }
        Ok(())
    }

    /// The number of the first job that may not be planned yet.
    fn end(&self) -> u64 {
        let ahead = self.manifest.planned + LOOK_AHEAD_JOBS;
        ahead.min(self.manifest.jobs)
    }

    async fn send_batch(
        &mut self,
        from: u64,
        batch: &[ImageJob],
        room: &mut Room,
    ) -> Result<(), ManifestError> {
        let now = self.ports.clock.now();
        let (mut numbers, mut records) = (Vec::new(), Vec::new());
        for (number, job) in (from..self.end()).zip(batch) {
            if self.manifest.is_planned(number) {
                continue;
            }
            match self.ledger.0.get(&job.id()) {
                // Planned by one that died before it noted so, or is at it: it
                // has its place already.
                Some(known) => {
                    numbers.push(number);
                    if known.is_unseen() {
                        records.push(image_record(job, now));
                    }
                }
                None if room.admit(&job.group) => {
                    numbers.push(number);
                    records.push(image_record(job, now));
                }
                None => {
                    self.hosts.insert(host_of(&job.group).to_owned());
                }
            }
        }
        if numbers.is_empty() {
            return Ok(());
        }
        self.jobs.announce(records).await?;
        note_planned(&self.jobs.documents, &self.manifest.run, &numbers).await?;
        self.manifest.note_planned(&numbers);
        self.sent += numbers.len() as u64;
        Ok(())
    }
}

/// As [`Filler::send_more`], for those who send once.
pub async fn send_more(
    ports: &Ports,
    jobs: &Jobs,
    manifest: &Manifest,
    room: &mut Room,
) -> Result<u64, ManifestError> {
    let ledger = Ledger(HashMap::new());
    let filler = Filler::default();
    filler.send_more(ports, jobs, manifest, &ledger, room).await
}

/// Sends jobs of all manifests as far as there is room; says how many.
pub async fn fill(ports: &Ports, jobs: &Jobs, windows: Windows) -> Result<u64, ManifestError> {
    let manifests = unsettled(&jobs.documents).await?;
    let survey = jobs.survey(QueueName::Image).await?;
    let ledger = Ledger::of(&survey.jobs);
    let mut room = ledger.room(windows);
    let filler = Filler::default();
    let mut sent = 0;
    for manifest in &manifests {
        sent += filler
            .send_more(ports, jobs, manifest, &ledger, &mut room)
            .await?;
    }
    Ok(sent)
}

/// The ledger's record of an image job.
pub fn image_record(job: &ImageJob, now: DateTime<Utc>) -> JobRecord {
    JobRecord::plan(
        job.id(),
        QueueName::Image,
        job.run.pipe.clone(),
        job.group.clone(),
        job.encode(),
        now,
    )
}

async fn note_planned(
    documents: &Documents,
    run: &RunId,
    jobs: &[u64],
) -> Result<(), DocumentError> {
    documents
        .change(&Manifest::key(run), |manifest: &mut Manifest| {
            manifest.note_planned(jobs);
        })
        .await?;
    Ok(())
}
