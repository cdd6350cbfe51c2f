//! Errors of the HTTP and TLS libraries read as our faults.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;

use crate::dial::DialFault;
use crate::error::{BoxError, Fault, Measure, Phase};
use crate::fetcher::{HEAD_BYTES_MAX, millis};
use crate::judge::JudgeFault;
use crate::target::Target;

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

/// A request that got no answer.
pub(crate) fn no_answer(error: legacy::Error, asked: &Target, connect: Duration) -> Fault {
    if let Some(fault) = find::<DialFault>(&error) {
        return unconnected(fault, asked, connect);
    }
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

/// No address that may be connected to.
pub(crate) fn judge_fault(fault: &JudgeFault) -> Fault {
    match fault {
        JudgeFault::Refused(refusal) => Fault::Refused(refusal.clone()),
        JudgeFault::Dns { host, source } => Fault::Dns {
            host: host.clone(),
            source: source.as_ref().map(copied),
        },
    }
}

/// A connection that was not made. The library keeps its error, so what it
/// holds is copied.
fn unconnected(fault: &DialFault, asked: &Target, connect: Duration) -> Fault {
    let host = asked.host();
    let cannot = |source| Fault::Connect {
        what: format!("cannot connect to {host}:{}", asked.port()),
        source: Some(Box::new(copied(source))),
    };
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
            source,
        } => proxy_fault(proxy, what, source.as_deref()),
        DialFault::Timeout => Fault::Timeout {
            phase: Phase::Connect,
            after_ms: millis(connect),
        },
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
fn proxy_fault(proxy: &str, what: &str, source: Option<&DialFault>) -> Fault {
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
        source,
    }
}

fn copied(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
