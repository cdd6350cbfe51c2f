//! One page in a browser, from what came to what its scripts made of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chromiumoxide::auth::Credentials;
use chromiumoxide::cdp::browser_protocol::fetch::{
    ContinueRequestParams, EnableParams, EventRequestPaused, FailRequestParams,
    FulfillRequestParams, HeaderEntry, RequestPattern,
};
use chromiumoxide::cdp::browser_protocol::network::{
    ErrorReason, EventLoadingFailed, EventLoadingFinished, EventRequestWillBeSent, RequestId,
    SetCacheDisabledParams,
};
use chromiumoxide::cdp::browser_protocol::page::{
    CreateIsolatedWorldParams, EventLifecycleEvent, FrameId, NavigateParams,
};
use chromiumoxide::cdp::browser_protocol::{log, performance, storage};
use chromiumoxide::cdp::js_protocol::runtime::{self, EvaluateParams};
use chromiumoxide::listeners::EventStream;
use chromiumoxide::page::Page;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::{Instant, interval, sleep_until, timeout};
use trawler_net::Tunnel;
use url::Url;

use super::arguments::CONTENT_POLICY;
use super::process::Process;
use super::session::Way;
use super::settings::BrowserSettings;
use super::traffic::{PIXEL, Ruling, Wanted, rule};
use super::{Built, Document, RenderError, Rendered, memory};

/// An address that is nobody's (RFC 5737), and is refused without a look-up.
const NOBODY: &str = "https://192.0.2.1/";

/// Until the tunnel has refused it.
const INTRODUCTION_WAIT: Duration = Duration::from_secs(10);

/// Memory and bytes are looked at so often. A page that takes memory as fast
/// as it can has some hundred MiB more by then.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A page that is built says so within this long; one whose scripts run on
/// says nothing.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How the built page is read: in a world of its own, where the page's scripts
/// have changed nothing.
const READ: &str = "(() => { const root = document.documentElement; \
    const html = root ? root.outerHTML : ''; \
    return html.length > MAX ? { html: null } : { html }; })()";

#[derive(Deserialize)]
struct Read {
    html: Option<String>,
}

/// Has a new context learn the credential of its tunnel.
///
/// The library answers every challenge with the credential that it is given,
/// those of shops as well. So it is given on a page of its own, to which only
/// the tunnel speaks; after that the browser knows it and nobody asks.
pub(super) async fn introduce(page: Page, way: &Arc<Way>) -> Result<(), RenderError> {
    let mut paused = page.event_listener::<EventRequestPaused>().await?;
    let mut failed = page.event_listener::<EventLoadingFailed>().await?;
    page.authenticate(Credentials {
        username: way.user.to_owned(),
        password: way.password.reveal().to_owned(),
    })
    .await?;
    intercept(&page).await?;
    let going = page.execute(NavigateParams::new(NOBODY));
    let met = async {
        loop {
            tokio::select! {
                Some(event) = paused.next() => {
                    let go_on = ContinueRequestParams::new(event.request_id.clone());
                    page.execute(go_on).await?;
                }
                Some(_) = failed.next() => return Ok(()),
                else => return Err(RenderError::Ended),
            }
        }
    };
    let met = async {
        tokio::pin!(going);
        tokio::pin!(met);
        loop {
            tokio::select! {
                met = &mut met => return met,
                // That it leads nowhere is what is wanted.
                _ = &mut going => return met.await,
            }
        }
    };
    let met = timeout(INTRODUCTION_WAIT, met).await;
    met.unwrap_or(Err(RenderError::Time {
        wait_s: INTRODUCTION_WAIT.as_secs(),
    }))?;
    page.close().await?;
    Ok(())
}

async fn intercept(page: &Page) -> Result<(), RenderError> {
    let all = RequestPattern::builder().url_pattern("*").build();
    let enable = EnableParams::builder()
        .handle_auth_requests(true)
        .pattern(all);
    page.execute(enable.build()).await?;
    Ok(())
}

/// A page that is being built.
pub(super) struct Building<'a> {
    pub(super) page: Page,
    pub(super) document: &'a Document,
    pub(super) way: &'a Arc<Way>,
    pub(super) settings: &'a BrowserSettings,
    pub(super) tunnel: &'a Tunnel,
    pub(super) keeps_cookies: bool,
}

/// What the browser says of a page.
struct Events {
    paused: EventStream<EventRequestPaused>,
    sent: EventStream<EventRequestWillBeSent>,
    finished: EventStream<EventLoadingFinished>,
    failed: EventStream<EventLoadingFailed>,
    life: EventStream<EventLifecycleEvent>,
}

/// What is known of a page so far.
struct Progress {
    main: FrameId,
    has_document: bool,
    is_loaded: bool,
    moved: Option<Url>,
    on_its_way: HashSet<RequestId>,
    quiet_since: Instant,
    requests: u32,
    refused: u32,
}

/// An answer about a request on its way to the browser; whether it was let
/// through.
type Answer<'a> = BoxFuture<'a, Result<bool, RenderError>>;

impl Building<'_> {
    pub(super) async fn build(self, process: &mut Process) -> Result<Rendered, RenderError> {
        let wait = self.settings.page_wait;
        let late = || RenderError::Time {
            wait_s: wait.as_secs(),
        };
        let deadline = Instant::now() + wait;
        // Time is left to read a page that never came to rest.
        let rests_until = deadline - ANSWER_WAIT.min(wait / 2);
        let prepared = timeout(wait, self.prepare()).await;
        let (mut events, main) = prepared.map_err(|_| late())??;
        let mut progress = Progress::new(main);
        let ran = self.run(process, &mut events, &mut progress, rests_until);
        let is_settled = ran.await?;
        let rendered = match progress.moved.take() {
            Some(url) => Rendered::Moved(url),
            // What it will need is still to come: nothing could be read of it
            // that holds.
            None if !progress.is_loaded => return Err(late()),
            None => {
                let read = timeout(ANSWER_WAIT, self.read(&progress.main)).await;
                Rendered::Built(Built {
                    html: read.map_err(|_| late())??,
                    requests: progress.requests,
                    refused: progress.refused,
                    is_settled,
                })
            }
        };
        let left = timeout(ANSWER_WAIT, self.leave()).await;
        left.map_err(|_| late())??;
        Ok(rendered)
    }

    async fn prepare(&self) -> Result<(Events, FrameId), RenderError> {
        let page = &self.page;
        let events = Events {
            paused: page.event_listener().await?,
            sent: page.event_listener().await?,
            finished: page.event_listener().await?,
            failed: page.event_listener().await?,
            life: page.event_listener().await?,
        };
        intercept(page).await?;
        page.execute(SetCacheDisabledParams::new(false)).await?;
        // What a page prints is nobody's business here.
        page.execute(runtime::DisableParams::default()).await?;
        page.execute(log::DisableParams::default()).await?;
        page.execute(performance::DisableParams::default()).await?;
        let main = page.mainframe().await?.ok_or(RenderError::Ended)?;
        Ok((events, main))
    }

    /// Runs the page until it rests, wants to be elsewhere, or has had its
    /// time; whether it rests.
    async fn run(
        &self,
        process: &mut Process,
        events: &mut Events,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<bool, RenderError> {
        let going = self.page.execute(NavigateParams::new(self.document.url.as_str()));
        tokio::pin!(going);
        let mut is_going = true;
        let mut answers: FuturesUnordered<Answer<'_>> = FuturesUnordered::new();
        let mut look = interval(LOOK_EVERY);
        let brought_before = self.tunnel.figures().bytes_down;
        loop {
            let rests = progress.rests(answers.is_empty());
            let quiet_at = progress.quiet_since + self.settings.quiet;
            tokio::select! {
                biased;
                Some(event) = events.paused.next() => answers.push(self.answer(&event, progress)),
                Some(event) = events.sent.next() => progress.sent(&event),
                Some(event) = events.finished.next() => progress.ended(&event.request_id),
                Some(event) = events.failed.next() => progress.ended(&event.request_id),
                Some(event) = events.life.next() => progress.lives(&event),
                Some(answered) = answers.next(), if !answers.is_empty() => match answered? {
                    true => progress.requests += 1,
                    false => progress.refused += 1,
                },
                // It ends with the page's beginning, or with its failure, of
                // which the events say more.
                _ = &mut going, if is_going => is_going = false,
                _ = look.tick() => {
                    self.judge(process, brought_before).await?;
                    if progress.moved.is_some() {
                        return Ok(true);
                    }
                }
                () = sleep_until(quiet_at), if rests => return Ok(true),
                () = sleep_until(until) => return Ok(false),
            }
        }
    }

    /// What is done about a request, told to the browser.
    fn answer<'a>(&'a self, event: &EventRequestPaused, progress: &mut Progress) -> Answer<'a> {
        let id = event.request_id.clone();
        let page = &self.page;
        let mut ruling = rule(&Wanted {
            kind: &event.resource_type,
            method: &event.request.method,
            url: &event.request.url,
            is_main_frame: event.frame_id == progress.main,
            has_document: progress.has_document,
        });
        if progress.requests >= self.settings.requests_max {
            ruling = Ruling::Refused;
        }
        progress.has_document |= ruling == Ruling::Document;
        let refuse = move |id| async move {
            let reason = ErrorReason::BlockedByClient;
            page.execute(FailRequestParams::new(id, reason)).await?;
            Ok(false)
        };
        match ruling {
            Ruling::Document => {
                let fulfil = self.fulfil(id);
                Box::pin(async move {
                    page.execute(fulfil).await?;
                    Ok(true)
                })
            }
            Ruling::Pixel => Box::pin(async move {
                page.execute(pixel(id)).await?;
                Ok(false)
            }),
            Ruling::Moved(url) => {
                progress.moved.get_or_insert(url);
                Box::pin(refuse(id))
            }
            Ruling::Refused => Box::pin(refuse(id)),
            Ruling::Ask(url) => Box::pin(async move {
                if let Err(why) = self.way.rules.may_ask(&url).await {
                    tracing::debug!(%url, "a page's script may not ask: {why}");
                    return refuse(id).await;
                }
                page.execute(ContinueRequestParams::new(id)).await?;
                Ok(true)
            }),
        }
    }

    /// The page itself, as it came, under the policy for all pages.
    fn fulfil(&self, id: chromiumoxide::cdp::browser_protocol::fetch::RequestId) -> FulfillRequestParams {
        let mut headers = vec![HeaderEntry::new("Content-Security-Policy", CONTENT_POLICY)];
        let content_type = self.document.content_type.as_deref().unwrap_or("text/html");
        headers.push(HeaderEntry::new("Content-Type", content_type));
        for cookie in &self.document.set_cookies {
            headers.push(HeaderEntry::new("Set-Cookie", cookie));
        }
        let mut fulfil = FulfillRequestParams::new(id, 200);
        fulfil.response_headers = Some(headers);
        fulfil.body = Some(STANDARD.encode(&self.document.body).into());
        fulfil
    }

    /// Whether the page keeps its bounds.
    async fn judge(&self, process: &mut Process, brought_before: u64) -> Result<(), RenderError> {
        if !process.runs() {
            return Err(RenderError::Ended);
        }
        let brought = self.tunnel.figures().bytes_down.saturating_sub(brought_before);
        // Of all pages that are built for this crawl now.
        let pages = u64::try_from(self.settings.browsers).unwrap_or(u64::MAX);
        if brought > self.settings.page_traffic_max.saturating_mul(pages) {
            let mib_max = self.settings.page_traffic_max >> 20;
            return Err(RenderError::Traffic { mib_max });
        }
        let group = process.group();
        let looked = tokio::task::spawn_blocking(move || memory::of_group(group)).await;
        let (bytes, _) = looked.unwrap_or_default();
        if bytes > self.settings.memory_bytes_max {
            let mib_max = self.settings.memory_bytes_max >> 20;
            return Err(RenderError::Memory { mib_max });
        }
        Ok(())
    }

    async fn read(&self, main: &FrameId) -> Result<String, RenderError> {
        let world = CreateIsolatedWorldParams::new(main.clone());
        let world = self.page.execute(world).await?.result.execution_context_id;
        let bytes_max = self.settings.html_bytes_max;
        let expression = READ.replace("MAX", &bytes_max.to_string());
        let mut read = EvaluateParams::new(expression);
        read.context_id = Some(world);
        read.return_by_value = Some(true);
        let read = self.page.execute(read).await?.result;
        let value = read.result.value.unwrap_or_default();
        let Ok(Read { html }) = serde_json::from_value(value) else {
            return Err(RenderError::Ended);
        };
        let fits = |html: &String| u64::try_from(html.len()).is_ok_and(|bytes| bytes <= bytes_max);
        html.filter(fits).ok_or(RenderError::TooLarge { bytes_max })
    }

    /// Closes the page, and forgets its cookies where none are kept.
    async fn leave(&self) -> Result<(), RenderError> {
        if !self.keeps_cookies {
            let forget = storage::ClearDataForOriginParams::new("*", "all");
            self.page.execute(forget).await?;
            let cookies = chromiumoxide::cdp::browser_protocol::network::ClearBrowserCookiesParams::default();
            self.page.execute(cookies).await?;
        }
        self.page.clone().close().await?;
        Ok(())
    }
}

impl Progress {
    fn new(main: FrameId) -> Self {
        Self {
            main,
            has_document: false,
            is_loaded: false,
            moved: None,
            on_its_way: HashSet::new(),
            quiet_since: Instant::now(),
            requests: 0,
            refused: 0,
        }
    }

    fn rests(&self, is_answered: bool) -> bool {
        self.moved.is_none() && self.is_loaded && is_answered && self.on_its_way.is_empty()
    }

    fn sent(&mut self, event: &EventRequestWillBeSent) {
        if event.request.url.starts_with("http") {
            self.on_its_way.insert(event.request_id.clone());
        }
        self.quiet_since = Instant::now();
    }

    fn ended(&mut self, id: &RequestId) {
        self.on_its_way.remove(id);
        self.quiet_since = Instant::now();
    }

    fn lives(&mut self, event: &EventLifecycleEvent) {
        if self.has_document && event.frame_id == self.main && event.name == "load" {
            self.is_loaded = true;
            self.quiet_since = Instant::now();
        }
    }
}

fn pixel(id: chromiumoxide::cdp::browser_protocol::fetch::RequestId) -> FulfillRequestParams {
    let mut pixel = FulfillRequestParams::new(id, 200);
    pixel.response_headers = Some(vec![HeaderEntry::new("Content-Type", "image/gif")]);
    pixel.body = Some(PIXEL.to_owned().into());
    pixel
}
