//! The real handlers, with a real feed, pixels and the real catalogue: the
//! crawler, the image worker and the scheduler in one process on the strict
//! model, which dies after any of its writes.
//!
//! Time flows as it does, since sockets and threads know no other; so a seed
//! would replay nothing, and every death is tried instead.

mod accepted;
mod blocked;
mod fleet;
mod kept;
mod outcome;
mod withheld;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::runtime::Runtime;
use trawler_shop::{ImageMix, Shop, ShopSpec};

use fleet::{Ended, Fleet};
use outcome::Outcome;

/// Histories that are played side by side.
const AT_ONCE: usize = 2;

/// A run with images and a fold has more writes; fewer would say that the
/// count is wrong.
const WRITES_MIN: u64 = 40;

/// Products that share pictures, in formats that are decoded fast.
fn spec() -> ShopSpec {
    ShopSpec {
        image_px: 24,
        image_mix: ImageMix {
            png_share: 1.0,
            webp_share: 0.0,
            gif_share: 0.0,
        },
        images_distinct: 2,
        extra_images_max: 0,
        ..ShopSpec::new("Mortal Shop", 7, 3)
    }
}

/// One history: the first process dies after so many writes, and another
/// follows it. `None` when it did not live to see them.
async fn play(shop: &Shop, writes: u64) -> Option<Outcome> {
    let fleet = Fleet::new(shop);
    if fleet.live(Some(writes)).await == Ended::Settled {
        return None;
    }
    fleet.let_leases_end();
    assert_eq!(fleet.live(None).await, Ended::Settled);
    Some(Outcome::of(&fleet).await)
}

/// Ends without waiting for the threads of dead processes, which wait for
/// answers that never come; also when a check fails.
struct Reactor(Option<Runtime>);

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn on_a_thread_of_its_own<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let reactor = Reactor(Some(runtime));
    let runtime = reactor.0.as_ref().unwrap();
    runtime.block_on(work)
}

/// Whichever of its writes it had made last, and whether or not it heard so:
/// the run is committed once, its images are planned and stored once, and the
/// rows are those of a process that nothing befell.
#[test]
fn the_real_handlers_survive_a_death_after_every_write() {
    let began = Instant::now();
    on_a_thread_of_its_own(async {
        let shop = Arc::new(Shop::start(spec()).await.unwrap());
        let undisturbed = Fleet::new(&shop);
        assert_eq!(undisturbed.live(None).await, Ended::Settled);
        let expected = Arc::new(Outcome::of(&undisturbed).await);
        expected.check_undisturbed();
        let next = Arc::new(AtomicU64::new(1));
        let threads = (0..AT_ONCE).map(|_| {
            let (shop, next, expected) =
                (Arc::clone(&shop), Arc::clone(&next), Arc::clone(&expected));
            tokio::task::spawn_blocking(move || {
                on_a_thread_of_its_own(async {
                    loop {
                        let writes = next.fetch_add(1, Ordering::Relaxed);
                        println!("a death after write {writes}");
                        let Some(found) = play(&shop, writes).await else {
                            return writes;
                        };
                        found.check(&expected, writes);
                    }
                })
            })
        });
        let ended = futures::future::try_join_all(threads).await.unwrap();
        let deaths = ended.iter().min().unwrap() - 1;
        println!("{deaths} deaths in {:.1?}", began.elapsed());
        assert!(deaths >= WRITES_MIN, "only {deaths} writes");
    });
}
