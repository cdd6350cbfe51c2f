//! Writing a manifest: its parts first, its document last.

use bytes::Bytes;
use trawler_core::RunId;
use trawler_core::job::ImageJob;
use trawler_core::manifest::Manifest;

use super::{LINES, ManifestError, PART_JOBS, part_key, put};
use crate::{Created, Documents, Ports};

/// Writes the manifest of one run, part by part.
pub struct ManifestWriter {
    ports: Ports,
    run: RunId,
    jobs_key: String,
    part: Vec<u8>,
    part_jobs: usize,
    parts: u64,
    jobs: u64,
    images: u64,
}

impl ManifestWriter {
    /// `epoch` keeps the parts of one delivery apart from those of another.
    pub fn new(ports: &Ports, run: &RunId, epoch: u64) -> Self {
        Self {
            ports: ports.clone(),
            run: run.clone(),
            jobs_key: Manifest::jobs_key(run, epoch),
            part: Vec::new(),
            part_jobs: 0,
            parts: 0,
            jobs: 0,
            images: 0,
        }
    }

    pub async fn push(&mut self, job: &ImageJob) -> Result<(), ManifestError> {
        self.part.extend_from_slice(job.encode().as_bytes());
        self.part.push(b'\n');
        self.part_jobs += 1;
        self.jobs += 1;
        self.images += job.images.len() as u64;
        if self.part_jobs == PART_JOBS {
            self.write_part().await?;
        }
        Ok(())
    }

    /// Writes the document. The one of an earlier delivery stays, and is given
    /// back instead. A manifest without jobs is settled from the start, and
    /// nobody has to know of it: an unchanged day writes none.
    pub async fn finish(mut self) -> Result<Manifest, ManifestError> {
        if self.part_jobs > 0 {
            self.write_part().await?;
        }
        let manifest = Manifest {
            run: self.run.clone(),
            jobs_key: self.jobs_key.clone(),
            jobs: self.jobs,
            images: self.images,
            written: self.ports.clock.now(),
            planned: 0,
            ahead: Vec::new(),
            folded: 0,
            folded_at: None,
            settled: self.jobs == 0,
        };
        let documents = self.ports.documents();
        let key = Manifest::key(&self.run);
        if self.jobs == 0 {
            let earlier = super::find(&documents, &self.run).await?;
            return Ok(earlier.unwrap_or(manifest));
        }
        if documents.create(&key, &manifest).await? == Created::New {
            return self.unless_retired(&documents, manifest).await;
        }
        match super::find(&documents, &self.run).await? {
            Some(earlier) => {
                if earlier.jobs_key != self.jobs_key {
                    self.remove_parts().await?;
                }
                Ok(earlier)
            }
            None => Ok(manifest),
        }
    }

    /// A delivery that stood still for so long that another one's manifest was
    /// settled and moved in between must not open the run's images again:
    /// create, then ask.
    async fn unless_retired(
        &self,
        documents: &Documents,
        manifest: Manifest,
    ) -> Result<Manifest, ManifestError> {
        let retired = documents.get(&Manifest::settled_key(&self.run)).await?;
        let Some(retired) = retired else {
            return Ok(manifest);
        };
        documents.delete(&Manifest::key(&self.run)).await?;
        self.remove_parts().await?;
        Ok(retired)
    }

    async fn write_part(&mut self) -> Result<(), ManifestError> {
        let key = part_key(&self.jobs_key, self.parts);
        let body = Bytes::from(std::mem::take(&mut self.part));
        put(&self.ports, &key, body, LINES).await?;
        self.parts += 1;
        self.part_jobs = 0;
        Ok(())
    }

    async fn remove_parts(&self) -> Result<(), ManifestError> {
        for part in 0..self.parts {
            let key = [part_key(&self.jobs_key, part)];
            self.ports.blobs.delete(&key).await?;
        }
        Ok(())
    }
}

/// Writes a whole manifest at once, for callers that hold the jobs anyway.
pub async fn write(
    ports: &Ports,
    run: &RunId,
    epoch: u64,
    jobs: &[ImageJob],
) -> Result<Manifest, ManifestError> {
    let mut writer = ManifestWriter::new(ports, run, epoch);
    for job in jobs {
        writer.push(job).await?;
    }
    writer.finish().await
}
