//! A pipe that somebody hides: whoever dies between the word and the commit,
//! and after it, nobody is shown a product, and the change feed says so once.

use trawler_catalogue::{Watermark, rows_as_json};
use trawler_core::ledger::JobStatus;
use trawler_core::pipe::PipeState;
use trawler_core::withheld::{Act, Withholding};
use trawler_shop::Shop;

use super::fleet::{Ended, Fleet};
use super::outcome::Outcome;
use super::{on_a_thread_of_its_own, spec};

/// A document, created and changed, its record in the audit trail, two files and
/// a log entry; fewer would say that the count is wrong.
const WRITES_MIN: u64 = 6;

fn is_decided(fleet: &Fleet) -> bool {
    let documents: Vec<Withholding> = fleet.documents(Withholding::ALL);
    documents
        .iter()
        .any(|document| document.said == Some(PipeState::Hidden))
}

async fn deletes(fleet: &Fleet) -> usize {
    let catalogue = fleet.catalogue().await;
    let page = catalogue.changes(Watermark::START, None, 1_000).await;
    let changes = rows_as_json(&page.unwrap().rows);
    let deletes = changes.iter();
    deletes
        .filter(|change| change["_change_type"] == "delete")
        .count()
}

async fn check_hidden(fleet: &Fleet, writes: u64) {
    let after = format!("a death after write {writes}");
    let found = Outcome::of(fleet).await;
    assert!(found.rows.is_empty(), "{after}: {:?}", found.rows);
    assert_eq!(deletes(fleet).await, 3, "{after}");
    let app = Withholding::app_id(&fleet.pipe.id);
    assert_eq!(found.commits.get(&(app, 1)), Some(&1), "{after}");
    assert!(found.commits.values().all(|times| *times == 1), "{after}");
    assert_eq!(found.images.len(), 2, "{after}");
    assert_eq!(fleet.keys("decisions/").len(), 1, "{after}");
    let documents: Vec<Withholding> = fleet.documents(Withholding::ALL);
    assert!(documents.iter().all(|of| !of.is_behind()), "{after}");
    assert!(found.audit.is_settled(), "{after}: {:?}", found.audit);
    assert_eq!(found.audit.count(JobStatus::Dead), 0, "{after}");
}

#[test]
fn a_hidden_pipe_survives_a_death_after_any_write() {
    on_a_thread_of_its_own(async {
        let shop = Shop::start(spec()).await.unwrap();
        let mut healed = 0;
        for writes in 1.. {
            println!("a death after write {writes}");
            let fleet = Fleet::new(&shop);
            assert_eq!(fleet.live(None).await, Ended::Settled);
            fleet.decide(Some(Act::Hide));
            let ended = fleet.live(Some(writes)).await;
            if ended == Ended::Died {
                fleet.let_leases_end();
                // Nobody says it again: what was decided is carried out.
                fleet.decide(None);
                let was_decided = is_decided(&fleet);
                assert_eq!(fleet.live(None).await, Ended::Settled);
                if was_decided {
                    healed += 1;
                } else {
                    assert_eq!(Outcome::of(&fleet).await.rows.len(), 3);
                    fleet.decide(Some(Act::Hide));
                    assert_eq!(fleet.live(None).await, Ended::Settled);
                }
            }
            check_hidden(&fleet, writes).await;
            if ended == Ended::Settled {
                assert!(writes >= WRITES_MIN, "only {writes} writes");
                break;
            }
        }
        assert!(healed > 2, "{healed} were healed");
    });
}
