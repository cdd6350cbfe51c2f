//! Which rows of a run nobody is shown, and which pictures.

use trawler_catalogue::{Fence, NotShown};
use trawler_core::blocked_images::BlockedImages;
use trawler_core::run::Run;
use trawler_core::verdict::Ending;
use trawler_core::withheld::{Policy, Withholding};

use super::Collect;
use crate::failure::documents_failure;
use crate::withdraw::Withdrawer;
use crate::withhold::{ending, settle};

/// What a run keeps to.
pub(super) struct Decisions {
    pub(super) not_shown: NotShown,
    /// Revision of the blocked pictures among it.
    pub(super) blocked_images: i64,
}

impl Collect<'_> {
    /// Brings the catalogue to what is decided, before anything is compared
    /// with it.
    pub(super) async fn settle_withheld(&self) -> Result<(), Ending> {
        settle(self.crawler, &self.pipe.id, self.ctx).await
    }

    /// Takes pictures out of the rows that somebody blocked while the rows were
    /// written. Only rows that come back can bring a stored picture.
    pub(super) async fn withdraw_blocked(&self) -> Result<(), Ending> {
        let run = self.document().load().await?;
        if run.counts.inserts == 0 {
            return Ok(());
        }
        let scratch = self.scratch()?;
        let known = run.blocked_images;
        let withdrawer = Withdrawer::of(self.crawler, scratch.path());
        let fence = Fence::new(|| self.ctx.still_mine());
        let kept_to = withdrawer.withdraw_blocked(&self.pipe.id, known, &fence);
        // A large pipe is looked through and rewritten; a drop is a death between
        // two writes.
        let kept_to = self.ctx.unless_told(kept_to).await?.map_err(ending)?;
        if known != Some(kept_to) {
            let note = |run: &mut Run| run.blocked_images = Some(kept_to);
            self.document().update(note).await?;
        }
        Ok(())
    }

    /// What new and changed rows are judged by. Asked after the snapshot was
    /// taken: what is decided later of products meets the commit, and what is
    /// decided of pictures is looked for after it.
    pub(super) async fn decisions(&self) -> Result<Decisions, Ending> {
        let documents = &self.crawler.documents;
        let key = Withholding::key(&self.pipe.id);
        let withheld = documents.get::<Withholding>(&key);
        let withheld = withheld.await.map_err(documents_failure)?;
        let blocked = documents.get::<BlockedImages>(BlockedImages::KEY);
        let blocked = blocked.await.map_err(documents_failure)?;
        let blocked = blocked.unwrap_or_default();
        Ok(Decisions {
            not_shown: NotShown {
                products: withheld.map_or_else(Policy::default, |document| document.policy()),
                pictures: blocked.hashes(),
            },
            blocked_images: blocked.revision,
        })
    }
}
