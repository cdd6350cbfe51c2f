//! TLS: the certificates of the machine, the ring provider, ALPN for HTTP/2.
//!
//! Certificates are read at the first https connection, off the reactor, so
//! that a machine without any can still fetch http (the demo does).

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Why https cannot work on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// There is nothing to check certificates against.
    #[error(
        "this machine has no trusted certificates{detail}; install the package ca-certificates, or name a PEM file in SSL_CERT_FILE"
    )]
    NoRoots {
        /// What went wrong while reading them.
        detail: String,
    },
    /// The TLS library refuses its settings.
    #[error("TLS cannot be set up: {why}")]
    Setup {
        /// What it says.
        why: String,
    },
}

/// The TLS settings, made once.
pub(crate) struct Tls {
    extra: Vec<CertificateDer<'static>>,
    made: OnceLock<Made>,
    nobody: OnceLock<Made>,
}

type Made = Result<Arc<ClientConfig>, TlsFault>;

impl Tls {
    pub(crate) fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        Self {
            extra,
            made: OnceLock::new(),
            nobody: OnceLock::new(),
        }
    }

    /// The settings; reads the machine's certificates the first time.
    pub(crate) async fn config(self: &Arc<Self>) -> Result<Arc<ClientConfig>, TlsFault> {
        if let Some(made) = self.made.get() {
            return made.clone();
        }
        let this = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || this.ready()).await;
        made.unwrap_or_else(|error| {
            let why = error.to_string();
            Err(TlsFault::Setup { why })
        })
    }

    /// Settings under which no certificate is accepted: for the clients that
    /// speak plain http only, which the HTTP library gives no other way to make.
    pub(crate) fn trusting_nobody(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        let made = self.nobody.get_or_init(|| of_roots(RootCertStore::empty()));
        made.clone()
    }

    /// The settings, read on this thread.
    pub(crate) fn ready(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        self.made.get_or_init(|| settings(&self.extra)).clone()
    }
}

fn settings(extra: &[CertificateDer<'static>]) -> Made {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Certificates that cannot be read are common in system stores and do no
    // harm: sites that need them fail with an error of their own.
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(extra.iter().cloned());
    if roots.is_empty() {
        let detail = found.errors.first().map(|error| format!(" ({error})"));
        let detail = detail.unwrap_or_default();
        return Err(TlsFault::NoRoots { detail });
    }
    of_roots(roots)
}

fn of_roots(roots: RootCertStore) -> Made {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFault::Setup {
            why: error.to_string(),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
