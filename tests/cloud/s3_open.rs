//! Locations in S3 that cannot be used: each says what to change.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;

use hyper::Method;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use trawler_aws::{Cloud, S3Location, S3OpenError, S3State, catalogue_store};
use trawler_core::ports::{BlobError, Blobs, State, StateError};
use trawler_tests::emulator::REGION;
use trawler_tests::proxy::{FaultProxy, Service};

use crate::s3_support::{
    Answer, BUCKET, Scripted, Seen, blobs_at, emulator, error, fresh_location, is_probe, options,
    plain, proven, state_at,
};

/// The error with all its causes, as people get to see it.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(&format!(": {error}"));
        cause = error.source();
    }
    told
}

async fn open_error(endpoint: &str) -> S3OpenError {
    let location = S3Location::parse(&format!("s3://{BUCKET}/shops")).unwrap();
    state_at(endpoint, &location).await.unwrap_err()
}

#[tokio::test]
async fn a_missing_bucket_is_named_whatever_is_opened() {
    let endpoint = emulator().await;
    let location = S3Location::parse("s3://no-such-bucket/shops").unwrap();
    let cloud = Cloud::at(&endpoint, REGION).await;
    let errors = [
        state_at(&endpoint, &location).await.unwrap_err(),
        blobs_at(&endpoint, &location).await.unwrap_err(),
        catalogue_store(&cloud, &location, &options())
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(!error.is_transient());
        let told = told(&error);
        for part in [
            "s3://no-such-bucket/shops/cloud/",
            "no bucket no-such-bucket",
            REGION,
            "create it",
        ] {
            assert!(told.contains(part), "{part:?} in {told}");
        }
    }
}

#[tokio::test]
async fn refusals_at_open_say_what_to_change() {
    let check = async |status: u16,
                       code: &'static str,
                       more: &'static str,
                       transient: bool,
                       parts: &[&str]| {
        let server = Scripted::start(move |_| error(status, code, more)).await;
        let error = open_error(&server.endpoint()).await;
        let told = told(&error);
        assert_eq!(error.is_transient(), transient, "{told}");
        assert!(
            told.contains("s3://trawler-cloud/shops/cloud/state/"),
            "{told}"
        );
        for part in parts {
            assert!(told.contains(part), "{part:?} in {told}");
        }
        if !transient {
            assert_eq!(server.seen().len(), 1, "not asked again: {told}");
        }
    };
    let region = "<Region>us-east-2</Region>";
    check(
        400,
        "AuthorizationHeaderMalformed",
        region,
        false,
        &[
            "is in region us-east-2, not in eu-west-1",
            "AWS_REGION=us-east-2",
        ],
    )
    .await;
    check(
        403,
        "AccessDenied",
        "",
        false,
        &[
            "s3:GetObject on arn:aws:s3:::trawler-cloud/shops/cloud/state/*",
            "s3:ListBucket",
        ],
    )
    .await;
    check(
        403,
        "InvalidAccessKeyId",
        "",
        false,
        &["credentials are not accepted"],
    )
    .await;
    check(
        403,
        "SignatureDoesNotMatch",
        "",
        false,
        &["credentials are not accepted"],
    )
    .await;
    check(
        400,
        "SomethingNew",
        "",
        false,
        &["400 SomethingNew: as told, request R1"],
    )
    .await;
    check(403, "RequestTimeTooSkewed", "", true, &["clock"]).await;
    check(503, "SlowDown", "", true, &["503 SlowDown"]).await;
}

#[tokio::test]
async fn a_bucket_of_another_region_names_it() {
    let server = Scripted::start(|_| {
        let mut answer = error(301, "PermanentRedirect", "");
        let region = "ap-northeast-2".parse().unwrap();
        answer.headers_mut().insert("x-amz-bucket-region", region);
        answer
    })
    .await;
    let told = told(&open_error(&server.endpoint()).await);
    assert!(told.contains("AWS_REGION=ap-northeast-2"), "{told}");
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let told_and_transient = {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = open_error(&endpoint).await;
        (told(&error), error.is_transient())
    };
    assert!(told_and_transient.1, "{}", told_and_transient.0);
}

/// A store that forgets about some conditions.
struct Careless {
    ignored: (&'static str, Method),
    objects: Mutex<HashMap<String, (String, u32)>>,
}

impl Careless {
    fn answer(&self, seen: &Seen) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        let header = |name: &str| {
            let value = seen.head.get(name)?.to_str().unwrap().to_owned();
            let is_ignored = self.ignored
                == (
                    if name == "if-match" {
                        "If-Match"
                    } else {
                        "If-None-Match"
                    },
                    seen.method.clone(),
                );
            (!is_ignored).then_some(value)
        };
        let path = seen.path.split('?').next().unwrap().to_owned();
        let etag = |number: u32| format!("\"{number:032x}\"");
        let found = objects.get(&path).cloned();
        let unmet = || error(412, "PreconditionFailed", "");
        if header("if-none-match").is_some() && found.is_some() {
            return unmet();
        }
        if let Some(wanted) = header("if-match") {
            match &found {
                None => return error(404, "NoSuchKey", ""),
                Some((_, number)) if etag(*number) != wanted => return unmet(),
                Some(_) => {}
            }
        }
        match seen.method {
            Method::PUT => {
                let number = found.map_or(1, |(_, number)| number + 1);
                let body = String::from_utf8(seen.body.to_vec()).unwrap();
                objects.insert(path, (body, number));
                let mut answer = plain(200, "");
                answer
                    .headers_mut()
                    .insert("etag", etag(number).parse().unwrap());
                answer
            }
            Method::DELETE => {
                objects.remove(&path);
                plain(204, "")
            }
            _ => match found {
                None => error(404, "NoSuchKey", ""),
                Some((body, number)) => {
                    let mut answer = plain(200, body);
                    answer
                        .headers_mut()
                        .insert("etag", etag(number).parse().unwrap());
                    answer
                }
            },
        }
    }
}

#[tokio::test]
async fn a_store_that_ignores_a_condition_is_refused_at_open() {
    let open = async |condition: &'static str, method: Method| {
        let store = Careless {
            ignored: (condition, method),
            objects: Mutex::default(),
        };
        let server = Scripted::start(move |seen| store.answer(seen)).await;
        let location = S3Location::parse(&format!("s3://{BUCKET}/shops")).unwrap();
        let first = state_at(&server.endpoint(), &location).await.map(drop);
        // What the first attempt left behind does not pass for a proof.
        let second = state_at(&server.endpoint(), &location).await.map(drop);
        assert_eq!(first.is_ok(), second.is_ok());
        first
    };
    for (condition, method, call) in [
        ("If-None-Match", Method::PUT, "PutObject"),
        ("If-Match", Method::PUT, "PutObject"),
        ("If-Match", Method::DELETE, "DeleteObject"),
    ] {
        let error = open(condition, method).await.unwrap_err();
        assert!(
            matches!(error, S3OpenError::NoConditionalWrites { .. }),
            "{error}"
        );
        let told = error.to_string();
        assert!(told.contains(&format!("{condition} of a {call}")), "{told}");
    }
    // With all conditions kept, the same server will do.
    open("none", Method::GET).await.unwrap();
}

#[tokio::test]
async fn a_location_is_proven_once_and_then_costs_one_read_to_open() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let location = fresh_location();
    state_at(&proxy.endpoint(), &location).await.unwrap();
    let first = proxy.counts().requests;
    assert!(first <= 8, "{first} requests");
    let cloud = Cloud::at(&proxy.endpoint(), REGION).await;
    state_at(&proxy.endpoint(), &location).await.unwrap();
    let blobs = blobs_at(&proxy.endpoint(), &location).await.unwrap();
    catalogue_store(&cloud, &location, &options())
        .await
        .unwrap();
    let counts = proxy.counts();
    assert_eq!(counts.requests - first, 3);
    assert_eq!(counts.operations[&(Service::S3, "DELETE".to_owned())], 1);
    // Nothing of it shows.
    assert!(blobs.list("", None, 1000).await.unwrap().is_empty());
    let state = state_at(&proxy.endpoint(), &location).await.unwrap();
    assert!(state.list("", None, 1000).await.unwrap().is_empty());
}

#[tokio::test]
async fn two_who_open_a_new_location_at_once_both_may() {
    let endpoint = emulator().await;
    for _ in 0..5 {
        let location = fresh_location();
        let open = || state_at(&endpoint, &location);
        let (a, b, c, d) = futures::join!(open(), open(), open(), open());
        for opened in [a, b, c, d] {
            opened.unwrap();
        }
    }
}

#[tokio::test]
async fn refusals_in_use_name_the_permission() {
    let server = Scripted::start(|seen| {
        if is_probe(seen) {
            proven()
        } else {
            error(403, "AccessDenied", "")
        }
    })
    .await;
    let location = S3Location::parse(&format!("s3://{BUCKET}/shops")).unwrap();
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    let blobs = blobs_at(&server.endpoint(), &location).await.unwrap();
    let objects = |folder: &str| format!("arn:aws:s3:::{BUCKET}/shops/cloud/{folder}/*");
    let refused = |error: StateError| match error {
        StateError::Refused { reason, .. } => reason,
        other => panic!("expected a refusal, found {other:?}"),
    };
    let reason = refused(state.create("a", b"1").await.unwrap_err());
    assert!(
        reason.contains("s3:PutObject") && reason.contains(&objects("state")),
        "{reason}"
    );
    let version = trawler_core::ports::Version("0f".to_owned());
    let reason = refused(state.delete("a", &version).await.unwrap_err());
    assert!(reason.contains("s3:DeleteObject"), "{reason}");
    let reason = refused(state.list("", None, 1).await.unwrap_err());
    assert!(
        reason.contains(&format!("s3:ListBucket on arn:aws:s3:::{BUCKET}")),
        "{reason}"
    );
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let store = catalogue_store(&cloud, &location, &options())
        .await
        .unwrap();
    let denied = told(&store.get(&Path::from("a")).await.unwrap_err());
    assert!(denied.contains("allow s3:GetObject"), "{denied}");
    let create = PutOptions::from(PutMode::Create);
    let put = store.put_opts(&Path::from("a"), "1".into(), create).await;
    let denied = told(&put.unwrap_err());
    assert!(
        denied.contains("allow s3:PutObject") && denied.contains(&objects("catalogue")),
        "{denied}"
    );
    match blobs.get("a", None).await.unwrap_err() {
        BlobError::Refused { reason, .. } => {
            assert!(
                reason.contains("s3:GetObject") && reason.contains(&objects("blobs")),
                "{reason}"
            );
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[tokio::test]
async fn options_that_cannot_be_are_refused_before_any_call() {
    let server = Scripted::start(|_| proven()).await;
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let mut wrong = options();
    wrong.storage_class = Some("GLACIER".to_owned());
    let opened = S3State::open(&cloud, fresh_location(), wrong).await;
    let error = opened.unwrap_err();
    assert!(
        matches!(error, S3OpenError::InvalidOption { .. }),
        "{error}"
    );
    assert!(server.seen().is_empty());
}
