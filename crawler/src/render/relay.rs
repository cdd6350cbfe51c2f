//! Passes the connection that drives a browser on, and breaks it when the
//! browser says more at once than it may.
//!
//! What a page prints, or the address of a request that it makes, is told to
//! whoever drives the browser, and is as long as the page likes. The library
//! that drives takes messages of any length, so their length is looked at here
//! before they are read into memory (RFC 6455, 5.2: two to ten bytes before
//! each message from the browser).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The answer to the handshake that comes before the first message.
const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;

pub(super) struct Relay {
    listener: TcpListener,
    browser: SocketAddr,
    message_bytes_max: u64,
}

impl Relay {
    /// In front of a browser that is driven at `address`; the address to use
    /// instead.
    pub(super) async fn bind(address: &str, message_bytes_max: u64) -> io::Result<(Self, String)> {
        let other = || {
            io::Error::other(format!(
                "it is driven at {address}, which is no ws:// of 127.0.0.1"
            ))
        };
        let rest = address.strip_prefix("ws://").ok_or_else(other)?;
        let (host, path) = rest.split_once('/').ok_or_else(other)?;
        let browser: SocketAddr = host.parse().map_err(|_| other())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let here = listener.local_addr()?;
        let relay = Self {
            listener,
            browser,
            message_bytes_max,
        };
        Ok((relay, format!("ws://{here}/{path}")))
    }

    /// Serves one connection to its end.
    pub(super) async fn run(self) {
        let Ok((driver, _)) = self.listener.accept().await else {
            return;
        };
        let Ok(browser) = TcpStream::connect(self.browser).await else {
            return;
        };
        let _ = driver.set_nodelay(true);
        let _ = browser.set_nodelay(true);
        let (mut from_driver, to_driver) = driver.into_split();
        let (from_browser, mut to_browser) = browser.into_split();
        // Either end ends both.
        tokio::select! {
            _ = tokio::io::copy(&mut from_driver, &mut to_browser) => {}
            passed = pass(from_browser, to_driver, self.message_bytes_max) => {
                if let Err(error) = passed {
                    tracing::debug!("a browser is let go of: {error}");
                }
            }
        }
    }
}

/// Passes messages on, up to the first that is too long.
async fn pass(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    message_bytes_max: u64,
) -> io::Result<()> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= HANDSHAKE_BYTES_MAX {
            return Err(io::Error::other("its handshake does not end"));
        }
        answer.push(from.read_u8().await?);
    }
    to.write_all(&answer).await?;
    let mut from = tokio::io::BufReader::with_capacity(64 * 1024, from);
    loop {
        let mut head = [0; 10];
        from.read_exact(&mut head[..2]).await?;
        let more = match head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        from.read_exact(&mut head[2..2 + more]).await?;
        let length = length(&head);
        if length > message_bytes_max {
            return Err(io::Error::other(format!(
                "a message of {length} bytes, at most {message_bytes_max} are read"
            )));
        }
        to.write_all(&head[..2 + more]).await?;
        let passed = tokio::io::copy(&mut (&mut from).take(length), &mut to).await?;
        if passed < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.flush().await?;
    }
}

/// Of a message that is not masked, as those of a browser are not.
fn length(head: &[u8; 10]) -> u64 {
    match head[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes([head[2], head[3]])),
        127 => {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[2..]);
            u64::from_be_bytes(bytes)
        }
        short => u64::from(short),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..126 => bytes.push(u8::try_from(length).unwrap()),
            126..65_536 => {
                bytes.push(126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + length, b'x');
        bytes
    }

    #[tokio::test]
    async fn messages_pass_as_they_are_up_to_the_first_that_is_too_long() {
        let mut said = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        for length in [0, 5, 125, 126, 127, 65_535, 65_536, 100_000] {
            said.extend(message(length));
        }
        let right = said.clone();
        said.extend(message(100_001));
        let mut passed = Vec::new();
        let ended = pass(&said[..], &mut passed, 100_000).await;
        assert!(passed == right, "{} of {}", passed.len(), right.len());
        let why = ended.unwrap_err().to_string();
        assert!(why.contains("100001"), "{why}");
    }
}
