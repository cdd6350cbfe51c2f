//! The rows of a feed: from its server or from disk, whole, or not at all if it
//! did not change.

use trawler_catalogue::Snapshot;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::ports::Metric;
use trawler_core::verdict::Ending;

use super::commit::{Collected, Learned};
use super::{Collect, Landed};
use crate::fingerprint::fingerprint;
use crate::input::{Found, Input, Wanted};
use crate::kept_input::KeptInput;
use crate::mappings::PipeMappings;
use crate::parse::Parse;
use crate::raw_input::RawInputs;
use crate::scratch::Scratch;
use crate::validators;

impl Collect<'_> {
    pub(super) async fn collect_feed(&self, snapshot: Snapshot) -> Result<Landed, Ending> {
        let scratch = self.scratch()?;
        let mappings = self.mappings().await?;
        let print = fingerprint(self.pipe, &mappings.digest);
        let known = validators::known(&self.crawler.documents, &self.pipe.id, &print).await?;
        let wanted = Wanted {
            pipe: self.pipe,
            fetcher: &self.crawler.fetcher,
            secrets: &*self.crawler.secrets,
            blobs: &*self.crawler.ports.blobs,
            clock: &*self.crawler.ports.clock,
            options: &self.crawler.options,
            scratch: scratch.path(),
            known: known.as_ref(),
            ctx: self.ctx,
        };
        let keeper = KeptInput {
            blobs: &*self.crawler.ports.blobs,
            ctx: self.ctx,
            run: &self.run,
            source: &self.pipe.source,
        };
        if let Some((kept, input)) = keeper.find(&scratch.path().join("feed")).await? {
            let landed = self
                .take_in(snapshot, &scratch, &input, mappings, print)
                .await?;
            keeper.forget(&kept).await;
            return Ok(landed);
        }
        let clock = &self.crawler.ports.clock;
        let asked = clock.monotonic();
        let found = wanted.get().await;
        let took = clock.monotonic().saturating_sub(asked);
        self.ctx.step().await?;
        match found.map_err(Ending::Failed)? {
            Found::Unchanged { bytes_down } => {
                self.crawler
                    .ports
                    .metrics
                    .record(Metric::FeedBytesDown { bytes: bytes_down });
                self.commit_unchanged(&snapshot, &scratch, bytes_down).await
            }
            Found::Changed(input) => {
                self.crawler.ports.metrics.record(Metric::FeedBytesDown {
                    bytes: input.bytes_down,
                });
                self.ctx.note(&format!("{} bytes came", input.bytes_down));
                let is_dear = input.bytes_down > 0 && took >= self.crawler.options.keep_input_after;
                let kept = match is_dear {
                    true => keeper.keep(&input).await?,
                    false => None,
                };
                let landed = self
                    .take_in(snapshot, &scratch, &input, mappings, print)
                    .await?;
                if let Some(kept) = kept {
                    keeper.forget(&kept).await;
                }
                Ok(landed)
            }
        }
    }

    /// Reads the feed and commits its rows.
    async fn take_in(
        &self,
        snapshot: Snapshot,
        scratch: &Scratch,
        input: &Input,
        mappings: PipeMappings,
        print: String,
    ) -> Result<Landed, Ending> {
        let raw = RawInputs::of(self.crawler, self.pipe, self.ctx);
        let (validators, cut) = (input.validators.clone(), input.truncated.as_deref());
        let packed = raw.pack(&self.run, &input.path, validators, cut).await?;
        let parse = Parse {
            crawler: self.crawler,
            pipe: self.pipe,
            ctx: self.ctx,
            scratch: scratch.path(),
        };
        let mut parsed = parse
            .run(&input.path, input.truncated.as_deref(), mappings)
            .await?;
        let (rows, rejected) = (parsed.staged.rows(), parsed.rejected);
        self.ctx
            .note(&format!("{rows} row(s) read, {rejected} rejected"));
        self.ctx.step().await?;
        parsed.remarks.extend(raw.keep(packed).await?);
        let learned = Learned::Feed(FeedValidators {
            seq: self.run.seq,
            fingerprint: print,
            etag: input.validators.etag.clone(),
            last_modified: input.validators.last_modified.clone(),
            sha256: input.sha256.clone(),
        });
        let collected = Collected {
            parsed,
            bytes_down: input.bytes_down,
            learned: Some(learned),
            accepts: None,
        };
        self.commit_rows(snapshot, collected).await
    }
}
