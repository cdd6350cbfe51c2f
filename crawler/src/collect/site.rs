//! The rows of a site: its crawl writes them as the lines of a feed.

use trawler_catalogue::Snapshot;
use trawler_core::pipe::SiteSource;
use trawler_core::ports::Metric;
use trawler_core::verdict::Ending;
use trawler_net::Validators;

use super::commit::{Collected, Learned};
use super::{Collect, Landed};
use crate::fingerprint::fingerprint;
use crate::kept_book;
use crate::parse::Parse;
use crate::raw_input::RawInputs;
use crate::site::crawl::SiteCrawl;

impl Collect<'_> {
    pub(super) async fn collect_site(
        &self,
        source: &SiteSource,
        snapshot: Snapshot,
    ) -> Result<Landed, Ending> {
        let scratch = self.scratch()?;
        let mappings = self.mappings().await?;
        let print = fingerprint(self.pipe, &mappings.digest);
        let crawl = SiteCrawl {
            crawler: self.crawler,
            pipe: self.pipe,
            home: &source.url,
            run: &self.run,
            fingerprint: &print,
            scratch: scratch.path(),
            ctx: self.ctx,
        };
        let crawled = crawl.run().await?;
        let metrics = &self.crawler.ports.metrics;
        metrics.record(Metric::SitePages {
            pages: crawled.pages,
        });
        metrics.record(Metric::SiteBytesDown {
            bytes: crawled.bytes_down,
        });
        let raw = RawInputs::of(self.crawler, self.pipe, self.ctx);
        let packed = raw.pack(&self.run, &crawled.rows, Validators::default(), None);
        let packed = packed.await?;
        let parse = Parse {
            crawler: self.crawler,
            pipe: self.pipe,
            ctx: self.ctx,
            scratch: scratch.path(),
        };
        let mut parsed = parse.run(&crawled.rows, None, mappings).await?;
        let (rows, rejected) = (parsed.staged.rows(), parsed.rejected);
        self.ctx
            .note(&format!("{rows} row(s) found, {rejected} rejected"));
        if rows + rejected == 0 {
            // The crawl says so itself, in the words of a site.
            parsed.incomplete.clear();
        }
        parsed.incomplete.extend(crawled.incomplete);
        parsed.remarks.extend(crawled.remarks);
        self.ctx.step().await?;
        // Only a complete run vouches for what it saw.
        let book = crawled.book.filter(|_| parsed.incomplete.is_empty());
        if let Some(book) = &book {
            let blobs = &*self.crawler.ports.blobs;
            kept_book::put(blobs, self.ctx, book, &crawled.book_dir).await?;
        }
        parsed.remarks.extend(raw.keep(packed).await?);
        let collected = Collected {
            parsed,
            bytes_down: crawled.bytes_down,
            learned: book.map(Learned::Site),
            accepts: None,
        };
        self.commit_rows(snapshot, collected).await
    }
}
