//! The way of one fetch through its redirects: pure decisions.
//!
//! Addresses are judged elsewhere, for every hop anew.

use url::Url;

use crate::error::Fault;
use crate::request::Downgrade;
use crate::target::{Target, UrlFault};

/// One redirect that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Where it led.
    pub to: Url,
}

/// Where a fetch stands and how it came there.
pub(crate) struct Trail {
    current: Target,
    seen: Vec<Target>,
    hops: Vec<Hop>,
    hops_max: u32,
    downgrade: Downgrade,
    trusted: bool,
    permanent: Option<Target>,
    only_permanent: bool,
}

impl Trail {
    pub(crate) fn new(start: Target, hops_max: u32, downgrade: Downgrade) -> Self {
        Self {
            seen: vec![start.clone()],
            current: start,
            hops: Vec::new(),
            hops_max,
            downgrade,
            trusted: true,
            permanent: None,
            only_permanent: true,
        }
    }

    /// The URL to ask now.
    pub(crate) fn current(&self) -> &Target {
        &self.current
    }

    /// Whether the credentials of the first host may still be sent. Once lost,
    /// the trust does not come back: the way led through a stranger.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Whether the status is a redirect.
    pub(crate) fn is_redirect(status: u16) -> bool {
        matches!(status, 301 | 302 | 303 | 307 | 308)
    }

    /// Goes one hop on.
    pub(crate) fn follow(&mut self, status: u16, location: Option<&[u8]>) -> Result<(), Fault> {
        let location = location.ok_or_else(|| Fault::Protocol {
            why: format!("status {status} without a Location"),
            source: None,
        })?;
        let next = self.current.join(location).map_err(Fault::BadUrl)?;
        if u32::try_from(self.hops.len()).unwrap_or(u32::MAX) >= self.hops_max {
            let max = self.hops_max;
            return Err(Fault::TooManyRedirects { max, to: next });
        }
        if self.current.downgrades_to(&next) && self.downgrade == Downgrade::Refused {
            return Err(Fault::BadUrl(UrlFault::Downgrade));
        }
        if self.seen.contains(&next) {
            return Err(Fault::RedirectLoop { to: next });
        }
        self.trusted &= self.current.trusts(&next);
        self.only_permanent &= matches!(status, 301 | 308);
        if self.only_permanent {
            self.permanent = Some(next.clone());
        }
        self.hops.push(Hop {
            status,
            to: next.url().clone(),
        });
        self.seen.push(next.clone());
        self.current = next;
        Ok(())
    }

    /// Final URL, hops, and where the first URL has moved for good.
    pub(crate) fn ended(self) -> (Url, Vec<Hop>, Option<Url>) {
        let moved = self.permanent.map(Target::into_url);
        (self.current.into_url(), self.hops, moved)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::FetchClass;

    fn walk(start: &str, hops: &[(u16, &str)]) -> Result<Trail, FetchClass> {
        let start = Target::parse(start).unwrap();
        let mut trail = Trail::new(start, 3, Downgrade::Refused);
        for (status, location) in hops {
            let followed = trail.follow(*status, Some(location.as_bytes()));
            followed.map_err(|fault| fault.class())?;
        }
        Ok(trail)
    }

    #[test]
    fn hops_are_followed_or_refused() {
        let check = |start: &str, hops: &[(u16, &str)], expected: Result<&str, FetchClass>| {
            let found = walk(start, hops).map(|trail| trail.current().url().to_string());
            assert_eq!(found, expected.map(str::to_owned), "{start} {hops:?}");
        };
        check(
            "http://a.test/",
            &[(302, "/b"), (302, "c")],
            Ok("http://a.test/c"),
        );
        check(
            "http://a.test/",
            &[(301, "https://a.test/")],
            Ok("https://a.test/"),
        );
        check(
            "https://a.test/",
            &[(301, "http://a.test/")],
            Err(FetchClass::BadUrl),
        );
        check(
            "http://a.test/",
            &[(302, "file:///etc/passwd")],
            Err(FetchClass::BadUrl),
        );
        check(
            "http://a.test/",
            &[(302, "http://")],
            Err(FetchClass::BadUrl),
        );
        check(
            "http://a.test/",
            &[(302, "/#x")],
            Err(FetchClass::RedirectLoop),
        );
        check(
            "http://a.test/",
            &[(302, "/b"), (302, "/")],
            Err(FetchClass::RedirectLoop),
        );
        check(
            "http://a.test/",
            &[(302, "/1"), (302, "/2"), (302, "/3"), (302, "/4")],
            Err(FetchClass::TooManyRedirects),
        );
    }

    #[test]
    fn trust_is_lost_for_good() {
        let check = |hops: &[(u16, &str)], expected: bool| {
            assert_eq!(
                walk("http://a.test/", hops).unwrap().is_trusted(),
                expected,
                "{hops:?}"
            );
        };
        check(&[], true);
        check(&[(302, "/b"), (302, "https://a.test/c")], true);
        check(&[(302, "http://b.test/")], false);
        check(&[(302, "http://b.test/"), (302, "http://a.test/x")], false);
    }

    #[test]
    fn a_move_for_good_ends_at_the_first_passing_redirect() {
        let check = |hops: &[(u16, &str)], expected: Option<&str>| {
            let (_, _, moved) = walk("http://a.test/", hops).unwrap().ended();
            assert_eq!(moved.as_ref().map(Url::as_str), expected, "{hops:?}");
        };
        check(&[], None);
        check(&[(302, "/b"), (301, "/c")], None);
        check(&[(301, "/b"), (308, "/c")], Some("http://a.test/c"));
        check(&[(301, "/b"), (302, "/c")], Some("http://a.test/b"));
    }
}
