//! Misbehaviour: what goes wrong, for which paths, and how often.
//!
//! A rule names a path prefix and a fault, and may be limited to a share of the paths or to the first
//! requests of each path. Carrying a fault out is the affair of `route`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::time::Duration;

use flate2::write::{GzEncoder, ZlibEncoder};

use crate::number::{mix, share_bound};

/// Paths whose requests are counted for `first`; further paths do not meet such a rule.
const COUNTED_PATHS_MAX: usize = 200_000;

/// One way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Waits before the first byte; the answer is right.
    Delay(Duration),
    /// Sends the right answer in pieces, with a pause before each.
    Drip { piece_bytes: usize, every: Duration },
    /// Answers with a status (429, 503, ...) and perhaps `Retry-After` in seconds.
    Status {
        code: u16,
        retry_after_s: Option<u32>,
    },
    /// Closes the connection without an answer.
    Reset,
    /// Announces the whole answer, sends so many bytes of it (at least one less than announced) and
    /// closes. An answer above 4 MiB is chunked and ends without its last chunk.
    Truncate { after_bytes: u64 },
    /// The right bytes with another `Content-Type`, for instance with a wrong charset.
    Label(String),
    /// 200 with an HTML page, whatever was asked for.
    HtmlInstead,
    /// Redirects to itself for ever, each time with another query.
    RedirectLoop,
    /// 302 to an address, for instance a private or metadata one.
    RedirectTo(String),
    /// A body that never ends.
    Endless,
    /// A body of filler whose length is announced.
    Huge { bytes: u64 },
    /// A small gzip body that decodes to so many bytes: `Content-Encoding: gzip`, or a file where
    /// the path ends with `.gz`.
    Bomb { decoded_bytes: u64 },
    /// A small PNG file that claims to be so many pixels wide and high.
    PixelBomb { side_px: u32 },
}

/// A fault and whom it meets.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub prefix: String,
    pub fault: Fault,
    /// The share (0 to 1) of paths it meets; always the same ones.
    pub share: f64,
    /// Only the first so many requests of each path.
    pub first: Option<u32>,
}

impl Rule {
    /// A fault for every request whose path starts with `prefix`.
    pub fn new(prefix: impl Into<String>, fault: Fault) -> Rule {
        Rule {
            prefix: prefix.into(),
            fault,
            share: 1.0,
            first: None,
        }
    }

    /// Limits the rule to a share of the paths.
    pub fn share(self, share: f64) -> Rule {
        Rule { share, ..self }
    }

    /// Limits the rule to the first requests of each path.
    pub fn first(self, requests: u32) -> Rule {
        Rule {
            first: Some(requests),
            ..self
        }
    }
}

/// The rules in force. The newest that meets a request wins.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    seed: u64,
    rules: Vec<(u64, Rule)>,
    next_rule: u64,
    /// Requests met so far, by rule and path.
    met: HashMap<(u64, String), u32>,
}

impl Faults {
    pub(crate) fn new(seed: u64, rules: Vec<Rule>) -> Self {
        let mut faults = Faults {
            seed,
            ..Faults::default()
        };
        for rule in rules {
            faults.add(rule);
        }
        faults
    }

    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push((self.next_rule, rule));
        self.next_rule += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.met.clear();
    }

    /// The fault that the next request of a path meets.
    pub(crate) fn next(&mut self, path: &str) -> Option<Fault> {
        for (number, rule) in self.rules.iter().rev() {
            if !path.starts_with(&rule.prefix) || !is_in_share(self.seed, path, rule.share) {
                continue;
            }
            let Some(first) = rule.first else {
                return Some(rule.fault.clone());
            };
            let key = (*number, path.to_owned());
            if self.met.len() >= COUNTED_PATHS_MAX && !self.met.contains_key(&key) {
                continue;
            }
            let met = self.met.entry(key).or_default();
            if *met < first {
                *met += 1;
                return Some(rule.fault.clone());
            }
        }
        None
    }
}

fn is_in_share(seed: u64, path: &str, share: f64) -> bool {
    if share >= 1.0 {
        return true;
    }
    // `DefaultHasher::new` has fixed keys, so the same paths are met in every run.
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    mix(seed, hasher.finish()) < share_bound(share)
}

/// Writes a gzip file of `decoded_bytes` spaces.
pub(crate) fn write_bomb(decoded_bytes: u64, out: impl Write) -> io::Result<()> {
    let block = [b' '; 64 * 1024];
    let mut packer = GzEncoder::new(out, flate2::Compression::best());
    let mut left = decoded_bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        packer.write_all(&block[..now])?;
        left -= now as u64;
    }
    packer.finish()?.flush()
}

/// A PNG file whose header announces `side_px` by `side_px` pixels and whose data has one row.
pub(crate) fn pixel_bomb(side_px: u32) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    header.extend(side_px.to_be_bytes());
    header.extend(side_px.to_be_bytes());
    // Eight bits a channel, RGB, the only compression, filter set and no interlacing.
    header.extend([8, 2, 0, 0, 0]);
    let mut row = ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    io::copy(
        &mut io::repeat(0).take(u64::from(side_px) * 3 + 1),
        &mut row,
    )?;
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [
        (b"IHDR", header),
        (b"IDAT", row.finish()?),
        (b"IEND", vec![]),
    ] {
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        out.extend(length.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(&data);
        out.extend(name);
        out.extend(data);
        out.extend(crc.sum().to_be_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn status(code: u16) -> Fault {
        Fault::Status {
            code,
            retry_after_s: None,
        }
    }

    #[test]
    fn the_newest_rule_that_meets_a_path_wins() {
        let mut faults = Faults::new(1, vec![Rule::new("/", status(500))]);
        faults.add(Rule::new("/img/", status(503)).first(2));
        assert_eq!(faults.next("/img/a"), Some(status(503)));
        assert_eq!(faults.next("/img/a"), Some(status(503)));
        assert_eq!(faults.next("/img/a"), Some(status(500)));
        assert_eq!(
            faults.next("/img/b"),
            Some(status(503)),
            "each path counts for itself"
        );
        assert_eq!(faults.next("/feed/x"), Some(status(500)));
        faults.clear();
        assert_eq!(faults.next("/img/a"), None);
    }

    #[test]
    fn a_share_meets_that_share_of_paths_and_always_the_same() {
        let mut faults = Faults::new(1, vec![Rule::new("/", status(500)).share(0.3)]);
        let mut meets = || -> Vec<bool> {
            (0..2_000)
                .map(|n| faults.next(&format!("/img/{n}")).is_some())
                .collect()
        };
        let first = meets();
        let met = first.iter().filter(|met| **met).count();
        assert!((540..660).contains(&met), "{met} of 2000");
        assert_eq!(first, meets());
    }

    #[test]
    fn a_bomb_decodes_to_the_told_size() {
        let mut bytes = Vec::new();
        write_bomb(10_000_000, &mut bytes).unwrap();
        assert!(bytes.len() < 20_000, "{}", bytes.len());
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_end(&mut decoded)
            .unwrap();
        assert_eq!(decoded.len(), 10_000_000);
    }

    #[test]
    fn a_pixel_bomb_is_small_and_claims_to_be_large() {
        let bytes = pixel_bomb(60_000).unwrap();
        assert!(bytes.len() < 2_000, "{}", bytes.len());
        let reader =
            image::ImageReader::with_format(std::io::Cursor::new(&bytes), image::ImageFormat::Png);
        assert_eq!(reader.into_dimensions().unwrap(), (60_000, 60_000));
    }
}
