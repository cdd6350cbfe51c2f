//! A page of a category, or an answer of a JSON endpoint.

use std::sync::Arc;

use trawler_fleet::chain;

use super::super::frontier::Entry;
use super::super::url::CanonicalUrl;
use super::facts::Facts;
use super::kind::{Kind, Outcome};
use super::lists::{Brought, ListPage};
use super::site_rules::SiteRules;
use super::visit::{Done, Find, Visit};
use super::visitor::{Answer, Meaning, Reached, Visitor, Wants, why};
use crate::page::PageKind;

impl Visitor {
    pub(super) async fn visit_list(&self, entry: &Entry, url: &CanonicalUrl, kind: Kind) -> Visit {
        let facts = || Facts::of(url.as_str());
        let broken = |why: &str| Visit::done(Done::of(Outcome::ListBroken, facts().because(why)));
        let wants = match kind {
            Kind::Json => Wants::Json,
            Kind::Category | Kind::Page | Kind::Sitemap => Wants::Page,
        };
        match self.reach(url, None, wants).await {
            Reached::Answer { at, answer } => self.read_list(entry, url, kind, at, answer).await,
            Reached::NotModified => broken("it answered 304 to a plain request"),
            Reached::Forbidden(Outcome::DeniedUnknown, why) => {
                Visit::done(Done::of(Outcome::DeniedUnknown, facts().because(&why)))
            }
            Reached::Forbidden(_, why) | Reached::Away(why) | Reached::Lost(why) => broken(&why),
            Reached::Unbuilt(error) if error.is_of_page() => broken(&chain(&error)),
            Reached::Unbuilt(error) => Visit::Again { why: chain(&error) },
            Reached::Failed(error) => match Meaning::of(&error) {
                Meaning::Gone => {
                    let mut done = Done::of(Outcome::ListRead, facts());
                    done.list = Some(ListPage {
                        at: url.clone(),
                        brought: Brought::Gone,
                    });
                    Visit::done(done)
                }
                Meaning::Blocked | Meaning::Failed => broken(&why(&error)),
                Meaning::Again => Visit::Again { why: why(&error) },
                Meaning::Resting(wait) => Visit::Resting {
                    wait,
                    why: why(&error),
                },
            },
        }
    }

    async fn read_list(
        &self,
        entry: &Entry,
        url: &CanonicalUrl,
        kind: Kind,
        at: CanonicalUrl,
        answer: Answer,
    ) -> Visit {
        let (rules, of) = (Arc::clone(&self.rules), entry.clone());
        // A list that lacks something looks like its end.
        if let Some(doubt) = answer.doubt.as_ref().filter(|doubt| doubt.is_of_shop) {
            return Visit::Again {
                why: doubt.why.clone(),
            };
        }
        let bytes_down = answer.bytes_down;
        let facts = Facts::of(url.as_str());
        let reading = tokio::task::spawn_blocking(move || rules.read_list(&of, kind, at, &answer));
        let read = match reading.await {
            Ok(read) => read,
            Err(error) => Err(format!("reading the page failed: {error}")),
        };
        let mut done = match read {
            Ok((page, finds)) => {
                let mut done = Done::of(Outcome::ListRead, facts);
                done.list = Some(page);
                done.finds = finds;
                done
            }
            Err(why) => Done::of(Outcome::ListBroken, facts.because(&why)),
        };
        done.bytes_down = bytes_down;
        Visit::done(done)
    }
}

impl SiteRules {
    fn read_list(
        &self,
        entry: &Entry,
        kind: Kind,
        at: CanonicalUrl,
        answer: &Answer,
    ) -> Result<(ListPage, Vec<Find>), String> {
        let gone = || "the pipe has no such list any more".to_owned();
        let (brought, products) = match kind {
            Kind::Json => {
                let endpoint = self.lists.endpoint(entry).ok_or_else(gone)?;
                let page = endpoint
                    .read(&at, &answer.body, &self.canonical, &self.links)
                    .map_err(|broken| broken.to_string())?;
                let products = page.products.clone();
                (Brought::Json(page), products)
            }
            Kind::Category | Kind::Page | Kind::Sitemap => {
                let category = self.lists.category(entry).ok_or_else(gone)?;
                let (document, charset) = self.document(answer, &at);
                // A wall in the place of a list looks like its end.
                match self.kind_of(&document, charset, &at) {
                    PageKind::Blocked | PageKind::Login => {
                        return Err("it shows a wall or a login in place of the list".to_owned());
                    }
                    PageKind::Product
                    | PageKind::Listing
                    | PageKind::SoftNotFound
                    | PageKind::Other => {}
                }
                let page = category.read(&at, &document, &self.canonical, &self.links);
                let products = page.products.clone();
                (Brought::Category(page), products)
            }
        };
        let finds = products.into_iter().map(|product| Find {
            kind: Kind::Page,
            url: product.into(),
            depth: 1,
            source: 0,
            page: 0,
            lastmod: None,
            is_counted: false,
        });
        let finds = finds.collect();
        Ok((ListPage { at, brought }, finds))
    }
}

impl ListPage {
    /// The products that it names.
    pub(super) fn products(&self) -> &[CanonicalUrl] {
        match &self.brought {
            Brought::Category(page) => &page.products,
            Brought::Json(page) => &page.products,
            Brought::Gone => &[],
        }
    }
}
