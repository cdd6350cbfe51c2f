//! How far a page in a browser is, by what the browser says of it.

use std::collections::HashMap;

use chromiumoxide::cdp::browser_protocol::network::{
    EventLoadingFailed, EventRequestWillBeSent, EventResponseReceived, RequestId, ResourceType,
};
use chromiumoxide::cdp::browser_protocol::page::{EventLifecycleEvent, FrameId};
use tokio::time::Instant;
use url::Url;

use super::{BROKEN_MAX, Broken};

/// Answers from which on a host has not said what it was asked (RFC 9110).
const SERVER_ERROR: i64 = 500;
const TOO_MANY_REQUESTS: i64 = 429;

/// By whose fault a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fell {
    ByHost,
    /// It was refused here, given up by the page, or against the page's rules.
    Otherwise,
}

/// Whether a page may lack something without it.
pub(super) fn is_needed(kind: &ResourceType) -> bool {
    matches!(
        kind,
        ResourceType::Script | ResourceType::Xhr | ResourceType::Fetch
    )
}

/// What a browser says of requests that were ended here or by the page (Chromium's
/// `net_error_list.h`).
const OWN_ERRORS: [&str; 3] = [
    "net::ERR_ABORTED",
    "net::ERR_BLOCKED_BY_CLIENT",
    "net::ERR_BLOCKED_BY_CSP",
];

/// What is known of a page so far.
pub(super) struct Progress {
    pub(super) main: FrameId,
    pub(super) has_document: bool,
    pub(super) is_loaded: bool,
    pub(super) moved: Option<Url>,
    pub(super) on_its_way: HashMap<RequestId, OnItsWay>,
    pub(super) quiet_since: Instant,
    pub(super) asked: u32,
    pub(super) requests: u32,
    pub(super) refused: u32,
    /// Those that were let go or wait for it.
    pub(super) begun: u32,
    pub(super) broken: Vec<Broken>,
}

/// A request that is waited for.
pub(super) struct OnItsWay {
    url: String,
    is_needed: bool,
}

impl Progress {
    pub(super) fn new(main: FrameId) -> Self {
        Self {
            main,
            has_document: false,
            is_loaded: false,
            moved: None,
            on_its_way: HashMap::new(),
            quiet_since: Instant::now(),
            asked: 0,
            requests: 0,
            refused: 0,
            begun: 0,
            broken: Vec::new(),
        }
    }

    pub(super) fn rests(&self, is_answered: bool) -> bool {
        self.moved.is_none() && self.is_loaded && is_answered && self.on_its_way.is_empty()
    }

    pub(super) fn sent(&mut self, event: &EventRequestWillBeSent) {
        // What may stay open, or of whose end nothing is said, is not waited for.
        let is_awaited = matches!(
            event.r#type,
            Some(
                ResourceType::Document
                    | ResourceType::Stylesheet
                    | ResourceType::Script
                    | ResourceType::Xhr
                    | ResourceType::Fetch
            )
        );
        if is_awaited && event.request.url.starts_with("http") {
            let is_needed = event.r#type.as_ref().is_some_and(is_needed);
            let url = event.request.url.clone();
            let on_its_way = OnItsWay { url, is_needed };
            self.on_its_way.insert(event.request_id.clone(), on_its_way);
            self.quiet_since = Instant::now();
        }
    }

    pub(super) fn answered(&mut self, event: &EventResponseReceived) {
        let status = event.response.status;
        if status >= SERVER_ERROR || status == TOO_MANY_REQUESTS {
            self.broke(&event.request_id, || format!("status {status}"));
        }
    }

    /// By whose fault.
    pub(super) fn failed(&mut self, event: &EventLoadingFailed) -> Fell {
        let id = &event.request_id;
        let is_of_page = event.canceled == Some(true)
            || event.blocked_reason.is_some()
            || event.cors_error_status.is_some()
            || OWN_ERRORS.contains(&event.error_text.as_str());
        if !is_of_page {
            self.broke(id, || event.error_text.clone());
        }
        self.ended(id);
        match is_of_page {
            true => Fell::Otherwise,
            false => Fell::ByHost,
        }
    }

    fn broke(&mut self, id: &RequestId, why: impl FnOnce() -> String) {
        if let Some(request) = self.on_its_way.get(id)
            && request.is_needed
            && let Ok(url) = Url::parse(&request.url)
        {
            self.missed(Broken { url, why: why() });
        }
    }

    /// A request of which the page may lack the answer.
    pub(super) fn missed(&mut self, broken: Broken) {
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(broken);
        }
    }

    pub(super) fn ended(&mut self, id: &RequestId) {
        if self.on_its_way.remove(id).is_some() {
            self.quiet_since = Instant::now();
        }
    }

    pub(super) fn lives(&mut self, event: &EventLifecycleEvent) {
        if self.has_document && event.frame_id == self.main && event.name == "load" {
            self.is_loaded = true;
            self.quiet_since = Instant::now();
        }
    }
}
