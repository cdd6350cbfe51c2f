//! A connection that ends when its owner does.
//!
//! The SSH library drives a connection in a task of its own, which would
//! outlive a future that is dropped in the middle of a handshake. What it reads
//! and writes goes through here and fails once the [`Leash`] is gone, so that
//! the task ends and the socket is closed.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Held by the owner; dropping it cuts the connection.
#[derive(Debug)]
pub(super) struct Leash {
    _guard: DropGuard,
}

/// The connection, as the library has it.
pub(super) struct Leashed<S> {
    inner: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

pub(super) fn leash<S>(inner: S) -> (Leash, Leashed<S>) {
    let token = CancellationToken::new();
    let cut = Box::pin(token.clone().cancelled_owned());
    let guard = Leash {
        _guard: token.drop_guard(),
    };
    (guard, Leashed { inner, cut })
}

impl<S> Leashed<S> {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Leashed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Leashed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_read_under_way_ends_with_the_leash() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let (guard, mut leashed) = leash(ours);
        let read = tokio::spawn(async move { leashed.read_u8().await });
        tokio::task::yield_now().await;
        drop(guard);
        let ended = read.await.unwrap().unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::ConnectionAborted);
    }
}
