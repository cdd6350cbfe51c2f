//! Requests and answers that are lost, refused for a while or broken off,
//! between the S3 adapter and the emulator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use hyper::Method;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use trawler_aws::{Cloud, S3Blobs, S3Options, catalogue_store};
use trawler_catalogue::{Catalogue, CatalogueOptions};
use trawler_core::ports::{BlobError, BlobMeta, Blobs, Put, State, StateError, Version};
use trawler_local::SystemClock;
use trawler_tests::emulator::REGION;
use trawler_tests::proxy::{Call, Fault, FaultProxy, Faults, Rates, Service};

use crate::s3_support::{
    Answer, Scripted, Seen, blobs_at, emulator, error, fresh_location, is_probe, options, plain,
    proven, state_at,
};

const META: BlobMeta = BlobMeta {
    content_type: "image/webp",
    immutable: true,
};

const MIB: usize = 1024 * 1024;

fn is(method: &'static str) -> impl Fn(&Call) -> bool + Send + 'static {
    move |call: &Call| call.service == Service::S3 && call.operation == method
}

/// Faults of one request that the next attempt makes up for.
const FAULTS: [Fault; 4] = [Fault::Busy, Fault::Reset, Fault::Lost, Fault::Truncated];

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_known_to_be_ours() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let location = fresh_location();
    let blobs = blobs_at(&proxy.endpoint(), &location).await.unwrap();
    for (n, fault) in FAULTS.into_iter().enumerate() {
        let key = format!("a/{n}");
        proxy.fail_next(is("PUT"), fault);
        let put = blobs.put(&key, Bytes::from_static(b"mine"), META).await;
        assert_eq!(put.unwrap(), Put::Created, "{fault:?}");
        assert_eq!(proxy.waiting(), 0);
        assert_eq!(blobs.get(&key, None).await.unwrap(), "mine");
        // What was there before stays another's, also when an answer is lost.
        proxy.fail_next(is("PUT"), fault);
        let put = blobs.put(&key, Bytes::from_static(b"mine"), META).await;
        assert_eq!(put.unwrap(), Put::Existed, "{fault:?}");
    }
}

#[tokio::test]
async fn an_upload_in_parts_survives_the_loss_of_any_answer() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let cloud = Cloud::at(&proxy.endpoint(), REGION).await;
    let small_parts = S3Options {
        multipart_above: 5 * MIB as u64,
        ..options()
    };
    let location = fresh_location();
    let blobs = S3Blobs::open(&cloud, location.clone(), small_parts)
        .await
        .unwrap();
    let body: Bytes = (0..17 * MIB).map(|n| (n / 1000) as u8).collect();
    let steps = [
        ("POST", "uploads"),
        ("PUT", "partNumber=2"),
        ("POST", "uploadId="),
    ];
    for (n, (method, part)) in steps.into_iter().enumerate() {
        let key = format!("large/{n}");
        let matches = move |call: &Call| is(method)(call) && call.path.contains(part);
        proxy.fail_next(matches, Fault::Lost);
        let put = blobs.put(&key, body.clone(), META).await;
        assert_eq!(put.unwrap(), Put::Created, "{method} {part}");
        assert_eq!(proxy.waiting(), 0, "{method} {part}");
        assert!(blobs.get(&key, None).await.unwrap() == body);
        assert_eq!(
            blobs.put(&key, body.clone(), META).await.unwrap(),
            Put::Existed
        );
    }
    // A range across the seam of two parts.
    let seam = 8 * MIB as u64 - 2..8 * MIB as u64 + 2;
    let got = blobs.get("large/0", Some(seam.clone())).await.unwrap();
    assert_eq!(got, body.slice(seam.start as usize..seam.end as usize));
}

#[tokio::test]
async fn racing_uploads_in_parts_have_one_winner() {
    let endpoint = emulator().await;
    let cloud = Cloud::at(&endpoint, REGION).await;
    let small_parts = S3Options {
        multipart_above: 5 * MIB as u64,
        ..options()
    };
    let opened = S3Blobs::open(&cloud, fresh_location(), small_parts).await;
    let blobs = opened.unwrap();
    let racers = (0..3_u8).map(|n| {
        let body = Bytes::from(vec![n; 6 * MIB]);
        blobs.put("large", body, META)
    });
    let puts: Vec<Put> = futures::future::try_join_all(racers).await.unwrap();
    let winners = puts.iter().filter(|put| **put == Put::Created).count();
    assert_eq!(winners, 1, "{puts:?}");
    let found = blobs.head("large").await.unwrap();
    assert_eq!(found.map(|found| found.bytes), Some(6 * MIB as u64));
}

#[tokio::test]
async fn a_document_whose_answer_was_lost_is_known_to_be_ours() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let location = fresh_location();
    let state = state_at(&proxy.endpoint(), &location).await.unwrap();
    for (n, fault) in FAULTS.into_iter().enumerate() {
        let key = format!("jobs/{n}");
        proxy.fail_next(is("PUT"), fault);
        let first = state.create(&key, b"1").await.unwrap();
        proxy.fail_next(is("PUT"), fault);
        let second = state.replace(&key, b"2", &first).await.unwrap();
        assert_eq!(proxy.waiting(), 0);
        let read = state.get(&key).await.unwrap().unwrap();
        assert_eq!(
            (&*read.value, &read.version),
            (&b"2"[..], &second),
            "{fault:?}"
        );
        // A stale version stays a conflict, also when the answer is lost.
        proxy.fail_next(is("PUT"), fault);
        let stale = state.replace(&key, b"3", &first).await.unwrap_err();
        assert!(stale.is_conflict(), "{fault:?}: {stale:?}");
        proxy.fail_next(is("PUT"), fault);
        let taken = state.create(&key, b"2").await.unwrap_err();
        assert!(taken.is_conflict(), "{fault:?}: {taken:?}");
        proxy.fail_next(is("DELETE"), fault);
        state.delete(&key, &second).await.unwrap();
        assert_eq!(state.get(&key).await.unwrap(), None, "{fault:?}");
        let gone = state.delete(&key, &second).await.unwrap_err();
        assert!(gone.is_conflict(), "{fault:?}: {gone:?}");
    }
}

/// An absent object is told by the body of an answer. One that broke off was
/// taken for a refusal, and a worker gave its job up.
#[tokio::test]
async fn an_absent_object_is_absent_also_when_an_answer_breaks_off() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let location = fresh_location();
    let state = state_at(&proxy.endpoint(), &location).await.unwrap();
    let blobs = blobs_at(&proxy.endpoint(), &location).await.unwrap();
    for fault in FAULTS {
        proxy.fail_next(is("GET"), fault);
        assert_eq!(state.get("none").await.unwrap(), None, "{fault:?}");
        proxy.fail_next(is("GET"), fault);
        let got = blobs.get("none", None).await;
        let is_absent = matches!(got, Err(BlobError::NotFound { .. }));
        assert!(is_absent, "{fault:?}: {got:?}");
    }
    assert_eq!(proxy.waiting(), 0);
}

#[tokio::test]
async fn reads_are_made_again() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let location = fresh_location();
    let blobs = blobs_at(&proxy.endpoint(), &location).await.unwrap();
    let body = Bytes::from(vec![7; 300_000]);
    blobs.put("a", body.clone(), META).await.unwrap();
    for fault in FAULTS {
        proxy.fail_next(is("GET"), fault);
        assert!(blobs.get("a", None).await.unwrap() == body, "{fault:?}");
        proxy.fail_next(is("GET"), fault);
        let part = blobs.get("a", Some(0..200_000)).await.unwrap();
        assert_eq!(part.len(), 200_000, "{fault:?}");
        proxy.fail_next(is("GET"), fault);
        assert_eq!(
            blobs.list("", None, 10).await.unwrap().len(),
            1,
            "{fault:?}"
        );
        proxy.fail_next(is("HEAD"), fault);
        let found = blobs.head("a").await.unwrap();
        let bytes = found.map(|found| found.bytes);
        assert_eq!(bytes, Some(300_000), "{fault:?}");
        proxy.fail_next(is("POST"), fault);
        blobs.delete(&["b".to_owned()]).await.unwrap();
        assert_eq!(proxy.waiting(), 0, "{fault:?}");
    }
}

/// A proven location whose every PUT is answered by `answer`, by its number.
pub(crate) async fn puts(
    answer: impl Fn(u32, &Seen) -> Answer + Send + Sync + 'static,
) -> Scripted {
    let count = AtomicU32::new(0);
    Scripted::start(move |seen| {
        if is_probe(seen) {
            proven()
        } else if seen.method == Method::PUT {
            answer(count.fetch_add(1, Ordering::SeqCst), seen)
        } else {
            error(404, "NoSuchKey", "")
        }
    })
    .await
}

fn stored(etag: &str) -> Answer {
    let mut answer = plain(200, "");
    answer.headers_mut().insert("etag", etag.parse().unwrap());
    answer
}

#[tokio::test]
async fn a_conflict_of_concurrent_writes_is_tried_again() {
    let conflict = || error(409, "ConditionalRequestConflict", "");
    let server = puts(move |n, _| {
        if n % 3 < 2 {
            conflict()
        } else {
            stored("\"ab\"")
        }
    })
    .await;
    let location = fresh_location();
    let blobs = blobs_at(&server.endpoint(), &location).await.unwrap();
    let put = blobs.put("a", Bytes::from_static(b"1"), META).await;
    assert_eq!(put.unwrap(), Put::Created);
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    assert_eq!(
        state.create("a", b"1").await.unwrap(),
        Version("ab".to_owned())
    );

    // Then somebody else has won.
    let lost = || error(412, "PreconditionFailed", "");
    let server = puts(move |n, _| if n % 2 == 0 { conflict() } else { lost() }).await;
    let blobs = blobs_at(&server.endpoint(), &location).await.unwrap();
    let put = blobs.put("a", Bytes::from_static(b"1"), META).await;
    assert_eq!(put.unwrap(), Put::Existed);
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    assert!(state.create("a", b"1").await.unwrap_err().is_conflict());

    // A conflict without end: of a document it is one with others, of a blob
    // nobody knows.
    let server = puts(move |_, _| conflict()).await;
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    assert!(state.create("a", b"1").await.unwrap_err().is_conflict());
    let blobs = blobs_at(&server.endpoint(), &location).await.unwrap();
    let error = blobs
        .put("a", Bytes::from_static(b"1"), META)
        .await
        .unwrap_err();
    assert!(matches!(error, BlobError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_that_stays_busy_is_unavailable_after_a_bounded_number_of_attempts() {
    let server = puts(|_, _| error(503, "SlowDown", "")).await;
    let state = state_at(&server.endpoint(), &fresh_location())
        .await
        .unwrap();
    let error = state.create("a", b"1").await.unwrap_err();
    assert!(matches!(error, StateError::Unavailable { .. }), "{error:?}");
    assert_eq!(
        server.seen().len(),
        7,
        "one look at the probe and six attempts"
    );
}

#[tokio::test]
async fn a_body_that_is_not_what_its_checksum_says_is_no_answer() {
    let server = Scripted::start(|seen| {
        if is_probe(seen) {
            return proven();
        }
        let mut answer = plain(200, "damaged");
        let head = answer.headers_mut();
        head.insert("etag", "\"ab\"".parse().unwrap());
        head.insert("x-amz-checksum-crc32c", "AAAAAA==".parse().unwrap());
        answer
    })
    .await;
    let blobs = blobs_at(&server.endpoint(), &fresh_location())
        .await
        .unwrap();
    let error = blobs.get("a", None).await.unwrap_err();
    assert!(matches!(error, BlobError::Unavailable { .. }), "{error:?}");
}

/// With every fifth request at fault, what the adapter says is what is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_many_faults_no_answer_is_a_lie() {
    let seed = std::env::var("SEED").map_or(20_261_122, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let endpoint = emulator().await;
    let proxy = FaultProxy::start(&endpoint).await;
    let location = fresh_location();
    let state = state_at(&proxy.endpoint(), &location).await.unwrap();
    let blobs = blobs_at(&proxy.endpoint(), &location).await.unwrap();
    proxy.set(Faults {
        seed,
        s3: Rates::one_in(5),
        ..Faults::default()
    });
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut documents: BTreeMap<String, (Vec<u8>, Version)> = BTreeMap::new();
    let mut unavailable = 0;
    for step in 0..300_u32 {
        let key = format!("d/{}", rng.random_range(0..8));
        let value = step.to_string().into_bytes();
        let known = documents.get(&key).cloned();
        let did = match (rng.random_range(0..4), &known) {
            (0, Some((_, version))) => state.delete(&key, version).await.map(|()| None),
            (_, Some((_, version))) => {
                let replaced = state.replace(&key, &value, version).await;
                replaced.map(|version| Some((value, version)))
            }
            (_, None) => {
                let created = state.create(&key, &value).await;
                created.map(|version| Some((value, version)))
            }
        };
        match did {
            Ok(Some(stored)) => drop(documents.insert(key, stored)),
            Ok(None) => drop(documents.remove(&key)),
            // Nobody else writes: a conflict would be a lie.
            Err(error @ StateError::Unavailable { .. }) => {
                unavailable += 1;
                println!("step {step}: {error}");
                // It may have happened: look, as callers do.
                proxy.set(Faults::default());
                match state.get(&key).await.unwrap() {
                    Some(found) => drop(documents.insert(key, (found.value, found.version))),
                    None => drop(documents.remove(&key)),
                }
                proxy.set(Faults {
                    seed: seed + u64::from(step),
                    s3: Rates::one_in(5),
                    ..Faults::default()
                });
            }
            Err(error) => panic!("step {step}: {error:?}"),
        }
        let put = blobs
            .put(&format!("b/{step}"), Bytes::from_static(b"1"), META)
            .await;
        assert!(
            matches!(put, Ok(Put::Created) | Err(BlobError::Unavailable { .. })),
            "{put:?}"
        );
    }
    let counts = proxy.counts();
    println!(
        "{} requests, {} at fault, {unavailable} calls given up",
        counts.requests,
        counts.faults()
    );
    assert!(counts.faults() > 60);
    let calm = state_at(&endpoint, &location).await.unwrap();
    let listed = calm.list("", None, 1000).await.unwrap();
    let expected = documents
        .iter()
        .map(|(key, (_, version))| (key.as_str(), version));
    assert!(
        listed
            .iter()
            .map(|e| (e.key.as_str(), &e.version))
            .eq(expected)
    );
    for (key, (value, version)) in documents {
        let found = calm.get(&key).await.unwrap().unwrap();
        assert_eq!((found.value, found.version), (value, version), "{key}");
    }
}

/// The catalogue's own answer to lost puts, over the wire: several handles
/// create the table at once, with faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_is_created_and_read_under_faults() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let location = fresh_location();
    let cloud = Cloud::at(&proxy.endpoint(), REGION).await;
    let store = catalogue_store(&cloud, &location, &options())
        .await
        .unwrap();
    for fault in FAULTS {
        proxy.fail_next(is("PUT"), fault);
        proxy.fail_next(is("GET"), fault);
    }
    let clock = Arc::new(SystemClock::new());
    let create =
        || Catalogue::open_or_create(store.clone(), CatalogueOptions::default(), clock.clone());
    let (one, two) = futures::join!(create(), create());
    for catalogue in [one, two] {
        assert_eq!(catalogue.unwrap().snapshot().await.unwrap().version(), 0);
    }
    // Who is beaten to an entry puts none, so not every fault is met.
    assert!(proxy.counts().faults() >= FAULTS.len() as u64);
}

/// The catalogue lists its log when it looks for a checkpoint.
#[tokio::test]
async fn a_listing_goes_on_where_its_answer_broke_off() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let cloud = Cloud::at(&proxy.endpoint(), REGION).await;
    let store = catalogue_store(&cloud, &fresh_location(), &options())
        .await
        .unwrap();
    let paths: Vec<Path> = (0..3).map(|n| Path::from(format!("log/{n}"))).collect();
    for path in &paths {
        store.put(path, "{}".into()).await.unwrap();
    }
    for fault in FAULTS {
        let is_list = move |call: &Call| is("GET")(call) && call.path.contains("list-type");
        proxy.fail_next(is_list, fault);
        let listed: Vec<_> = store
            .list(Some(&Path::from("log")))
            .try_collect()
            .await
            .unwrap();
        let listed: Vec<Path> = listed.into_iter().map(|object| object.location).collect();
        assert_eq!(listed, paths, "{fault:?}");
        assert_eq!(proxy.waiting(), 0, "{fault:?}");
    }
}

/// 409 to a conditional put leaves open what is stored; the catalogue reads
/// its log then, as it does when the key is taken.
#[tokio::test]
async fn a_log_entry_that_meets_another_counts_as_taken() {
    let server = puts(|_, _| error(409, "ConditionalRequestConflict", "")).await;
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let store = catalogue_store(&cloud, &fresh_location(), &options())
        .await
        .unwrap();
    let create = PutOptions::from(PutMode::Create);
    let put = store
        .put_opts(&Path::from("_delta_log/1.json"), "{}".into(), create)
        .await;
    assert!(
        matches!(put, Err(object_store::Error::AlreadyExists { .. })),
        "{put:?}"
    );
}
