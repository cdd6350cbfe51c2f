//! Getting the beginning of what an address or a path leads to, and deciding
//! whether it is a feed or a site.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use trawler_core::feed::FeedMode;
use trawler_core::pipe::Egress;
use trawler_core::product::Currency;
use trawler_core::secret::Place as SecretPlace;
use trawler_net::{Fetched, Fetcher, Limits, Prefix, Request, Response, RetryPolicy, Timeouts};
use url::Url;

use super::error::{NotAFeed, OnboardError};
use super::feed::{FeedDraft, FeedHints, Finding, draft_feed};
use super::site::Survey;
use super::write::{Draft, Source, What};

/// What is taken of a feed, as served: thousands of rows of any feed, and little
/// enough to be held and read several times over.
const RAW_BYTES_MAX: u64 = 4 << 20;

/// The same behind a Content-Encoding.
const DECODED_BYTES_MAX: u64 = 8 << 20;

/// A person waits for it, and feeds are slow to be generated.
const TIMEOUTS: Timeouts = Timeouts {
    first_byte_ms: 60_000,
    idle_ms: 20_000,
    whole_ms: 90_000,
};

/// What the user says that it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AsWhat {
    #[default]
    Auto,
    Feed,
    Site,
}

/// What the user says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints {
    pub as_what: AsWhat,
    pub mode: Option<FeedMode>,
    pub currency: Option<Currency>,
}

/// Where to look.
#[derive(Debug, Clone)]
pub enum Place {
    Web(Url),
    File {
        path: PathBuf,
        /// As the pipe is to have it.
        written: String,
    },
}

/// Looks at a place. Of a site robots.txt is obeyed, at a slow pace.
///
/// # Errors
///
/// What was found in place of a feed or a site, and what to do.
pub async fn look(
    fetcher: &Fetcher,
    user_agent: &str,
    place: &Place,
    hints: Hints,
) -> Result<Draft, OnboardError> {
    match place {
        Place::File { path, written } => file(path.clone(), written, hints).await,
        Place::Web(url) if hints.as_what == AsWhat::Feed || is_named_as_feed(url, hints) => {
            let response = fetch(fetcher, url).await?;
            let draft = feed(url, &response, hints).await;
            let found = draft?.map_err(|found| not_a_feed(url.as_str(), found))?;
            Ok(drafted(url, &response, found))
        }
        Place::Web(url) => site_or_feed(fetcher, user_agent, url, hints).await,
    }
}

async fn site_or_feed(
    fetcher: &Fetcher,
    user_agent: &str,
    url: &Url,
    hints: Hints,
) -> Result<Draft, OnboardError> {
    let mut survey = Survey::begin(fetcher, user_agent, url).await?;
    let response = fetch(fetcher, url).await?;
    let found = feed(url, &response, hints).await?;
    match (found, hints.as_what) {
        (Ok(_), AsWhat::Site) => Err(OnboardError::NoSite {
            place: shown(url),
            what: "it is a feed",
        }),
        (Ok(found), _) => Ok(drafted(url, &response, found)),
        (Err(NotAFeed::Html { .. } | NotAFeed::Login { .. }), _) => {
            let found = survey.run(url, response).await?;
            Ok(Draft {
                source: Source::Site(found.home.clone()),
                what: What::Site(Box::new(found)),
                egress: Egress::Any,
            })
        }
        (Err(found), _) => Err(not_a_feed(url.as_str(), found)),
    }
}

fn not_a_feed(place: &str, found: NotAFeed) -> OnboardError {
    let place = Url::parse(place).map_or_else(|_| place.to_owned(), |url| shown(&url));
    OnboardError::NotAFeed { place, found }
}

/// Without what may be a credential.
pub(super) fn shown(url: &Url) -> String {
    trawler_net::shown(url)
}

async fn fetch(fetcher: &Fetcher, url: &Url) -> Result<Response<Prefix>, OnboardError> {
    let request = Request::get_url(url).map_err(OnboardError::fetch)?;
    let request = request
        .limits(limits())
        .retry(RetryPolicy::never())
        .keep_truncated();
    match fetcher.fetch_prefix(&request).await {
        Ok(Fetched::Body(response)) => Ok(response),
        Ok(Fetched::NotModified(_)) => Err(OnboardError::NotModified { place: shown(url) }),
        Err(error) => Err(OnboardError::fetch(error)),
    }
}

fn limits() -> Limits {
    Limits {
        raw_bytes_max: RAW_BYTES_MAX,
        decoded_bytes_max: DECODED_BYTES_MAX,
        timeouts: TIMEOUTS,
        ..Limits::default()
    }
}

/// An address that is called after a feed is one: no robots.txt is asked for
/// what a partner hands out.
fn is_named_as_feed(url: &Url, hints: Hints) -> bool {
    const ENDINGS: [&str; 14] = [
        ".tsv", ".csv", ".xml", ".json", ".jsonl", ".ndjson", ".txt", ".gz", ".zst", ".br", ".zip",
        ".ep", ".rss", ".atom",
    ];
    let path = url.path().to_ascii_lowercase();
    hints.as_what == AsWhat::Auto && ENDINGS.iter().any(|ending| path.ends_with(ending))
}

async fn feed(
    url: &Url,
    response: &Response<Prefix>,
    hints: Hints,
) -> Result<Result<FeedDraft, NotAFeed>, OnboardError> {
    let Prefix { bytes, is_whole } = response.body.clone();
    let hints = FeedHints {
        mode: hints.mode,
        currency: hints.currency,
        place: url.to_string(),
    };
    let drafting = tokio::task::spawn_blocking(move || draft_feed(&bytes, is_whole, &hints));
    drafting.await.map_err(|_| OnboardError::Stopped)
}

fn drafted(url: &Url, response: &Response<Prefix>, mut found: FeedDraft) -> Draft {
    let mut open = url.clone();
    let mut credentials = Vec::new();
    let is_secret = |name: &str, value: &str| {
        !value.is_empty() && SecretPlace::of_parameter(name) == SecretPlace::Credential
    };
    if url
        .query_pairs()
        .any(|(name, value)| is_secret(&name, &value))
    {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        open.set_query(None);
        for (name, value) in pairs {
            match is_secret(&name, &value) {
                true => credentials.push(name),
                false => {
                    open.query_pairs_mut().append_pair(&name, &value);
                }
            }
        }
        found.remarks.push(
            "the address carries a credential, which no pipe file may hold: fetch.query takes it \
             from the environment, where it has to be put"
                .to_owned(),
        );
    }
    let validators = &response.validators;
    let unchanged = match (&validators.etag, &validators.last_modified) {
        (Some(_), _) => "answers with an ETag: not sent again when unchanged",
        (None, Some(_)) => "answers with Last-Modified: not sent again when unchanged",
        (None, None) if response.body.is_whole => {
            "no ETag and no Last-Modified: sent with every run, known by its bytes"
        }
        (None, None) => "not looked at: only the beginning was taken",
    };
    found.findings.push(Finding {
        what: "unchanged",
        found: unchanged.to_owned(),
    });
    if let Some(moved) = &response.moved_to {
        found.remarks.push(format!(
            "the address has moved for good, to {}",
            shown(moved)
        ));
    }
    Draft {
        source: Source::Web {
            url: open,
            credentials,
        },
        what: What::Feed(Box::new(found)),
        egress: Egress::Any,
    }
}

async fn file(path: PathBuf, written: &str, hints: Hints) -> Result<Draft, OnboardError> {
    let place = path.display().to_string();
    let failed = |source| OnboardError::File {
        path: place.clone(),
        source,
    };
    let hints = FeedHints {
        mode: hints.mode,
        currency: hints.currency,
        place: written.to_owned(),
    };
    let reading = tokio::task::spawn_blocking(move || -> std::io::Result<_> {
        let file = File::open(&path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(RAW_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        let is_whole = bytes.len() as u64 <= RAW_BYTES_MAX;
        Ok(Some(draft_feed(&bytes, is_whole, &hints)))
    });
    let found = reading
        .await
        .map_err(|_| OnboardError::Stopped)?
        .map_err(failed)?;
    let Some(found) = found else {
        return Err(OnboardError::NoFile { path: place });
    };
    let found = found.map_err(|found| OnboardError::NotAFeed {
        place: place.clone(),
        found,
    })?;
    Ok(Draft {
        source: Source::File(written.to_owned()),
        what: What::Feed(Box::new(found)),
        egress: Egress::Any,
    })
}

/// One page or file of a site, by the same bounds.
pub(super) async fn fetch_of_site(
    fetcher: &Fetcher,
    url: &Url,
    interval: Duration,
) -> Result<Response<Prefix>, OnboardError> {
    let request = Request::get_url(url).map_err(OnboardError::fetch)?;
    let limits = Limits {
        timeouts: Timeouts {
            first_byte_ms: 20_000,
            idle_ms: 10_000,
            whole_ms: 30_000,
        },
        ..limits()
    };
    let request = request
        .limits(limits)
        .retry(RetryPolicy::never())
        .keep_truncated()
        .accept_pages()
        .interval_min(interval);
    match fetcher.fetch_prefix(&request).await {
        Ok(Fetched::Body(response)) => Ok(response),
        Ok(Fetched::NotModified(_)) => Err(OnboardError::NotModified { place: shown(url) }),
        Err(error) => Err(OnboardError::fetch(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_that_are_called_after_feeds_are_taken_for_them() {
        let check = |url: &str, expected: bool| {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_named_as_feed(&url, Hints::default()), expected, "{url}");
        };
        check("https://a.example/ep.tsv", true);
        check("https://a.example/EP.TXT?x=1", true);
        check("https://a.example/feed.csv.gz", true);
        check("https://a.example/", false);
        check("https://a.example/ep.php?all=1", false);
    }
}
