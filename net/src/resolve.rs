//! Names to addresses, with a small cache.
//!
//! What comes from here is not judged yet: `judge` looks at every address
//! at every connection, so that a cached answer cannot outlive the policy.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Addresses of one name that are looked at; a name with more is an attack or
/// a content network that any sixteen will do for.
pub const ADDRESSES_MAX: usize = 16;
/// Names in the cache.
const ENTRIES_MAX: usize = 4096;
/// How long an answer is believed. The system's resolver tells no TTL; a minute
/// spares it the thousands of requests of one crawl.
const KEPT: Duration = Duration::from_secs(60);
/// How long a failure is believed: enough for a burst of requests to fail fast.
const FAILURE_KEPT: Duration = Duration::from_secs(3);
/// Look-ups at once. Each holds a thread of the blocking pool.
const LOOKUPS_MAX: usize = 32;

/// The answer of a look-up.
pub type LookedUp<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Asks for the addresses of a name. Must be cancel-safe; an empty answer means
/// that the name has no address.
pub trait Lookup: Send + Sync {
    /// The addresses of `host`, which is never a literal address.
    fn lookup<'a>(&'a self, host: &'a str) -> LookedUp<'a>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(&'a self, host: &'a str) -> LookedUp<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }
}

struct Entry {
    until: Instant,
    /// An error by its kind and words, since it cannot be copied.
    answer: Result<Vec<IpAddr>, (io::ErrorKind, String)>,
}

/// A look-up behind a bounded cache.
pub(crate) struct Resolver {
    lookup: Arc<dyn Lookup>,
    cache: Mutex<HashMap<String, Entry>>,
    /// One for each name that is being asked for.
    asking: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    running: Semaphore,
}

/// The right to wait for the answer about a name. Whoever is the last to have
/// it takes its entry away.
struct Asking<'a> {
    resolver: &'a Resolver,
    host: &'a str,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asking = self.resolver.asking();
        // The map's and this one's.
        if Arc::strong_count(&self.turn) <= 2 {
            asking.remove(self.host);
        }
    }
}

impl Resolver {
    pub(crate) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self {
            lookup,
            cache: Mutex::new(HashMap::new()),
            asking: Mutex::default(),
            running: Semaphore::new(LOOKUPS_MAX),
        }
    }

    /// The addresses of a name, without repeats, at most [`ADDRESSES_MAX`]. Of
    /// many who ask for one name at once the first one's look-up serves all.
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Some(answer) = self.cached(host) {
            return answer;
        }
        let asking = self.ask(host);
        let _turn = asking.turn.lock().await;
        if let Some(answer) = self.cached(host) {
            return answer;
        }
        let _slot = self
            .running
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let found = self.lookup.lookup(host).await.map(|found| {
            let mut kept: Vec<IpAddr> = Vec::new();
            for address in found {
                if kept.len() < ADDRESSES_MAX && !kept.contains(&address) {
                    kept.push(address);
                }
            }
            kept
        });
        let (answer, kept) = match &found {
            Ok(addresses) => (Ok(addresses.clone()), KEPT),
            Err(error) => (Err((error.kind(), error.to_string())), FAILURE_KEPT),
        };
        let until = Instant::now() + kept;
        self.keep(host, Entry { until, answer });
        found
    }

    fn cached(&self, host: &str) -> Option<io::Result<Vec<IpAddr>>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = cache
            .get(host)
            .filter(|entry| entry.until > Instant::now())?;
        let answer = entry.answer.clone();
        Some(answer.map_err(|(kind, words)| io::Error::new(kind, words)))
    }

    fn ask<'a>(&'a self, host: &'a str) -> Asking<'a> {
        let turn = Arc::clone(self.asking().entry(host.to_owned()).or_default());
        Asking {
            resolver: self,
            host,
            turn,
        }
    }

    fn asking(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, host: &str, entry: Entry) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= ENTRIES_MAX {
            let now = Instant::now();
            cache.retain(|_, entry| entry.until > now);
            if cache.len() >= ENTRIES_MAX {
                // All of them are fresh: starting anew is rarer than it is dear.
                cache.clear();
            }
        }
        cache.insert(host.to_owned(), entry);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts, and has no address for names that begin with "no".
    #[derive(Default)]
    struct Counting(AtomicU32);

    impl Lookup for Counting {
        fn lookup<'a>(&'a self, host: &'a str) -> LookedUp<'a> {
            Box::pin(async move {
                self.0.fetch_add(1, Ordering::SeqCst);
                // Long enough for others to ask meanwhile.
                tokio::time::sleep(Duration::from_millis(50)).await;
                match host.starts_with("no") {
                    true => Err(io::Error::other("no such name")),
                    false => Ok(vec![IpAddr::from([192, 0, 2, 1]); 3]),
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_a_minute_however_many_ask() {
        let lookup = Arc::new(Counting::default());
        let resolver = Arc::new(Resolver::new(lookup.clone()));
        let check = async |host: &'static str, is_found: bool, expected: u32| {
            let mut asking = tokio::task::JoinSet::new();
            for _ in 0..100 {
                let resolver = Arc::clone(&resolver);
                asking.spawn(async move { resolver.addresses(host).await.is_ok() });
            }
            let found = asking.join_all().await;
            assert!(found.iter().all(|found| *found == is_found), "{host}");
            assert_eq!(lookup.0.load(Ordering::SeqCst), expected, "{host}");
        };
        check("a.test", true, 1).await;
        check("a.test", true, 1).await;
        check("b.test", true, 2).await;
        tokio::time::advance(KEPT).await;
        check("a.test", true, 3).await;
        // That there is no answer is believed for a moment alone.
        check("no.test", false, 4).await;
        check("no.test", false, 4).await;
        tokio::time::advance(FAILURE_KEPT).await;
        check("no.test", false, 5).await;
        assert!(resolver.asking().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_is_given_up_leaves_the_name_to_the_next() {
        let lookup = Arc::new(Counting::default());
        let resolver = Resolver::new(lookup.clone());
        let soon = Duration::from_millis(1);
        let given_up = tokio::time::timeout(soon, resolver.addresses("a.test")).await;
        assert!(given_up.is_err() && resolver.asking().is_empty());
        assert_eq!(resolver.addresses("a.test").await.unwrap().len(), 1);
        assert_eq!(lookup.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn names_kept_are_bounded() {
        let resolver = Resolver::new(Arc::new(Counting::default()));
        let until = Instant::now() + KEPT;
        for n in 0..3 * ENTRIES_MAX {
            let answer = Ok(Vec::new());
            resolver.keep(&format!("h{n}.test"), Entry { until, answer });
        }
        assert!(resolver.cache.lock().unwrap().len() <= ENTRIES_MAX);
    }
}
