//! One page in a browser, from what came to what its scripts made of it.

use std::sync::Arc;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::fetch::EventRequestPaused;
use chromiumoxide::cdp::browser_protocol::network::{
    EventLoadingFailed, EventLoadingFinished, EventRequestWillBeSent, EventResponseReceived,
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
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use trawler_net::Tunnel;

use super::introduce::intercept;
use super::process::Process;
use super::progress::{Fell, Progress};
use super::requests::{Answer, Passed, latest};
use super::session::Way;
use super::settings::BrowserSettings;
use super::turns::Turns;
use super::{Built, Document, RenderError, Rendered, memory};

/// Memory and bytes are looked at so often. A page that takes memory as fast
/// as it can has some hundred MiB more by then.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A page that is built says so within this long; one whose scripts run on
/// says nothing.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// A page goes on when it has made all requests that it may, and is refused
/// more; one that makes ten times as many does nothing else.
const ASKED_FACTOR: u32 = 10;

/// How the built page is read: in a world of its own, where the page's scripts
/// have changed nothing.
const READ: &str = "(() => { const root = document.documentElement; \
    const html = root ? root.outerHTML : ''; \
    return html.length > MAX ? { html: null } : { html }; })()";

#[derive(Deserialize)]
struct Read {
    html: Option<String>,
}

/// A page that is being built.
pub(super) struct Building<'a> {
    pub(super) page: &'a Page,
    pub(super) document: &'a Document,
    pub(super) way: &'a Arc<Way>,
    pub(super) settings: &'a BrowserSettings,
    pub(super) tunnel: &'a Tunnel,
    pub(super) turns: Turns<'a>,
}

/// What the browser says of a page.
struct Events {
    paused: EventStream<EventRequestPaused>,
    sent: EventStream<EventRequestWillBeSent>,
    answered: EventStream<EventResponseReceived>,
    finished: EventStream<EventLoadingFinished>,
    failed: EventStream<EventLoadingFailed>,
    life: EventStream<EventLifecycleEvent>,
}

impl Building<'_> {
    pub(super) async fn build(&self, process: &mut Process) -> Result<Rendered, RenderError> {
        let wait = self.settings.page_wait;
        let late = || RenderError::Time {
            wait_s: wait.as_secs(),
        };
        let began = Instant::now();
        let prepared = timeout(wait, self.prepare()).await;
        let (mut events, main) = prepared.map_err(|_| late())??;
        let mut progress = Progress::new(main);
        let ran = self.run(process, &mut events, &mut progress, began);
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
                    broken: std::mem::take(&mut progress.broken),
                })
            }
        };
        let forgotten = timeout(ANSWER_WAIT, self.forget()).await;
        forgotten.map_err(|_| late())??;
        Ok(rendered)
    }

    async fn prepare(&self) -> Result<(Events, FrameId), RenderError> {
        let page = self.page;
        let events = Events {
            paused: page.event_listener().await?,
            sent: page.event_listener().await?,
            answered: page.event_listener().await?,
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
        began: Instant,
    ) -> Result<bool, RenderError> {
        // Time is left to read a page that never came to rest.
        let wait = self.settings.page_wait;
        let reading = ANSWER_WAIT.min(wait / 2);
        let mut until = began + wait - reading;
        let last = began + latest(wait) - reading;
        let going = self
            .page
            .execute(NavigateParams::new(self.document.url.as_str()));
        tokio::pin!(going);
        let mut is_going = true;
        let mut answers: FuturesUnordered<Answer<'_>> = FuturesUnordered::new();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = began;
        let brought_before = self.tunnel.figures().bytes_down;
        loop {
            let rests = progress.rests(answers.is_empty());
            let quiet_at = progress.quiet_since + self.settings.quiet;
            tokio::select! {
                // The bounds come first: a page may keep the rest busy.
                biased;
                () = sleep_until(until) => return Ok(false),
                _ = look.tick() => {
                    self.judge(process, brought_before, progress).await?;
                    self.turns.let_go();
                    // The shop's pace is not the page's fault.
                    if self.turns.are_awaited() {
                        until = (until + looked.elapsed()).min(last);
                    }
                    looked = Instant::now();
                    if progress.moved.is_some() {
                        return Ok(true);
                    }
                }
                event = events.paused.next() => match event {
                    Some(event) => answers.push(self.answer(&event, progress)),
                    // Nobody drives it any more.
                    None => return Err(RenderError::Ended),
                },
                Some(event) = events.sent.next() => progress.sent(&event),
                Some(event) = events.answered.next() => {
                    self.turns.answered(&event);
                    progress.answered(&event);
                }
                Some(event) = events.finished.next() => {
                    self.turns.ended(&event.request_id);
                    progress.ended(&event.request_id);
                }
                Some(event) = events.failed.next() => {
                    match progress.failed(&event) {
                        Fell::ByHost => self.turns.broke(&event.request_id),
                        Fell::Otherwise => self.turns.given_up(&event.request_id),
                    }
                }
                Some(event) = events.life.next() => progress.lives(&event),
                Some(answered) = answers.next(), if !answers.is_empty() => match answered? {
                    Passed::Yes => progress.requests += 1,
                    Passed::No => progress.refused += 1,
                    Passed::Missed(broken) => {
                        progress.refused += 1;
                        progress.missed(broken);
                    }
                },
                // It ends with the page's beginning, or with its failure, of
                // which the events say more.
                _ = &mut going, if is_going => is_going = false,
                () = sleep_until(quiet_at), if rests => return Ok(true),
            }
        }
    }

    /// Whether the page keeps its bounds.
    async fn judge(
        &self,
        process: &mut Process,
        brought_before: u64,
        progress: &Progress,
    ) -> Result<(), RenderError> {
        if !process.runs() {
            return Err(RenderError::Ended);
        }
        let asked_max = self.settings.requests_max.saturating_mul(ASKED_FACTOR);
        if progress.asked > asked_max {
            return Err(RenderError::Requests { asked_max });
        }
        let brought = self
            .tunnel
            .figures()
            .bytes_down
            .saturating_sub(brought_before);
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

    /// Forgets what the page has put down, where nothing of it is kept. Cookies
    /// are seen to before every page.
    async fn forget(&self) -> Result<(), RenderError> {
        if self.way.cookies.is_none() {
            let origin = self.document.url.origin().ascii_serialization();
            let forget = storage::ClearDataForOriginParams::new(origin, "all");
            self.page.execute(forget).await?;
        }
        Ok(())
    }
}
