//! SOCKS5 (RFC 1928) with user and password (RFC 1929): as much as it takes to
//! reach an address. Names are never given to it, and UDP is not asked for.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::secret::Secret;

const VERSION: u8 = 5;
const NO_AUTH: u8 = 0;
const USER_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// User and password are preceded by one byte of length (RFC 1929, 2).
pub(super) const CREDENTIAL_BYTES_MAX: usize = 255;

/// Why a proxy did not connect.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocksFault {
    #[error("closed the connection")]
    Io(#[from] io::Error),
    #[error("does not speak SOCKS5")]
    Foreign,
    #[error("asks for other credentials")]
    Credentials,
    #[error("has no way to the host (SOCKS reply {0})")]
    NoWay(u8),
    #[error("refuses to connect (SOCKS reply {0})")]
    Refused(u8),
}

/// Has the proxy connect to an address.
pub(super) async fn connect<T>(
    stream: &mut T,
    address: SocketAddr,
    credentials: Option<&(String, Secret)>,
) -> Result<(), SocksFault>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    greet(stream, credentials).await?;
    let mut ask = vec![VERSION, CONNECT, 0];
    match address.ip() {
        IpAddr::V4(v4) => {
            ask.push(IPV4);
            ask.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            ask.push(IPV6);
            ask.extend_from_slice(&v6.octets());
        }
    }
    ask.extend_from_slice(&address.port().to_be_bytes());
    stream.write_all(&ask).await?;
    stream.flush().await?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    let [version, status, _, kind] = reply;
    if version != VERSION {
        return Err(SocksFault::Foreign);
    }
    match status {
        0 => skip_bound(stream, kind).await,
        // Network, host, refused, expired, kind of address: of the address.
        3..=6 | 8 => Err(SocksFault::NoWay(status)),
        _ => Err(SocksFault::Refused(status)),
    }
}

async fn greet<T>(stream: &mut T, credentials: Option<&(String, Secret)>) -> Result<(), SocksFault>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let methods: &[u8] = match credentials {
        Some(_) => &[VERSION, 2, NO_AUTH, USER_PASSWORD],
        None => &[VERSION, 1, NO_AUTH],
    };
    stream.write_all(methods).await?;
    stream.flush().await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, credentials) {
        ([VERSION, NO_AUTH], _) => Ok(()),
        ([VERSION, USER_PASSWORD], Some((user, password))) => log_in(stream, user, password).await,
        ([VERSION, _], _) => Err(SocksFault::Credentials),
        _ => Err(SocksFault::Foreign),
    }
}

async fn log_in<T>(stream: &mut T, user: &str, password: &Secret) -> Result<(), SocksFault>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut message = vec![1];
    for text in [user, password.reveal()] {
        let length = u8::try_from(text.len()).map_err(|_| SocksFault::Credentials)?;
        message.push(length);
        message.extend_from_slice(text.as_bytes());
    }
    stream.write_all(&message).await?;
    stream.flush().await?;
    let mut reply = [0; 2];
    stream.read_exact(&mut reply).await?;
    match reply {
        [_, 0] => Ok(()),
        _ => Err(SocksFault::Credentials),
    }
}

/// The address that the proxy is bound to, which nobody needs.
async fn skip_bound<T: AsyncRead + Unpin>(stream: &mut T, kind: u8) -> Result<(), SocksFault> {
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        _ => return Err(SocksFault::Foreign),
    };
    // The longest is a name of 255 bytes; the port is two more.
    let mut bound = [0; 257];
    stream.read_exact(&mut bound[..length + 2]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is written to a proxy that answers so, and what comes of it.
    async fn said(
        answers: &[u8],
        address: &str,
        credentials: Option<(&str, &str)>,
    ) -> (Result<(), String>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(answers).await.unwrap();
        let credentials = credentials.map(|(u, p)| (u.to_owned(), Secret::new(p)));
        let connected = async {
            let address = address.parse().unwrap();
            let done = connect(&mut ours, address, credentials.as_ref()).await;
            drop(ours);
            done.map_err(|fault| fault.to_string())
        };
        let mut heard = Vec::new();
        let hear = async {
            theirs.shutdown().await.unwrap();
            theirs.read_to_end(&mut heard).await.unwrap()
        };
        let (done, _) = tokio::join!(connected, hear);
        (done, heard)
    }

    const FINE: [u8; 10] = [5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

    #[tokio::test]
    async fn addresses_are_asked_for_as_bytes() {
        let answers = [&[5, 0][..], &FINE].concat();
        let (done, heard) = said(&answers, "93.184.215.14:443", None).await;
        assert_eq!(done, Ok(()));
        assert_eq!(heard, [5, 1, 0, 5, 1, 0, 1, 93, 184, 215, 14, 1, 187]);
        let (done, heard) = said(&answers, "[2606:4700::1111]:80", None).await;
        assert_eq!(done, Ok(()));
        assert_eq!(heard[3..7], [5, 1, 0, 4]);
        assert_eq!(heard.len(), 3 + 4 + 16 + 2);
        let named = [&[5, 0, 5, 0, 0, 3, 2][..], b"ab", &[0, 80]].concat();
        assert_eq!(said(&named, "1.1.1.1:80", None).await.0, Ok(()));
    }

    #[tokio::test]
    async fn credentials_are_given_where_they_are_asked_for() {
        let answers = [&[5, 2, 1, 0][..], &FINE].concat();
        let (done, heard) = said(&answers, "1.1.1.1:80", Some(("me", "pw"))).await;
        assert_eq!(done, Ok(()));
        assert_eq!(heard[..4], [5, 2, 0, 2]);
        assert_eq!(heard[4..11], [1, 2, b'm', b'e', 2, b'p', b'w']);
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_apart() {
        let check = async |answers: &[u8], credentials, expected: &str| {
            let (done, _) = said(answers, "1.1.1.1:80", credentials).await;
            let fault = done.unwrap_err();
            assert!(fault.contains(expected), "{answers:?}: {fault}");
        };
        check(&[5, 0xff], None, "credentials").await;
        check(&[5, 2], None, "credentials").await;
        check(&[5, 2, 1, 1], Some(("me", "pw")), "credentials").await;
        check(b"HTTP/1.1", None, "SOCKS5").await;
        check(&[5], None, "closed").await;
        check(&[5, 0, 5, 4, 0, 1], None, "no way").await;
        check(&[5, 0, 5, 2, 0, 1], None, "refuses").await;
        check(&[5, 0, 5, 0, 0, 9], None, "SOCKS5").await;
        check(&[5, 0, 5, 0, 0, 1, 127], None, "closed").await;
    }
}
