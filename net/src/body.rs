//! A body on its way from the wire through decoders and caps into a sink.
//!
//! The wire is read on the reactor; decoding, hashing and disk work are done in
//! batches on the blocking pool, one batch at a time, so that at most a batch
//! and one decoded piece are held besides what the sink keeps. A page that is
//! small on both sides of its coding is decoded where it is: handing it over
//! and back costs more than the decoding.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use crate::decode::{DecodeFault, Decoder, decoders, push_through};
use crate::error::{Fault, Measure, Phase};
use crate::limits::Limits;
use crate::request::{Observer, Progress};
use crate::sink::{Counted, Sink, Truncation};
use crate::stats::Counters;

/// Bytes gathered before the blocking pool is asked: enough to make the hand-over
/// negligible, little enough to be held by hundreds of fetches at once.
const BATCH_BYTES: usize = 256 * 1024;

/// What is decoded on the reactor at most, as served and decoded: a fifth of a
/// millisecond for a page, one for the worst of 256 KiB.
const HERE_RAW_BYTES_MAX: usize = 64 * 1024;
const HERE_DECODED_BYTES_MAX: usize = 256 * 1024;

/// Decoders, cap and sink.
struct Pipeline<S> {
    chain: Vec<Decoder>,
    sink: S,
    decoded_bytes: u64,
    decoded_bytes_max: u64,
    /// What lies beyond the cap is left out, and no fault.
    prefix: bool,
}

impl<S: Sink> Pipeline<S> {
    fn push(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let (sink, count, max) = (
            &mut self.sink,
            &mut self.decoded_bytes,
            self.decoded_bytes_max,
        );
        let prefix = self.prefix;
        let pushed = push_through(&mut self.chain, raw, &mut |piece: &[u8]| {
            *count += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            if *count > max && prefix {
                let over = usize::try_from(*count - max).unwrap_or(usize::MAX);
                return sink.write(&piece[..piece.len().saturating_sub(over)]);
            }
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

    /// Whether all that is wanted of the body has come.
    fn has_enough(&self, raw_bytes: u64, limits: &Limits) -> bool {
        self.prefix
            && (raw_bytes >= limits.raw_bytes_max || self.decoded_bytes >= self.decoded_bytes_max)
    }

    fn is_finished(&self) -> bool {
        self.chain.iter().all(Decoder::is_finished)
    }

    fn finish(
        self,
        raw_bytes: u64,
        truncated: Option<Truncation>,
    ) -> Result<(S::Body, Counted), Fault> {
        let left_out = (self.decoded_bytes > self.decoded_bytes_max).then_some(Truncation {
            got_bytes: raw_bytes,
            expected_bytes: None,
        });
        let truncated = truncated.or(left_out);
        let counted = Counted {
            raw_bytes,
            decoded_bytes: self.decoded_bytes,
            truncated,
        };
        Ok((self.sink.finish(counted)?, counted))
    }
}

/// A body that could not be read to its end, and what had come if that may be
/// kept.
pub(crate) struct Cut<S> {
    pub(crate) fault: Fault,
    pub(crate) remains: Option<Box<Remains<S>>>,
}

impl<S> From<Fault> for Cut<S> {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            remains: None,
        }
    }
}

/// What came of a cut body: in the sink, which is not finished yet and leaves
/// nothing behind if it never is.
pub(crate) struct Remains<S> {
    pipeline: Pipeline<S>,
    truncation: Truncation,
}

impl<S: Sink> Remains<S> {
    pub(crate) async fn finish(self) -> Result<(S::Body, Counted), Fault> {
        let truncation = self.truncation;
        off_reactor(move || self.pipeline.finish(truncation.got_bytes, Some(truncation))).await
    }
}

/// What a reading obeys and tells.
pub(crate) struct Reading<'a> {
    pub(crate) limits: Limits,
    pub(crate) deadline: Instant,
    pub(crate) keep_truncated: bool,
    /// Whether the caps say where reading ends instead of what is too much.
    pub(crate) prefix: bool,
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
    body: reqwest::Response,
    sink: S,
    reading: &Reading<'_>,
) -> Result<(S::Body, Counted), Cut<S>> {
    let expected = content_length(headers);
    if !reading.prefix && expected.is_some_and(|bytes| bytes > reading.limits.raw_bytes_max) {
        return Err(raw_cap(&reading.limits).into());
    }
    let coding = headers.get_all(http::header::CONTENT_ENCODING);
    let coding: Vec<&str> = coding.iter().filter_map(|v| v.to_str().ok()).collect();
    let coding = coding.join(",");
    let mut pipeline = Pipeline {
        chain: removed_from(&coding)?,
        sink,
        decoded_bytes: 0,
        decoded_bytes_max: reading.limits.decoded_bytes_max,
        prefix: reading.prefix,
    };
    if let (Some(bytes), true) = (expected, pipeline.chain.is_empty()) {
        pipeline.sink.expect(bytes);
    }
    pump(body, pipeline, &coding, expected, reading).await
}

async fn pump<S: Sink>(
    mut body: reqwest::Response,
    mut pipeline: Pipeline<S>,
    coding: &str,
    expected: Option<u64>,
    reading: &Reading<'_>,
) -> Result<(S::Body, Counted), Cut<S>> {
    let blocks = S::BLOCKS || !pipeline.chain.is_empty();
    let mut batch = Vec::new();
    let mut raw_bytes = 0_u64;
    // Our own work is not the server's time.
    let mut deadline = reading.deadline;
    let broke = loop {
        let next = next_piece(&mut body, reading, deadline, expected, raw_bytes);
        let data = match next.await {
            Ok(Some(data)) => data,
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        };
        let count = u64::try_from(data.len()).unwrap_or(u64::MAX);
        raw_bytes = raw_bytes.saturating_add(count);
        Counters::add(&reading.counters.bytes_down, count);
        if let Some(observer) = reading.observer {
            observer(Progress {
                raw_bytes,
                piece_bytes: count,
                expected,
            });
        }
        if !reading.prefix && raw_bytes > reading.limits.raw_bytes_max {
            return Err(raw_cap(&reading.limits).into());
        }
        let began = Instant::now();
        if !blocks {
            pipeline.sink.room(data.len()).await;
            deadline += began.elapsed();
            pipeline.push(&data)?;
            if pipeline.has_enough(raw_bytes, &reading.limits) {
                return Ok(ended_early(pipeline, raw_bytes, expected)?);
            }
            continue;
        }
        batch.extend_from_slice(&data);
        if batch.len() >= BATCH_BYTES || pipeline.has_enough(raw_bytes, &reading.limits) {
            (pipeline, batch) = off_reactor(move || {
                pipeline.push(&batch)?;
                batch.clear();
                Ok::<_, Fault>((pipeline, batch))
            })
            .await?;
            deadline += began.elapsed();
            if pipeline.has_enough(raw_bytes, &reading.limits) {
                return Ok(ended_early(pipeline, raw_bytes, expected)?);
            }
        }
    };
    let ending = Ending {
        broke,
        raw_bytes,
        expected,
        keep: reading.keep_truncated,
    };
    if !S::BLOCKS
        && batch.len() <= HERE_RAW_BYTES_MAX
        && u64::try_from(batch.len()).is_ok_and(|whole| whole == raw_bytes)
        && ending.broke.is_none()
        && blocks
    {
        let mut chain = std::mem::take(&mut pipeline.chain);
        if let Some(decoded) = decoded_here(&mut chain, &batch) {
            pipeline.sink.room(decoded.len()).await;
            return ending.end(pipeline, &decoded);
        }
        pipeline.chain = removed_from(coding)?;
    }
    if blocks {
        off_reactor(move || ending.end(pipeline, &batch)).await
    } else {
        ending.end(pipeline, &batch)
    }
}

/// A body of which all that was wanted has come. The connection goes with the
/// rest of it.
fn ended_early<S: Sink>(
    pipeline: Pipeline<S>,
    raw_bytes: u64,
    expected: Option<u64>,
) -> Result<(S::Body, Counted), Fault> {
    let cut = Truncation {
        got_bytes: raw_bytes,
        expected_bytes: expected.filter(|&bytes| raw_bytes < bytes),
    };
    pipeline.finish(raw_bytes, Some(cut))
}

/// The decoders of a Content-Encoding.
fn removed_from(coding: &str) -> Result<Vec<Decoder>, Fault> {
    decoders(coding).map_err(|(coding, why)| Fault::Decode { coding, why })
}

/// A whole body decoded at once, if it is whole and small. Anything else is for
/// the pipeline, which says what is wrong with it.
fn decoded_here(chain: &mut [Decoder], raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(raw.len().saturating_mul(4));
    let pushed = push_through(chain, raw, &mut |piece: &[u8]| {
        if decoded.len() + piece.len() > HERE_DECODED_BYTES_MAX {
            return Err(());
        }
        decoded.extend_from_slice(piece);
        Ok(())
    });
    let whole = pushed.is_ok() && chain.iter().all(Decoder::is_finished);
    whole.then_some(decoded)
}

/// How the bytes of a body ended.
struct Ending {
    broke: Option<Fault>,
    raw_bytes: u64,
    expected: Option<u64>,
    keep: bool,
}

impl Ending {
    /// Takes the last batch through the pipeline and closes it.
    fn end<S: Sink>(
        self,
        mut pipeline: Pipeline<S>,
        batch: &[u8],
    ) -> Result<(S::Body, Counted), Cut<S>> {
        let got = self.raw_bytes;
        let more = self.expected.filter(|&bytes| got < bytes);
        let fault = match self.broke {
            Some(fault) => {
                // Nothing is made of the last batch unless it is kept. Where it
                // makes no sense, the bytes before are not to be trusted either.
                if !self.keep || !breaks_off(&fault) || pipeline.push(batch).is_err() {
                    return Err(fault.into());
                }
                fault
            }
            None => {
                pipeline.push(batch)?;
                if pipeline.is_finished() {
                    return Ok(pipeline.finish(got, None)?);
                }
                let expected = None;
                Fault::Truncated { expected, got }
            }
        };
        let truncation = Truncation {
            got_bytes: got,
            expected_bytes: more,
        };
        let worth = self.keep && pipeline.decoded_bytes > 0;
        let remains = worth.then(|| {
            Box::new(Remains {
                pipeline,
                truncation,
            })
        });
        Err(Cut { fault, remains })
    }
}

/// Whether the fault is about the end of the body alone, so that what came
/// before it is sound.
fn breaks_off(fault: &Fault) -> bool {
    matches!(fault, Fault::Truncated { .. } | Fault::Timeout { .. })
}

/// Runs blocking work. When the caller is dropped meanwhile, the one batch is
/// finished, and what it worked on is dropped with it.
pub(crate) async fn off_reactor<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Fault> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            // A panic belongs to the job that caused it.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(Fault::Cancelled.into()),
        },
    }
}

/// The next bytes of a body, `None` at its end, which is where it should be.
async fn next_piece(
    body: &mut reqwest::Response,
    reading: &Reading<'_>,
    deadline: Instant,
    expected: Option<u64>,
    got: u64,
) -> Result<Option<Bytes>, Fault> {
    let timeouts = &reading.limits.timeouts;
    let idle = Instant::now() + Duration::from_millis(timeouts.idle_ms);
    let (until, phase, after_ms) = if idle < deadline {
        (idle, Phase::Idle, timeouts.idle_ms)
    } else {
        (deadline, Phase::Whole, timeouts.whole_ms)
    };
    match timeout_at(until, body.chunk()).await {
        Ok(Ok(None)) if expected.is_some_and(|bytes| got < bytes) => {
            Err(Fault::Truncated { expected, got })
        }
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(error)) => Err(broken_body(error, expected, got)),
        Err(_) => Err(Fault::Timeout { phase, after_ms }),
    }
}

fn raw_cap(limits: &Limits) -> Fault {
    Fault::TooLarge {
        measure: Measure::RawBytes,
        max_bytes: limits.raw_bytes_max,
    }
}

/// A body that broke off is truncated, whatever broke it; one whose framing
/// makes no sense is a fault of the protocol.
fn broken_body(error: reqwest::Error, expected: Option<u64>, got: u64) -> Fault {
    let kind = crate::fault::find::<io::Error>(&error).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Fault::Protocol {
            why: "the body is not framed as its headers say".to_owned(),
            source: Some(Box::new(error.without_url())),
        },
        Some(_) | None => Fault::Truncated { expected, got },
    }
}

/// Reads the small rest of a body that nobody wants, so that its connection can
/// be used again. Best effort.
pub(crate) async fn drain(mut body: reqwest::Response) {
    const REST_BYTES_MAX: usize = 16 * 1024;
    const REST_WAIT: Duration = Duration::from_millis(100);
    let until = Instant::now() + REST_WAIT;
    let mut seen = 0;
    while seen < REST_BYTES_MAX {
        match timeout_at(until, body.chunk()).await {
            Ok(Ok(Some(piece))) => seen += piece.len(),
            Ok(Ok(None) | Err(_)) | Err(_) => return,
        }
    }
}
