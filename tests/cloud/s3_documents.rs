//! Documents whose writes meet each other, themselves, or a person.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use trawler_core::ports::{State, Version};
use trawler_fleet::{DocumentError, Documents};
use trawler_local::SystemClock;

use crate::s3_faults::puts;
use crate::s3_support::{
    Scripted, emulator, error, fresh_location, is_probe, plain, proven, raw, state_at,
};

/// What a person puts in place of a document, as the error about an unreadable
/// one asks for, stopped every tick.
#[tokio::test]
async fn a_document_that_a_person_mended_is_read() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Note {
        text: String,
    }
    let endpoint = emulator().await;
    let location = fresh_location();
    let state = Arc::new(state_at(&endpoint, &location).await.unwrap());
    let documents = Documents::new(state.clone(), Arc::new(SystemClock::new()));
    let at = format!(
        "/{}/cloud/state/notes",
        location.to_string().trim_start_matches("s3://")
    );
    let poke = async |body: &str| {
        let answer = raw(&endpoint, "PUT", &at, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    let first = state.create("notes", b"{}").await.unwrap();
    // Rubbish, also of another form, is one document that cannot be read.
    let newer = "trawler-state 2 0123456789abcdef0123456789abcdef\n{\"text\":\"x\"}";
    for rubbish in ["{half", "", "trawler-state 1 ab\n{}", newer] {
        poke(rubbish).await;
        let found = state.get("notes").await.unwrap().unwrap();
        assert_eq!(found.value, rubbish.as_bytes());
        let error = documents.get::<Note>("notes").await.unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, DocumentError::Unreadable { .. }), "{told}");
        assert!(told.contains("notes") && told.contains("mend or delete"));
    }
    poke(r#"{"text":"mended"}"#).await;
    let mended = documents.get::<Note>("notes").await.unwrap().unwrap();
    assert_eq!(mended.text, "mended");
    // It has a version, and the next write is one of ours.
    let found = state.get("notes").await.unwrap().unwrap();
    let listed = state.list("", None, 10).await.unwrap();
    assert_eq!(listed[0].version, found.version);
    let stale = state.replace("notes", b"1", &first).await.unwrap_err();
    assert!(stale.is_conflict());
    let ours = state.replace("notes", b"{}", &found.version).await.unwrap();
    assert_eq!(state.get("notes").await.unwrap().unwrap().value, b"{}");
    state.delete("notes", &ours).await.unwrap();
}

/// One object whose first write goes without an answer, after which S3 sees
/// another under way, as while it is still carried out. `stored` is what a
/// read then finds, of the body that was sent.
async fn still_under_way(
    stored: impl Fn(Bytes) -> Option<(Bytes, &'static str)> + Send + Sync + 'static,
) -> Scripted {
    let sent = std::sync::Mutex::new(None::<Bytes>);
    Scripted::start(move |seen| {
        let mut sent = sent.lock().unwrap();
        if is_probe(seen) {
            return proven();
        }
        if seen.method == Method::GET {
            return match sent.clone().and_then(&stored) {
                None => error(404, "NoSuchKey", ""),
                Some((body, etag)) => {
                    let mut answer = plain(200, body);
                    answer.headers_mut().insert("etag", etag.parse().unwrap());
                    answer
                }
            };
        }
        match &*sent {
            None => {
                *sent = Some(seen.body.clone());
                error(500, "InternalError", "")
            }
            Some(_) => error(409, "ConditionalRequestConflict", ""),
        }
    })
    .await
}

/// Its own write, still under way, was told a writer as somebody else's: it
/// made its change once more on top.
#[tokio::test]
async fn a_write_that_is_still_under_way_is_not_somebody_elses() {
    let foreign = || Bytes::from_static(b"{}");
    let expected = Version("0f".to_owned());
    let location = fresh_location();

    // It has come about meanwhile.
    let server = still_under_way(|sent| Some((sent, "\"ab\""))).await;
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    let version = state.replace("a", b"1", &expected).await.unwrap();
    assert_eq!(version, Version("ab".to_owned()));
    let server = still_under_way(|sent| Some((sent, "\"ab\""))).await;
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    assert_eq!(state.create("a", b"1").await.unwrap(), version);
    let server = still_under_way(|_| None).await;
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    state.delete("a", &expected).await.unwrap();

    // It may come about yet.
    let server = still_under_way(move |_| Some((foreign(), "\"0f\""))).await;
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    let replaced = state.replace("a", b"1", &expected).await.unwrap_err();
    assert!(replaced.is_transient(), "{replaced:?}");
    let server = still_under_way(move |_| Some((foreign(), "\"0f\""))).await;
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    let removed = state.delete("a", &expected).await.unwrap_err();
    assert!(removed.is_transient(), "{removed:?}");
    let server = still_under_way(|_| None).await;
    let state = state_at(&server.endpoint(), &location).await.unwrap();
    let created = state.create("a", b"1").await.unwrap_err();
    assert!(created.is_transient(), "{created:?}");

    // Somebody else was first.
    for verb in ["create", "replace", "delete"] {
        let server = still_under_way(move |_| Some((foreign(), "\"cd\""))).await;
        let state = state_at(&server.endpoint(), &location).await.unwrap();
        let lost = match verb {
            "create" => state.create("a", b"1").await.map(drop),
            "replace" => state.replace("a", b"1", &expected).await.map(drop),
            _ => state.delete("a", &expected).await,
        };
        assert!(lost.unwrap_err().is_conflict(), "{verb}");
    }
}

/// An answer that did nothing leaves nothing to look for.
#[tokio::test]
async fn a_conflict_after_a_throttled_attempt_is_told_without_a_read() {
    let server = puts(|n, _| {
        if n == 0 {
            error(503, "SlowDown", "")
        } else {
            error(412, "PreconditionFailed", "")
        }
    })
    .await;
    let state = state_at(&server.endpoint(), &fresh_location())
        .await
        .unwrap();
    assert!(state.create("a", b"1").await.unwrap_err().is_conflict());
    assert_eq!(server.seen().len(), 3, "the probe and two attempts");
}
