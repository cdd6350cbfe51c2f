//! Buckets that `create_bucket` makes, and what it says of those that are
//! there.

use trawler_aws::{BucketFinding, Cloud, S3Location, create_bucket};
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::make_bucket;

use crate::s3_support::{Scripted, error, plain, raw};
use crate::wire::values;

async fn emulator() -> String {
    let started = tokio::task::spawn_blocking(|| Ministack::shared().endpoint());
    started.await.unwrap()
}

async fn rules_of(endpoint: &str, bucket: &str) -> String {
    raw(endpoint, "GET", &format!("/{bucket}?lifecycle"), "").await
}

async fn put_rules(endpoint: &str, bucket: &str, prefix: &str, action: &str) {
    let body = format!(
        "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
         <ID>mine</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>Enabled</Status>{action}\
         </Rule></LifecycleConfiguration>"
    );
    let path = format!("/{bucket}?lifecycle");
    let answer = raw(endpoint, "PUT", &path, &body).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

const ABORT: &str = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>";

#[tokio::test]
async fn a_new_bucket_removes_what_incomplete_uploads_leave() {
    let endpoint = emulator().await;
    let cloud = Cloud::at(&endpoint, REGION).await;
    let location = S3Location::parse("s3://trawler-created/a").unwrap();
    assert_eq!(create_bucket(&cloud, &location).await.unwrap(), None);
    let rules = rules_of(&endpoint, "trawler-created").await;
    assert_eq!(values(&rules, "DaysAfterInitiation"), ["1"], "{rules}");
    assert_eq!(values(&rules, "Prefix"), [""], "{rules}");
    assert_eq!(values(&rules, "Status"), ["Enabled"], "{rules}");
    // Again: all is there.
    assert_eq!(create_bucket(&cloud, &location).await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_that_is_there_keeps_its_rules_and_what_it_lacks_is_told() {
    let endpoint = emulator().await;
    let cloud = Cloud::at(&endpoint, REGION).await;
    let bucket = "trawler-was-there".to_owned();
    let location = S3Location::parse("s3://trawler-was-there/a").unwrap();
    let made = endpoint.clone();
    let make = move || make_bucket(&made, "trawler-was-there");
    tokio::task::spawn_blocking(make).await.unwrap();
    let lacking = Some(BucketFinding::KeepsIncompleteUploads { bucket });
    let found = create_bucket(&cloud, &location).await.unwrap();
    assert_eq!(found, lacking);
    let said = found.unwrap().to_string();
    assert!(said.contains("AbortIncompleteMultipartUpload"), "{said}");
    // Rules about other things, or about other prefixes.
    let expire = "<Expiration><Days>9</Days></Expiration>";
    for (prefix, action) in [("", expire), ("b/", ABORT)] {
        put_rules(&endpoint, "trawler-was-there", prefix, action).await;
        let before = rules_of(&endpoint, "trawler-was-there").await;
        let found = create_bucket(&cloud, &location).await.unwrap();
        assert_eq!(found, lacking, "{before}");
        let after = rules_of(&endpoint, "trawler-was-there").await;
        assert_eq!(values(&before, "ID"), values(&after, "ID"));
    }
    put_rules(&endpoint, "trawler-was-there", "a/", ABORT).await;
    assert_eq!(create_bucket(&cloud, &location).await.unwrap(), None);
}

/// In us-east-1 the creation of an own bucket that is there succeeds, and its
/// rules were then replaced by ours.
#[tokio::test]
async fn a_creation_that_created_nothing_overwrites_no_rules() {
    let server = Scripted::start(|seen| {
        if seen.method == hyper::Method::GET {
            plain(
                200,
                "<LifecycleConfiguration><Rule><ID>mine</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule></LifecycleConfiguration>",
            )
        } else {
            plain(200, "")
        }
    })
    .await;
    let cloud = Cloud::at(&server.endpoint(), "us-east-1").await;
    let location = S3Location::parse("s3://trawler-home").unwrap();
    let found = create_bucket(&cloud, &location).await.unwrap();
    assert!(matches!(
        found,
        Some(BucketFinding::KeepsIncompleteUploads { .. })
    ));
    let is_put = |path: &str| path.contains("lifecycle");
    let seen = server.seen();
    let put = seen
        .iter()
        .find(|seen| seen.method == hyper::Method::PUT && is_put(&seen.path));
    assert!(put.is_none(), "{put:?}");
}

#[tokio::test]
async fn rules_that_cannot_be_read_are_told_with_the_permission() {
    let server = Scripted::start(|seen| {
        if seen.method == hyper::Method::PUT {
            error(409, "BucketAlreadyOwnedByYou", "")
        } else {
            error(403, "AccessDenied", "")
        }
    })
    .await;
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let location = S3Location::parse("s3://trawler-closed").unwrap();
    let said = create_bucket(&cloud, &location).await.unwrap().unwrap();
    let said = said.to_string();
    assert!(
        said.contains("allow s3:GetLifecycleConfiguration"),
        "{said}"
    );
    assert!(said.contains("AccessDenied: as told"), "{said}");
}
