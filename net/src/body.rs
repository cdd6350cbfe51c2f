//! A body on its way from the wire through decoders and caps into a sink.
//!
//! The wire is read on the reactor; decoding, hashing and disk work are done in
//! batches on the blocking pool, one batch at a time, so that at most a batch
//! and one decoded piece are held besides what the sink keeps.

use std::io;
use std::time::Duration;

use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::decode::{DecodeFault, Decoder, decoders, push_through};
use crate::error::{Fault, Measure, Phase};
use crate::limits::Limits;
use crate::request::{Observer, Progress};
use crate::sink::{Counted, Sink};
use crate::stats::Counters;

/// Bytes gathered before the blocking pool is asked: enough to make the hand-over
/// negligible, little enough to be held by hundreds of fetches at once.
const BATCH_BYTES: usize = 256 * 1024;

/// Decoders, cap and sink.
struct Pipeline<S> {
    chain: Vec<Decoder>,
    sink: S,
    decoded_bytes: u64,
    decoded_bytes_max: u64,
}

impl<S: Sink> Pipeline<S> {
    fn push(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let (sink, count, max) = (
            &mut self.sink,
            &mut self.decoded_bytes,
            self.decoded_bytes_max,
        );
        let pushed = push_through(&mut self.chain, raw, &mut |piece: &[u8]| {
            *count += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            if *count > max {
                return Err(Fault::TooLarge {
                    measure: Measure::DecodedBytes,
                    max_bytes: max,
                });
            }
            sink.write(piece)
        });
        pushed.map_err(|fault| match fault {
            DecodeFault::Output(fault) => fault,
            DecodeFault::Invalid(coding, why) => Fault::Decode {
                coding: coding.to_owned(),
                why,
            },
        })
    }

    fn finish(self, raw_bytes: u64) -> Result<(S::Body, Counted), Fault> {
        if !self.chain.iter().all(Decoder::is_finished) {
            return Err(Fault::Truncated {
                expected: None,
                got: raw_bytes,
            });
        }
        let counted = Counted {
            raw_bytes,
            decoded_bytes: self.decoded_bytes,
        };
        Ok((self.sink.finish(counted)?, counted))
    }
}

/// What a reading obeys and tells.
pub(crate) struct Reading<'a> {
    pub(crate) limits: Limits,
    pub(crate) deadline: Instant,
    pub(crate) observer: Option<&'a Observer>,
    pub(crate) counters: &'a Counters,
}

/// Content-Length, when there is a sane one.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?;
    text.trim().parse().ok()
}

/// Reads a whole body into a sink.
pub(crate) async fn read<S: Sink>(
    headers: &HeaderMap,
    body: Incoming,
    sink: S,
    reading: &Reading<'_>,
) -> Result<(S::Body, Counted), Fault> {
    let expected = content_length(headers);
    if expected.is_some_and(|bytes| bytes > reading.limits.raw_bytes_max) {
        return Err(raw_cap(&reading.limits));
    }
    let coding = headers.get_all(http::header::CONTENT_ENCODING);
    let coding: Vec<&str> = coding.iter().filter_map(|v| v.to_str().ok()).collect();
    let chain = decoders(&coding.join(","));
    let pipeline = Pipeline {
        chain: chain.map_err(|(coding, why)| Fault::Decode { coding, why })?,
        sink,
        decoded_bytes: 0,
        decoded_bytes_max: reading.limits.decoded_bytes_max,
    };
    pump(body, pipeline, expected, reading).await
}

async fn pump<S: Sink>(
    mut body: Incoming,
    mut pipeline: Pipeline<S>,
    expected: Option<u64>,
    reading: &Reading<'_>,
) -> Result<(S::Body, Counted), Fault> {
    let blocks = S::BLOCKS || !pipeline.chain.is_empty();
    let mut batch = Vec::new();
    let mut raw_bytes = 0_u64;
    while let Some(frame) = next_frame(&mut body, reading).await? {
        let frame = frame.map_err(|error| broken_body(error, expected, raw_bytes))?;
        // Trailers say nothing that is used.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let count = u64::try_from(data.len()).unwrap_or(u64::MAX);
        raw_bytes = raw_bytes.saturating_add(count);
        Counters::add(&reading.counters.bytes_down, count);
        if raw_bytes > reading.limits.raw_bytes_max {
            return Err(raw_cap(&reading.limits));
        }
        if let Some(observer) = reading.observer {
            observer(Progress {
                raw_bytes,
                expected,
            });
        }
        if !blocks {
            pipeline.push(&data)?;
            continue;
        }
        batch.extend_from_slice(&data);
        if batch.len() >= BATCH_BYTES {
            (pipeline, batch) = off_reactor(move || {
                pipeline.push(&batch)?;
                batch.clear();
                Ok((pipeline, batch))
            })
            .await?;
        }
    }
    if expected.is_some_and(|bytes| raw_bytes < bytes) {
        return Err(Fault::Truncated {
            expected,
            got: raw_bytes,
        });
    }
    if !blocks {
        return pipeline.finish(raw_bytes);
    }
    off_reactor(move || {
        pipeline.push(&batch)?;
        pipeline.finish(raw_bytes)
    })
    .await
}

/// Runs blocking work. When the caller is dropped meanwhile, the one batch is
/// finished, and what it worked on is dropped with it.
pub(crate) async fn off_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            // A panic belongs to the job that caused it.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(Fault::Cancelled),
        },
    }
}

type FrameResult = Result<hyper::body::Frame<bytes::Bytes>, hyper::Error>;

async fn next_frame(
    body: &mut Incoming,
    reading: &Reading<'_>,
) -> Result<Option<FrameResult>, Fault> {
    let timeouts = &reading.limits.timeouts;
    let idle = Instant::now() + Duration::from_millis(timeouts.idle_ms);
    let (until, phase, after_ms) = if idle < reading.deadline {
        (idle, Phase::Idle, timeouts.idle_ms)
    } else {
        (reading.deadline, Phase::Whole, timeouts.whole_ms)
    };
    let frame = timeout_at(until, body.frame()).await;
    frame.map_err(|_| Fault::Timeout { phase, after_ms })
}

fn raw_cap(limits: &Limits) -> Fault {
    Fault::TooLarge {
        measure: Measure::RawBytes,
        max_bytes: limits.raw_bytes_max,
    }
}

/// A body that broke off is truncated, whatever broke it; one whose framing
/// makes no sense is a fault of the protocol.
fn broken_body(error: hyper::Error, expected: Option<u64>, got: u64) -> Fault {
    let kind = crate::fault::find::<io::Error>(&error).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Fault::Protocol {
            why: "the body is not framed as its headers say".to_owned(),
            source: Some(Box::new(error)),
        },
        Some(_) | None => Fault::Truncated { expected, got },
    }
}

/// Reads the small rest of a body that nobody wants, so that its connection can
/// be used again. Best effort.
pub(crate) async fn drain(mut body: Incoming) {
    const REST_BYTES_MAX: usize = 16 * 1024;
    const REST_WAIT: Duration = Duration::from_millis(100);
    let until = Instant::now() + REST_WAIT;
    let mut seen = 0;
    while seen < REST_BYTES_MAX {
        match timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => seen += frame.data_ref().map_or(0, bytes::Bytes::len),
            Ok(None | Some(Err(_))) | Err(_) => return,
        }
    }
}
