//! Lists of products and how they go on: category pages ([`Category`]) and
//! JSON endpoints ([`Endpoint`]).
//!
//! Both say where the list begins, read one of its pages, and decide from what
//! it brought what comes next. A list ends ([`End`]), goes on, or is broken
//! ([`Broken`]), which makes the run incomplete: what could not be seen is not
//! gone. Deciding is pure: the state of a list between two pages is its
//! [`Place`], which the frontier keeps with the page's URL.
//!
//! Nothing is fetched here, and which products are new to the list is counted
//! by the caller.

mod category;
mod endpoint;
mod json;
mod page;
mod words;

#[cfg(test)]
mod html_tests;
#[cfg(test)]
mod tests;

pub use category::Category;
pub use endpoint::{Endpoint, JsonPage};
pub use page::CategoryPage;

use super::url::{CanonicalUrl, Refused};
use crate::document::SelectorError;

/// Pages of a list that may bring nothing new one behind the other, while
/// each names a next one. Products that move while a list is read make one.
const NOTHING_NEW_MAX: i64 = 3;

/// Where in its list a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Pages of the list before this one.
    pub page: u32,
    /// What the list needs to go on, in its own meaning: the number in the URL,
    /// or pages in a row that brought nothing.
    pub number: i64,
}

/// What comes behind a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Page(CanonicalUrl, Place),
    /// The list was read whole.
    End(End),
    /// It was not, and the run is incomplete.
    Broken(Broken),
}

/// How a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum End {
    #[error("it is a list of one page")]
    OnePage,
    #[error("the page names no next one")]
    NoNext,
    #[error("the page names itself as the next one")]
    Itself,
    #[error("the page lists nothing")]
    Empty,
    /// Also of a list that has nothing to list; or its selector is wrong.
    #[error("the list is empty from its first page on")]
    EmptyFromTheStart,
    #[error("the page lists nothing that the pages before did not")]
    NothingNew,
    #[error("the page is not there")]
    Gone,
    #[error("the page leads back to the first one")]
    BackToTheStart,
}

/// Why a list was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error(
        "the list has more than {0} pages; its pages_max, or else limits.listing_pages_max, is the bound"
    )]
    PagesMax(u64),
    #[error("{0} pages one behind the other name a next one and bring nothing new")]
    NothingNew(i64),
    #[error("the page that the one before names is not there")]
    Gone,
    #[error("the next page would be on {0}, which is not a host of the shop")]
    OtherSite(String),
    #[error("the link to the next page names none")]
    Refused(#[from] Refused),
    #[error("the answer is no JSON: {0}")]
    NoJson(String),
    #[error("the answer has no array at {path}: {found}")]
    NoItems { path: String, found: String },
    #[error("the answer has {0} items, more than are read at once")]
    ManyItems(usize),
    #[error("none of the {0} items has a link at {1}")]
    NoLinks(usize, String),
    #[error("the answer names itself as the next one and is not empty")]
    Itself,
    #[error("what is at {0} is neither a cursor nor a URL")]
    NoCursor(String),
}

/// Why a listing of the pipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    #[error("site.{key}: the URL {url} cannot be used")]
    Url {
        key: String,
        url: String,
        #[source]
        why: Refused,
    },
    #[error("site.{key}")]
    Selector {
        key: String,
        #[source]
        why: SelectorError,
    },
}

impl Place {
    pub const START: Self = Self { page: 0, number: 0 };

    fn is_start(self) -> bool {
        self.page == 0
    }

    /// One page on, unless there were `pages_max`.
    fn next(self, number: i64, pages_max: u64) -> Result<Self, Broken> {
        match u64::from(self.page) + 1 < pages_max {
            true => Ok(Self {
                page: self.page + 1,
                number,
            }),
            false => Err(Broken::PagesMax(pages_max)),
        }
    }
}

impl Next {
    fn page(url: CanonicalUrl, place: Result<Place, Broken>) -> Self {
        match place {
            Ok(place) => Self::Page(url, place),
            Err(why) => Self::Broken(why),
        }
    }
}
