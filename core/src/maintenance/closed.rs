//! What is closed at an instant, and until when.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use url::Url;

use super::{Declarations, Target, Window};
use crate::job::{CrawlJob, ImageJob};
use crate::pipe::Pipe;
use crate::{PipeId, QueueName};

/// Jobs go on within this time after the end of a window, so that the target
/// is not met by all of them at once.
pub const SPREAD_MAX: chrono::Duration = chrono::Duration::minutes(5);

/// Windows that follow one another are one as far as waiting is concerned; so
/// many of them are looked at.
const CHAIN_MAX: usize = 16;

/// When a partner may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartnerHours {
    /// Not in these.
    pub maintenance: Vec<Window>,
    /// Only in these, unless there are none.
    pub off_peak: Vec<Window>,
}

impl PartnerHours {
    /// When the partner may be asked again, if not now, and why.
    fn closed(&self, pipe: &PipeId, now: DateTime<Utc>) -> Option<(DateTime<Utc>, String)> {
        let under_maintenance = self.maintenance.iter().filter_map(|window| {
            Some((window.open_until(now)?, pipe_reason(pipe, &window.reason)))
        });
        under_maintenance
            .chain(self.until_off_peak(pipe, now))
            .max_by_key(|(until, _)| *until)
    }

    fn until_off_peak(&self, pipe: &PipeId, now: DateTime<Utc>) -> Option<(DateTime<Utc>, String)> {
        let windows = &self.off_peak;
        if windows
            .iter()
            .any(|window| window.open_until(now).is_some())
        {
            return None;
        }
        // Where all of them are over there is nothing to wait for.
        let opens = windows.iter().filter_map(|window| window.opens_after(now));
        let reason = format!("waiting for the off-peak hours of pipe {pipe}");
        opens.min().map(|opens| (opens, reason))
    }
}

/// What a job reaches out to, as far as windows are concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touches {
    /// The partner, with the hours of its pipe file.
    pub partner: Option<PartnerHours>,
    pub hosts: BTreeSet<String>,
    pub catalogue: bool,
}

impl Touches {
    /// Of a message body. One that cannot be read touches nothing: it is
    /// buried without a request.
    pub fn of(queue: QueueName, body: &str, pipe: &Pipe) -> Self {
        let host_of = |url: &str| Some(Url::parse(url).ok()?.host_str()?.to_owned());
        match queue {
            QueueName::Crawl => match CrawlJob::decode(body) {
                Ok(CrawlJob::Collect { .. }) => Self {
                    partner: Some(pipe.hours()),
                    hosts: pipe.source.host().map(str::to_owned).into_iter().collect(),
                    catalogue: true,
                },
                Ok(CrawlJob::Fold { .. } | CrawlJob::Refetch { .. } | CrawlJob::Upkeep { .. }) => {
                    Self {
                        catalogue: true,
                        ..Self::default()
                    }
                }
                Err(_) => Self::default(),
            },
            QueueName::Image => match ImageJob::decode(body) {
                Ok(job) => Self {
                    partner: Some(pipe.hours()),
                    hosts: job
                        .images
                        .iter()
                        .filter_map(|image| host_of(&image.url))
                        .collect(),
                    catalogue: false,
                },
                Err(_) => Self::default(),
            },
        }
    }

    fn is_target(&self, target: &Target, pipe: &PipeId) -> bool {
        match target {
            Target::Fleet => true,
            Target::Catalogue => self.catalogue,
            Target::Pipe(id) => self.partner.is_some() && id == pipe,
            Target::Host(host) => self.hosts.contains(host),
        }
    }
}

/// A job may not go on before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub until: DateTime<Utc>,
    pub reason: String,
}

/// Whether a job of this pipe that touches these things has to wait, and until
/// when: the end of the last of the windows that follow one another.
pub fn closed(
    touches: &Touches,
    pipe: &PipeId,
    declared: &Declarations,
    now: DateTime<Utc>,
) -> Option<Closed> {
    let (mut until, reason) = latest(touches, pipe, declared, now)?;
    for _ in 0..CHAIN_MAX {
        match latest(touches, pipe, declared, until) {
            Some((later, _)) => until = later,
            None => break,
        }
    }
    Some(Closed { until, reason })
}

fn latest(
    touches: &Touches,
    pipe: &PipeId,
    declared: &Declarations,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, String)> {
    let of_partner = touches
        .partner
        .iter()
        .filter_map(|hours| hours.closed(pipe, now));
    let of_targets = declared
        .windows
        .iter()
        .filter(|window| touches.is_target(&window.target, pipe))
        .filter_map(|window| {
            let until = window.open_until(now)?;
            Some((
                until,
                parked_reason(&window.target.to_string(), &window.reason),
            ))
        });
    of_partner.chain(of_targets).max_by_key(|(until, _)| *until)
}

/// How the reason of a job that waits for the end of a window begins.
pub const MAINTENANCE: &str = "maintenance of ";

fn pipe_reason(pipe: &PipeId, reason: &str) -> String {
    parked_reason(&format!("the partner of pipe {pipe}"), reason)
}

fn parked_reason(target: &str, reason: &str) -> String {
    if reason.is_empty() {
        format!("{MAINTENANCE}{target}")
    } else {
        format!("{MAINTENANCE}{target}: {reason}")
    }
}

/// When a job that waits for the end of a window goes on: after it, by a share
/// of the wait that depends on its group alone, so that the jobs of one group
/// keep their order and those of many do not come at once.
pub fn after_window(until: DateTime<Utc>, group: &str, now: DateTime<Utc>) -> DateTime<Utc> {
    let spread = SPREAD_MAX.min((until - now) / 4);
    let digest = Sha256::digest(group);
    let share = i64::from(u16::from_be_bytes([digest[0], digest[1]]));
    let wait_ms = spread.num_milliseconds().max(0) * share / i64::from(u16::MAX);
    until + chrono::Duration::milliseconds(wait_ms)
}
