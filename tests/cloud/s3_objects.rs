//! How objects lie in S3: keys, headers, parts, and how many requests they
//! cost.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use trawler_aws::{Cloud, S3Blobs, S3Encryption, S3Options, S3State, catalogue_store};
use trawler_core::Environment;
use trawler_core::ports::{BlobMeta, Blobs, Put, State};
use trawler_tests::emulator::REGION;
use trawler_tests::proxy::{FaultProxy, Service};

use crate::s3_support::{
    BUCKET, Scripted, blobs_at, emulator, error, fresh_location, is_probe, options, plain, proven,
    raw, state_at,
};

const META: BlobMeta = BlobMeta {
    content_type: "image/webp",
    immutable: true,
};

#[tokio::test]
async fn readers_get_type_and_cache_header() {
    let endpoint = emulator().await;
    let location = fresh_location();
    let blobs = blobs_at(&endpoint, &location).await.unwrap();
    let head = async |key: &str| {
        let path = format!("/{BUCKET}/{}/cloud/blobs/{key}", location.prefix);
        raw(&endpoint, "HEAD", &path, "").await.to_ascii_lowercase()
    };
    blobs
        .put("a.webp", Bytes::from_static(b"1"), META)
        .await
        .unwrap();
    let shown = head("a.webp").await;
    assert!(shown.contains("content-type: image/webp"), "{shown}");
    assert!(
        shown.contains("cache-control: public, max-age=31536000, immutable"),
        "{shown}"
    );
    let mutable = BlobMeta {
        content_type: "text/csv",
        immutable: false,
    };
    blobs
        .put("b.csv", Bytes::from_static(b"1"), mutable)
        .await
        .unwrap();
    let shown = head("b.csv").await;
    assert!(shown.contains("content-type: text/csv"), "{shown}");
    assert!(!shown.contains("cache-control"), "{shown}");
    let asked = S3Options {
        cache_control: "private, max-age=60".to_owned(),
        ..options()
    };
    let cloud = Cloud::at(&endpoint, REGION).await;
    let blobs = S3Blobs::open(&cloud, location.clone(), asked)
        .await
        .unwrap();
    blobs
        .put("c.webp", Bytes::from_static(b"1"), META)
        .await
        .unwrap();
    let shown = head("c.webp").await;
    assert!(
        shown.contains("cache-control: private, max-age=60"),
        "{shown}"
    );
}

#[tokio::test]
async fn environments_of_one_location_do_not_see_each_other() {
    let endpoint = emulator().await;
    let location = fresh_location();
    let cloud = Cloud::at(&endpoint, REGION).await;
    let open = async |name: &str| {
        let options = S3Options::new(Environment::parse(name).unwrap());
        let state = S3State::open(&cloud, location.clone(), options.clone()).await;
        let blobs = S3Blobs::open(&cloud, location.clone(), options.clone()).await;
        let store = catalogue_store(&cloud, &location, &options).await;
        (state.unwrap(), blobs.unwrap(), store.unwrap())
    };
    let (state, blobs, store) = open("one").await;
    state.create("a", b"1").await.unwrap();
    blobs
        .put("a", Bytes::from_static(b"1"), META)
        .await
        .unwrap();
    store.put(&Path::from("a"), "1".into()).await.unwrap();
    let (state, blobs, store) = open("two").await;
    assert_eq!(state.get("a").await.unwrap(), None);
    assert_eq!(blobs.head("a").await.unwrap(), None);
    assert!(state.list("", None, 9).await.unwrap().is_empty());
    assert!(blobs.list("", None, 9).await.unwrap().is_empty());
    assert!(store.list(None).try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_asked_for_is_asked_of_s3() {
    let server = Scripted::start(|seen| {
        if is_probe(seen) {
            return proven();
        }
        let mut answer = plain(200, "");
        answer
            .headers_mut()
            .insert("etag", "\"ab\"".parse().unwrap());
        answer
    })
    .await;
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let mut asked = options();
    asked.storage_class = Some("INTELLIGENT_TIERING".to_owned());
    asked.encryption = Some(S3Encryption::Kms {
        key: "alias/shops".to_owned(),
    });
    let location = fresh_location();
    let blobs = S3Blobs::open(&cloud, location.clone(), asked.clone())
        .await
        .unwrap();
    blobs
        .put("a", Bytes::from_static(b"1"), META)
        .await
        .unwrap();
    let state = S3State::open(&cloud, location.clone(), asked.clone())
        .await
        .unwrap();
    state.create("a", b"1").await.unwrap();
    let store = catalogue_store(&cloud, &location, &asked).await.unwrap();
    let create = PutOptions::from(PutMode::Create);
    store
        .put_opts(&Path::from("a"), "1".into(), create)
        .await
        .unwrap();
    let puts = server
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "PUT");
    let mut count = 0;
    for seen in puts {
        count += 1;
        let header = |name: &str| seen.head.get(name).map(|it| it.to_str().unwrap());
        assert_eq!(header("if-none-match"), Some("*"), "{seen:?}");
        assert_eq!(
            header("x-amz-server-side-encryption"),
            Some("aws:kms"),
            "{seen:?}"
        );
        let key = header("x-amz-server-side-encryption-aws-kms-key-id");
        assert_eq!(key, Some("alias/shops"), "{seen:?}");
        let bucket_key = header("x-amz-server-side-encryption-bucket-key-enabled");
        assert_eq!(bucket_key, Some("true"), "{seen:?}");
        let is_blob = seen.path.contains("/blobs/");
        let class = header("x-amz-storage-class");
        assert_eq!(class, is_blob.then_some("INTELLIGENT_TIERING"), "{seen:?}");
        let is_checked = seen
            .head
            .keys()
            .any(|name| name.as_str().starts_with("x-amz-checksum-"));
        assert!(is_checked, "{seen:?}");
        // Of the one byte "1".
        let sha256 = header("x-amz-checksum-sha256");
        let of_one = "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=";
        assert!(!is_blob || sha256 == Some(of_one), "{seen:?}");
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn deletes_go_in_batches_of_a_thousand() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let blobs = blobs_at(&proxy.endpoint(), &fresh_location())
        .await
        .unwrap();
    for key in ["k/0", "k/1200", "k/2400"] {
        blobs
            .put(key, Bytes::from_static(b"1"), META)
            .await
            .unwrap();
    }
    let keys: Vec<String> = (0..2_401).map(|n| format!("k/{n}")).collect();
    blobs.delete(&keys).await.unwrap();
    assert!(blobs.list("", None, 10).await.unwrap().is_empty());
    let posts = proxy.counts().operations[&(Service::S3, "POST".to_owned())];
    assert_eq!(posts, 3);
}

#[tokio::test]
async fn keys_that_fail_alone_are_deleted_again_or_named() {
    let answers = |code: &'static str| {
        move |seen: &crate::s3_support::Seen| {
            if is_probe(seen) {
                return proven();
            }
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            // Of two keys the second fails; alone it succeeds.
            let failed = if body.matches("<Object>").count() > 1 {
                let key = body
                    .split("<Key>")
                    .nth(2)
                    .unwrap()
                    .split('<')
                    .next()
                    .unwrap();
                format!(
                    "<Error><Key>{key}</Key><Code>{code}</Code><Message>as told</Message></Error>"
                )
            } else {
                String::new()
            };
            plain(200, format!("<DeleteResult>{failed}</DeleteResult>"))
        }
    };
    let keys = ["a".to_owned(), "b".to_owned()];
    let server = Scripted::start(answers("InternalError")).await;
    let blobs = blobs_at(&server.endpoint(), &fresh_location())
        .await
        .unwrap();
    blobs.delete(&keys).await.unwrap();
    assert_eq!(server.seen().len(), 3);

    let server = Scripted::start(answers("AccessDenied")).await;
    let blobs = blobs_at(&server.endpoint(), &fresh_location())
        .await
        .unwrap();
    let error = blobs.delete(&keys).await.unwrap_err().to_string();
    assert!(
        error.contains("cloud/blobs/b") && error.contains("s3:DeleteObject"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_upload_leaves_no_parts_behind() {
    let server = Scripted::start(|seen| {
        if is_probe(seen) {
            return proven();
        }
        match seen.method.as_str() {
            "POST" => plain(200, "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"),
            "PUT" => error(403, "AccessDenied", ""),
            "DELETE" => plain(204, ""),
            _ => plain(404, ""),
        }
    })
    .await;
    let cloud = Cloud::at(&server.endpoint(), REGION).await;
    let mut small_parts = options();
    small_parts.multipart_above = 5 << 20;
    let blobs = S3Blobs::open(&cloud, fresh_location(), small_parts)
        .await
        .unwrap();
    let put = blobs.put("a", vec![0; 6 << 20].into(), META).await;
    assert!(!put.unwrap_err().is_transient());
    let last = server.seen().pop().unwrap();
    assert!(
        last.method == "DELETE" && last.path.contains("uploadId=u1"),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_short_page_of_s3_is_no_end() {
    let endpoint = emulator().await;
    let location = fresh_location();
    let state = state_at(&endpoint, &location).await.unwrap();
    // S3 may answer with fewer keys than asked for, and others may put what is
    // no key of ours.
    for name in ["a/", "b b", "c"] {
        let path = format!(
            "/{BUCKET}/{}/cloud/state/{}",
            location.prefix,
            name.replace(' ', "%20")
        );
        let answer = raw(&endpoint, "PUT", &path, "x").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    for key in ["d", "e"] {
        state.create(key, b"1").await.unwrap();
    }
    let listed = state.list("", None, 2).await.unwrap();
    let keys: Vec<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["c", "d"]);
}

#[tokio::test]
async fn a_put_costs_one_request() {
    let proxy = FaultProxy::start(&emulator().await).await;
    let location = fresh_location();
    let blobs = blobs_at(&proxy.endpoint(), &location).await.unwrap();
    let state = state_at(&proxy.endpoint(), &location).await.unwrap();
    let requests = || proxy.counts().requests;
    let before = requests();
    let body = Bytes::from_static(b"1");
    assert_eq!(
        blobs.put("a", body.clone(), META).await.unwrap(),
        Put::Created
    );
    assert_eq!(blobs.put("a", body, META).await.unwrap(), Put::Existed);
    assert_eq!(requests() - before, 2);
    let version = state.create("a", b"1").await.unwrap();
    let version = state.replace("a", b"1", &version).await.unwrap();
    state.create("a", b"1").await.unwrap_err();
    state.list("", None, 1000).await.unwrap();
    state.delete("a", &version).await.unwrap();
    assert_eq!(requests() - before, 7);
}
