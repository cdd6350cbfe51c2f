//! The robots files of the hosts that this process crawls: each is asked for
//! twice a day at most and kept for a day at most, whichever pipes share the
//! host and the way to it: what a host answers to one address may be a refusal
//! of that address.
//!
//! What became unreachable is known from the last answer of the day if there
//! was one, as RFC 9309 (2.4) allows, and asked for again before long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use trawler_core::ports::Clock;
use trawler_fleet::chain;
use trawler_net::{Fetched, Fetcher};
use url::Url;

use super::robots::{self, Access, Availability, KEPT_MAX};

/// Hosts whose files are kept; of more, those asked for longest ago make room.
/// A file is at most 500 KiB and rarely above 4.
const HOSTS_MAX: usize = 4_096;

/// A file is asked for again after so long: it may have changed, and should the
/// host not answer then, what is known holds until it is [`KEPT_MAX`] old.
const ASKED_AGAIN: Duration = Duration::from_secs(12 * 3600);

/// A host that did not answer is asked again after so long.
const UNREACHABLE_FOR: Duration = Duration::from_secs(10 * 60);

/// What is known of one host's file, and why nothing is, where that is so.
#[derive(Debug, Clone)]
pub struct KnownFile {
    pub access: Arc<Access>,
    pub reason: Option<String>,
}

#[derive(Debug)]
struct Kept {
    file: KnownFile,
    /// Monotonic.
    asked: Duration,
    /// When the file last came, or was said not to exist.
    answered: Option<Duration>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// All of them. Cheap to share; whoever needs a file that somebody is asking
/// for waits for that answer.
#[derive(Debug, Default)]
pub struct RobotsFiles {
    /// By origin and way, with when each was last asked about.
    hosts: Mutex<HashMap<String, (Duration, Slot)>>,
}

impl RobotsFiles {
    /// That of an origin, such as `https://shop.example`.
    pub async fn of(
        &self,
        fetcher: &Fetcher,
        clock: &dyn Clock,
        user_agent: &str,
        origin: &str,
    ) -> KnownFile {
        let now = clock.monotonic();
        let slot = self.slot(format!("{origin} {}", fetcher.way()), now);
        let mut kept = slot.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.holds(now)) {
            return kept.file.clone();
        }
        let file = ask(fetcher, user_agent, origin).await;
        let now = clock.monotonic();
        let is_answer = file.access.availability() != Availability::Unreachable;
        let before = kept.take().filter(|kept| kept.is_fresh(now));
        let next = match before {
            Some(before) if !is_answer => Kept {
                asked: now,
                ..before
            },
            _ => Kept {
                file,
                asked: now,
                answered: is_answer.then_some(now),
            },
        };
        kept.insert(next).file.clone()
    }

    fn slot(&self, place: String, now: Duration) -> Slot {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((used, slot)) = hosts.get_mut(&place) {
            *used = now;
            return Arc::clone(slot);
        }
        if hosts.len() >= HOSTS_MAX {
            let oldest = hosts.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(place, _)| place.clone()) {
                hosts.remove(&oldest);
            }
        }
        let slot = Slot::default();
        hosts.insert(place, (now, Arc::clone(&slot)));
        slot
    }
}

impl Kept {
    /// Whether there is an answer that may still be used.
    fn is_fresh(&self, now: Duration) -> bool {
        self.answered
            .is_some_and(|at| now.saturating_sub(at) < KEPT_MAX)
    }

    /// Whether nobody has to be asked.
    fn holds(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.asked);
        match self.answered {
            Some(at) if at == self.asked => since < ASKED_AGAIN,
            Some(_) => self.is_fresh(now) && since < UNREACHABLE_FOR,
            None => since < UNREACHABLE_FOR,
        }
    }
}

async fn ask(fetcher: &Fetcher, user_agent: &str, origin: &str) -> KnownFile {
    let unknown = |reason: String| KnownFile {
        access: Arc::new(Access::Unreachable),
        reason: Some(reason),
    };
    let url = match Url::parse(&format!("{origin}/robots.txt")) {
        Ok(url) => url,
        Err(error) => return unknown(format!("{origin}: {error}")),
    };
    let request = robots::request(&url)
        .map_err(|error| chain(&error))
        .and_then(|request| {
            request
                .user_agent(user_agent)
                .map_err(|error| error.to_string())
        });
    let request = match request {
        Ok(request) => request,
        Err(reason) => return unknown(reason),
    };
    match fetcher.fetch_bytes(&request).await {
        Ok(Fetched::Body(response)) => KnownFile {
            access: Arc::new(Access::of(Ok(&response.body))),
            reason: None,
        },
        // Nothing was asked conditionally, so that the fetcher calls it an error.
        Ok(Fetched::NotModified(_)) => unknown(format!("{url} answered 304")),
        Err(error) => KnownFile {
            access: Arc::new(Access::of(Err(error.fault()))),
            reason: Some(chain(&error)),
        },
    }
}
