//! One connection of a tunnel's user, from its first request to its end.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::TunnelRules;
use super::admit::{Credential, Refused, TunnelAsk, admit};
use super::log::{Log, TunnelEntry};
use super::meter::{Meter, Metered, MeteredBody, Total, Way};
use super::settings::TunnelSettings;
use crate::connector::Connector;
use crate::dial::{DialFault, Stream};
use crate::error::BoxError;
use crate::fault::find;
use crate::judge::JudgeFault;
use crate::target::Target;

/// How long the head of a request may take, the pause before it included.
const HEAD_WAIT: Duration = Duration::from_secs(60);
/// The head of a request, and its lines.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 200;

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
pub(super) type PlainClient = legacy::Client<Connector, MeteredBody>;

/// What the connections of a tunnel share.
pub(super) struct Shared {
    pub(super) settings: TunnelSettings,
    pub(super) connector: Connector,
    pub(super) plain: PlainClient,
    pub(super) credential: Credential,
    pub(super) rules: Option<Arc<dyn TunnelRules>>,
    pub(super) log: Log,
    pub(super) total: Arc<Total>,
}

/// A CONNECT that was let through, before the user's side is free for it.
struct Pending {
    user: OnUpgrade,
    host: Stream,
}

impl Shared {
    /// Serves one connection to its end, or to that of its time.
    pub(super) async fn connection(self: Arc<Self>, stream: TcpStream) {
        let whole = Duration::from_millis(self.settings.whole_ms);
        // However it ended, there is nobody to tell.
        let _ = timeout(whole, self.serve(stream)).await;
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let bytes_max = self.settings.connection_bytes_max;
        let meter = Meter::new(Arc::clone(&self.total), bytes_max);
        let pending = Mutex::new(None);
        let service = service_fn(|request| async {
            let answer = self.answer(request, &meter, &pending).await;
            Ok::<_, Infallible>(answer)
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT.min(Duration::from_millis(self.settings.idle_ms)))
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        let pending = pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let (Ok(()), Some(Pending { user, host })) = (served, pending)
            && let Ok(user) = user.await
        {
            let inner = TokioIo::new(user);
            self.relay(Metered { inner, meter }, host).await;
        }
    }

    /// Moves bytes both ways until an end, a cap or silence.
    async fn relay<T>(&self, mut user: Metered<T>, mut host: Stream)
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let meter = Arc::clone(&user.meter);
        let idle = Duration::from_millis(self.settings.idle_ms);
        let silence = async {
            let mut before = meter.moved();
            loop {
                tokio::time::sleep(idle).await;
                let now = meter.moved();
                if now == before {
                    return;
                }
                before = now;
            }
        };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut user, &mut host) => {}
            () = silence => {}
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        meter: &Arc<Meter>,
        pending: &Mutex<Option<Pending>>,
    ) -> Answer {
        let (method, uri) = (request.method(), request.uri());
        let ask = match admit(method, uri, request.headers(), &self.credential) {
            Ok(ask) => ask,
            Err(refused) => {
                // Of one who may not ask, nothing is kept but that he asked.
                let asked = match refused.status {
                    StatusCode::PROXY_AUTHENTICATION_REQUIRED => "no credential".to_owned(),
                    _ => format!("{method}"),
                };
                return self.refuse(asked, refused);
            }
        };
        let asked = ask.shown();
        match self.allowed(ask, request, meter, pending).await {
            Ok(answer) => {
                let refused = None;
                self.log.note(TunnelEntry { asked, refused });
                answer
            }
            Err(refused) => self.refuse(asked, refused),
        }
    }

    async fn allowed(
        &self,
        ask: TunnelAsk,
        request: Request<Incoming>,
        meter: &Arc<Meter>,
        pending: &Mutex<Option<Pending>>,
    ) -> Result<Answer, Refused> {
        if self.total.is_spent() {
            return Err(Refused::forbidden("the tunnel has moved all it may"));
        }
        if let Some(rules) = &self.rules {
            rules.judge(&ask).await.map_err(Refused::forbidden)?;
        }
        match ask {
            TunnelAsk::Connect { host, port } => {
                let dialed = self.connector.dialer.dial(&host, port);
                let dialed = timeout(self.connector.patience, dialed).await;
                let stream = dialed.unwrap_or(Err(DialFault::Timeout));
                let host = stream.map_err(|fault| refusal(&fault))?;
                let user = hyper::upgrade::on(request);
                let mut slot = pending.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(Pending { user, host });
                Ok(text(StatusCode::OK, String::new()))
            }
            TunnelAsk::Plain { method, url } => {
                let target = Target::checked(url);
                let target = target.map_err(|fault| Refused::forbidden(fault.to_string()))?;
                self.plain(method, &target, request, meter).await
            }
        }
    }

    /// Passes one request of plain http on.
    async fn plain(
        &self,
        method: Method,
        target: &Target,
        request: Request<Incoming>,
        meter: &Arc<Meter>,
    ) -> Result<Answer, Refused> {
        // A literal address takes the same way: the connector judges it.
        let uri = Uri::try_from(target.url().as_str());
        let uri = uri.map_err(|error| Refused::forbidden(error.to_string()))?;
        let idle = Duration::from_millis(self.settings.idle_ms);
        let (head, body) = request.into_parts();
        let body = MeteredBody::new(body, Arc::clone(meter), Way::Up, idle);
        let mut passed = Request::new(body);
        *passed.method_mut() = method;
        *passed.uri_mut() = uri;
        *passed.headers_mut() = end_to_end(head.headers);
        // The one that the URL says, and no other.
        passed.headers_mut().remove(header::HOST);
        let answer = timeout(self.connector.patience + idle, self.plain.request(passed)).await;
        let answer = answer.map_err(|_| Refused::bad_gateway("the host does not answer"))?;
        let answer = answer.map_err(|error| match find::<DialFault>(&error) {
            Some(fault) => refusal(fault),
            None => Refused::bad_gateway("the host's answer cannot be read"),
        })?;
        let (head, body) = answer.into_parts();
        let body = MeteredBody::new(body, Arc::clone(meter), Way::Down, idle);
        let mut answer = Response::new(body.boxed_unsync());
        *answer.status_mut() = head.status;
        *answer.headers_mut() = end_to_end(head.headers);
        Ok(answer)
    }

    fn refuse(&self, asked: String, refused: Refused) -> Answer {
        let Refused { status, why } = refused;
        tracing::debug!(%asked, "the tunnel refuses: {why}");
        self.log.note(TunnelEntry {
            asked,
            refused: Some(why.clone()),
        });
        let mut answer = text(status, why);
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let basic = HeaderValue::from_static("Basic realm=\"trawler\"");
            answer
                .headers_mut()
                .insert(header::PROXY_AUTHENTICATE, basic);
        }
        answer
    }
}

/// What is said of a connection that was not made.
fn refusal(fault: &DialFault) -> Refused {
    match fault {
        DialFault::Judge(JudgeFault::Refused(refusal)) => Refused::forbidden(refusal.to_string()),
        DialFault::Judge(JudgeFault::Dns { host, .. }) => {
            Refused::bad_gateway(format!("the name {host} has no address"))
        }
        DialFault::Tcp { .. }
        | DialFault::Handshake(_)
        | DialFault::Tls(_)
        | DialFault::TlsSetup(_)
        | DialFault::Proxy { .. }
        | DialFault::Timeout => Refused::bad_gateway(fault.to_string()),
    }
}

/// The headers without those that are about one connection (RFC 9110, 7.6.1).
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    const ALWAYS: [HeaderName; 7] = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&ALWAYS) {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    headers
}

fn text(status: StatusCode, text: String) -> Answer {
    let body = Full::new(Bytes::from(text));
    let mut answer = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Accept", "x"),
            ("Connection", "close, X-Hop"),
            ("X-Hop", "x"),
            ("Keep-Alive", "x"),
            ("Proxy-Connection", "x"),
            ("Proxy-Authorization", "secret"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "x"),
            ("TE", "trailers"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let left = end_to_end(headers);
        let left: Vec<&str> = left.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept"]);
    }
}
