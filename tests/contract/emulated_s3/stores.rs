//! The S3 adapter in the suites.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use object_store::ObjectStore;
use trawler_aws::{Cloud, S3Blobs, S3Location, S3Options, S3State, catalogue_store};
use trawler_core::Environment;
use trawler_core::ports::{Blobs, State};
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::{BlobsHarness, StateHarness, make_bucket};

use crate::catalogue::CatalogueHarness;

const BUCKET: &str = "trawler-contract";

/// What the design asks for. On two cores shared with the emulator, 64 writers
/// reach 6.4 to 8.3 commits a second.
const COMMITS_PER_S_MIN: f64 = 5.0;

/// The address of this process's emulator, with the bucket made.
async fn endpoint() -> String {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    let start = || {
        let endpoint = Ministack::shared().endpoint();
        make_bucket(&endpoint, BUCKET);
        endpoint
    };
    let started = tokio::task::spawn_blocking(move || ENDPOINT.get_or_init(start).clone());
    started.await.unwrap()
}

/// A place of one case.
struct Place {
    endpoint: String,
    location: S3Location,
}

impl Place {
    async fn fresh() -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let location = format!("s3://{BUCKET}/case-{number}/deep");
        Self {
            endpoint: endpoint().await,
            location: S3Location::parse(&location).unwrap(),
        }
    }

    /// As another process gets to it.
    async fn cloud(&self) -> Cloud {
        Cloud::at(&self.endpoint, REGION).await
    }

    fn options() -> S3Options {
        S3Options::new(Environment::parse("contract").unwrap())
    }

    async fn state(&self) -> Arc<dyn State> {
        let (cloud, location) = (self.cloud().await, self.location.clone());
        let opened = S3State::open(&cloud, location, Self::options()).await;
        Arc::new(opened.unwrap())
    }

    async fn blobs(&self) -> Arc<dyn Blobs> {
        let (cloud, location) = (self.cloud().await, self.location.clone());
        let opened = S3Blobs::open(&cloud, location, Self::options()).await;
        Arc::new(opened.unwrap())
    }
}

pub(crate) struct S3StateHarness {
    place: Place,
    state: Arc<dyn State>,
}

impl S3StateHarness {
    pub(crate) async fn fresh() -> Self {
        let place = Place::fresh().await;
        let state = place.state().await;
        Self { place, state }
    }
}

#[async_trait]
impl StateHarness for S3StateHarness {
    fn state(&self) -> Arc<dyn State> {
        Arc::clone(&self.state)
    }

    async fn restart(&mut self) {
        self.state = self.place.state().await;
    }
}

pub(crate) struct S3BlobsHarness {
    place: Place,
    blobs: Arc<dyn Blobs>,
}

impl S3BlobsHarness {
    pub(crate) async fn fresh() -> Self {
        let place = Place::fresh().await;
        let blobs = place.blobs().await;
        Self { place, blobs }
    }
}

#[async_trait]
impl BlobsHarness for S3BlobsHarness {
    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::clone(&self.blobs)
    }

    async fn restart(&mut self) {
        self.blobs = self.place.blobs().await;
    }
}

pub(crate) struct S3CatalogueHarness(Place);

impl S3CatalogueHarness {
    pub(crate) async fn fresh() -> Self {
        Self(Place::fresh().await)
    }
}

#[async_trait]
impl CatalogueHarness for S3CatalogueHarness {
    async fn store(&self) -> Arc<dyn ObjectStore> {
        let cloud = self.0.cloud().await;
        let opened = catalogue_store(&cloud, &self.0.location, &Place::options()).await;
        opened.unwrap()
    }

    fn commits_per_s_min(&self) -> f64 {
        COMMITS_PER_S_MIN
    }
}
