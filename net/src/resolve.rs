//! Names to addresses, with a small cache.
//!
//! What comes from here is not judged yet: `judge` looks at every address
//! at every connection, so that a cached answer cannot outlive the policy.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
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

#[derive(Clone)]
struct Entry {
    until: Instant,
    /// An error by its kind and words, since it cannot be copied.
    answer: Result<Vec<IpAddr>, (io::ErrorKind, String)>,
}

/// A look-up behind a bounded cache.
pub(crate) struct Resolver {
    lookup: Arc<dyn Lookup>,
    cache: Mutex<HashMap<String, Entry>>,
    running: Semaphore,
}

impl Resolver {
    pub(crate) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self {
            lookup,
            cache: Mutex::new(HashMap::new()),
            running: Semaphore::new(LOOKUPS_MAX),
        }
    }

    /// The addresses of a name, without repeats, at most [`ADDRESSES_MAX`].
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Some(entry) = self.cached(host) {
            return entry
                .answer
                .map_err(|(kind, words)| io::Error::new(kind, words));
        }
        let _slot = self
            .running
            .acquire()
            .await
            .expect("the semaphore is never closed");
        if let Some(entry) = self.cached(host) {
            return entry
                .answer
                .map_err(|(kind, words)| io::Error::new(kind, words));
        }
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

    fn cached(&self, host: &str) -> Option<Entry> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = cache.get(host)?;
        (entry.until > Instant::now()).then(|| entry.clone())
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
