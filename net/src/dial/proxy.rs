//! The proxy of a pipe, or that of the fleet's fixed address: http or https, asked by CONNECT with the judged address,
//! or SOCKS5, given the same.
//!
//! Plain http goes through CONNECT as well: a proxy that is given a URL would
//! resolve the name itself, and one that is given an address would rewrite Host
//! (RFC 9112, 3.2.2). So a proxy has to allow CONNECT to the ports of the shop,
//! which some do for 443 alone.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::socks::{self, CREDENTIAL_BYTES_MAX, SocksFault};
use super::{DialFault, Dialer, Stream, tcp};
use crate::auth::Auth;
use crate::connector::handshake;
use crate::secret::Secret;
use crate::target::{Target, UrlFault};

/// The answer to CONNECT. Those of real proxies are below 1 KB.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Where SOCKS is spoken unless the URL says otherwise.
const SOCKS_PORT: u16 = 1080;
/// Judged addresses of a host that a proxy is asked for, one after the other.
const ADDRESSES_TRIED_MAX: usize = 2;

/// Why a proxy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// Its URL.
    #[error("the proxy's URL cannot be used: {0}")]
    Url(UrlFault),
    /// Another protocol.
    #[error("the proxy's scheme is {found}; http, https and socks5 are spoken")]
    Scheme {
        /// The scheme found.
        found: String,
    },
    /// The URL says more than where the proxy is.
    #[error(
        "the proxy's URL has a path or query; write scheme, host and port alone, such as http://proxy.example:3128"
    )]
    Path,
    /// Its credentials.
    #[error(
        "the proxy's user or password holds characters that a header cannot carry, or more than {CREDENTIAL_BYTES_MAX} bytes"
    )]
    Credentials,
}

/// A proxy: where it is and what it is asked with.
#[derive(Clone)]
pub struct Proxy {
    target: Target,
    port: u16,
    kind: Kind,
    credentials: Option<Credentials>,
    named_by: NamedBy,
}

/// Whose word it is that a proxy is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// A pipe's, which is not trusted with addresses that are not public.
    Pipe,
    Operator,
}

impl NamedBy {
    /// Where to look when the proxy is the trouble.
    fn named_in(self) -> &'static str {
        match self {
            Self::Pipe => "fetch.proxy of the pipe",
            Self::Operator => "net.fixed_egress of trawler.toml",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks5,
}

#[derive(Clone)]
struct Credentials {
    /// For CONNECT.
    header: HeaderValue,
    /// For SOCKS.
    pair: (String, Secret),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("at", &self.shown())
            .field("credentials", &self.credentials.is_some())
            .finish()
    }
}

impl Proxy {
    /// `http://host:port`, `https://host:port` or `socks5://host:port`, without
    /// credentials in it.
    pub fn new(url: &str) -> Result<Self, ProxyFault> {
        let (socks, target) = match url.trim().strip_prefix("socks5://") {
            // The rest of the URL is read as one of http.
            Some(rest) => (true, Target::parse(&format!("http://{rest}"))),
            None => (false, Target::parse(url)),
        };
        let target = target.map_err(|fault| match fault {
            UrlFault::Scheme { found } => ProxyFault::Scheme { found },
            fault => ProxyFault::Url(fault),
        })?;
        let (kind, port) = match target.url().scheme() {
            _ if socks => (Kind::Socks5, target.url().port().unwrap_or(SOCKS_PORT)),
            "https" => (Kind::Https, target.port()),
            _ => (Kind::Http, target.port()),
        };
        if target.url().path() != "/" || target.url().query().is_some() {
            return Err(ProxyFault::Path);
        }
        Ok(Self {
            target,
            port,
            kind,
            credentials: None,
            named_by: NamedBy::Pipe,
        })
    }

    /// The proxy that the operator of this process names for requests that have
    /// to come from one address. It may stand at a private one; that lets in
    /// nobody else at that address.
    pub fn of_the_operator(url: &str) -> Result<Self, ProxyFault> {
        let proxy = Self::new(url)?;
        Ok(Self {
            named_by: NamedBy::Operator,
            ..proxy
        })
    }

    /// The proxy at a URL, asked as a user if there is one.
    pub fn of(
        url: &str,
        user: Option<&str>,
        password: Option<&Secret>,
    ) -> Result<Self, ProxyFault> {
        let proxy = Self::new(url)?;
        let Some(user) = user else { return Ok(proxy) };
        let none = Secret::new(String::new());
        proxy.credentials(user, password.unwrap_or(&none))
    }

    /// User and password.
    pub fn credentials(mut self, user: &str, password: &Secret) -> Result<Self, ProxyFault> {
        let basic = Auth::Basic {
            user: user.to_owned(),
            password: password.clone(),
        };
        let header = basic.header().map_err(|_| ProxyFault::Credentials)?;
        if user.len().max(password.reveal().len()) > CREDENTIAL_BYTES_MAX {
            return Err(ProxyFault::Credentials);
        }
        let pair = (user.to_owned(), password.clone());
        self.credentials = Some(Credentials { header, pair });
        Ok(self)
    }

    /// Where it is.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", self.target.host(), self.port)
    }

    /// A connection through the proxy to one of the judged addresses.
    pub(super) async fn dial(
        &self,
        dialer: &Dialer,
        judged: &[SocketAddr],
    ) -> Result<Stream, DialFault> {
        // Few proxies have a way into IPv6 networks.
        let mut addresses = judged.to_vec();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let mut failed = None;
        for address in addresses.into_iter().take(ADDRESSES_TRIED_MAX) {
            let mut stream = self.reach(dialer).await.map_err(|source| {
                let what = "cannot be reached".to_owned();
                self.fault(what, Some(source))
            })?;
            let connected = match self.kind {
                Kind::Socks5 => self.socks(&mut stream, address).await,
                Kind::Http | Kind::Https => self.connect(&mut stream, address).await,
            };
            match connected {
                Ok(()) => return Ok(stream),
                Err(Connect::Elsewhere(what)) => failed = Some(self.fault(what, None)),
                Err(Connect::Never(what)) => return Err(self.fault(what, None)),
            }
        }
        Err(failed.unwrap_or_else(|| self.fault("was given no address".to_owned(), None)))
    }

    fn fault(&self, what: String, source: Option<DialFault>) -> DialFault {
        DialFault::Proxy {
            proxy: self.shown(),
            what,
            named_in: self.named_by.named_in(),
            source: source.map(Box::new),
        }
    }

    /// The connection to the proxy itself. That of a pipe has its address judged
    /// like any.
    async fn reach(&self, dialer: &Dialer) -> Result<Stream, DialFault> {
        let (host, port) = (self.target.host(), self.port);
        let addresses = match self.named_by {
            NamedBy::Pipe => dialer.judge.addresses(host, port).await?,
            NamedBy::Operator => dialer.judge.unjudged(host, port).await?,
        };
        let tcp = tcp(&addresses, host, port).await?;
        match self.kind {
            Kind::Http | Kind::Socks5 => return Ok(Stream::Tcp(tcp)),
            Kind::Https => {}
        }
        let mut settings = (*dialer.tls.config().await?).clone();
        // CONNECT is spoken in HTTP/1.1.
        settings.alpn_protocols.clear();
        let stream = handshake(Arc::new(settings), host, tcp).await?;
        Ok(Stream::InTls(Box::new(stream)))
    }

    async fn socks<T>(&self, stream: &mut T, address: SocketAddr) -> Result<(), Connect>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let pair = self.credentials.as_ref().map(|given| &given.pair);
        let connected = socks::connect(stream, address, pair).await;
        connected.map_err(|fault| match fault {
            SocksFault::Io(_) | SocksFault::NoWay(_) => Connect::Elsewhere(fault.to_string()),
            SocksFault::Foreign | SocksFault::Credentials | SocksFault::Refused(_) => {
                Connect::Never(fault.to_string())
            }
        })
    }

    async fn connect<T>(&self, stream: &mut T, address: SocketAddr) -> Result<(), Connect>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let broke = |_| Connect::Elsewhere("closed the connection in CONNECT".to_owned());
        let mut head = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n").into_bytes();
        if let Some(credentials) = &self.credentials {
            head.extend_from_slice(b"Proxy-Authorization: ");
            head.extend_from_slice(credentials.header.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        stream.write_all(&head).await.map_err(broke)?;
        stream.flush().await.map_err(broke)?;
        verdict(&answer(stream).await?)
    }
}

/// Why CONNECT failed, and whether another address may do better.
#[derive(Debug, PartialEq, Eq)]
enum Connect {
    Elsewhere(String),
    Never(String),
}

/// Reads the head of the answer and nothing beyond it.
async fn answer<T: AsyncRead + Unpin>(stream: &mut T) -> Result<Vec<u8>, Connect> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX {
            return Err(Connect::Never(
                "does not end its answer to CONNECT".to_owned(),
            ));
        }
        let count = stream.read(&mut piece).await.unwrap_or(0);
        if count == 0 {
            let what = "closed the connection in CONNECT".to_owned();
            return Err(Connect::Elsewhere(what));
        }
        head.extend_from_slice(&piece[..count]);
        // Nobody behind the proxy speaks before it is spoken to: in TLS and in
        // HTTP the client begins.
        let end = head.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| end + 4 < head.len()) {
            let what = "sent more than an answer to CONNECT".to_owned();
            return Err(Connect::Never(what));
        }
    }
    Ok(head)
}

/// What the answer says.
fn verdict(head: &[u8]) -> Result<(), Connect> {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let version = words.next().unwrap_or_default();
    let status: Option<u16> = words.next().and_then(|word| word.parse().ok());
    let Some(status) = status.filter(|_| version.starts_with("HTTP/1.")) else {
        return Err(Connect::Never("does not answer in HTTP".to_owned()));
    };
    match status {
        200..300 => Ok(()),
        407 => Err(Connect::Never(
            "asks for other credentials (status 407)".to_owned(),
        )),
        // Of the address rather than of the asking.
        500.. => Err(Connect::Elsewhere(format!(
            "has no way to the host (status {status})"
        ))),
        _ => Err(Connect::Never(format!(
            "refuses CONNECT (status {status}); it has to allow it to the ports of the shop"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn proxies_are_read_or_refused_without_showing_secrets() {
        let check = |url: &str, expected: &str| {
            let found = match Proxy::new(url) {
                Ok(proxy) => proxy.shown(),
                Err(fault) => fault.to_string(),
            };
            assert!(found.contains(expected), "{url}: {found}");
            assert!(!found.contains("hunter2"), "{found}");
        };
        check("http://proxy.test:3128", "proxy.test:3128");
        check("https://proxy.test/", "proxy.test:443");
        check("http://[2001:db8::1]:3128", "[2001:db8::1]:3128");
        check("http://me:hunter2@proxy.test:3128", "user name or password");
        check("socks5://proxy.test:9050", "proxy.test:9050");
        check("socks5://proxy.test", "proxy.test:1080");
        check("socks5://me:hunter2@proxy.test", "user name or password");
        check("socks5h://proxy.test:1080", "scheme is socks5h");
        check("http://proxy.test:3128/pac", "path or query");
        check("http://proxy.test:3128/?x=1", "path or query");
        let proxy = Proxy::new("http://proxy.test:3128").unwrap();
        let proxy = proxy.credentials("me", &Secret::new("hunter2")).unwrap();
        let shown = format!("{proxy:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("bWU6"),
            "{shown}"
        );
    }

    #[test]
    fn answers_to_connect_are_told_apart() {
        let check =
            |head: &str, expected: Result<(), &str>| match (verdict(head.as_bytes()), expected) {
                (Ok(()), Ok(())) => {}
                (Err(Connect::Elsewhere(what) | Connect::Never(what)), Err(part)) => {
                    assert!(what.contains(part), "{head}: {what}");
                }
                (found, expected) => panic!("{head}: {found:?}, expected {expected:?}"),
            };
        check("HTTP/1.1 200 Connection established\r\n\r\n", Ok(()));
        check("HTTP/1.0 200\r\nX: y\r\n\r\n", Ok(()));
        check("HTTP/1.1 407 Proxy Auth\r\n\r\n", Err("credentials"));
        check("HTTP/1.1 403 Forbidden\r\n\r\n", Err("refuses CONNECT"));
        check("HTTP/1.1 502 Bad\r\n\r\n", Err("no way to the host"));
        check("HTTP/1.1 100 Continue\r\n\r\n", Err("refuses CONNECT"));
        check("SSH-2.0\r\n\r\n", Err("not answer in HTTP"));
        check("\r\n\r\n", Err("not answer in HTTP"));
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_nothing_may_follow_it() {
        let long = "X: y\r\n".repeat(10_000);
        let bad = format!("HTTP/1.1 200 OK\r\n{long}");
        assert!(answer(&mut bad.as_bytes()).await.is_err());
        let follows = b"HTTP/1.1 200 OK\r\n\r\nmore";
        assert!(answer(&mut &follows[..]).await.is_err());
        assert!(answer(&mut &b"HTTP/1.1 200 OK\r\n"[..]).await.is_err());
        assert!(answer(&mut &b"HTTP/1.1 200 OK\r\n\r\n"[..]).await.is_ok());
    }
}
