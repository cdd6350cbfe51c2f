//! From a request to an answer: what a path leads to.
//!
//! Answers are made here without knowledge of connections. Work that takes the processor for long
//! (rendering feeds, sitemaps and pictures) runs on blocking threads, behind a number of permits.
//! Validators are in `answer`, faults in `misbehave`.

mod answer;
mod misbehave;
mod pages;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{Method, StatusCode, header};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub(crate) use self::answer::{Answer, Ask};
use self::answer::{Version, accepts};
use crate::body::{FeedWriter, Source};
use crate::bomb::bomb;
use crate::fault::Faults;
use crate::feed::render_feed;
use crate::image::{ImageCache, dimensions, render_image};
use crate::model::Model;
use crate::number::mix;
use crate::site;
use crate::site_spec::{BombCoding, SitemapStyle};
use crate::spec::{Compression, FeedFormat, Packing};
use crate::stats::{Counters, Kind};

/// Feeds up to this size are sent with `Content-Length`, larger ones chunked.
const FEED_WHOLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Feeds rendered at once: with what is held back for the length, 64 MiB.
const FEEDS_AT_ONCE: usize = 16;
/// Pictures rendered at once; more would only fight over the processors.
const IMAGES_AT_ONCE: usize = 2;
/// Rendered pictures kept in memory.
const IMAGE_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Everything that requests share.
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) day: AtomicU32,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tasks: TaskTracker,
    count: AtomicU64,
    /// Bombs by coding and size; a shop has a few.
    bombs: Mutex<HashMap<(BombCoding, u64), Bytes>>,
    images: Mutex<ImageCache>,
    image_permits: Arc<Semaphore>,
    feed_permits: Arc<Semaphore>,
}

/// Takes a lock; what it guards stays usable after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    pub(crate) fn new(model: Model) -> Self {
        let spec = model.spec();
        State {
            day: AtomicU32::new(0),
            faults: Mutex::new(Faults::new(spec.seed, spec.misbehaviour.clone())),
            counters: Arc::new(Counters::new(spec.seen_max)),
            tasks: TaskTracker::new(),
            count: AtomicU64::new(0),
            bombs: Mutex::default(),
            images: Mutex::new(ImageCache::new(IMAGE_CACHE_BYTES)),
            image_permits: Arc::new(Semaphore::new(IMAGES_AT_ONCE)),
            feed_permits: Arc::new(Semaphore::new(FEEDS_AT_ONCE)),
            model,
        }
    }

    /// The answer to a request that meets no fault.
    pub(crate) async fn answer(self: &Arc<Self>, ask: &Ask<'_>) -> io::Result<Answer> {
        if !matches!(*ask.method, Method::GET | Method::HEAD) {
            let source = Source::empty();
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let mut answer = Answer::new(status, "text/plain; charset=utf-8", source);
            answer.set(header::ALLOW, "GET, HEAD");
            return Ok(answer);
        }
        let day = self.day.load(Ordering::Relaxed);
        match Kind::of(ask.path) {
            Kind::Feed => self.feed(ask, day).await,
            Kind::Image => self.image(ask, day).await,
            Kind::Page => self.page(ask, day).await,
            Kind::Sitemap => self.sitemap(ask, day).await,
            Kind::Robots => {
                let text = site::robots(&self.model).into();
                Ok(Answer::new(
                    StatusCode::OK,
                    "text/plain; charset=utf-8",
                    Source::Whole(text),
                ))
            }
            Kind::Other if ask.path == site::FORBIDDEN => {
                Ok(self.html(&site::simple(&self.model, "장바구니", "비어 있습니다.")))
            }
            Kind::Other if ask.path.starts_with("/search") => {
                Ok(self.html(&site::simple(&self.model, "검색", "찾는 상품이 없습니다.")))
            }
            Kind::Other if ask.path.starts_with("/trap/") => self.trap(ask, day).await,
            Kind::Other => Ok(Answer::not_found()),
        }
    }

    async fn feed(self: &Arc<Self>, ask: &Ask<'_>, day: u32) -> io::Result<Answer> {
        let spec = self.model.spec();
        let Some((format, in_path)) = feed_of(ask.path) else {
            return Ok(Answer::not_found());
        };
        let coding = (spec.packing == Packing::ContentEncoding && in_path == Compression::None)
            .then(|| spec.compression.coding())
            .flatten()
            .filter(|coding| accepts(ask.headers, coding));
        let compression = if coding.is_some() {
            spec.compression
        } else {
            in_path
        };
        let content_day = match format {
            // A summary says what the day itself brought.
            FeedFormat::NaverEpSummary => day,
            _ => self.model.content_day(day),
        };
        let version = Version {
            tag: self.tag(&[1, format as u64, compression as u64, u64::from(content_day)]),
            modified: self.model.published(content_day),
            told: spec.validators.feed,
        };
        let mut answer = match version.unchanged(ask) {
            Some(answer) => answer,
            None => {
                let content_type = match in_path.media_type() {
                    Some(packed) => packed.to_owned(),
                    None => format!("{}; charset={}", format.media_type(), spec.charset.label()),
                };
                let source = self.rendered_feed(format, compression, day).await?;
                Answer::new(StatusCode::OK, &content_type, source)
            }
        };
        version.mark(&mut answer);
        if let Some(coding) = coding {
            answer.set(header::CONTENT_ENCODING, coding);
        }
        if spec.packing == Packing::ContentEncoding {
            answer.set(header::VARY, "Accept-Encoding");
        }
        Ok(answer)
    }

    async fn rendered_feed(
        self: &Arc<Self>,
        format: FeedFormat,
        compression: Compression,
        day: u32,
    ) -> io::Result<Source> {
        let permit = Arc::clone(&self.feed_permits)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (feed, pieces) = Source::channel();
        let state = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            let _permit = permit;
            let mut writer = FeedWriter::new(feed);
            let outcome = render_feed(&state.model, format, compression, day, &mut writer);
            writer.finish(outcome.map(|_| ()));
        });
        Source::collected(pieces, FEED_WHOLE_BYTES_MAX).await
    }

    async fn image(self: &Arc<Self>, ask: &Ask<'_>, day: u32) -> io::Result<Answer> {
        let spec = self.model.spec();
        let Some((image, moves)) = self.image_of(ask.path, day) else {
            return Ok(Answer::not_found());
        };
        let state = self.model.image(image, day);
        if !ask.path.ends_with(state.format.extension()) || moves > state.moves || state.broken {
            return Ok(Answer::not_found());
        }
        if moves < state.moves {
            let location = format!("{}{}", self.model.image_base_url(), state.path());
            return Ok(Answer::redirect(StatusCode::MOVED_PERMANENTLY, &location));
        }
        let seed = self.model.image_seed(&state);
        let version = Version {
            tag: mix(seed, u64::from(spec.image_px)),
            modified: self.model.published(state.version_day),
            told: spec.validators.images,
        };
        let mut answer = match version.unchanged(ask) {
            Some(answer) => answer,
            None => {
                let (width, height) = dimensions(spec.image_shape, image, spec.image_px);
                let cached = lock(&self.images).get(seed);
                let bytes = match cached {
                    Some(bytes) => bytes,
                    None => {
                        let work = move || render_image(seed, width, height, state.format);
                        let bytes = Bytes::from(self.off_reactor(work).await??);
                        lock(&self.images).put(seed, bytes.clone());
                        bytes
                    }
                };
                Answer::new(
                    StatusCode::OK,
                    state.format.media_type(),
                    Source::Whole(bytes),
                )
            }
        };
        version.mark(&mut answer);
        Ok(answer)
    }

    /// The picture and the number of moves in a path such as `/img/12-0.jpg`.
    fn image_of(&self, path: &str, day: u32) -> Option<(u64, u32)> {
        let name = path.strip_prefix("/img/")?;
        let (stem, _) = name.split_once('.')?;
        let (image, moves) = stem.split_once('-')?;
        let (image, moves): (u64, u32) = (image.parse().ok()?, moves.parse().ok()?);
        let exists = match self.model.spec().images_distinct {
            0 => {
                self.model.image_ids(image as u32).contains(&image)
                    && (image as u32) < self.model.universe(day)
            }
            distinct => image < u64::from(distinct),
        };
        exists.then_some((image, moves))
    }

    async fn sitemap(self: &Arc<Self>, ask: &Ask<'_>, day: u32) -> io::Result<Answer> {
        let Some(file) = self.sitemap_file(ask.path, day) else {
            return Ok(Answer::not_found());
        };
        let content_day = self.model.content_day(day);
        let version = Version {
            tag: self.tag(&[5, file.number(), u64::from(content_day)]),
            modified: self.model.published(content_day),
            told: self.model.spec().validators.pages,
        };
        let mut answer = match version.unchanged(ask) {
            Some(answer) => answer,
            None => {
                let state = Arc::clone(self);
                let bytes = self.off_reactor(move || file.bytes(&state.model, day));
                let source = Source::Whole(Bytes::from(bytes.await??));
                Answer::new(StatusCode::OK, file.media_type(), source)
            }
        };
        version.mark(&mut answer);
        Ok(answer)
    }

    /// What a path of the sitemap leads to.
    fn sitemap_file(&self, path: &str, day: u32) -> Option<SitemapFile> {
        if path == "/sitemap.xml" {
            return Some(SitemapFile::Index);
        }
        let extra = site::EXTRA_SITEMAPS.into_iter().find(|(p, _)| *p == path);
        if let Some((_, extra)) = extra {
            let mixed = self.model.spec().site.sitemap == SitemapStyle::Mixed;
            return mixed.then_some(SitemapFile::Extra(extra));
        }
        let packed = path.ends_with(".gz");
        let name = path.strip_suffix(".gz").unwrap_or(path);
        let part = name.strip_prefix("/sitemap-")?.strip_suffix(".xml")?;
        let part: u32 = part.parse().ok()?;
        let exists = part < site::part_count(&self.model, day)
            && packed == site::is_part_packed(&self.model, part);
        exists.then_some(SitemapFile::Part { part, packed })
    }

    /// Runs work on a blocking thread, behind the permits for pictures.
    async fn off_reactor<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let permit = Arc::clone(&self.image_permits)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        self.tasks
            .spawn_blocking(work)
            .await
            .map_err(io::Error::other)
    }

    /// Counts requests of traps, so that no two of them show the same.
    fn next_count(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// A bomb, made once.
    async fn bomb(&self, coding: BombCoding, decoded_bytes: u64) -> io::Result<Bytes> {
        let key = (coding, decoded_bytes);
        let made = lock(&self.bombs).get(&key).cloned();
        if let Some(bytes) = made {
            return Ok(bytes);
        }
        let bytes = self
            .off_reactor(move || bomb(coding, decoded_bytes))
            .await??;
        let bytes = Bytes::from(bytes);
        lock(&self.bombs).insert(key, bytes.clone());
        Ok(bytes)
    }

    fn tag(&self, parts: &[u64]) -> u64 {
        // The base URL is in every body, so it belongs to the version.
        let base = self.model.base_url().bytes().map(u64::from);
        base.chain(parts.iter().copied())
            .fold(self.model.spec().seed, mix)
    }
}

/// The format and compression of a feed's path.
fn feed_of(path: &str) -> Option<(FeedFormat, Compression)> {
    FeedFormat::ALL.into_iter().find_map(|format| {
        let suffix = path.strip_prefix(format.path())?;
        let compression = Compression::ALL
            .into_iter()
            .find(|c| c.suffix() == suffix)?;
        Some((format, compression))
    })
}

/// One file of the sitemap.
#[derive(Clone, Copy)]
enum SitemapFile {
    Index,
    Part { part: u32, packed: bool },
    Extra(site::Extra),
}

impl SitemapFile {
    /// A number of its own for each.
    fn number(self) -> u64 {
        match self {
            SitemapFile::Index => u64::MAX,
            SitemapFile::Part { part, .. } => u64::from(part),
            SitemapFile::Extra(extra) => (1 << 32) + extra as u64,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            SitemapFile::Part { packed: true, .. } => "application/gzip",
            SitemapFile::Extra(site::Extra::Rss) => "application/rss+xml",
            SitemapFile::Extra(site::Extra::Atom) => "application/atom+xml",
            SitemapFile::Extra(site::Extra::Text) => "text/plain; charset=utf-8",
            _ => "application/xml",
        }
    }

    fn bytes(self, model: &Model, day: u32) -> io::Result<Vec<u8>> {
        let text = match self {
            SitemapFile::Index => site::sitemap_index(model, day),
            SitemapFile::Part { part, .. } => {
                site::sitemap_part(model, part, day).unwrap_or_default()
            }
            SitemapFile::Extra(extra) => site::extra_sitemap(model, extra, day).unwrap_or_default(),
        };
        if !matches!(self, SitemapFile::Part { packed: true, .. }) {
            return Ok(text.into_bytes());
        }
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        io::Write::write_all(&mut packer, text.as_bytes())?;
        packer.finish()
    }
}
