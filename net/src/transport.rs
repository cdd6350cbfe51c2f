//! How a request travels: directly by `reqwest`, or through a pipe's proxy by
//! `hyper-util`'s client over connections of our own.
//!
//! Why there are two. Both connect to judged addresses only (invariant 8), but
//! behind a proxy it is the proxy that connects, to what CONNECT names. There
//! `reqwest` writes the name of the URL, which the proxy would resolve for
//! itself; it has no way to write the judged address and keep the name for TLS
//! and Host. Connections of `dial` do that.
//!
//! The answers of both are read as `reqwest`'s, so that there is one code path
//! behind this file, and both clients obey the bounds that stand here.

use std::time::Duration;

use http::{HeaderMap, Method, Uri};
use reqwest::{Body, Response};

use crate::client::{Client, Message};
use crate::clients::Clients;
use crate::error::Fault;
use crate::fault::{no_answer, no_answer_behind_proxy};
use crate::target::{Target, UrlFault};

/// Lines of a head.
pub(crate) const HEADERS_MAX: usize = 200;
/// Idle connections kept to one host: as many as a pipe may use at once, so that
/// none is closed between two requests.
pub(crate) const IDLE_PER_HOST_MAX: usize = 64;
/// How long they are kept: as long as servers commonly keep them, so that few
/// requests meet a connection just closed.
pub(crate) const IDLE_KEPT: Duration = Duration::from_secs(20);

/// The way that all requests of a fetcher take.
pub(crate) enum Transport {
    /// To the host itself.
    Direct(Clients),
    /// Through the proxy of a pipe.
    Proxied(Box<Client>),
}

impl Transport {
    /// Sends one GET and waits for the head of its answer. `connect` is the
    /// bound that the clients were made with.
    pub(crate) async fn send(
        &self,
        headers: HeaderMap,
        target: &Target,
        connect: Duration,
    ) -> Result<Response, Fault> {
        match self {
            Self::Direct(clients) => {
                let client = clients.of(target).await.map_err(|fault| Fault::Tls {
                    what: fault.to_string(),
                    source: None,
                })?;
                let mut message = reqwest::Request::new(Method::GET, target.url().clone());
                *message.headers_mut() = headers;
                let answer = client.execute(message).await;
                answer.map_err(|error| no_answer(error, target, connect))
            }
            Self::Proxied(client) => {
                let mut message = Message::default();
                *message.uri_mut() = uri(target)?;
                *message.headers_mut() = headers;
                let answer = client.request(message).await;
                answer
                    .map(|answer| Response::from(answer.map(Body::wrap)))
                    .map_err(|error| no_answer_behind_proxy(error, target, connect))
            }
        }
    }
}

fn uri(target: &Target) -> Result<Uri, Fault> {
    Uri::try_from(target.url().as_str()).map_err(|error| {
        let why = format!("it cannot be written as a request ({error})");
        Fault::BadUrl(UrlFault::Syntax { why })
    })
}
