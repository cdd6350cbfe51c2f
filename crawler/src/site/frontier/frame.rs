//! Frames: what happened, one by one, within the blocks of the journal. A
//! frame is its length (LEB128) and its bytes, of which the first is the kind.
//!
//! Blocks of a lane hold `Add`, `Again` and `Known`; blocks of results hold
//! `Settle`. The items of a lane are numbered from 0 in the order of its `Add`
//! and `Again` frames, and the numbers are not written.

use super::super::disk::{Wire, put_i64, put_u64};
use super::entry::{Entry, Lane, Settled, Settlement};

const ADD: u8 = 1;
const AGAIN: u8 = 2;
const KNOWN: u8 = 3;
const SETTLE: u8 = 4;

/// A frame that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// An entry with a key that was new.
    Add { key: Key<'a>, entry: Body<'a> },
    /// Item `old` is done, and the same entry stands at the end of its lane.
    Again { old: u64, entry: Body<'a> },
    /// A key that is to count as seen.
    Known { key: &'a [u8] },
    /// An item of a lane is done.
    Settle {
        lane: Lane,
        item: u64,
        outcome: u8,
        facts: &'a [u8],
        payload: &'a [u8],
    },
}

/// The key of an entry: nearly always its URL behind a short prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Prefixed(&'a [u8]),
    Whole(&'a [u8]),
}

impl Key<'_> {
    /// The key's bytes, put together in `buffer`.
    pub(super) fn bytes<'a>(&'a self, url: &str, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Self::Whole(key) => key,
            Self::Prefixed(prefix) => {
                buffer.clear();
                buffer.extend_from_slice(prefix);
                buffer.extend_from_slice(url.as_bytes());
                buffer
            }
        }
    }
}

/// An entry as it stands in a frame of its lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body<'a> {
    pub(super) url: &'a str,
    depth: u16,
    kind: u8,
    source: u32,
    page: u32,
    lastmod: Option<i64>,
    attempt: u8,
}

impl Body<'_> {
    pub(super) fn into_entry(self, lane: Lane) -> Entry {
        Entry {
            url: self.url.to_owned(),
            lane,
            depth: self.depth,
            kind: self.kind,
            source: self.source,
            page: self.page,
            lastmod: self.lastmod,
            attempt: self.attempt,
        }
    }
}

impl<'a> Frame<'a> {
    /// The next frame, or `None` if there is no whole, sound one.
    pub(super) fn next(wire: &mut Wire<'a>) -> Option<Self> {
        let mut body = Wire::new(wire.counted()?);
        match body.byte()? {
            ADD => {
                let whole = body.byte()?;
                let key = body.counted()?;
                let key = match whole {
                    0 => Key::Prefixed(key),
                    1 => Key::Whole(key),
                    _ => return None,
                };
                Some(Self::Add {
                    key,
                    entry: get_body(body)?,
                })
            }
            AGAIN => {
                let old = body.u64()?;
                Some(Self::Again {
                    old,
                    entry: get_body(body)?,
                })
            }
            KNOWN => Some(Self::Known { key: body.rest() }),
            SETTLE => {
                let lane = *Lane::ALL.get(usize::from(body.byte()?))?;
                let item = body.u64()?;
                let outcome = body.byte()?;
                let facts = body.counted()?;
                Some(Self::Settle {
                    lane,
                    item,
                    outcome,
                    facts,
                    payload: body.rest(),
                })
            }
            _ => None,
        }
    }

    /// Whether the frame is an item of its lane.
    pub(super) fn into_item(self, lane: Lane) -> Option<Entry> {
        match self {
            Self::Add { entry, .. } | Self::Again { entry, .. } => Some(entry.into_entry(lane)),
            Self::Known { .. } | Self::Settle { .. } => None,
        }
    }

    pub(super) fn into_settlement(self) -> Option<Settlement> {
        match self {
            Self::Settle {
                lane,
                item: _,
                outcome,
                facts,
                payload,
            } => Some(Settlement {
                lane,
                outcome,
                payload: payload.to_vec(),
                facts: facts.to_vec(),
            }),
            Self::Add { .. } | Self::Again { .. } | Self::Known { .. } => None,
        }
    }
}

fn get_body<'a>(mut body: Wire<'a>) -> Option<Body<'a>> {
    let depth = body.number()?;
    let kind = body.byte()?;
    let source = body.number()?;
    let page = body.number()?;
    let attempt = body.byte()?;
    let lastmod = match body.byte()? {
        0 => None,
        1 => Some(body.i64()?),
        _ => return None,
    };
    let url = str::from_utf8(body.rest()).ok()?;
    Some(Body {
        url,
        depth,
        kind,
        source,
        page,
        lastmod,
        attempt,
    })
}

fn put_body(out: &mut Vec<u8>, entry: &Entry, attempt: u8) {
    put_u64(out, entry.depth.into());
    out.push(entry.kind);
    put_u64(out, entry.source.into());
    put_u64(out, entry.page.into());
    out.push(attempt);
    match entry.lastmod {
        None => out.push(0),
        Some(seconds) => {
            out.push(1);
            put_i64(out, seconds);
        }
    }
    out.extend_from_slice(entry.url.as_bytes());
}

/// Writes frames; keeps its buffer.
#[derive(Debug, Default)]
pub(super) struct Framer(Vec<u8>);

impl Framer {
    pub(super) fn add(&mut self, key: &str, entry: &Entry) -> &[u8] {
        self.0.clear();
        self.0.push(ADD);
        let (whole, key) = match key.strip_suffix(entry.url.as_str()) {
            Some(prefix) => (0, prefix),
            None => (1, key),
        };
        self.0.push(whole);
        put_u64(&mut self.0, key.len() as u64);
        self.0.extend_from_slice(key.as_bytes());
        put_body(&mut self.0, entry, entry.attempt);
        &self.0
    }

    pub(super) fn again(&mut self, old: u64, entry: &Entry, attempt: u8) -> &[u8] {
        self.0.clear();
        self.0.push(AGAIN);
        put_u64(&mut self.0, old);
        put_body(&mut self.0, entry, attempt);
        &self.0
    }

    pub(super) fn known(&mut self, key: &str) -> &[u8] {
        self.0.clear();
        self.0.push(KNOWN);
        self.0.extend_from_slice(key.as_bytes());
        &self.0
    }

    pub(super) fn settle(&mut self, lane: Lane, item: u64, settled: &Settled<'_>) -> &[u8] {
        self.0.clear();
        self.0.push(SETTLE);
        self.0.push(lane.index() as u8);
        put_u64(&mut self.0, item);
        self.0.push(settled.outcome);
        put_u64(&mut self.0, settled.facts.len() as u64);
        self.0.extend_from_slice(settled.facts);
        self.0.extend_from_slice(settled.payload);
        &self.0
    }
}

/// Appends a frame to the frames of a block.
pub(super) fn put_frame(out: &mut Vec<u8>, frame: &[u8]) {
    put_u64(out, frame.len() as u64);
    out.extend_from_slice(frame);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn frames_come_back_as_they_went_and_never_in_part() {
        let entry = Entry {
            url: "https://shop.example/p/1".to_owned(),
            lane: Lane::Page,
            depth: 300,
            kind: 7,
            source: 70_000,
            page: 3,
            lastmod: Some(-1),
            attempt: 2,
        };
        let mut framer = Framer::default();
        let mut buffer = Vec::new();
        for key in [
            "https://shop.example/p/1",
            "s https://shop.example/p/1",
            "other",
            "",
        ] {
            let mut out = Vec::new();
            put_frame(&mut out, framer.add(key, &entry));
            let mut wire = Wire::new(&out);
            let Some(Frame::Add {
                key: read,
                entry: body,
            }) = Frame::next(&mut wire)
            else {
                panic!("no frame of {key}");
            };
            assert_eq!(read.bytes(body.url, &mut buffer), key.as_bytes());
            assert_eq!(body.into_entry(Lane::Page), entry);
            assert!(wire.is_empty());
            for cut in 0..out.len() {
                assert_eq!(Frame::next(&mut Wire::new(&out[..cut])), None);
            }
        }
        let mut out = Vec::new();
        put_frame(&mut out, framer.again(1 << 40, &entry, 3));
        let settled = Settled {
            outcome: 9,
            payload: b"{}\n",
            facts: b"f",
        };
        put_frame(&mut out, framer.settle(Lane::Source, 5, &settled));
        put_frame(&mut out, framer.known("k"));
        let mut wire = Wire::new(&out);
        let again = Frame::next(&mut wire).unwrap();
        assert!(matches!(
            again,
            Frame::Again {
                old: 0x100_0000_0000,
                ..
            }
        ));
        assert_eq!(
            again.into_item(Lane::Page),
            Some(Entry {
                attempt: 3,
                ..entry
            })
        );
        assert_eq!(
            Frame::next(&mut wire),
            Some(Frame::Settle {
                lane: Lane::Source,
                item: 5,
                outcome: 9,
                facts: b"f",
                payload: b"{}\n"
            })
        );
        assert_eq!(Frame::next(&mut wire), Some(Frame::Known { key: b"k" }));
        assert_eq!(Frame::next(&mut wire), None);
    }
}
