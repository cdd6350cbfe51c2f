//! A request as answers see it, the answer, and its validators.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use crate::body::Source;

/// What is asked for, as far as answers depend on it.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) source: Source,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content_type: &str, source: Source) -> Self {
        let mut answer = Answer {
            status,
            headers: HeaderMap::new(),
            source,
        };
        answer.set(header::CONTENT_TYPE, content_type);
        answer
    }

    pub(crate) fn not_found() -> Self {
        let text = Bytes::from_static("없는 주소입니다.\n".as_bytes());
        Answer::new(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            Source::Whole(text),
        )
    }

    pub(crate) fn redirect(status: StatusCode, location: &str) -> Self {
        let mut answer = Answer::new(status, "text/plain; charset=utf-8", Source::empty());
        answer.set(header::LOCATION, location);
        answer
    }

    /// Adds a header beside those of the same name.
    pub(crate) fn add(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
    }

    pub(crate) fn set(&mut self, name: HeaderName, value: &str) {
        // Values that a header cannot carry would be a mistake of the specification; the header is
        // then absent, which the test that set it sees.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }
}

/// What the content of an answer is and since when; decides 304.
pub(crate) struct Version {
    pub(crate) tag: u64,
    pub(crate) modified: DateTime<Utc>,
    /// Whether the shop serves validators for this kind of content.
    pub(crate) told: bool,
}

impl Version {
    fn etag(&self) -> String {
        format!("\"{:016x}\"", self.tag)
    }

    /// Writes the validators into an answer.
    pub(crate) fn mark(&self, answer: &mut Answer) {
        if self.told {
            let modified = self
                .modified
                .format("%a, %d %b %Y %H:%M:%S GMT")
                .to_string();
            answer.set(header::ETAG, &self.etag());
            answer.set(header::LAST_MODIFIED, &modified);
        }
    }

    /// A 304 where the request carries the validators of this version. `If-None-Match` goes first
    /// (RFC 9110, 13.2.2).
    pub(crate) fn unchanged(&self, ask: &Ask<'_>) -> Option<Answer> {
        if !self.told {
            return None;
        }
        let text = |name| ask.headers.get(name).and_then(|value| value.to_str().ok());
        let same = if let Some(tags) = text(header::IF_NONE_MATCH) {
            let own = self.etag();
            tags.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
        } else if let Some(since) = text(header::IF_MODIFIED_SINCE) {
            self.modified <= DateTime::parse_from_rfc2822(since).ok()?
        } else {
            false
        };
        same.then(|| Answer {
            status: StatusCode::NOT_MODIFIED,
            headers: HeaderMap::new(),
            source: Source::empty(),
        })
    }
}

/// Whether the request names a content coding among those it accepts.
pub(crate) fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| {
            let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
            name.trim().eq_ignore_ascii_case(coding) && parameters.trim() != "q=0"
        })
}
