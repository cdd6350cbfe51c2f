//! Bytes counted and cut off at their caps, on a raw connection and on the
//! bodies of plain http.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::error::BoxError;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// What all connections of a tunnel have moved.
pub(super) struct Total {
    pub(super) up: AtomicU64,
    pub(super) down: AtomicU64,
    pub(super) bytes_max: u64,
}

impl Total {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            bytes_max,
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        let (up, down) = (&self.up, &self.down);
        up.load(Ordering::Relaxed) + down.load(Ordering::Relaxed) >= self.bytes_max
    }
}

/// What one connection moves.
pub(super) struct Meter {
    total: Arc<Total>,
    moved: AtomicU64,
    bytes_max: u64,
}

impl Meter {
    pub(super) fn new(total: Arc<Total>, bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            total,
            moved: AtomicU64::new(0),
            bytes_max,
        })
    }

    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Counts; an error once a cap is passed, so that at most the piece that
    /// passed it goes beyond.
    fn count(&self, way: Way, bytes: usize) -> io::Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let of_way = match way {
            Way::Up => &self.total.up,
            Way::Down => &self.total.down,
        };
        of_way.fetch_add(bytes, Ordering::Relaxed);
        let moved = self.moved.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if moved > self.bytes_max {
            return Err(io::Error::other("the connection has moved all it may"));
        }
        if self.total.is_spent() {
            return Err(io::Error::other("the tunnel has moved all it may"));
        }
        Ok(())
    }
}

/// The user's side of a raw connection: what is read goes up, what is written
/// comes down.
pub(super) struct Metered<T> {
    pub(super) inner: T,
    pub(super) meter: Arc<Meter>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        Poll::Ready(self.meter.count(Way::Up, buffer.filled().len() - before))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.meter.count(Way::Down, count)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A body of plain http on its way through.
pub(super) struct MeteredBody {
    body: Incoming,
    meter: Arc<Meter>,
    way: Way,
    idle: Duration,
    /// Made when the body first has to wait.
    patience: Option<Pin<Box<Sleep>>>,
}

impl MeteredBody {
    pub(super) fn new(body: Incoming, meter: Arc<Meter>, way: Way, idle: Duration) -> Self {
        Self {
            body,
            meter,
            way,
            idle,
            patience: None,
        }
    }
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.patience = None;
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let counted = this.meter.count(this.way, bytes);
                Poll::Ready(Some(counted.map(|()| frame).map_err(BoxError::from)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let until = Instant::now() + this.idle;
                let patience = this
                    .patience
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                std::task::ready!(patience.as_mut().poll(context));
                Poll::Ready(Some(Err("nothing has come for too long".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
