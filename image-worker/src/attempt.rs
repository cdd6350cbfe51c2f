//! One try at one image: conditional request, hash, render, store.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, SourceFacts, StoredVariant};
use trawler_core::job::ImageTask;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{BlobMeta, Metric, Put};
use trawler_core::verdict::Failure;
use trawler_fleet::{JobContext, Ports};
use trawler_net::{
    FetchClass, FetchError, Fetched, Fetcher, Limits, NotModified, Request, Response, StatusClass,
    Validators,
};

use crate::studio::Studio;
use crate::workbench::{RenderedVariant, Rendition};

/// What every image of a job shares.
pub(crate) struct Attempt<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) pipe: &'a Pipe,
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) studio: &'a Studio,
    pub(crate) source_bytes_max: u64,
    pub(crate) user_agent: &'a str,
    pub(crate) ctx: &'a JobContext,
}

/// How a try ended.
pub(crate) struct Tried {
    pub(crate) outcome: ImageOutcome,
    /// Set when another try soon may end otherwise.
    pub(crate) again: Option<Again>,
}

/// Why and when to try again.
pub(crate) struct Again {
    pub(crate) reason: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Attempt<'_> {
    /// Our own stores failing is the job's failure; everything about the
    /// image is an outcome.
    pub(crate) async fn run(&self, task: &ImageTask) -> Result<Tried, Failure> {
        let request = match self.request(task) {
            Ok(request) => request,
            Err(refused) => return Ok(refused),
        };
        let conditional = !self.validators(task).is_empty();
        self.ports.metrics.record(Metric::ImageRequests {
            conditional,
            count: 1,
        });
        match self.fetcher.fetch_bytes(&request).await {
            Ok(Fetched::NotModified(answer)) => Ok(final_outcome(not_modified(task, answer))),
            Ok(Fetched::Body(response)) => {
                self.ports.metrics.record(Metric::ImageBytesDown {
                    bytes: response.raw_bytes,
                });
                self.received(task, response).await
            }
            Err(error) => Ok(failed(task, &error)),
        }
    }

    /// Validators are sent only where a 304 would leave nothing to do.
    fn validators(&self, task: &ImageTask) -> Validators {
        let known = &task.known;
        let stored =
            known.sha256.is_some() && known.recipe.as_deref() == Some(self.studio.recipe());
        if stored {
            Validators {
                etag: known.etag.clone(),
                last_modified: known.last_modified.clone(),
            }
        } else {
            Validators::default()
        }
    }

    fn request(&self, task: &ImageTask) -> Result<Request, Tried> {
        let bad = |reason: String| final_outcome(outcome(task, ImageStatus::BadUrl, reason));
        let limits = Limits {
            raw_bytes_max: self.source_bytes_max,
            decoded_bytes_max: self.source_bytes_max,
            ..Limits::default()
        };
        let mut request = Request::get(&task.url)
            .map_err(|error| failed(task, &error))?
            .accept("image/*,*/*;q=0.5")
            .and_then(|request| request.user_agent(self.user_agent))
            .map_err(|error| bad(error.to_string()))?
            .limits(limits)
            .validators(self.validators(task))
            .interval_min(Duration::from_secs_f64(1.0 / self.pipe.fetch.rate_per_s))
            .cancel(self.ctx.cancelled());
        if let Some(referer) = &self.pipe.images.referer {
            request = request
                .referer(referer.as_str())
                .map_err(|error| bad(error.to_string()))?;
        }
        Ok(request)
    }

    async fn received(
        &self,
        task: &ImageTask,
        response: Response<Bytes>,
    ) -> Result<Tried, Failure> {
        let sha256 = hex::encode(Sha256::digest(&response.body));
        let known = KnownImage {
            sha256: Some(sha256.clone()),
            recipe: Some(self.studio.recipe().to_owned()),
            etag: response.validators.etag,
            last_modified: response.validators.last_modified,
        };
        let same = task.known.sha256.as_ref() == Some(&sha256) && task.known.recipe == known.recipe;
        if same {
            let unchanged = outcome(task, ImageStatus::Unchanged, String::new());
            return Ok(final_outcome(ImageOutcome { known, ..unchanged }));
        }
        let rendered = self
            .studio
            .render(response.body)
            .await
            .map_err(|error| Failure::transient(error.to_string()))?;
        match rendered {
            Ok(rendition) => self.stored(task, known, rendition).await,
            Err(error) => match error.status() {
                Some(status) => {
                    let tried = outcome(task, status, error.to_string());
                    // What it is and how to ask for it again; nothing stored.
                    let known = KnownImage {
                        sha256: None,
                        recipe: None,
                        ..known
                    };
                    Ok(final_outcome(ImageOutcome { known, ..tried }))
                }
                None => Err(Failure::permanent(format!(
                    "make the variants of {}: {error}",
                    task.url
                ))),
            },
        }
    }

    async fn stored(
        &self,
        task: &ImageTask,
        known: KnownImage,
        rendition: Rendition,
    ) -> Result<Tried, Failure> {
        let source = SourceFacts::from(&rendition.facts);
        let mut variants = Vec::with_capacity(rendition.variants.len());
        for variant in rendition.variants {
            variants.push(StoredVariant::from(&variant));
            self.put(variant).await?;
        }
        let stored = outcome(task, ImageStatus::Stored, String::new());
        Ok(final_outcome(ImageOutcome {
            source: Some(source),
            known,
            variants,
            ..stored
        }))
    }

    async fn put(&self, variant: RenderedVariant) -> Result<(), Failure> {
        let bytes = variant.data.len() as u64;
        let meta = BlobMeta {
            content_type: variant.format.content_type(),
            immutable: true,
        };
        let put = self
            .ports
            .blobs
            .put(&variant.key, Bytes::from(variant.data), meta)
            .await
            .map_err(|error| {
                let reason = format!("store image {}: {error}", variant.key);
                if error.is_transient() {
                    Failure::transient(reason)
                } else {
                    Failure::permanent(reason)
                }
            })?;
        if put == Put::Created {
            self.ports.metrics.record(Metric::ImagesStored { count: 1 });
            self.ports.metrics.record(Metric::ImageBytesUp { bytes });
        }
        Ok(())
    }
}

fn outcome(task: &ImageTask, status: ImageStatus, reason: String) -> ImageOutcome {
    ImageOutcome {
        product_id: task.product_id.clone(),
        url: task.url.clone(),
        status,
        reason,
        source: None,
        known: KnownImage::default(),
        variants: Vec::new(),
    }
}

/// What becomes of an image whose tries never came to an end.
pub(crate) fn given_up(task: &ImageTask, reason: &str) -> ImageOutcome {
    outcome(task, ImageStatus::Unreachable, reason.to_owned())
}

fn final_outcome(outcome: ImageOutcome) -> Tried {
    Tried {
        outcome,
        again: None,
    }
}

fn not_modified(task: &ImageTask, answer: NotModified) -> ImageOutcome {
    let known = KnownImage {
        etag: answer.validators.etag,
        last_modified: answer.validators.last_modified,
        ..task.known.clone()
    };
    ImageOutcome {
        known,
        ..outcome(task, ImageStatus::Unchanged, String::new())
    }
}

fn failed(task: &ImageTask, error: &FetchError) -> Tried {
    let status = status_of(error.class());
    Tried {
        outcome: outcome(task, status, error.to_string()),
        again: error.is_transient().then(|| Again {
            reason: error.to_string(),
            retry_after: error.retry_after(),
        }),
    }
}

/// The status that a failed fetch gives the image.
fn status_of(class: FetchClass) -> ImageStatus {
    match class {
        FetchClass::RefusedAddress => ImageStatus::RefusedAddress,
        FetchClass::BadUrl => ImageStatus::BadUrl,
        FetchClass::TooLarge => ImageStatus::TooLarge,
        FetchClass::Timeout => ImageStatus::Timeout,
        FetchClass::Truncated => ImageStatus::Truncated,
        FetchClass::Status(StatusClass::NotFound | StatusClass::Gone) => ImageStatus::NotFound,
        FetchClass::Status(
            StatusClass::Forbidden | StatusClass::Unauthorized | StatusClass::Client,
        ) => ImageStatus::Blocked,
        FetchClass::Dns
        | FetchClass::Connect
        | FetchClass::Tls
        | FetchClass::TooManyRedirects
        | FetchClass::RedirectLoop
        | FetchClass::Decode
        | FetchClass::Protocol
        | FetchClass::Cancelled
        | FetchClass::Disk
        | FetchClass::Status(_) => ImageStatus::Unreachable,
    }
}
