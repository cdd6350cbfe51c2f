//! A feed that was downloaded once is not asked for again.

use trawler_shop::Shop;
use trawler_tests::model::ModelBlobs;

use super::fleet::{Ended, Fleet};
use super::{on_a_thread_of_its_own, spec};

/// Of many a history's writes, in which the feed must have been kept.
const WRITES_MAX: u64 = 40;

fn asked_for_feed(shop: &Shop) -> usize {
    let seen = shop.seen();
    let of_feed = seen.iter().filter(|seen| seen.target.starts_with("/feed/"));
    of_feed.count()
}

/// The first process dies with the checkpoint written: the next one reads what
/// it kept, and nothing of it stays when the rows are in the catalogue.
#[test]
fn a_kept_feed_is_not_asked_for_again() {
    on_a_thread_of_its_own(async {
        let shop = Shop::start(spec()).await.unwrap();
        for writes in 1..=WRITES_MAX {
            let fleet = Fleet::new(&shop);
            assert_eq!(fleet.live(Some(writes)).await, Ended::Died);
            if fleet.keys("checkpoints/crawl/").is_empty() {
                continue;
            }
            let asked = asked_for_feed(&shop);
            fleet.let_leases_end();
            assert_eq!(fleet.live(None).await, Ended::Settled);
            assert_eq!(asked_for_feed(&shop), asked, "a death after write {writes}");
            let kept = format!("{}inputs/", ModelBlobs::PREFIX);
            assert_eq!(fleet.s3.peek_keys(&kept), [""; 0]);
            return;
        }
        panic!("no feed was kept within {WRITES_MAX} writes");
    });
}
