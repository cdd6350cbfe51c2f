//! A machine whose clock is wrong: what corrects it, and what waits for
//! somebody to set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use hyper::Method;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use trawler_aws::{Cloud, S3Location, catalogue_store};
use trawler_catalogue::CatalogueError;
use trawler_core::ports::{BlobMeta, Blobs, Put, State};
use trawler_tests::emulator::REGION;

use crate::s3_open::told;
use crate::s3_support::{
    Answer, BUCKET, Scripted, Seen, blobs_at, error, fresh_location, is_probe, options, plain,
    proven, state_at,
};

const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

fn service_time() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(2)
}

/// Refuses, as S3 does, what was not signed within 15 minutes of its own time.
fn two_hours_ahead(seen: &Seen) -> Option<Answer> {
    let signed_at = seen.head["x-amz-date"].to_str().unwrap();
    let signed = NaiveDateTime::parse_from_str(signed_at, "%Y%m%dT%H%M%SZ").unwrap();
    let off = (service_time() - signed.and_utc()).abs();
    (off > TimeDelta::minutes(15)).then(|| error(403, "RequestTimeTooSkewed", ""))
}

#[tokio::test]
async fn documents_and_blobs_work_with_a_clock_that_is_wrong() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let server = Scripted::start(move |seen| {
        let mut answer = match two_hours_ahead(seen) {
            Some(refusal) => {
                counted.fetch_add(1, Ordering::SeqCst);
                refusal
            }
            None if is_probe(seen) => proven(),
            None if seen.method == Method::PUT => {
                let mut stored = plain(200, "");
                stored
                    .headers_mut()
                    .insert("etag", "\"ab\"".parse().unwrap());
                stored
            }
            None => error(404, "NoSuchKey", ""),
        };
        let date = service_time().format(HTTP_DATE).to_string();
        answer.headers_mut().insert("date", date.parse().unwrap());
        answer
    })
    .await;
    let location = fresh_location();
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    state.create("a", b"1").await.unwrap();
    assert_eq!(state.get("b").await.unwrap(), None);
    let so_far = refused.load(Ordering::SeqCst);
    assert_eq!(so_far, 1, "the first answer tells the time");
    let blobs = blobs_at(&server.endpoint(), &location).await.unwrap();
    let meta = BlobMeta {
        content_type: "image/webp",
        immutable: true,
    };
    let put = blobs.put("a", Bytes::from_static(b"1"), meta).await;
    assert_eq!(put.unwrap(), Put::Created);
    assert_eq!(refused.load(Ordering::SeqCst), 2, "one a client");
}

/// What every call of the catalogue's store says to the same answer.
async fn errors_of(status: u16, code: &'static str) -> Vec<Error> {
    let server = Scripted::start(move |seen| {
        if is_probe(seen) {
            proven()
        } else if seen.method == Method::HEAD {
            // As S3 answers: without a body.
            plain(status, "")
        } else {
            error(status, code, "")
        }
    })
    .await;
    let location = S3Location::parse(&format!("s3://{BUCKET}/shops")).unwrap();
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let store = catalogue_store(&cloud, &location, &options()).await;
    let store = store.unwrap();
    let path = Path::from("_delta_log/1.json");
    let create = PutOptions::from(PutMode::Create);
    let parts = store.put_multipart_opts(&path, object_store::PutMultipartOptions::default());
    vec![
        store.get(&path).await.unwrap_err(),
        store.head(&path).await.unwrap_err(),
        store.get_ranges(&path, &[0..1, 2..3]).await.unwrap_err(),
        store.put(&path, "1".into()).await.unwrap_err(),
        store.put_opts(&path, "1".into(), create).await.unwrap_err(),
        parts.await.unwrap_err(),
        store.list(None).try_next().await.unwrap_err(),
        store.list_with_delimiter(None).await.unwrap_err(),
    ]
}

/// A job that met such an answer was buried, with the advice to allow
/// `s3:PutObject`.
#[tokio::test]
async fn the_catalogue_tells_a_wrong_clock_from_a_missing_permission() {
    let check = async |code: &'static str, is_transient: bool, expected: &str| {
        for source in errors_of(403, code).await {
            let error = CatalogueError::Store {
                doing: "read",
                path: "a".to_owned(),
                source,
            };
            let told = told(&error);
            assert_eq!(error.is_transient(), is_transient, "{told}");
            assert!(told.contains(expected), "{expected:?} in {told}");
            assert_eq!(told.contains("allow s3:"), code == "AccessDenied", "{told}");
        }
    };
    check(
        "RequestTimeTooSkewed",
        true,
        "set this machine's clock by NTP",
    )
    .await;
    check("ExpiredToken", true, "have expired").await;
    check(
        "SignatureDoesNotMatch",
        false,
        "credentials are not accepted",
    )
    .await;
    check("InvalidAccessKeyId", false, "credentials are not accepted").await;
    check("AccessDenied", false, "allow s3:").await;
}

/// The parts of an upload are asked for one by one.
#[tokio::test]
async fn an_upload_in_parts_meets_a_wrong_clock_as_well() {
    let server = Scripted::start(|seen| {
        if is_probe(seen) {
            proven()
        } else if seen.method == Method::POST && seen.path.contains("uploads") {
            plain(
                200,
                "<InitiateMultipartUploadResult><UploadId>U1</UploadId></InitiateMultipartUploadResult>",
            )
        } else {
            error(403, "RequestTimeTooSkewed", "")
        }
    })
    .await;
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let store = catalogue_store(&cloud, &fresh_location(), &options()).await;
    let path = Path::from("a.parquet");
    let mut upload = store.unwrap().put_multipart(&path).await.unwrap();
    let error = upload.put_part("1".into()).await.unwrap_err();
    let is_generic = matches!(error, Error::Generic { .. });
    assert!(is_generic && told(&error).contains("clock"), "{error}");
}
