//! Notices of the instance, against a metadata service that is as strict as
//! the real one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use trawler_aws::{InstanceMetadata, InstanceNotices};
use trawler_core::ports::{Clock, Notice, Notices};
use trawler_local::SystemClock;
use trawler_tests::emulator::REGION;
use trawler_tests::proxy::{Fault, FaultProxy};
use trawler_tests::{Imds, until};

/// From the notice to its delivery.
const HEARD_WITHIN: Duration = Duration::from_millis(2_500);

async fn imds() -> Imds {
    Imds::start("i-0123456789abcdef0", REGION).await
}

async fn listen(imds: &Imds) -> InstanceNotices {
    let metadata = Arc::new(InstanceMetadata::at(imds.endpoint()).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    InstanceNotices::listen(metadata, clock).await.unwrap()
}

/// Lets the notice appear just after a look, which is the worst moment, and
/// measures how long it takes.
async fn heard(imds: &Imds, notices: &InstanceNotices, appear: impl FnOnce(&Imds)) -> Notice {
    let looks = imds.requests();
    let next = notices.next();
    let mut next = std::pin::pin!(next);
    tokio::select! {
        notice = &mut next => panic!("{notice:?} before anything happened"),
        () = until("a look is over", || imds.requests() >= looks + 3) => {}
    }
    appear(imds);
    let appeared = Instant::now();
    let notice = tokio::time::timeout(HEARD_WITHIN, next).await;
    let notice = notice.unwrap_or_else(|_| panic!("not heard within {HEARD_WITHIN:?}"));
    println!("{notice:?} after {:?}", appeared.elapsed());
    notice
}

#[tokio::test]
async fn every_notice_is_heard_within_its_time_and_once() {
    let imds = imds().await;
    let notices = listen(&imds).await;
    let rebalance = |imds: &Imds| imds.recommend_rebalance(Utc::now());
    assert_eq!(heard(&imds, &notices, rebalance).await, Notice::Rebalance);
    let scale_in = |imds: &Imds| imds.target_state("Terminated");
    assert_eq!(heard(&imds, &notices, scale_in).await, Notice::ScaleIn);
    let in_two_minutes = Utc::now() + chrono::Duration::seconds(120);
    let spot = |imds: &Imds| imds.interrupt(in_two_minutes);
    assert_eq!(heard(&imds, &notices, spot).await, Notice::SpotInterruption);
    let more = tokio::time::timeout(Duration::from_secs(3), notices.next()).await;
    assert!(more.is_err(), "{more:?}");
    assert_eq!(imds.tokens_given(), 1, "one token for all of it");
}

#[tokio::test]
async fn a_spot_notice_without_any_lead_is_heard_the_same() {
    let imds = imds().await;
    let notices = listen(&imds).await;
    let spot = |imds: &Imds| imds.interrupt(Utc::now() - chrono::Duration::seconds(5));
    assert_eq!(heard(&imds, &notices, spot).await, Notice::SpotInterruption);
}

#[tokio::test]
async fn a_body_that_nobody_understands_is_a_notice_all_the_same() {
    let imds = imds().await;
    let notices = listen(&imds).await;
    let odd = |imds: &Imds| imds.set("spot/instance-action", "soon");
    assert_eq!(heard(&imds, &notices, odd).await, Notice::SpotInterruption);
}

#[tokio::test]
async fn waits_that_are_given_up_lose_no_notice_and_ask_no_oftener() {
    let imds = imds().await;
    let notices = listen(&imds).await;
    let before = imds.requests();
    let started = Instant::now();
    let mut heard = Vec::new();
    imds.interrupt(Utc::now());
    imds.target_state("Warmed:Stopped");
    while started.elapsed() < Duration::from_secs(5) {
        let next = tokio::time::timeout(Duration::from_millis(30), notices.next());
        heard.extend(next.await.ok());
    }
    assert_eq!(heard, [Notice::SpotInterruption, Notice::ScaleIn]);
    // Looks at 0, 2 and 4 s; one that was cut off counts too.
    let asked = imds.requests() - before;
    assert!((6..=15).contains(&asked), "{asked} requests");
}

#[tokio::test]
async fn a_token_that_is_no_longer_known_is_replaced_at_once() {
    let imds = imds().await;
    let notices = listen(&imds).await;
    imds.forget_tokens();
    imds.interrupt(Utc::now());
    let notice = tokio::time::timeout(HEARD_WITHIN, notices.next()).await;
    assert_eq!(notice, Ok(Notice::SpotInterruption));
    assert!(imds.tokens_given() >= 2);
}

#[tokio::test]
async fn silence_is_survived() {
    let imds = imds().await;
    let notices = listen(&imds).await;
    imds.be_silent(true);
    let nothing = tokio::time::timeout(Duration::from_secs(3), notices.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    imds.recommend_rebalance(Utc::now());
    imds.be_silent(false);
    // A look that met the silence, and the next one.
    let notice = tokio::time::timeout(2 * HEARD_WITHIN, notices.next()).await;
    assert_eq!(notice, Ok(Notice::Rebalance));
}

#[tokio::test]
async fn who_is_no_instance_is_told_at_once() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let started = Instant::now();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let metadata = Arc::new(InstanceMetadata::at(&endpoint).unwrap());
    let refused = InstanceNotices::listen(metadata, Arc::clone(&clock)).await;
    let error = refused.err().unwrap();
    assert!(
        error.to_string().contains("this is no EC2 instance"),
        "{error}"
    );
    // A container behind a hop too many waits in vain, but not for long.
    let imds = imds().await;
    imds.exceed_hops(true);
    let metadata = Arc::new(InstanceMetadata::at(imds.endpoint()).unwrap());
    let unanswered = InstanceNotices::listen(metadata, clock).await;
    let error = unanswered.err().unwrap();
    assert!(error.to_string().contains("hop limit is 1"), "{error}");
    // Three tries each.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// One lost packet at the start left the machine without protection for life.
#[tokio::test]
async fn who_this_is_is_asked_again_while_the_service_does_not_answer() {
    let imds = imds().await;
    let proxy = FaultProxy::start(imds.endpoint()).await;
    let metadata = InstanceMetadata::at(&proxy.endpoint()).unwrap();
    for faults in [[Fault::Reset, Fault::Lost], [Fault::Busy, Fault::Reset]] {
        for fault in faults {
            proxy.fail_next(|_| true, fault);
        }
        let instance = metadata.instance_id().await.unwrap();
        assert_eq!(instance, "i-0123456789abcdef0");
        assert_eq!(proxy.waiting(), 0);
    }
    // What the service does not know is not asked again.
    imds.remove("instance-id");
    let before = imds.requests();
    assert!(metadata.instance_id().await.is_err());
    assert_eq!(imds.requests() - before, 1);
}

#[tokio::test]
async fn the_instance_knows_its_name_and_region() {
    let imds = imds().await;
    let metadata = InstanceMetadata::at(imds.endpoint()).unwrap();
    assert_eq!(metadata.instance_id().await.unwrap(), "i-0123456789abcdef0");
    assert_eq!(metadata.region().await.unwrap(), REGION);
    imds.remove("placement/region");
    assert!(metadata.region().await.is_err());
}

#[tokio::test]
async fn the_instance_knows_when_it_was_launched() {
    let imds = imds().await;
    let metadata = InstanceMetadata::at(imds.endpoint()).unwrap();
    let absent = metadata.launched().await.unwrap_err();
    assert!(!absent.is_transient(), "{absent}");
    let at = "2026-11-21T03:00:17Z".parse().unwrap();
    imds.launched(at);
    assert_eq!(metadata.launched().await.unwrap(), at);
    imds.identify(r#"{"pendingTime": "yesterday"}"#);
    let error = metadata.launched().await.unwrap_err().to_string();
    assert!(error.contains("instance-identity/document"), "{error}");
}
