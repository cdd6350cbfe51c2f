//! Errors of the HTTP and TLS libraries read as our faults.

use std::error::Error;
use std::io;

use crate::connect::ConnectFault;
use crate::error::{Fault, Measure, Phase};

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
pub(crate) fn no_answer(error: hyper_util::client::legacy::Error, head_bytes_max: u64) -> Fault {
    if let Some(fault) = find::<ConnectFault>(&error) {
        return connect_fault(fault);
    }
    let hyper = find::<hyper::Error>(&error);
    if hyper.is_some_and(hyper::Error::is_parse_too_large) {
        return Fault::TooLarge {
            measure: Measure::HeaderBytes,
            max_bytes: head_bytes_max,
        };
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

/// A connection that was not made. The library keeps its error, so what it
/// holds is copied.
pub(crate) fn connect_fault(fault: &ConnectFault) -> Fault {
    match fault {
        ConnectFault::Refused(refusal) => Fault::Refused(refusal.clone()),
        ConnectFault::Dns { host, source } => Fault::Dns {
            host: host.clone(),
            source: source.as_ref().map(copied),
        },
        ConnectFault::Tcp { address, source } => Fault::Connect {
            what: format!("cannot connect to {address}"),
            source: Some(Box::new(copied(source))),
        },
        ConnectFault::Handshake { host, source } => handshake(host, source),
        ConnectFault::Tls(fault) => Fault::Tls {
            what: fault.to_string(),
            source: None,
        },
        ConnectFault::Timeout { after } => Fault::Timeout {
            phase: Phase::Connect,
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        },
        ConnectFault::NoHost => Fault::BadUrl(crate::target::UrlFault::NoHost),
    }
}

fn handshake(host: &str, source: &io::Error) -> Fault {
    let Some(tls) = find::<rustls::Error>(source) else {
        // Closed or reset within the handshake: the network, not the certificate.
        return Fault::Connect {
            what: format!("the connection to {host} broke in the TLS handshake"),
            source: Some(Box::new(copied(source))),
        };
    };
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

fn copied(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
