//! One browser that runs: its processes, the connection that drives it, and a
//! context for each crawl that has used it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

use chromiumoxide::browser::Browser;
use chromiumoxide::cdp::browser_protocol::browser::{
    BrowserContextId, SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use chromiumoxide::cdp::browser_protocol::target::{
    CloseTargetParams, CreateBrowserContextParams, CreateTargetParams,
};
use chromiumoxide::handler::HandlerConfig;
use chromiumoxide::handler::viewport::Viewport;
use chromiumoxide::page::Page;
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::timeout;
use trawler_fleet::HeldFolder;
use trawler_net::JarCookie;

use super::RenderError;
use super::arguments::arguments;
use super::cookies;
use super::introduce::introduce;
use super::process::Process;
use super::relay::Relay;
use super::session::Way;
use super::settings::BrowserSettings;
use super::turns::Cached;

/// Crawls whose cookies and scripts one browser keeps; that of the crawl that
/// came first makes room.
const CONTEXTS_MAX: usize = 8;

/// As wide as a desk's screen, and long, so that what is only built when it is
/// seen is seen.
const WIDTH: u32 = 1_280;
const HEIGHT: u32 = 2_400;

/// A browser that does not close a page within this long is ended.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A browser that runs, at one crawl's service at a time.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) pages: u32,
    _profile: HeldFolder,
    browser: Browser,
    contexts: Vec<Context>,
    /// Drives the connection, and keeps it within bounds.
    _tasks: JoinSet<()>,
}

/// What a crawl has in this browser: cookies, cache and way to the network of
/// its own.
struct Context {
    of: Weak<Way>,
    id: BrowserContextId,
    cached: Arc<Cached>,
}

/// A page with what was lent for it.
pub(super) struct Opened {
    pub(super) page: Page,
    pub(super) cached: Arc<Cached>,
    context: BrowserContextId,
    lent: Vec<JarCookie>,
}

impl Running {
    pub(super) async fn start(
        program: &Path,
        profile: &Path,
        settings: &BrowserSettings,
    ) -> Result<Self, RenderError> {
        let start = |why: String| RenderError::Start {
            path: program.to_owned(),
            why,
        };
        let folder = profile.to_owned();
        let made = tokio::task::spawn_blocking(move || HeldFolder::make(folder)).await;
        let made = made.map_err(std::io::Error::other).and_then(|made| made);
        let made = made.map_err(|error| start(format!("make {}: {error}", profile.display())))?;
        let profile = made.path();
        let is_root = is_root();
        if is_root {
            warn_of_root();
        }
        let arguments = arguments(profile, &settings.user_agent, is_root);
        let (process, address) = Process::start(program, profile, &arguments).await?;
        let mut tasks = JoinSet::new();
        // HTML comes as JSON, in which a character takes up to six bytes.
        let message_max = settings.html_bytes_max.saturating_mul(6) + (1 << 20);
        let relay = Relay::bind(&address, message_max).await;
        let (relay, address) = relay.map_err(|why| start(why.to_string()))?;
        tasks.spawn(relay.run());
        let config = HandlerConfig {
            ignore_https_errors: false,
            viewport: Some(Viewport {
                width: WIDTH,
                height: HEIGHT,
                ..Viewport::default()
            }),
            request_timeout: settings.page_wait + Duration::from_secs(5),
            request_intercept: true,
            cache_enabled: true,
            ..HandlerConfig::default()
        };
        let (browser, mut handler) = Browser::connect_with_config(address, config).await?;
        tasks.spawn(async move { while let Some(Ok(())) = handler.next().await {} });
        Ok(Self {
            process,
            pages: 0,
            _profile: made,
            browser,
            contexts: Vec::new(),
            _tasks: tasks,
        })
    }

    pub(super) fn knows(&self, way: &Arc<Way>) -> bool {
        self.contexts.iter().any(|context| context.is_of(way))
    }

    /// A page of the crawl's own context.
    pub(super) async fn page(&mut self, way: &Arc<Way>) -> Result<Opened, RenderError> {
        self.pages += 1;
        let known = self.contexts.iter().find(|context| context.is_of(way));
        let (context, cached) = match known {
            Some(known) => (known.id.clone(), Arc::clone(&known.cached)),
            None => self.context(way).await?,
        };
        let lent = cookies::lend(&self.browser, &context, way).await?;
        let page = self.blank(context.clone()).await?;
        Ok(Opened {
            page,
            cached,
            context,
            lent,
        })
    }

    async fn blank(&self, context: BrowserContextId) -> Result<Page, RenderError> {
        let mut target = CreateTargetParams::new("about:blank");
        target.browser_context_id = Some(context);
        Ok(self.browser.new_page(target).await?)
    }

    /// Ends a page that is built; the crawl gets its cookies.
    pub(super) async fn put_away(&self, opened: &Opened, way: &Way) -> Result<(), RenderError> {
        self.close(&opened.page).await?;
        let Opened { context, lent, .. } = opened;
        let taken = cookies::take_back(&self.browser, context, way, lent);
        timeout(CLOSE_WAIT, taken)
            .await
            .map_err(|_| RenderError::Ended)?
    }

    async fn close(&self, page: &Page) -> Result<(), RenderError> {
        let close = CloseTargetParams::new(page.target_id().clone());
        let closed = timeout(CLOSE_WAIT, self.browser.execute(close)).await;
        closed.map_err(|_| RenderError::Ended)??;
        Ok(())
    }

    async fn context(
        &mut self,
        way: &Arc<Way>,
    ) -> Result<(BrowserContextId, Arc<Cached>), RenderError> {
        self.forget().await?;
        let params = CreateBrowserContextParams::builder()
            .dispose_on_detach(true)
            .proxy_server(format!("http://{}", way.address))
            .proxy_bypass_list("<-loopback>")
            .build();
        let id = self.browser.create_browser_context(params).await?;
        let mut downloads = SetDownloadBehaviorParams::new(SetDownloadBehaviorBehavior::Deny);
        downloads.browser_context_id = Some(id.clone());
        self.browser.execute(downloads).await?;
        let first = self.blank(id.clone()).await?;
        introduce(&first, way).await?;
        self.close(&first).await?;
        let cached = Arc::new(Cached::default());
        self.contexts.push(Context {
            of: Arc::downgrade(way),
            id: id.clone(),
            cached: Arc::clone(&cached),
        });
        Ok((id, cached))
    }

    /// Lets go of the contexts of crawls that are over, and of one if there
    /// are too many.
    async fn forget(&mut self) -> Result<(), RenderError> {
        let (kept, over): (Vec<_>, Vec<_>) = std::mem::take(&mut self.contexts)
            .into_iter()
            .partition(|context| context.of.strong_count() > 0);
        self.contexts = kept;
        let more = self.contexts.len() >= CONTEXTS_MAX;
        let oldest = more.then(|| self.contexts.remove(0));
        for context in over.into_iter().chain(oldest) {
            self.browser.dispose_browser_context(context.id).await?;
        }
        Ok(())
    }
}

impl Context {
    fn is_of(&self, way: &Arc<Way>) -> bool {
        self.of.as_ptr() == Arc::as_ptr(way)
    }
}

/// By whom this very process belongs to.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn warn_of_root() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            "Trawler runs as root, where Chromium starts without its sandbox alone; \
             run it as another user to have pages built inside the sandbox"
        );
    });
}
