//! What a fetch gives back when it does not fail.

use http::{HeaderMap, header};
use url::Url;

use crate::redirect::Hop;
use crate::validators::Validators;

/// The answer of a fetch that did not fail.
#[derive(Debug)]
pub enum Fetched<B> {
    /// A body came.
    Body(Response<B>),
    /// 304: what the validators stand for is still current.
    NotModified(NotModified),
}

impl<B> Fetched<B> {
    /// The response, if there was a body.
    pub fn into_body(self) -> Option<Response<B>> {
        match self {
            Self::Body(response) => Some(response),
            Self::NotModified(_) => None,
        }
    }
}

/// A whole body and where it came from.
#[derive(Debug)]
pub struct Response<B> {
    /// 200 or 203.
    pub status: u16,
    /// The final URL.
    pub url: Url,
    /// The redirects that led there.
    pub hops: Vec<Hop>,
    /// Where the first URL has moved for good (301, 308), if it has.
    pub moved_to: Option<Url>,
    /// The headers of the final answer.
    pub headers: HeaderMap,
    /// What to ask with next time.
    pub validators: Validators,
    /// Bytes of the body as served.
    pub raw_bytes: u64,
    /// Bytes of the body, Content-Encoding removed.
    pub decoded_bytes: u64,
    /// The body.
    pub body: B,
}

impl<B> Response<B> {
    /// Content-Type as served.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }
}

/// A 304.
#[derive(Debug)]
pub struct NotModified {
    /// The final URL.
    pub url: Url,
    /// The redirects that led there.
    pub hops: Vec<Hop>,
    /// Where the first URL has moved for good, if it has.
    pub moved_to: Option<Url>,
    /// The validators of the 304, and those asked with where it names none.
    pub validators: Validators,
}
