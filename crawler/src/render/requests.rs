//! What is done about each request of a page, told to the browser.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chromiumoxide::cdp::browser_protocol::fetch::{
    ContinueRequestParams, EventRequestPaused, FailRequestParams, FulfillRequestParams,
    HeaderEntry, RequestId as PausedId,
};
use chromiumoxide::cdp::browser_protocol::network::{ErrorReason, RequestId};
use chromiumoxide::error::CdpError;
use futures::future::BoxFuture;
use url::Url;

use super::arguments::CONTENT_POLICY;
use super::page::Building;
use super::progress::{Progress, is_needed};
use super::session::MayNot;
use super::traffic::{PIXEL, Ruling, Wanted, rule};
use super::{Broken, RenderError};

/// What became of a request.
pub(super) enum Passed {
    Yes,
    No,
    /// It may have been needed.
    Missed(Broken),
}

/// An answer about a request on its way to the browser.
pub(super) type Answer<'a> = BoxFuture<'a, Result<Passed, RenderError>>;

impl Building<'_> {
    /// What is done about a request, and doing it.
    pub(super) fn answer<'a>(
        &'a self,
        event: &EventRequestPaused,
        progress: &mut Progress,
    ) -> Answer<'a> {
        let id = event.request_id.clone();
        progress.asked += 1;
        let ruling = rule(&Wanted {
            kind: &event.resource_type,
            method: &event.request.method,
            url: &event.request.url,
            is_main_frame: event.frame_id == progress.main,
            has_document: progress.has_document,
        });
        let missed: fn(Url, String) -> Passed = match is_needed(&event.resource_type) {
            true => missed,
            false => not_missed,
        };
        match ruling {
            Ruling::Document => {
                progress.has_document = true;
                let fulfil = self.fulfil(id);
                Box::pin(async move {
                    self.page.execute(fulfil).await?;
                    Ok(Passed::Yes)
                })
            }
            Ruling::Pixel => Box::pin(async move {
                still_wanted(self.page.execute(pixel(id)).await)?;
                Ok(Passed::No)
            }),
            Ruling::Moved(url) => {
                progress.moved.get_or_insert(url);
                Box::pin(self.refuse(id, Passed::No))
            }
            Ruling::Refused => Box::pin(self.refuse(id, Passed::No)),
            Ruling::Ask(url) if progress.begun >= self.settings.requests_max => {
                let asked_max = self.settings.requests_max;
                let why = format!("a page may ask {asked_max} times");
                Box::pin(self.refuse(id, missed(url, why)))
            }
            Ruling::Ask(url) => {
                progress.begun += 1;
                Box::pin(self.ask(id, event.network_id.clone(), url, missed))
            }
        }
    }

    /// Lets a request go in its turn, if robots.txt lets it.
    async fn ask(
        &self,
        id: PausedId,
        network: Option<RequestId>,
        url: Url,
        missed: fn(Url, String) -> Passed,
    ) -> Result<Passed, RenderError> {
        match self.way.rules.may_ask(&url).await {
            Ok(()) => {}
            Err(MayNot::Forbidden(why)) => {
                tracing::debug!(%url, "a page's script may not ask: {why}");
                return self.refuse(id, Passed::No).await;
            }
            Err(MayNot::Unknown(why)) => return self.refuse(id, missed(url, why)).await,
        }
        if let Err(why) = self.turns.wait(network.clone(), &url).await {
            return self.refuse(id, missed(url, why)).await;
        }
        let let_go = self.page.execute(ContinueRequestParams::new(id)).await;
        Ok(match still_wanted(let_go)? {
            true => Passed::Yes,
            false => {
                // Its end was heard while it waited for its turn.
                if let Some(id) = &network {
                    self.turns.given_up(id);
                }
                Passed::No
            }
        })
    }

    async fn refuse(&self, id: PausedId, passed: Passed) -> Result<Passed, RenderError> {
        let refuse = FailRequestParams::new(id, ErrorReason::BlockedByClient);
        still_wanted(self.page.execute(refuse).await)?;
        Ok(passed)
    }

    /// The page itself, as it came, under the policy for all pages.
    fn fulfil(&self, id: PausedId) -> FulfillRequestParams {
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
}

/// Whether the page still waits for the request of which the browser was told:
/// of one that was given up meanwhile it knows nothing any more.
fn still_wanted<T>(told: Result<T, CdpError>) -> Result<bool, RenderError> {
    match told {
        Ok(_) => Ok(true),
        Err(CdpError::Chrome(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn missed(url: Url, why: String) -> Passed {
    Passed::Missed(Broken { url, why })
}

fn not_missed(_: Url, _: String) -> Passed {
    Passed::No
}

fn pixel(id: PausedId) -> FulfillRequestParams {
    let mut pixel = FulfillRequestParams::new(id, 200);
    pixel.response_headers = Some(vec![HeaderEntry::new("Content-Type", "image/gif")]);
    pixel.body = Some(PIXEL.to_owned().into());
    pixel
}

/// How long a page may take that waits for its turns: a shop that is asked
/// slowly is not to blame, and a browser is not held for ever.
pub(super) fn latest(page_wait: Duration) -> Duration {
    page_wait.saturating_mul(4)
}
