//! The CPU side of the worker: a fixed number of workbenches beside the
//! reactor, so that download and rendering overlap and memory is bounded.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use trawler_core::image::Variant;

use crate::error::ImageError;
use crate::limits::Limits;
use crate::recipe::{InvalidVariant, check_variants, recipe};
use crate::workbench::{Rendition, Workbench};

/// Renders images to the configured variants, `threads` at once.
#[derive(Clone)]
pub struct Studio {
    inner: Arc<Inner>,
}

struct Inner {
    variants: Vec<Variant>,
    recipe: String,
    limits: Limits,
    free: Mutex<Vec<Workbench>>,
    turns: Semaphore,
}

/// The render did not come to an end.
#[derive(Debug, thiserror::Error)]
#[error("render an image: the thread was cut off ({0})")]
pub struct CutOff(String);

impl Studio {
    /// `threads` is at least one.
    pub fn new(
        variants: Vec<Variant>,
        limits: Limits,
        threads: usize,
    ) -> Result<Self, InvalidVariant> {
        check_variants(&variants)?;
        Ok(Self {
            inner: Arc::new(Inner {
                recipe: recipe(&variants),
                variants,
                limits,
                free: Mutex::default(),
                turns: Semaphore::new(threads.max(1)),
            }),
        })
    }

    /// Names all variants and how they are made.
    pub fn recipe(&self) -> &str {
        &self.inner.recipe
    }

    /// Renders on a blocking thread once there is a turn.
    pub async fn render(
        &self,
        source: bytes::Bytes,
    ) -> Result<Result<Rendition, ImageError>, CutOff> {
        let turn = self
            .inner
            .turns
            .acquire()
            .await
            .map_err(|error| CutOff(error.to_string()))?;
        let inner = Arc::clone(&self.inner);
        let work = tokio::task::spawn_blocking(move || {
            let mut bench = inner.take().unwrap_or_else(|| Workbench::new(inner.limits));
            let rendition = bench.render(&source, &inner.variants);
            inner.give_back(bench);
            rendition
        });
        let rendition = work.await.map_err(|error| CutOff(error.to_string()));
        drop(turn);
        rendition
    }
}

impl Inner {
    fn take(&self) -> Option<Workbench> {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn give_back(&self, bench: Workbench) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bench);
    }
}
