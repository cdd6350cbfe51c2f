//! How far a page in a browser is, by what the browser says of it.
//!
//! The library that drives the browser passes each kind of event on in a
//! channel of its own, so that the end of a request may be heard before its
//! answer or its beginning. What is known of a request is therefore put
//! together, in whatever order it is heard.

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
    heard: HashMap<RequestId, Heard>,
    pub(super) quiet_since: Instant,
    pub(super) asked: u32,
    pub(super) requests: u32,
    pub(super) refused: u32,
    /// Those that were let go or wait for it.
    pub(super) begun: u32,
    pub(super) broken: Vec<Broken>,
}

/// What was heard of a request. All of it is kept as long as the page is:
/// their number is bounded by the number of times that a page may ask.
#[derive(Default)]
struct Heard {
    /// If it is waited for.
    sent: Option<Sent>,
    has_ended: bool,
    /// Why it did not get what it asked for, until that is noted.
    broke: Option<String>,
}

struct Sent {
    url: String,
    is_needed: bool,
}

impl Heard {
    fn is_on_its_way(&self) -> bool {
        self.sent.is_some() && !self.has_ended
    }
}

impl Progress {
    pub(super) fn new(main: FrameId) -> Self {
        Self {
            main,
            has_document: false,
            is_loaded: false,
            moved: None,
            heard: HashMap::new(),
            quiet_since: Instant::now(),
            asked: 0,
            requests: 0,
            refused: 0,
            begun: 0,
            broken: Vec::new(),
        }
    }

    pub(super) fn rests(&self, is_answered: bool) -> bool {
        let is_asking = || self.heard.values().any(Heard::is_on_its_way);
        self.moved.is_none() && self.is_loaded && is_answered && !is_asking()
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
            self.hear(&event.request_id, |heard| {
                heard.sent = Some(Sent { url, is_needed });
            });
        }
    }

    pub(super) fn answered(&mut self, event: &EventResponseReceived) {
        let status = event.response.status;
        if status >= SERVER_ERROR || status == TOO_MANY_REQUESTS {
            self.hear(&event.request_id, |heard| {
                heard.broke = Some(format!("status {status}"));
            });
        }
    }

    /// By whose fault.
    pub(super) fn failed(&mut self, event: &EventLoadingFailed) -> Fell {
        let id = &event.request_id;
        let is_of_page = event.canceled == Some(true)
            || event.blocked_reason.is_some()
            || event.cors_error_status.is_some()
            || OWN_ERRORS.contains(&event.error_text.as_str());
        self.hear(id, |heard| {
            heard.has_ended = true;
            if !is_of_page {
                heard.broke = Some(event.error_text.clone());
            }
        });
        match is_of_page {
            true => Fell::Otherwise,
            false => Fell::ByHost,
        }
    }

    pub(super) fn ended(&mut self, id: &RequestId) {
        self.hear(id, |heard| heard.has_ended = true);
    }

    fn hear(&mut self, id: &RequestId, what: impl FnOnce(&mut Heard)) {
        let heard = self.heard.entry(id.clone()).or_default();
        let was_on_its_way = heard.is_on_its_way();
        what(heard);
        if was_on_its_way || heard.is_on_its_way() {
            self.quiet_since = Instant::now();
        }
        let needed = heard.sent.as_ref().filter(|sent| sent.is_needed);
        if let Some(Ok(url)) = needed.map(|sent| Url::parse(&sent.url))
            && let Some(why) = heard.broke.take()
        {
            self.missed(Broken { url, why });
        }
    }

    /// A request of which the page may lack the answer.
    pub(super) fn missed(&mut self, broken: Broken) {
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(broken);
        }
    }

    pub(super) fn lives(&mut self, event: &EventLifecycleEvent) {
        if self.has_document && event.frame_id == self.main && event.name == "load" {
            self.is_loaded = true;
            self.quiet_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event<E: serde::de::DeserializeOwned>(value: serde_json::Value) -> E {
        serde_json::from_value(value).unwrap()
    }

    fn sent() -> EventRequestWillBeSent {
        event(serde_json::json!({
            "requestId": "1", "loaderId": "1", "documentURL": "https://shop.test/",
            "request": {
                "url": "https://shop.test/stock", "method": "GET", "headers": {},
                "initialPriority": "High", "referrerPolicy": "origin",
            },
            "timestamp": 1, "wallTime": 1, "initiator": {"type": "script"},
            "redirectHasExtraInfo": false, "type": "Fetch",
        }))
    }

    fn answered(status: u16) -> EventResponseReceived {
        event(serde_json::json!({
            "requestId": "1", "loaderId": "1", "timestamp": 2, "type": "Fetch",
            "hasExtraInfo": false,
            "response": {
                "url": "https://shop.test/stock", "status": status, "statusText": "",
                "headers": {}, "mimeType": "", "charset": "", "connectionReused": false,
                "connectionId": 1, "encodedDataLength": 1, "securityState": "secure",
            },
        }))
    }

    fn failed(error: &str) -> EventLoadingFailed {
        event(serde_json::json!({
            "requestId": "1", "timestamp": 3, "type": "Fetch", "errorText": error,
        }))
    }

    /// One thing that is heard of a request.
    type Said<'a> = &'a dyn Fn(&mut Progress);

    /// What is told of a request, in every order in which it may be heard.
    fn in_any_order(said: &[Said<'_>]) -> Vec<String> {
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        let told = orders.map(|order| {
            let mut progress = Progress::new(FrameId::new("main"));
            progress.is_loaded = true;
            for at in order.into_iter().filter(|at| *at < said.len()) {
                said[at](&mut progress);
            }
            assert!(progress.rests(true), "{order:?}");
            let told = |broken: &Broken| format!("{}: {}", broken.url.path(), broken.why);
            progress.broken.iter().map(told).collect::<Vec<_>>()
        });
        for other in &told {
            assert_eq!(*other, told[0]);
        }
        told[0].clone()
    }

    #[test]
    fn the_end_of_a_request_may_be_heard_before_its_answer() {
        let begun: Said<'_> = &|progress| progress.sent(&sent());
        let down: Said<'_> = &|progress| progress.answered(&answered(503));
        let fine: Said<'_> = &|progress| progress.answered(&answered(200));
        let ended: Said<'_> = &|progress| progress.ended(&RequestId::from("1".to_owned()));
        assert_eq!(in_any_order(&[begun, down, ended]), ["/stock: status 503"]);
        assert!(in_any_order(&[begun, fine, ended]).is_empty());
        let cut: Said<'_> = &|progress| {
            progress.failed(&failed("net::ERR_CONNECTION_RESET"));
        };
        let told = in_any_order(&[begun, cut]);
        assert_eq!(told, ["/stock: net::ERR_CONNECTION_RESET"]);
        let given_up: Said<'_> = &|progress| {
            progress.failed(&failed("net::ERR_ABORTED"));
        };
        assert!(in_any_order(&[begun, fine, given_up]).is_empty());
    }

    #[test]
    fn a_page_waits_for_what_was_sent_and_has_not_ended() {
        let mut progress = Progress::new(FrameId::new("main"));
        progress.is_loaded = true;
        progress.sent(&sent());
        progress.answered(&answered(200));
        assert!(!progress.rests(true));
        progress.ended(&RequestId::from("1".to_owned()));
        assert!(progress.rests(true));
        assert!(!progress.rests(false));
    }
}
