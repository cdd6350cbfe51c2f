//! The CPU side of the worker: a fixed number of workbenches beside the
//! reactor, so that download and rendering overlap and memory is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use trawler_core::image::Variant;
use trawler_core::image_policy::ImagePolicy;

use crate::error::ImageError;
use crate::limits::Limits;
use crate::recipe::{InvalidVariant, check_variants, recipe};
use crate::room::Room;
use crate::workbench::{Refused, Rendition, Workbench};

/// Renders images to the configured variants, `threads` at once.
#[derive(Clone)]
pub struct Studio {
    inner: Arc<Inner>,
}

struct Inner {
    variants: Vec<Variant>,
    recipe: String,
    limits: Limits,
    room: Arc<Room>,
    free: Mutex<Vec<Workbench>>,
    turns: Arc<Semaphore>,
}

/// What became of source bytes.
#[derive(Debug)]
pub struct Seen {
    /// Lower-case hex of the bytes.
    pub sha256: String,
    /// Nothing where the bytes are those that the caller knows.
    pub rendered: Result<Option<Rendition>, Refused>,
}

/// The render did not come to an end, because the process does.
#[derive(Debug, thiserror::Error)]
#[error("render an image: its thread was cut off")]
pub struct CutOff(#[source] tokio::task::JoinError);

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
                room: Arc::new(Room::new(limits.together_bytes_max)),
                free: Mutex::default(),
                turns: Arc::new(Semaphore::new(threads.max(1))),
            }),
        })
    }

    /// Names all variants and how they are made.
    pub fn recipe(&self) -> &str {
        &self.inner.recipe
    }

    /// Hashes the bytes and, unless the hash is `known_sha256`, renders them by
    /// the policy: on a blocking thread, once there is a turn. Cancel-safe; a render that
    /// has begun goes on and keeps its turn.
    pub async fn render(
        &self,
        source: Bytes,
        known_sha256: Option<String>,
        policy: Arc<ImagePolicy>,
    ) -> Result<Seen, CutOff> {
        let turn = Arc::clone(&self.inner.turns).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let inner = Arc::clone(&self.inner);
        let work = tokio::task::spawn_blocking(move || {
            let seen = inner.look(&source, known_sha256.as_deref(), &policy);
            drop(turn);
            seen
        });
        work.await.map_err(CutOff)
    }
}

impl Inner {
    fn look(&self, source: &[u8], known_sha256: Option<&str>, policy: &ImagePolicy) -> Seen {
        let sha256 = hex::encode(Sha256::digest(source));
        let rendered = if known_sha256 == Some(sha256.as_str()) {
            Ok(None)
        } else {
            contained(|| {
                let bench = self.free().pop();
                let mut bench = bench
                    .unwrap_or_else(|| Workbench::in_room(self.limits, Arc::clone(&self.room)));
                let rendered = bench.render_named(&sha256, policy, source, &self.variants);
                self.free().push(bench);
                rendered.map(Some)
            })
        };
        Seen { sha256, rendered }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Workbench>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic is one broken image: the others of the job must not be tried again
/// and again because of it. The workbench that it happened on is dropped.
fn contained<T>(work: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        let detail = text.unwrap_or_else(|| "without a word".to_owned());
        tracing::error!(%detail, "rendering an image panicked: {detail}");
        Err(ImageError::Panicked { detail }.into())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::image::ImageStatus;

    use super::*;

    #[test]
    fn a_panic_is_one_broken_image() {
        let error = contained::<()>(|| panic!("row 7 of 5")).unwrap_err().error;
        assert_eq!(error.status(), Some(ImageStatus::Corrupt));
        assert!(error.to_string().contains("row 7 of 5"), "{error}");
        let error = contained::<()>(|| std::panic::panic_any(7))
            .unwrap_err()
            .error;
        assert_eq!(error.status(), Some(ImageStatus::Corrupt));
        assert_eq!(contained(|| Ok(1)), Ok(1));
    }

    #[tokio::test]
    async fn known_bytes_are_hashed_and_not_decoded() {
        let studio = Studio::new(Vec::new(), Limits::default(), 0).unwrap();
        let body = Bytes::from_static(b"<html>");
        let policy = Arc::new(ImagePolicy::default());
        let render = |known| studio.render(body.clone(), known, Arc::clone(&policy));
        let seen = render(None).await.unwrap();
        let refused = seen.rendered.unwrap_err().error;
        assert!(matches!(refused, ImageError::NotAnImage { .. }));
        let known = Some(seen.sha256.clone());
        let again = render(known).await.unwrap();
        assert_eq!(again.sha256, seen.sha256);
        assert_eq!(again.rendered, Ok(None));
    }
}
