//! Faults carried out: the answer that a request gets when it meets one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{StatusCode, header};

use super::answer::{Answer, Ask};
use super::{State, feed_of};
use crate::body::Source;
use crate::bomb::pixel_bomb;
use crate::fault::Fault;
use crate::site;
use crate::site_spec::BombCoding;
use crate::stats::Kind;

impl State {
    /// The answer to a request that meets `fault`; none where the connection is to be closed.
    pub(crate) async fn misbehave(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        fault: Fault,
        in_flight: u64,
    ) -> io::Result<Option<Answer>> {
        let answer = match fault {
            Fault::Reset => return Ok(None),
            // The rules have already let a request pass where they do.
            Fault::Right | Fault::Busy { .. } | Fault::Rate { .. } => self.answer(ask).await?,
            Fault::Delay(pause) => self.delayed(ask, pause).await?,
            Fault::Loaded { least, each } => {
                let others = u32::try_from(in_flight.saturating_sub(1)).unwrap_or(u32::MAX);
                let pause = least.saturating_add(each.saturating_mul(others));
                self.delayed(ask, pause).await?
            }
            Fault::Status {
                code,
                retry_after_s,
            } => status(code, retry_after_s)?,
            Fault::Drip { piece_bytes, every } => {
                let mut answer = self.answer(ask).await?;
                announce_length(&mut answer);
                let (feed, pieces) = Source::channel();
                let source = std::mem::replace(&mut answer.source, Source::empty());
                self.tasks.spawn(source.drip(piece_bytes, every, feed));
                answer.source = Source::Stream(Default::default(), pieces);
                answer
            }
            Fault::Truncate { after_bytes } => self.truncated(ask, after_bytes).await?,
            Fault::CutFile { keep_percent } => {
                let mut answer = self.answer(ask).await?;
                if let Source::Whole(file) = &mut answer.source {
                    file.truncate(file.len() * usize::from(keep_percent.min(100)) / 100);
                }
                answer
            }
            Fault::LengthTooLong { by } => self.too_long(ask, by).await?,
            Fault::Stall { after_bytes } => {
                let mut answer = self.answer(ask).await?;
                announce_length(&mut answer);
                let (feed, pieces) = Source::channel();
                let source = std::mem::replace(&mut answer.source, Source::empty());
                self.tasks.spawn(source.stall(after_bytes, feed));
                answer.source = Source::Stream(Default::default(), pieces);
                answer
            }
            Fault::Label(content_type) => {
                let mut answer = self.answer(ask).await?;
                answer.set(header::CONTENT_TYPE, &content_type);
                answer
            }
            Fault::HtmlInstead => self.html(&site::home(&self.model, 0)),
            Fault::BlockPage => {
                let text = Bytes::from_static(site::block_page().as_bytes());
                Answer::new(
                    StatusCode::OK,
                    "text/html; charset=utf-8",
                    Source::Whole(text),
                )
            }
            Fault::RedirectLoop => {
                let hop = ask.query.and_then(|q| q.strip_prefix("hop="));
                let next = hop
                    .and_then(|n| n.parse::<u64>().ok())
                    .unwrap_or(0)
                    .wrapping_add(1);
                Answer::redirect(StatusCode::FOUND, &format!("{}?hop={next}", ask.path))
            }
            Fault::RedirectTo(address) => Answer::redirect(StatusCode::FOUND, &address),
            // 2^64 bytes are more than any reader waits for.
            Fault::Endless => self.filler(ask, u64::MAX),
            Fault::Huge { bytes } => {
                let mut answer = self.filler(ask, bytes);
                answer.set(header::CONTENT_LENGTH, &bytes.to_string());
                answer
            }
            Fault::Bomb { decoded_bytes } => {
                self.fault_bomb(ask, BombCoding::Gzip, decoded_bytes)
                    .await?
            }
            Fault::CodedBomb {
                coding,
                decoded_bytes,
            } => self.fault_bomb(ask, coding, decoded_bytes).await?,
            Fault::EntityBomb => {
                let source = Source::Whole(site::entity_bomb().into());
                Answer::new(StatusCode::OK, "application/xml", source)
            }
            Fault::SelfIndex => {
                let source = Source::Whole(site::self_index(&self.model, ask.path).into());
                Answer::new(StatusCode::OK, "application/xml", source)
            }
            Fault::PixelBomb { side_px } => {
                let bytes = Bytes::from(pixel_bomb(side_px)?);
                Answer::new(StatusCode::OK, "image/png", Source::Whole(bytes))
            }
        };
        Ok(Some(answer))
    }

    async fn truncated(self: &Arc<Self>, ask: &Ask<'_>, after_bytes: u64) -> io::Result<Answer> {
        let mut answer = self.answer(ask).await?;
        // An answer without a body (304, a redirect) cannot be cut.
        if answer.source.length() == Some(0) {
            return Ok(answer);
        }
        let bytes = match announce_length(&mut answer) {
            Some(length) => after_bytes.min(length - 1),
            None => after_bytes,
        };
        let (feed, pieces) = Source::channel();
        let source = std::mem::replace(&mut answer.source, Source::empty());
        self.tasks.spawn(source.cut(bytes, feed));
        answer.source = Source::Stream(Default::default(), pieces);
        Ok(answer)
    }

    fn filler(&self, ask: &Ask<'_>, bytes: u64) -> Answer {
        let (feed, pieces) = Source::channel();
        self.tasks.spawn(Source::filler(bytes, feed));
        let source = Source::Stream(Default::default(), pieces);
        Answer::new(StatusCode::OK, natural_type(ask.path), source)
    }

    async fn fault_bomb(
        &self,
        ask: &Ask<'_>,
        coding: BombCoding,
        decoded_bytes: u64,
    ) -> io::Result<Answer> {
        let source = Source::Whole(self.bomb(coding, decoded_bytes).await?);
        if coding == BombCoding::Gzip && ask.path.ends_with(".gz") {
            return Ok(Answer::new(StatusCode::OK, "application/gzip", source));
        }
        let mut answer = Answer::new(StatusCode::OK, natural_type(ask.path), source);
        answer.set(header::CONTENT_ENCODING, coding.token());
        Ok(answer)
    }

    async fn delayed(self: &Arc<Self>, ask: &Ask<'_>, pause: Duration) -> io::Result<Answer> {
        tokio::time::sleep(pause).await;
        self.answer(ask).await
    }

    /// The right bytes, announced as more than they are.
    async fn too_long(self: &Arc<Self>, ask: &Ask<'_>, by: u64) -> io::Result<Answer> {
        let mut answer = self.answer(ask).await?;
        let Some(length) = answer.source.length().filter(|length| *length > 0) else {
            return Ok(answer);
        };
        let announced = length.saturating_add(by.max(1));
        answer.set(header::CONTENT_LENGTH, &announced.to_string());
        let (feed, pieces) = Source::channel();
        let source = std::mem::replace(&mut answer.source, Source::empty());
        self.tasks.spawn(source.cut(length, feed));
        answer.source = Source::Stream(Default::default(), pieces);
        Ok(answer)
    }
}

fn status(code: u16, retry_after_s: Option<u32>) -> io::Result<Answer> {
    let status = StatusCode::from_u16(code).map_err(io::Error::other)?;
    let text = Bytes::from(format!("{status}\n"));
    let mut answer = Answer::new(status, "text/plain; charset=utf-8", Source::Whole(text));
    if let Some(seconds) = retry_after_s {
        answer.set(header::RETRY_AFTER, &seconds.to_string());
    }
    Ok(answer)
}

/// Writes `Content-Length` for a body that is about to be replaced by a stream of the same length.
fn announce_length(answer: &mut Answer) -> Option<u64> {
    let length = answer.source.length()?;
    if answer.status != StatusCode::NOT_MODIFIED {
        answer.set(header::CONTENT_LENGTH, &length.to_string());
    }
    Some(length)
}

/// The content type that a path promises by its name.
fn natural_type(path: &str) -> &'static str {
    match Kind::of(path) {
        Kind::Image => "image/jpeg",
        Kind::Page => "text/html; charset=utf-8",
        Kind::Sitemap => "application/xml",
        Kind::Robots | Kind::Other => "text/plain; charset=utf-8",
        Kind::Feed => feed_of(path).map_or("text/plain", |(format, _)| format.media_type()),
    }
}
