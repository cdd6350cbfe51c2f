//! The HTTP client of requests through a pipe's proxy: `hyper-util`'s, with our
//! own connector and a pool. Direct requests are `reqwest`'s (`clients`); why,
//! says `transport`.
//!
//! It decides nothing: redirects, cookies, referers, decompression, proxies of
//! the environment and retries are ours. The one exception is a request that a
//! pooled connection refused before a byte of it was written, because the server
//! had just closed it: that is sent again on another connection.
//!
//! The pool is keyed by scheme, host and port, so that a connection is only ever
//! used for the name that it was judged for; each proxy has a client of its own,
//! so that no pipe's requests go through another's.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::client::legacy::{self, Builder};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connector::Connector;
use crate::dial::Dialer;
use crate::fetcher::HEAD_BYTES_MAX;
use crate::transport::{HEADERS_MAX, IDLE_KEPT, IDLE_PER_HOST_MAX};

/// One proxy's way to all hosts, with its pool. Clones share it.
pub(crate) type Client = legacy::Client<Connector, Empty<Bytes>>;

pub(crate) fn client(dialer: Dialer, patience: Duration) -> Client {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_KEPT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http1_max_headers(HEADERS_MAX)
        // Shops' servers write what browsers forgive.
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http2_max_header_list_size(u32::try_from(HEAD_BYTES_MAX).expect("a small constant"))
        .http2_adaptive_window(true);
    builder.build(Connector { dialer, patience })
}

/// A request without a body.
pub(crate) type Message = Request<Empty<Bytes>>;
