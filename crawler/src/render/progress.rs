//! How far a page in a browser is, by what the browser says of it.

use std::collections::HashSet;

use chromiumoxide::cdp::browser_protocol::network::{
    EventRequestWillBeSent, RequestId, ResourceType,
};
use chromiumoxide::cdp::browser_protocol::page::{EventLifecycleEvent, FrameId};
use tokio::time::Instant;
use url::Url;

/// What is known of a page so far.
pub(super) struct Progress {
    pub(super) main: FrameId,
    pub(super) has_document: bool,
    pub(super) is_loaded: bool,
    pub(super) moved: Option<Url>,
    pub(super) on_its_way: HashSet<RequestId>,
    pub(super) quiet_since: Instant,
    pub(super) asked: u32,
    pub(super) requests: u32,
    pub(super) refused: u32,
}

impl Progress {
    pub(super) fn new(main: FrameId) -> Self {
        Self {
            main,
            has_document: false,
            is_loaded: false,
            moved: None,
            on_its_way: HashSet::new(),
            quiet_since: Instant::now(),
            asked: 0,
            requests: 0,
            refused: 0,
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
            self.on_its_way.insert(event.request_id.clone());
            self.quiet_since = Instant::now();
        }
    }

    pub(super) fn ended(&mut self, id: &RequestId) {
        if self.on_its_way.remove(id) {
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
