//! Has a browser learn how it gets to the network: by the tunnel of a crawl,
//! whose credential it needs.

use std::sync::Arc;
use std::time::Duration;

use chromiumoxide::auth::Credentials;
use chromiumoxide::cdp::browser_protocol::fetch::{
    ContinueRequestParams, EnableParams, EventRequestPaused, RequestPattern,
};
use chromiumoxide::cdp::browser_protocol::network::EventLoadingFailed;
use chromiumoxide::cdp::browser_protocol::page::NavigateParams;
use chromiumoxide::page::Page;
use futures::StreamExt;
use tokio::time::timeout;

use super::RenderError;
use super::session::Way;

/// An address that is nobody's (RFC 5737), and is refused without a look-up.
const NOBODY: &str = "https://192.0.2.1/";

/// Until the tunnel has refused it.
const INTRODUCTION_WAIT: Duration = Duration::from_secs(10);

/// Has a new context learn the credential of its tunnel.
///
/// The library answers every challenge with the credential that it is given,
/// those of shops as well. So it is given on a page of its own, to which only
/// the tunnel speaks; after that the browser knows it and nobody asks.
pub(super) async fn introduce(page: &Page, way: &Arc<Way>) -> Result<(), RenderError> {
    let mut paused = page.event_listener::<EventRequestPaused>().await?;
    let mut failed = page.event_listener::<EventLoadingFailed>().await?;
    page.authenticate(Credentials {
        username: way.user.to_owned(),
        password: way.password.reveal().to_owned(),
    })
    .await?;
    intercept(page).await?;
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
        tokio::select! {
            met = &mut met => met,
            // That it leads nowhere is what is wanted.
            _ = &mut going => met.await,
        }
    };
    let met = timeout(INTRODUCTION_WAIT, met).await;
    met.unwrap_or(Err(RenderError::Time {
        wait_s: INTRODUCTION_WAIT.as_secs(),
    }))
}

/// Has every request of a page wait for an answer.
pub(super) async fn intercept(page: &Page) -> Result<(), RenderError> {
    let all = RequestPattern::builder().url_pattern("*").build();
    let enable = EnableParams::builder()
        .handle_auth_requests(true)
        .pattern(all);
    page.execute(enable.build()).await?;
    Ok(())
}
