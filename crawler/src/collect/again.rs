//! The rows of a kept input, once more: of a run that a person accepted, and of
//! one that a person has read again. The partner is not asked.
//!
//! Whether an input is too old to be read again was judged when the run was
//! planned, and is judged anew here, where no other run of the pipe is at work.

use trawler_catalogue::Snapshot;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::pipe::Source;
use trawler_core::reprocess::Reread;
use trawler_core::verdict::Ending;
use trawler_core::{RunId, RunSeq};

use super::commit::{Collected, Learned};
use super::{Collect, Landed};
use crate::failure::documents_failure;
use crate::fingerprint::fingerprint;
use crate::parse::Parse;
use crate::raw_input::RawInputs;

impl Collect<'_> {
    /// No later run has landed, or this one would be superseded: its number
    /// follows that of the accepted run.
    pub(super) async fn collect_accepted(
        &self,
        accepted: &RunId,
        snapshot: Snapshot,
    ) -> Result<Landed, Ending> {
        self.collect_kept(accepted, snapshot, Some(accepted)).await
    }

    /// Judged as if the partner had sent the input today.
    pub(super) async fn collect_reread(
        &self,
        reread: &Reread,
        snapshot: Snapshot,
    ) -> Result<Landed, Ending> {
        let landed = snapshot.txn(self.pipe.id.as_str()).map(RunSeq);
        if !reread.forced
            && let Some(by) = self.newer_than(&reread.run, landed).await?
        {
            return Ok(Landed::Overtaken(by.seq.0));
        }
        let input = &reread.run;
        self.ctx.note(&format!("the input is that of run {input}"));
        self.collect_kept(input, snapshot, None).await
    }

    /// The run that brought something newer in.
    async fn newer_than(
        &self,
        input: &RunId,
        landed: Option<RunSeq>,
    ) -> Result<Option<RunId>, Ending> {
        let newer = self.crawler.documents.newer_than_input(input, landed);
        let newer = self.ctx.unless_told(newer).await?;
        newer.map_err(documents_failure)
    }

    async fn collect_kept(
        &self,
        kept: &RunId,
        snapshot: Snapshot,
        accepts: Option<&RunId>,
    ) -> Result<Landed, Ending> {
        let scratch = self.scratch()?;
        let mappings = self.mappings().await?;
        let print = fingerprint(self.pipe, &mappings.digest);
        let input = scratch.path().join("feed");
        let raw = RawInputs::of(self.crawler, self.pipe, self.ctx);
        let raw = raw.fetch(kept, &input).await?;
        let parse = Parse {
            crawler: self.crawler,
            pipe: self.pipe,
            ctx: self.ctx,
            scratch: scratch.path(),
        };
        let cut = raw.truncated.as_deref();
        let mut parsed = parse.run(&input, cut, mappings).await?;
        if accepts.is_none() {
            parsed
                .remarks
                .push(format!("reads the kept input of run {kept} once more"));
        }
        self.ctx.step().await?;
        // The pages of a site are asked for again: what was known of them went
        // with the run.
        let learned = match &self.pipe.source {
            Source::Site(_) => None,
            Source::Http(_) | Source::File(_) | Source::Inbox(_) | Source::Sftp(_) => {
                Some(Learned::Feed(FeedValidators {
                    seq: self.run.seq,
                    fingerprint: print,
                    etag: raw.etag,
                    last_modified: raw.last_modified,
                    sha256: raw.sha256,
                }))
            }
        };
        let collected = Collected {
            parsed,
            bytes_down: 0,
            learned,
            accepts,
        };
        self.commit_rows(snapshot, collected).await
    }
}
