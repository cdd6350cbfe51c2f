//! Errors of the HTTP and TLS libraries read as our faults.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

use crate::dial::DialFault;
use crate::error::{BoxError, Fault, Measure, Phase};
use crate::fetcher::{HEAD_BYTES_MAX, millis};
use crate::judge::JudgeFault;
use crate::target::{Target, UrlFault};

/// The first error of a type in a chain, looking into `io::Error` as well,
/// which hides what it carries from `source`.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let carried = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        next = carried.or_else(|| error.source());
    }
    None
}

/// A direct request that got no answer. Of the library's error nothing is kept
/// that shows the URL, because its query may hold secrets.
pub(crate) fn no_answer(error: reqwest::Error, asked: &Target, connect: Duration) -> Fault {
    let error = error.without_url();
    if let Some(fault) = find::<JudgeFault>(&error) {
        return judge_fault(fault);
    }
    if error.is_builder() {
        let why = "it cannot be written as a request".to_owned();
        return Fault::BadUrl(UrlFault::Syntax { why });
    }
    if error.is_connect() {
        return unconnected(error, asked, connect);
    }
    unanswered(error)
}

/// A request through a proxy that got no answer.
pub(crate) fn no_answer_behind_proxy(
    error: legacy::Error,
    asked: &Target,
    connect: Duration,
) -> Fault {
    match find::<DialFault>(&error) {
        Some(fault) => undialed(fault, asked, connect),
        None => unanswered(error),
    }
}

/// A connection stood, and nothing that can be read came over it.
fn unanswered(error: impl Error + Send + Sync + 'static) -> Fault {
    let hyper = find::<hyper::Error>(&error);
    if hyper.is_some_and(hyper::Error::is_parse_too_large) {
        return head_too_large();
    }
    if hyper.is_some_and(hyper::Error::is_parse) {
        return Fault::Protocol {
            why: "the head of the answer is not HTTP".to_owned(),
            source: Some(Box::new(error)),
        };
    }
    Fault::Connect {
        what: "the connection broke before an answer came".to_owned(),
        source: Some(Box::new(error)),
    }
}

/// A head over the cap.
pub(crate) fn head_too_large() -> Fault {
    Fault::TooLarge {
        measure: Measure::HeaderBytes,
        max_bytes: HEAD_BYTES_MAX,
    }
}

/// No address that may be connected to. The library keeps its error, so what
/// it holds is copied.
pub(crate) fn judge_fault(fault: &JudgeFault) -> Fault {
    match fault {
        JudgeFault::Refused(refusal) => Fault::Refused(refusal.clone()),
        JudgeFault::Dns { host, source } => Fault::Dns {
            host: host.clone(),
            source: source.as_ref().map(copied),
        },
    }
}

/// A connection that `reqwest` could not make, to a host that may be connected
/// to.
fn unconnected(error: reqwest::Error, asked: &Target, connect: Duration) -> Fault {
    if error.is_timeout() {
        return too_slow(connect);
    }
    if let Some(tls) = find::<rustls::Error>(&error) {
        return tls_fault(tls, asked.host());
    }
    // Closed or reset within the handshake comes here as well: that is the
    // network, not the certificate.
    let system = find::<io::Error>(&error).map(copied);
    match system {
        Some(system) => cannot_connect(asked, Box::new(system)),
        None => cannot_connect(asked, Box::new(error)),
    }
}

/// A connection that `dial` could not make. The library keeps its error, so what
/// it holds is copied.
fn undialed(fault: &DialFault, asked: &Target, connect: Duration) -> Fault {
    let host = asked.host();
    let cannot = |source| cannot_connect(asked, Box::new(copied(source)));
    match fault {
        DialFault::Judge(fault) => judge_fault(fault),
        DialFault::Tcp { source, .. } => cannot(source),
        // Closed or reset within the handshake: the network, not the certificate.
        DialFault::Handshake(source) => cannot(source),
        DialFault::Tls(tls) => tls_fault(tls, host),
        DialFault::TlsSetup(fault) => Fault::Tls {
            what: fault.to_string(),
            source: None,
        },
        DialFault::Proxy {
            proxy,
            what,
            named_in,
            source,
        } => proxy_fault(proxy, what, named_in, source.as_deref()),
        DialFault::Timeout => too_slow(connect),
    }
}

fn cannot_connect(asked: &Target, source: BoxError) -> Fault {
    Fault::Connect {
        what: format!("cannot connect to {}:{}", asked.host(), asked.port()),
        source: Some(source),
    }
}

fn too_slow(connect: Duration) -> Fault {
    Fault::Timeout {
        phase: Phase::Connect,
        after_ms: millis(connect),
    }
}

fn tls_fault(tls: &rustls::Error, host: &str) -> Fault {
    let what = match tls {
        rustls::Error::InvalidCertificate(_) => format!(
            "the certificate of {host} is not accepted; the shop has to renew it, or its issuer has to be added to SSL_CERT_FILE"
        ),
        _ => format!("TLS with {host} failed"),
    };
    Fault::Tls {
        what,
        source: Some(Box::new(tls.clone())),
    }
}

/// A proxy at a refused address is refused, whatever lies behind it.
fn proxy_fault(
    proxy: &str,
    what: &str,
    named_in: &'static str,
    source: Option<&DialFault>,
) -> Fault {
    let source: Option<BoxError> = match source {
        Some(DialFault::Judge(JudgeFault::Refused(refusal))) => {
            return Fault::Refused(refusal.clone());
        }
        Some(DialFault::Tcp { source, .. } | DialFault::Handshake(source)) => {
            Some(Box::new(copied(source)))
        }
        Some(DialFault::Tls(tls)) => Some(Box::new(tls.clone())),
        Some(other) => Some(other.to_string().into()),
        None => None,
    };
    Fault::Proxy {
        proxy: proxy.to_owned(),
        what: what.to_owned(),
        named_in,
        source,
    }
}

fn copied(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
