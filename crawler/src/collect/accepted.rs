//! The rows of a run that a person accepted: from its kept input, once more.

use trawler_catalogue::Snapshot;
use trawler_core::RunId;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::pipe::Source;
use trawler_core::verdict::Ending;

use super::commit::{Collected, Learned};
use super::{Collect, Landed};
use crate::fingerprint::fingerprint;
use crate::parse::Parse;
use crate::raw_input::RawInputs;

impl Collect<'_> {
    /// The partner is not asked. No later run has landed, or this one would be
    /// superseded: its number follows that of the accepted run.
    pub(super) async fn collect_accepted(
        &self,
        accepted: &RunId,
        snapshot: Snapshot,
    ) -> Result<Landed, Ending> {
        let scratch = self.scratch()?;
        let mappings = self.mappings().await?;
        let print = fingerprint(self.pipe, &mappings.digest);
        let input = scratch.path().join("feed");
        let raw = RawInputs::of(self.crawler, self.pipe, self.ctx);
        let raw = raw.fetch(accepted, &input).await?;
        let parse = Parse {
            crawler: self.crawler,
            pipe: self.pipe,
            ctx: self.ctx,
            scratch: scratch.path(),
        };
        let cut = raw.truncated.as_deref();
        let parsed = parse.run(&input, cut, mappings).await?;
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
            accepts: Some(accepted),
        };
        self.commit_rows(snapshot, collected).await
    }
}
