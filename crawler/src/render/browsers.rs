//! The browsers of one process: at most so many, started when first needed,
//! shared by all crawls, ended with the last crawl that used them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use trawler_fleet::HeldFolder;
use trawler_net::Fetcher;

use super::browser::Running;
use super::find::{NoChromium, find_chromium};
use super::session::{Session, SessionOptions, Way};
use super::{BrowserSettings, RenderError, memory};

/// All browsers of a process.
pub struct Browsers {
    settings: BrowserSettings,
    room: Arc<Semaphore>,
    idle: Mutex<Idle>,
    started: AtomicU64,
    /// Once what earlier processes left is gone.
    swept: OnceCell<()>,
}

#[derive(Default)]
struct Idle {
    browsers: Vec<Running>,
    /// Crawls that may need them.
    sessions: usize,
}

/// A browser for one page. Ended when dropped, unless it is given back.
pub(super) struct Lease {
    browsers: Arc<Browsers>,
    running: Option<Running>,
    _permit: OwnedSemaphorePermit,
}

impl Browsers {
    /// None runs yet.
    pub fn new(settings: BrowserSettings) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(settings.browsers.max(1))),
            idle: Mutex::default(),
            started: AtomicU64::new(0),
            swept: OnceCell::new(),
            settings,
        })
    }

    /// The program, or that there is none: asked before a crawl begins.
    pub fn chromium(&self) -> Result<PathBuf, NoChromium> {
        find_chromium(self.settings.chromium.as_deref())
    }

    /// Opens the browsers for a crawl that goes to the network by way of
    /// `fetcher`.
    pub async fn session(
        self: &Arc<Self>,
        fetcher: &Fetcher,
        options: SessionOptions,
    ) -> Result<Session, RenderError> {
        self.chromium()?;
        let session = Session::open(Arc::clone(self), fetcher, options).await?;
        self.idle(|idle| idle.sessions += 1);
        Ok(session)
    }

    /// How many browsers were started so far.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Memory of the browsers that wait for a page.
    pub fn memory_bytes(&self) -> u64 {
        let group = |running: &Running| memory::of_group(running.process.group()).0;
        self.idle(|idle| idle.browsers.iter().map(group).sum())
    }

    pub(super) fn settings(&self) -> &BrowserSettings {
        &self.settings
    }

    /// A crawl is over; with the last, the browsers end.
    pub(super) fn one_less(&self) {
        let over = self.idle(|idle| {
            idle.sessions = idle.sessions.saturating_sub(1);
            match idle.sessions {
                0 => std::mem::take(&mut idle.browsers),
                _ => Vec::new(),
            }
        });
        drop(over);
    }

    pub(super) async fn lease(self: &Arc<Self>, way: &Arc<Way>) -> Result<Lease, RenderError> {
        let permit = Arc::clone(&self.room).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let mut lease = Lease {
            browsers: Arc::clone(self),
            running: None,
            _permit: permit,
        };
        // One that ended while it had nothing to do is left behind.
        while let Some(mut running) = self.idle(|idle| idle.take(way)) {
            if running.process.runs() {
                lease.running = Some(running);
                return Ok(lease);
            }
        }
        let program = self.chromium()?;
        self.swept.get_or_init(|| self.sweep()).await;
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("browser-{}-{number}", std::process::id());
        let profile = self.settings.profiles.join(name);
        let running = Running::start(&program, &profile, &self.settings).await?;
        lease.running = Some(running);
        Ok(lease)
    }

    async fn sweep(&self) {
        let profiles = self.settings.profiles.clone();
        let swept = tokio::task::spawn_blocking(move || HeldFolder::sweep(&profiles)).await;
        if let Err(error) = swept {
            tracing::warn!("what earlier browsers left cannot be removed: {error}");
        }
    }

    fn idle<T>(&self, work: impl FnOnce(&mut Idle) -> T) -> T {
        work(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Idle {
    /// One that the crawl has used before, or any.
    fn take(&mut self, way: &Arc<Way>) -> Option<Running> {
        let known = self.browsers.iter().position(|running| running.knows(way));
        match known {
            Some(at) => Some(self.browsers.swap_remove(at)),
            None => self.browsers.pop(),
        }
    }
}

impl Lease {
    pub(super) fn browser(&mut self) -> &mut Running {
        let running = self.running.as_mut();
        running.expect("it is there until it is given back or ended")
    }

    /// For the next page, if it is not worn out.
    pub(super) fn give_back(mut self) {
        let running = self.running.take();
        let pages_max = self.browsers.settings.pages_max;
        if let Some(running) = running.filter(|running| running.pages < pages_max) {
            self.browsers.idle(|idle| {
                if idle.sessions > 0 {
                    idle.browsers.push(running);
                }
            });
        }
    }

    /// Ends it, and waits until it has.
    pub(super) async fn end(mut self) {
        if let Some(running) = self.running.take() {
            running.process.end().await;
        }
    }
}
