//! Misbehaviour: what goes wrong, for which paths, and how often.
//!
//! A rule names a path prefix and a fault, and may be limited to a share of the paths or to the first
//! requests of each path. Carrying a fault out is the affair of `route`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::number::{mix, share_bound};
use crate::site_spec::BombCoding;

/// Paths whose requests are counted for `first`; further paths do not meet such a rule.
const COUNTED_PATHS_MAX: usize = 200_000;

/// One way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The right answer: takes a prefix out of older rules.
    Right,
    /// Waits before the first byte; the answer is right.
    Delay(Duration),
    /// Waits the longer, the more requests are under way: `least`, and `each` for every other one.
    Loaded { least: Duration, each: Duration },
    /// The right answer while at most `in_flight_max` requests are under way, otherwise a status and
    /// perhaps `Retry-After`.
    Busy {
        in_flight_max: u32,
        code: u16,
        retry_after_s: Option<u32>,
    },
    /// The right answer to at most `per_s` requests of a rule in each second since the shop's start,
    /// to further ones a status and perhaps `Retry-After`.
    Rate {
        per_s: u32,
        code: u16,
        retry_after_s: Option<u32>,
    },
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
    /// The first so many hundredths of the right file, whole by every header, as if it had been cut
    /// where it lies.
    CutFile { keep_percent: u8 },
    /// Announces so many bytes more than it sends, and closes after the right ones.
    LengthTooLong { by: u64 },
    /// Sends so many bytes of the right answer and then nothing, for ever.
    Stall { after_bytes: u64 },
    /// The right bytes with another `Content-Type`, for instance with a wrong charset.
    Label(String),
    /// 200 with an HTML page, whatever was asked for.
    HtmlInstead,
    /// 200 with a page that asks to prove that one is no robot.
    BlockPage,
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
    /// A small body in a coding, under its `Content-Encoding`, that decodes to so many bytes.
    CodedBomb {
        coding: BombCoding,
        decoded_bytes: u64,
    },
    /// A sitemap of entities that grow to a billion texts.
    EntityBomb,
    /// A sitemap index whose only part is itself.
    SelfIndex,
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
    /// The last second of each rule with a rate, and its requests.
    seconds: HashMap<u64, (u64, u32)>,
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
        self.seconds.clear();
    }

    /// The fault that the next request of a path meets, `now` since the shop's start. A fault that
    /// lets this request pass is [`Fault::Right`].
    pub(crate) fn next(&mut self, path: &str, now: Duration, in_flight: u64) -> Option<Fault> {
        let (number, fault) = self.rule_for(path)?;
        let over = match fault {
            Fault::Busy { in_flight_max, .. } => in_flight > u64::from(in_flight_max),
            Fault::Rate { per_s, .. } => {
                let second = self.seconds.entry(number).or_default();
                if second.0 != now.as_secs() {
                    *second = (now.as_secs(), 0);
                }
                second.1 = second.1.saturating_add(1);
                second.1 > per_s
            }
            other => return Some(other),
        };
        match fault {
            Fault::Busy {
                code,
                retry_after_s,
                ..
            }
            | Fault::Rate {
                code,
                retry_after_s,
                ..
            } if over => Some(Fault::Status {
                code,
                retry_after_s,
            }),
            _ => Some(Fault::Right),
        }
    }

    /// The newest rule that meets a path, by number.
    fn rule_for(&mut self, path: &str) -> Option<(u64, Fault)> {
        for (number, rule) in self.rules.iter().rev() {
            if !path.starts_with(&rule.prefix) || !is_in_share(self.seed, path, rule.share) {
                continue;
            }
            let Some(first) = rule.first else {
                return Some((*number, rule.fault.clone()));
            };
            let key = (*number, path.to_owned());
            if self.met.len() >= COUNTED_PATHS_MAX && !self.met.contains_key(&key) {
                continue;
            }
            let met = self.met.entry(key).or_default();
            if *met < first {
                *met += 1;
                return Some((*number, rule.fault.clone()));
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

    fn next(faults: &mut Faults, path: &str) -> Option<Fault> {
        faults.next(path, Duration::ZERO, 1)
    }

    #[test]
    fn the_newest_rule_that_meets_a_path_wins() {
        let mut faults = Faults::new(1, vec![Rule::new("/", status(500))]);
        faults.add(Rule::new("/img/", status(503)).first(2));
        assert_eq!(next(&mut faults, "/img/a"), Some(status(503)));
        assert_eq!(next(&mut faults, "/img/a"), Some(status(503)));
        assert_eq!(next(&mut faults, "/img/a"), Some(status(500)));
        assert_eq!(
            next(&mut faults, "/img/b"),
            Some(status(503)),
            "each path counts for itself"
        );
        assert_eq!(next(&mut faults, "/feed/x"), Some(status(500)));
        faults.clear();
        assert_eq!(next(&mut faults, "/img/a"), None);
    }

    #[test]
    fn a_share_meets_that_share_of_paths_and_always_the_same() {
        let mut faults = Faults::new(1, vec![Rule::new("/", status(500)).share(0.3)]);
        let mut meets = || -> Vec<bool> {
            (0..2_000)
                .map(|n| next(&mut faults, &format!("/img/{n}")).is_some())
                .collect()
        };
        let first = meets();
        let met = first.iter().filter(|met| **met).count();
        assert!((540..660).contains(&met), "{met} of 2000");
        assert_eq!(first, meets());
    }

    #[test]
    fn a_busy_shop_and_a_rate_answer_with_a_status_above_their_limits() {
        let over = Some(Fault::Status {
            code: 429,
            retry_after_s: Some(1),
        });
        let busy = Fault::Busy {
            in_flight_max: 2,
            code: 429,
            retry_after_s: Some(1),
        };
        let mut faults = Faults::new(1, vec![Rule::new("/", busy)]);
        assert_eq!(faults.next("/a", Duration::ZERO, 2), Some(Fault::Right));
        assert_eq!(faults.next("/a", Duration::ZERO, 3), over);
        let rate = Fault::Rate {
            per_s: 2,
            code: 429,
            retry_after_s: Some(1),
        };
        faults.add(Rule::new("/", rate));
        let mut at = |ms| faults.next("/a", Duration::from_millis(ms), 9);
        assert_eq!(
            [at(0), at(500), at(900)],
            [Some(Fault::Right), Some(Fault::Right), over]
        );
        assert_eq!(at(1_000), Some(Fault::Right));
    }
}
