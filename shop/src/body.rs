//! Response bodies: whole, or fed through a bounded channel.
//!
//! Everything that takes time (rendering, dripping, endless filler) runs in a task or thread that
//! feeds the channel and ends when the body is dropped. This module only carries bytes.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::stats::InFlight;

/// Size of the pieces that a rendering thread hands on.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that may wait for a slow reader: 256 KiB a response.
pub(crate) const PIECES_WAITING_MAX: usize = 4;
/// How long the bytes before a cut have to leave the connection's buffer; closing drops the rest.
const FLUSH_WAIT: Duration = Duration::from_millis(30);

type Pieces = mpsc::Receiver<io::Result<Bytes>>;
type Feed = mpsc::Sender<io::Result<Bytes>>;

#[derive(Debug)]
pub(crate) enum Source {
    Whole(Bytes),
    /// Pieces already read, then those to come.
    Stream(BytesMut, Pieces),
}

impl Source {
    pub(crate) fn empty() -> Source {
        Source::Whole(Bytes::new())
    }

    pub(crate) fn channel() -> (Feed, Pieces) {
        mpsc::channel(PIECES_WAITING_MAX)
    }

    /// Reads a stream up to `bytes_max`, so that a short one becomes whole and gets its length.
    pub(crate) async fn collected(mut pieces: Pieces, bytes_max: usize) -> io::Result<Source> {
        let mut read = BytesMut::new();
        while read.len() <= bytes_max {
            match pieces.recv().await {
                Some(piece) => read.extend_from_slice(&piece?),
                None => return Ok(Source::Whole(read.freeze())),
            }
        }
        Ok(Source::Stream(read, pieces))
    }

    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Source::Whole(bytes) => Some(bytes.len() as u64),
            Source::Stream(..) => None,
        }
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self {
            Source::Whole(bytes) if bytes.is_empty() => None,
            Source::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Source::Stream(read, _) if !read.is_empty() => Some(Ok(read.split().freeze())),
            Source::Stream(_, pieces) => pieces.recv().await,
        }
    }

    /// Passes on `bytes` bytes and then breaks the connection.
    pub(crate) async fn cut(mut self, mut bytes: u64, feed: Feed) {
        while bytes > 0 {
            let Some(Ok(mut piece)) = self.next().await else {
                break;
            };
            piece.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
            bytes -= piece.len() as u64;
            if feed.send(Ok(piece)).await.is_err() {
                return;
            }
        }
        // All places free means that the connection has taken every piece.
        if feed.reserve_many(PIECES_WAITING_MAX).await.is_err() {
            return;
        }
        wait_while_read(&feed, FLUSH_WAIT).await;
        let cut = io::Error::new(io::ErrorKind::ConnectionAborted, "cut as told");
        // The reader may have left, which is as good as being cut.
        let _ = feed.send(Err(cut)).await;
    }

    /// Passes on `bytes` bytes and then nothing, until the reader leaves.
    pub(crate) async fn stall(mut self, mut bytes: u64, feed: Feed) {
        while bytes > 0 {
            let Some(Ok(mut piece)) = self.next().await else {
                break;
            };
            piece.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
            bytes -= piece.len() as u64;
            if feed.send(Ok(piece)).await.is_err() {
                return;
            }
        }
        feed.closed().await;
    }

    /// Passes everything on in small pieces, with a pause before each.
    pub(crate) async fn drip(mut self, piece_bytes: usize, every: Duration, feed: Feed) {
        while let Some(next) = self.next().await {
            let mut rest = match next {
                Ok(bytes) => bytes,
                Err(error) => {
                    let _ = feed.send(Err(error)).await;
                    return;
                }
            };
            while !rest.is_empty() {
                let piece = rest.split_to(piece_bytes.clamp(1, rest.len()));
                wait_while_read(&feed, every).await;
                if feed.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Sends so many bytes of filler, or until the reader leaves.
    pub(crate) async fn filler(mut bytes: u64, feed: Feed) {
        let filler = Bytes::from(vec![b'x'; PIECE_BYTES]);
        while bytes > 0 {
            let piece = filler.slice(
                ..filler
                    .len()
                    .min(usize::try_from(bytes).unwrap_or(usize::MAX)),
            );
            bytes -= piece.len() as u64;
            if feed.send(Ok(piece)).await.is_err() {
                return;
            }
        }
    }
}

/// Waits, or returns early when the reader has left.
async fn wait_while_read(feed: &Feed, pause: Duration) {
    tokio::select! {
        () = feed.closed() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// A body on its way to a connection; it keeps its request counted as in flight.
pub(crate) struct ShopBody {
    source: Source,
    in_flight: InFlight,
}

impl ShopBody {
    pub(crate) fn new(source: Source, in_flight: InFlight) -> Self {
        ShopBody { source, in_flight }
    }
}

impl Body for ShopBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut self.source {
            Source::Whole(bytes) if bytes.is_empty() => None,
            Source::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Source::Stream(read, _) if !read.is_empty() => Some(Ok(read.split().freeze())),
            Source::Stream(_, pieces) => std::task::ready!(pieces.poll_recv(cx)),
        };
        if let Some(Ok(bytes)) = &next {
            self.in_flight.sent(bytes.len());
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.source, Source::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self.source.length() {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}

/// A writer for blocking code whose bytes come out of a body.
pub(crate) struct FeedWriter {
    feed: Feed,
    piece: Vec<u8>,
}

impl FeedWriter {
    pub(crate) fn new(feed: Feed) -> Self {
        FeedWriter {
            feed,
            piece: Vec::with_capacity(PIECE_BYTES),
        }
    }

    /// Hands on what is left, or the error that ended the writing.
    pub(crate) fn finish(mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome.and_then(|()| self.pass_on()) {
            // Nobody reads any more when this fails, so nobody misses the error.
            let _ = self.feed.blocking_send(Err(error));
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.feed
            .blocking_send(Ok(Bytes::from(piece)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader has left"))
    }
}

impl Write for FeedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
