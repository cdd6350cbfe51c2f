//! Lists of products that go on from page to page: the categories and JSON
//! endpoints of a pipe, and what comes behind a page of one.

use trawler_core::site::SiteOptions;
use trawler_core::verdict::Failure;
use trawler_fleet::chain;

use super::super::frontier::Entry;
use super::super::links::LinkRules;
use super::super::listing::{
    Category, CategoryPage, End, Endpoint, JsonPage, ListingError, Next, Place,
};
use super::super::url::{CanonicalRules, CanonicalUrl};
use super::kind::{Kind, Outcome};
use super::visit::Find;

/// The lists of a pipe, compiled.
pub(super) struct Lists {
    categories: Vec<Category>,
    endpoints: Vec<Endpoint>,
}

/// What one page of a list said.
#[derive(Debug)]
pub(super) struct ListPage {
    /// Where it came from.
    pub(super) at: CanonicalUrl,
    pub(super) brought: Brought,
}

/// What came of asking for it.
#[derive(Debug)]
pub(super) enum Brought {
    Category(CategoryPage),
    Json(JsonPage),
    /// 404 or 410.
    Gone,
}

/// How a list goes on.
pub(super) struct GoesOn {
    pub(super) find: Option<Find>,
    pub(super) outcome: Outcome,
    pub(super) why: Option<String>,
    /// What people should know of it.
    pub(super) note: Option<String>,
}

impl Lists {
    pub(super) fn new(options: &SiteOptions, names: &CanonicalRules) -> Result<Self, Failure> {
        let wrong = |error: ListingError| Failure::permanent(chain(&error));
        let limits = &options.limits;
        let categories = options.categories.iter().enumerate();
        let categories =
            categories.map(|(at, category)| Category::new(at, category, limits, names));
        let endpoints = options.json.iter().enumerate();
        let endpoints = endpoints.map(|(at, json)| Endpoint::new(at, json, limits, names));
        Ok(Self {
            categories: categories.collect::<Result<_, _>>().map_err(wrong)?,
            endpoints: endpoints.collect::<Result<_, _>>().map_err(wrong)?,
        })
    }

    /// The first page of each.
    pub(super) fn starts(&self) -> Vec<Find> {
        let categories = self.categories.iter().map(Category::start);
        let categories = categories
            .zip(0..)
            .map(|((url, place), source)| find(Kind::Category, source, url, place));
        let endpoints = self
            .endpoints
            .iter()
            .zip(0..)
            .filter_map(|(endpoint, source)| {
                let (url, place) = endpoint.start().ok()?;
                Some(find(Kind::Json, source, url, place))
            });
        categories.chain(endpoints).collect()
    }

    pub(super) fn category(&self, entry: &Entry) -> Option<&Category> {
        self.categories.get(entry.source as usize)
    }

    pub(super) fn endpoint(&self, entry: &Entry) -> Option<&Endpoint> {
        self.endpoints.get(entry.source as usize)
    }

    /// Under which a product counts as named by the entry's list.
    pub(super) fn met_key(entry: &Entry, product: &CanonicalUrl) -> String {
        format!("met {} {} {product}", entry.kind, entry.source)
    }

    /// What comes behind a page, of whose products `new` were on no other page
    /// of the list.
    pub(super) fn next(
        &self,
        entry: &Entry,
        page: &ListPage,
        new: u64,
        links: &LinkRules,
    ) -> GoesOn {
        let place = place(entry);
        let at = &page.at;
        let next = match (&page.brought, Kind::of_code(entry.kind)) {
            (Brought::Category(found), _) => self
                .category(entry)
                .map(|category| category.next(place, at, found, new, links)),
            (Brought::Json(found), _) => self
                .endpoint(entry)
                .map(|endpoint| endpoint.next(place, at, found, new, links)),
            (Brought::Gone, Some(Kind::Json)) => {
                self.endpoint(entry).map(|endpoint| endpoint.gone(place))
            }
            (Brought::Gone, _) => self.category(entry).map(|category| category.gone(place)),
        };
        let kind = Kind::of_code(entry.kind).unwrap_or(Kind::Category);
        // It may be so, or its selector finds nothing any more.
        let is_empty = matches!(&next, Some(Next::End(End::EmptyFromTheStart)));
        let note = is_empty.then(|| "lists no product from its first page on".to_owned());
        let (find, outcome, why) = match next {
            Some(Next::Page(url, place)) => {
                let find = find(kind, entry.source, url, place);
                (Some(find), Outcome::ListRead, None)
            }
            Some(Next::End(end)) => (None, Outcome::ListRead, Some(end.to_string())),
            Some(Next::Broken(broken)) => (None, Outcome::ListBroken, Some(broken.to_string())),
            None => {
                let why = "the pipe has no such list any more".to_owned();
                (None, Outcome::ListBroken, Some(why))
            }
        };
        GoesOn {
            find,
            outcome,
            why,
            note,
        }
    }
}

/// Where in its list an entry stands; its number travels in the place of a
/// date, which lists do not have.
fn place(entry: &Entry) -> Place {
    Place {
        page: entry.page,
        number: entry.lastmod.unwrap_or(0),
    }
}

fn find(kind: Kind, source: u32, url: CanonicalUrl, place: Place) -> Find {
    Find {
        kind,
        url: url.into(),
        depth: 0,
        source,
        page: place.page,
        lastmod: Some(place.number),
        is_counted: false,
    }
}
