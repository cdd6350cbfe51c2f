//! Ports on paper in the suites, and what they promise beside: what is
//! underneath shows through and stays as it is. They are not durable, and a
//! restart of theirs is none.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use trawler_core::ports::{BlobMeta, Blobs, Put, State};
use trawler_local::{LocalStore, PaperBlobs, PaperState, SystemClock};
use trawler_tests::{BlobsHarness, StateHarness};

const META: BlobMeta = BlobMeta {
    content_type: "text/plain",
    immutable: true,
};

async fn store(folder: &TempDir) -> LocalStore {
    let clock = Arc::new(SystemClock::new());
    LocalStore::open(folder.path(), clock).await.unwrap()
}

pub(crate) struct PaperStateHarness {
    _folder: TempDir,
    under: Arc<dyn State>,
    state: Arc<dyn State>,
}

impl PaperStateHarness {
    pub(crate) async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let under: Arc<dyn State> = Arc::new(store(&folder).await.state());
        Self {
            _folder: folder,
            state: Arc::new(PaperState::new(Arc::clone(&under), &["hidden/"])),
            under,
        }
    }
}

#[async_trait]
impl StateHarness for PaperStateHarness {
    fn state(&self) -> Arc<dyn State> {
        Arc::clone(&self.state)
    }

    async fn restart(&mut self) {}
}

pub(crate) struct PaperBlobsHarness {
    _folders: [TempDir; 2],
    under: Arc<dyn Blobs>,
    blobs: Arc<dyn Blobs>,
}

impl PaperBlobsHarness {
    pub(crate) async fn fresh() -> Self {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let under: Arc<dyn Blobs> = Arc::new(store(&folders[0]).await.blobs());
        let over: Arc<dyn Blobs> = Arc::new(store(&folders[1]).await.blobs());
        Self {
            _folders: folders,
            blobs: Arc::new(PaperBlobs::new(Arc::clone(&under), over)),
            under,
        }
    }
}

#[async_trait]
impl BlobsHarness for PaperBlobsHarness {
    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::clone(&self.blobs)
    }

    fn keeps_headers(&self) -> bool {
        false
    }

    async fn restart(&mut self) {}
}

async fn keys(state: &Arc<dyn State>, after: Option<&str>, limit: usize) -> Vec<String> {
    let listed = state.list("d", after, limit).await.unwrap();
    listed.into_iter().map(|entry| entry.key).collect()
}

#[tokio::test]
async fn documents_underneath_show_through_and_stay() {
    let harness = PaperStateHarness::fresh().await;
    let (under, paper) = (&harness.under, &harness.state);
    for key in ["d1", "d3", "d5", "hidden/x"] {
        under.create(key, b"under").await.unwrap();
    }
    assert!(paper.create("d1", b"x").await.unwrap_err().is_conflict());
    let found = paper.get("d1").await.unwrap().unwrap();
    assert_eq!(found.value, b"under");
    let replaced = paper.replace("d1", b"paper", &found.version).await.unwrap();
    let stale = paper.replace("d1", b"late", &found.version).await;
    assert!(stale.unwrap_err().is_conflict());
    paper.create("d2", b"paper").await.unwrap();
    let third = paper.get("d3").await.unwrap().unwrap();
    paper.delete("d3", &third.version).await.unwrap();
    assert_eq!(paper.get("d3").await.unwrap(), None);
    assert_eq!(paper.get("hidden/x").await.unwrap(), None);
    assert_eq!(paper.list("hidden/", None, 10).await.unwrap(), []);
    paper.create("hidden/x", b"paper").await.unwrap();
    assert_eq!(paper.list("hidden/", None, 10).await.unwrap().len(), 1);
    assert_eq!(keys(paper, None, 10).await, ["d1", "d2", "d5"]);
    assert_eq!(keys(paper, None, 1).await, ["d1"]);
    assert_eq!(keys(paper, Some("d1"), 1).await, ["d2"]);
    assert_eq!(keys(paper, Some("d2"), 1).await, ["d5"]);
    let listed = paper.list("d1", None, 10).await.unwrap();
    assert_eq!(listed[0].version, replaced);
    // What others write meanwhile is seen.
    under.create("d4", b"under").await.unwrap();
    assert_eq!(keys(paper, None, 10).await, ["d1", "d2", "d4", "d5"]);
    assert_eq!(keys(under, None, 10).await, ["d1", "d3", "d4", "d5"]);
    assert_eq!(under.get("d1").await.unwrap().unwrap().value, b"under");
}

#[tokio::test]
async fn blobs_underneath_show_through_and_stay() {
    let harness = PaperBlobsHarness::fresh().await;
    let (under, paper) = (&harness.under, &harness.blobs);
    let put = async |blobs: &Arc<dyn Blobs>, key: &str, body: &'static str| {
        blobs.put(key, Bytes::from(body), META).await.unwrap()
    };
    for key in ["b1", "b3"] {
        put(under, key, "under").await;
    }
    assert_eq!(put(paper, "b1", "paper").await, Put::Existed);
    assert_eq!(put(paper, "b2", "paper").await, Put::Created);
    paper.delete(&["b3".to_owned()]).await.unwrap();
    assert_eq!(paper.head("b3").await.unwrap(), None);
    assert!(paper.get("b3", None).await.is_err());
    let keys = async |blobs: &Arc<dyn Blobs>, limit: usize| -> Vec<String> {
        let listed = blobs.list("b", None, limit).await.unwrap();
        listed.into_iter().map(|entry| entry.key).collect()
    };
    assert_eq!(keys(paper, 10).await, ["b1", "b2"]);
    assert_eq!(keys(paper, 1).await, ["b1"]);
    assert_eq!(put(paper, "b3", "paper").await, Put::Created);
    assert_eq!(paper.get("b3", None).await.unwrap(), "paper");
    assert_eq!(paper.get("b1", None).await.unwrap(), "under");
    assert_eq!(keys(under, 10).await, ["b1", "b3"]);
    assert_eq!(under.get("b3", None).await.unwrap(), "under");
}
