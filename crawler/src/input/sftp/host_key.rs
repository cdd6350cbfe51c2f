//! Whom we talk to: the server's key has to be one that the pipe names. There
//! is no trust at first use.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{ChannelOpenHandle, Handler, Msg, Session};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelId};

/// Kinds of keys that servers have, the strongest first. RSA with SHA-2 only:
/// signatures over SHA-1 (`ssh-rsa`) can be forged by those who can wait.
pub(super) const KINDS: [&[Algorithm]; 3] = [
    &[Algorithm::Ed25519],
    &[
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
    ],
    &[
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha512),
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha256),
        },
    ],
];

/// The algorithms of these kinds, as they are asked for.
pub(super) fn algorithms(kinds: &[usize]) -> Cow<'static, [Algorithm]> {
    kinds
        .iter()
        .flat_map(|kind| KINDS[*kind].iter().cloned())
        .collect()
}

/// The place in [`KINDS`].
fn kind_of(algorithm: &Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::Ed25519 => Some(0),
        Algorithm::Ecdsa { .. } => Some(1),
        Algorithm::Rsa { .. } => Some(2),
        _ => None,
    }
}

/// A key that a server offered.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) fingerprint: String,
    /// The place in [`KINDS`].
    pub(super) kind: Option<usize>,
    pub(super) name: String,
}

/// Judges the key of a server, and refuses everything else that one may want.
pub(super) struct Pins {
    trusted: Vec<String>,
    offered: Arc<Mutex<Option<Offered>>>,
}

/// Tells afterwards which key was offered.
pub(super) struct Seen(Arc<Mutex<Option<Offered>>>);

impl Seen {
    pub(super) fn offered(&self) -> Option<Offered> {
        let offered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offered.clone()
    }
}

impl Pins {
    pub(super) fn new(trusted: &[String]) -> (Self, Seen) {
        let offered = Arc::default();
        let seen = Seen(Arc::clone(&offered));
        let trusted = trusted.to_vec();
        (Self { trusted, offered }, seen)
    }
}

impl Handler for Pins {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        server: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        // Certificates are not asked for.
        let PublicKeyOrCertificate::PublicKey { key, .. } = server else {
            return Ok(false);
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let algorithm = key.algorithm();
        let is_trusted = self.trusted.contains(&fingerprint);
        let offered = Offered {
            fingerprint,
            kind: kind_of(&algorithm),
            name: algorithm.to_string(),
        };
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = Some(offered);
        Ok(is_trusted)
    }

    // A channel that the server opens is refused by dropping its handle; the
    // library would take each of them.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn should_accept_unknown_server_channel(&mut self, _: ChannelId, _: &str) -> bool {
        false
    }
}
