//! One try at one image: conditional request, hash, render, store.
//!
//! Whatever is wrong with the image is its outcome; an [`Ending`] is for what
//! is wrong with this job or this machine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trawler_core::image::{
    ImageOutcome, ImageStatus, KnownImage, ORIGINAL, Originals, SourceFacts, StoredVariant,
};
use trawler_core::image_policy::{ImagePolicy, PLACEHOLDER_RECIPE, Standing, recipe_of_damaged};
use trawler_core::job::ImageTask;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{BlobError, BlobMeta, Metric, Put};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::manifests::ManifestError;
use trawler_fleet::{JobContext, Ports, Removals, Stays};
use trawler_net::{
    FetchClass, FetchError, Fetched, Limits, NotModified, Observer, Request, Response, StatusClass,
    Timeouts, Validators,
};

use crate::recipe::original_key;
use crate::sniff::SourceFormat;
use crate::studio::{Seen, Studio};
use crate::way::Way;
use crate::workbench::{Facts, Refused, Rendition};
use crate::worker::ImageWorkerOptions;

/// Puts of one object while removals come between: one a day begins.
const PUTS_MAX: u32 = 3;

/// What every image of a job shares.
pub(crate) struct Attempt<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) pipe: &'a Pipe,
    pub(crate) way: &'a Way,
    pub(crate) studio: &'a Studio,
    pub(crate) removals: &'a Removals,
    pub(crate) options: &'a ImageWorkerOptions,
    pub(crate) policy: &'a Arc<ImagePolicy>,
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
    pub(crate) async fn run(&self, task: &ImageTask) -> Result<Tried, Ending> {
        let settled = self.settled_by(task).is_some();
        match &task.remake {
            Some(remake) if remake.alone && settled => {
                // Made by today's recipe already, and due for nothing else.
                Ok(ended(self.same_bytes(task, task.known.clone())))
            }
            Some(remake) if remake.alone => {
                match self.made_of_original(task, known_validators(task)).await? {
                    Some(tried) => Ok(tried),
                    None => self.ask(task, Validators::default()).await,
                }
            }
            // Validators are sent only where a 304 leaves nothing to do, or what
            // there is to do can be done from our own copy.
            Some(_) | None if settled || self.kept_original(task).is_some() => {
                self.ask(task, known_validators(task)).await
            }
            Some(_) | None => self.ask(task, Validators::default()).await,
        }
    }

    async fn ask(&self, task: &ImageTask, validators: Validators) -> Result<Tried, Ending> {
        let mut validators = validators;
        loop {
            let conditional = !validators.is_empty();
            let request = match self.request(task, validators) {
                Ok(request) => request,
                Err(refused) => return Ok(ended(*refused)),
            };
            self.ports.metrics.record(Metric::ImageRequests {
                conditional,
                count: 1,
            });
            match self.way.fetcher().fetch_bytes(&request).await {
                Ok(Fetched::NotModified(answer)) => {
                    if self.settled_by(task).is_some() {
                        return Ok(ended(self.not_modified(task, answer)));
                    }
                    if let Some(tried) = self.made_of_original(task, answer.validators).await? {
                        return Ok(tried);
                    }
                    // The original was not kept, so that the bytes have to come:
                    // a request without validators has no such answer.
                    validators = Validators::default();
                }
                Ok(Fetched::Body(response)) => return self.received(task, response).await,
                Err(error) if error.class() == FetchClass::Cancelled => {
                    // That says something of this delivery and nothing of the image.
                    self.ctx.step().await?;
                    return Err(Ending::HandedBack);
                }
                Err(error) => return Ok(failed(task, &error)),
            }
        }
    }

    /// Where the source of variants by an earlier recipe is, if it was kept.
    fn kept_original(&self, task: &ImageTask) -> Option<String> {
        if self.options.originals == Originals::Drop {
            return None;
        }
        let format = SourceFormat::parse(&task.remake.as_ref()?.format)?;
        Some(original_key(task.known.sha256.as_deref()?, format))
    }

    /// Makes the variants of the source that was kept; `None` where it is not
    /// there, or is not what it was.
    async fn made_of_original(
        &self,
        task: &ImageTask,
        validators: Validators,
    ) -> Result<Option<Tried>, Ending> {
        let Some(key) = self.kept_original(task) else {
            return Ok(None);
        };
        let look = self.removals.look().await.map_err(document_failure)?;
        let body = match self.ports.blobs.get(&key, None).await {
            Ok(body) => body,
            Err(BlobError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(blob_failure(format!("read image {key}"), &error)),
        };
        let stays = self.removals.stays(&look, &key).await;
        let original = Original {
            body: body.clone(),
            is_stored: matches!(stays.map_err(document_failure)?, Stays::Yes),
        };
        let seen = self.render(body, None).await?;
        if task.known.sha256.as_ref() != Some(&seen.sha256) {
            tracing::warn!(%key, "the original {key} is damaged: the image is fetched again; `trawler images verify --repair` mends what is stored");
            return Ok(None);
        }
        let tried = self.seen(task, seen, validators, Some(original)).await?;
        Ok(Some(tried))
    }

    fn standing(&self, task: &ImageTask) -> Standing {
        self.policy.standing(&task.known, self.studio.recipe())
    }

    /// The hash of the bytes that would tell all: their variants are stored,
    /// all of them, or are not wanted.
    fn settled_by(&self, task: &ImageTask) -> Option<String> {
        let is_open = self.standing(task) == Standing::Open;
        task.known.sha256.clone().filter(|_| !is_open)
    }

    /// What the same bytes as before mean now.
    fn same_bytes(&self, task: &ImageTask, known: KnownImage) -> ImageOutcome {
        match self.standing(task) {
            Standing::Placeholder(reason) => ImageOutcome {
                known: KnownImage {
                    recipe: Some(PLACEHOLDER_RECIPE.to_owned()),
                    ..known
                },
                ..outcome(task, ImageStatus::Placeholder, reason)
            },
            Standing::Settled | Standing::Open => ImageOutcome {
                known,
                ..outcome(task, ImageStatus::Unchanged, String::new())
            },
        }
    }

    fn not_modified(&self, task: &ImageTask, answer: NotModified) -> ImageOutcome {
        let known = KnownImage {
            etag: answer.validators.etag,
            last_modified: answer.validators.last_modified,
            ..task.known.clone()
        };
        self.same_bytes(task, known)
    }

    fn request(
        &self,
        task: &ImageTask,
        validators: Validators,
    ) -> Result<Request, Box<ImageOutcome>> {
        let bad = |reason: String| Box::new(outcome(task, ImageStatus::BadUrl, reason));
        let bytes_max = self.options.source_bytes_max;
        let limits = Limits {
            raw_bytes_max: bytes_max,
            decoded_bytes_max: bytes_max,
            redirects_max: self.options.redirects_max,
            timeouts: Timeouts {
                first_byte_ms: self.options.first_byte_ms,
                idle_ms: self.options.idle_ms,
                whole_ms: self.options.whole_ms,
            },
        };
        // The pipe's bounds keep the rate above 0; a pipe that was not checked
        // is fetched without an interval rather than not at all.
        let interval = Duration::try_from_secs_f64(1.0 / self.pipe.fetch.rate_per_s);
        let own = self.pipe.images.user_agent.as_ref();
        let user_agent = own.unwrap_or(&self.options.user_agent);
        let mut request = Request::get(&task.url)
            .map_err(|error| Box::new(failed(task, &error).outcome))?
            .accept("image/*,*/*;q=0.5")
            .and_then(|request| request.user_agent(user_agent))
            .map_err(|error| bad(error.to_string()))?
            .limits(limits)
            .validators(validators)
            .interval_min(interval.unwrap_or_default())
            .at_once(self.pipe.id.as_str(), self.pipe.fetch.concurrency)
            .observer(self.counter())
            .cancel(self.ctx.cancelled());
        if let Some(referer) = &self.pipe.images.referer {
            request = request
                .referer(referer.as_str())
                .map_err(|error| bad(error.to_string()))?;
        }
        Ok(self.way.on(request))
    }

    /// Counts what comes, whatever becomes of it: a body that is too large has
    /// been paid for too.
    fn counter(&self) -> Observer {
        let metrics = Arc::clone(&self.ports.metrics);
        Arc::new(move |seen| {
            let bytes = seen.piece_bytes;
            metrics.record(Metric::ImageBytesDown { bytes });
        })
    }

    async fn received(&self, task: &ImageTask, response: Response<Bytes>) -> Result<Tried, Ending> {
        let original = (self.options.originals == Originals::Keep).then(|| Original {
            body: response.body.clone(),
            is_stored: false,
        });
        let seen = self.render(response.body, self.settled_by(task)).await?;
        self.seen(task, seen, response.validators, original).await
    }

    async fn render(&self, body: Bytes, known_sha256: Option<String>) -> Result<Seen, Ending> {
        let policy = Arc::clone(self.policy);
        let rendered = self.studio.render(body, known_sha256, policy).await;
        rendered.map_err(|error| Ending::Failed(Failure::transient(error.to_string())))
    }

    async fn seen(
        &self,
        task: &ImageTask,
        seen: Seen,
        validators: Validators,
        original: Option<Original>,
    ) -> Result<Tried, Ending> {
        let known = KnownImage {
            sha256: Some(seen.sha256),
            etag: validators.etag,
            last_modified: validators.last_modified,
            ..task.known.clone()
        };
        match seen.rendered {
            Ok(None) => Ok(ended(self.same_bytes(task, known))),
            Ok(Some(rendition)) => self.stored(task, known, rendition, original).await,
            Err(Refused { error, facts }) => match error.status() {
                // Nothing is known that would make the next request
                // conditional: it has to bring the bytes, whatever they are.
                Some(status) => Ok(ended(ImageOutcome {
                    source: facts.as_deref().map(SourceFacts::from),
                    ..outcome(task, status, error.to_string())
                })),
                None => Err(Ending::Failed(Failure::permanent(format!(
                    "make the variants of {}: {error}",
                    task.url
                )))),
            },
        }
    }

    async fn stored(
        &self,
        task: &ImageTask,
        known: KnownImage,
        rendition: Rendition,
        original: Option<Original>,
    ) -> Result<Tried, Ending> {
        let source = SourceFacts::from(&rendition.facts);
        let reason = rendition.remark().unwrap_or_default();
        let recipe = self.studio.recipe();
        let (status, recipe) = match (&rendition.placeholder, source.damaged) {
            (Some(_), _) => (ImageStatus::Placeholder, PLACEHOLDER_RECIPE.to_owned()),
            (None, Some(_)) => (ImageStatus::Stored, recipe_of_damaged(recipe)),
            (None, None) => (ImageStatus::Stored, recipe.to_owned()),
        };
        let known = KnownImage {
            recipe: Some(recipe),
            phash: source.phash,
            ..known
        };
        let mut variants = Vec::with_capacity(rendition.variants.len());
        for variant in rendition.variants {
            variants.push(StoredVariant::from(&variant));
            let content_type = variant.format.content_type();
            self.put(&variant.key, variant.data.into(), content_type)
                .await?;
        }
        if let Some(original) = original.filter(|_| status == ImageStatus::Stored) {
            variants.push(self.keep(&rendition.facts, original).await?);
        }
        let stored = outcome(task, status, reason);
        Ok(ended(ImageOutcome {
            source: Some(source),
            known,
            variants,
            ..stored
        }))
    }

    /// Keeps the source, which has the name of its content as its variants do,
    /// and is listed behind them: what looks after stored images needs to know
    /// nothing of originals.
    async fn keep(&self, facts: &Facts, original: Original) -> Result<StoredVariant, Ending> {
        let key = original_key(&facts.sha256, facts.format);
        let bytes = original.body.len() as u64;
        if !original.is_stored {
            self.put(&key, original.body, facts.format.content_type())
                .await?;
        }
        Ok(StoredVariant {
            name: ORIGINAL.to_owned(),
            key,
            width: facts.width,
            height: facts.height,
            bytes,
            sha256: facts.sha256.clone(),
        })
    }

    /// Stored when it returns, and no removal takes it away: see
    /// [`trawler_core::removal`].
    async fn put(&self, key: &str, body: Bytes, content_type: &'static str) -> Result<(), Ending> {
        let bytes = body.len() as u64;
        let meta = BlobMeta {
            content_type,
            immutable: true,
        };
        for _ in 0..PUTS_MAX {
            let look = self.removals.look().await.map_err(document_failure)?;
            let put = self.ports.blobs.put(key, body.clone(), meta).await;
            let put = put.map_err(|error| blob_failure(format!("store image {key}"), &error))?;
            if put == Put::Created {
                self.ports.metrics.record(Metric::ImagesStored { count: 1 });
                self.ports.metrics.record(Metric::ImageBytesUp { bytes });
            }
            match self
                .removals
                .stays(&look, key)
                .await
                .map_err(document_failure)?
            {
                Stays::Yes => return Ok(()),
                Stays::PutAgain => {}
                Stays::NotBefore(due) => {
                    let reason = "unused images are being removed, and this is one of them";
                    return Err(Ending::NotBefore {
                        due,
                        reason: reason.to_owned(),
                    });
                }
            }
        }
        Err(Ending::Failed(Failure::transient(format!(
            "store image {key}: it was removed while it was stored, {PUTS_MAX} times"
        ))))
    }
}

/// The bytes of a source that is to be kept.
struct Original {
    body: Bytes,
    /// Whether it lies under its key, and no removal takes it away.
    is_stored: bool,
}

fn known_validators(task: &ImageTask) -> Validators {
    Validators {
        etag: task.known.etag.clone(),
        last_modified: task.known.last_modified.clone(),
    }
}

fn document_failure(error: ManifestError) -> Ending {
    Ending::Failed(Failure::from(error))
}

fn blob_failure(what: String, error: &BlobError) -> Ending {
    let reason = format!("{what}: {error}");
    Ending::Failed(if error.is_transient() {
        Failure::transient(reason)
    } else {
        Failure::permanent(reason)
    })
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

fn ended(outcome: ImageOutcome) -> Tried {
    Tried {
        outcome,
        again: None,
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
        FetchClass::Decode => ImageStatus::Corrupt,
        FetchClass::Status(StatusClass::NotFound | StatusClass::Gone) => ImageStatus::NotFound,
        FetchClass::Status(
            StatusClass::Forbidden | StatusClass::Unauthorized | StatusClass::Client,
        ) => ImageStatus::Blocked,
        FetchClass::Dns
        | FetchClass::Connect
        | FetchClass::Tls
        | FetchClass::TooManyRedirects
        | FetchClass::RedirectLoop
        | FetchClass::Protocol
        | FetchClass::Cancelled
        | FetchClass::Disk
        | FetchClass::HostGivenUp
        | FetchClass::Proxy
        | FetchClass::Status(StatusClass::TooManyRequests | StatusClass::Server) => {
            ImageStatus::Unreachable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_fetches_have_their_status() {
        let check = |class, expected| assert_eq!(status_of(class), expected, "{class:?}");
        let answered = |status| FetchClass::Status(StatusClass::of(status));
        check(FetchClass::Timeout, ImageStatus::Timeout);
        check(FetchClass::Truncated, ImageStatus::Truncated);
        check(FetchClass::TooLarge, ImageStatus::TooLarge);
        check(FetchClass::Decode, ImageStatus::Corrupt);
        check(FetchClass::RefusedAddress, ImageStatus::RefusedAddress);
        check(FetchClass::BadUrl, ImageStatus::BadUrl);
        check(FetchClass::Dns, ImageStatus::Unreachable);
        check(FetchClass::Tls, ImageStatus::Unreachable);
        check(FetchClass::RedirectLoop, ImageStatus::Unreachable);
        check(answered(404), ImageStatus::NotFound);
        check(answered(410), ImageStatus::NotFound);
        check(answered(403), ImageStatus::Blocked);
        check(answered(400), ImageStatus::Blocked);
        check(answered(429), ImageStatus::Unreachable);
        check(answered(502), ImageStatus::Unreachable);
    }
}
