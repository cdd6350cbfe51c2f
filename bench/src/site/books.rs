//! The book pages under many addresses.
//!
//! A page's bytes are the real ones except for the article number (UPC), which tells one address of a
//! page from another, so that each of them is a product.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;

/// Product pages that a list links to.
const LIST_LINKS: u32 = 200;
/// URLs of one part of the sitemap.
const SITEMAP_PART_URLS: u32 = 5_000;
/// What stands before the article number.
const UPC_MARK: &str = "<th>UPC</th><td>";
/// Digits of an article number.
const UPC_DIGITS: usize = 16;

pub(super) struct Books {
    pages: Vec<Book>,
    products: u32,
    base_url: String,
}

/// A page, cut at its article number.
struct Book {
    before: String,
    after: String,
}

pub(super) struct Found {
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    pub(super) is_product: bool,
}

impl Books {
    pub(super) fn read(folder: &Path, products: u32, base_url: String) -> Result<Books> {
        let mut pages = Vec::new();
        for path in crate::images::in_order(folder)? {
            if path.extension().is_none_or(|extension| extension != "html") {
                continue;
            }
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("read {}", path.display()))?;
            let at = text.find(UPC_MARK).map(|at| at + UPC_MARK.len());
            let at = at.with_context(|| format!("find the UPC in {}", path.display()))?;
            let end = at + UPC_DIGITS;
            let rest = text.get(end..).context("the UPC is cut off")?;
            pages.push(Book {
                before: text[..at].to_owned(),
                after: rest.to_owned(),
            });
        }
        ensure!(!pages.is_empty(), "no pages in {}", folder.display());
        Ok(Books {
            pages,
            products,
            base_url,
        })
    }

    pub(super) fn get(&self, path: &str) -> Option<Found> {
        if let Some(number) = path
            .strip_prefix("/catalogue/book-")
            .and_then(|rest| rest.strip_suffix("/index.html"))
        {
            return self.product(number.parse().ok()?);
        }
        let number = |prefix: &str, suffix: &str| -> Option<u32> {
            let rest = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
            rest.parse().ok()
        };
        let (content_type, text) = if path == "/" {
            ("text/html; charset=utf-8", self.home())
        } else if let Some(number) = number("/list/", ".html") {
            ("text/html; charset=utf-8", self.list(number)?)
        } else if path == "/robots.txt" {
            ("text/plain; charset=utf-8", self.robots())
        } else if path == "/sitemap.xml" {
            ("application/xml", self.sitemap_index())
        } else {
            let number = number("/sitemap-", ".xml")?;
            ("application/xml", self.sitemap_part(number)?)
        };
        Some(Found {
            content_type,
            body: text.into(),
            is_product: false,
        })
    }

    fn product(&self, number: u32) -> Option<Found> {
        if number >= self.products {
            return None;
        }
        let book = &self.pages[number as usize % self.pages.len()];
        let mut text = String::with_capacity(book.before.len() + UPC_DIGITS + book.after.len());
        text.push_str(&book.before);
        text.push_str(&format!("{number:016x}"));
        text.push_str(&book.after);
        Some(Found {
            content_type: "text/html; charset=utf-8",
            body: text.into(),
            is_product: true,
        })
    }

    fn home(&self) -> String {
        let lists = (0..self.products.div_ceil(LIST_LINKS))
            .map(|list| format!("<li><a href=\"/list/{list}.html\">list {list}</a></li>\n"));
        page(&lists.collect::<String>())
    }

    fn list(&self, number: u32) -> Option<String> {
        let products = part(number, LIST_LINKS, self.products)?;
        let links = products.map(|product| {
            format!(
                "<li><a href=\"/catalogue/book-{product}/index.html\">book {product}</a></li>\n"
            )
        });
        Some(page(&links.collect::<String>()))
    }

    fn robots(&self) -> String {
        format!(
            "User-agent: *\nDisallow: /basket/\n\nSitemap: {}/sitemap.xml\n",
            self.base_url
        )
    }

    fn sitemap_index(&self) -> String {
        let parts = (0..self.products.div_ceil(SITEMAP_PART_URLS)).map(|part| {
            format!(
                "<sitemap><loc>{}/sitemap-{part}.xml</loc></sitemap>\n",
                self.base_url
            )
        });
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <sitemapindex xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{}</sitemapindex>\n",
            parts.collect::<String>()
        )
    }

    fn sitemap_part(&self, number: u32) -> Option<String> {
        let products = part(number, SITEMAP_PART_URLS, self.products)?;
        let urls = products.map(|product| {
            format!(
                "<url><loc>{}/catalogue/book-{product}/index.html</loc></url>\n",
                self.base_url
            )
        });
        Some(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{}</urlset>\n",
            urls.collect::<String>()
        ))
    }
}

/// The numbers of one part of `all`; none for a part that does not exist.
fn part(number: u32, size: u32, all: u32) -> Option<std::ops::Range<u32>> {
    let first = number.checked_mul(size).filter(|first| *first < all)?;
    Some(first..first.saturating_add(size).min(all))
}

fn page(links: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Books</title></head>\n\
         <body><ul>\n{links}</ul></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_address_of_a_page_is_a_product_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let html = "<td>x</td><th>UPC</th><td>a897fe39b1053632</td>";
        std::fs::write(folder.path().join("1.html"), html).unwrap();
        let base_url = "http://127.0.0.1:1".to_owned();
        let books = Books::read(folder.path(), 401, base_url).unwrap();
        let text = |path: &str| books.get(path).map(|found| found.body);
        let product = text("/catalogue/book-400/index.html").unwrap();
        assert_eq!(
            &product[..],
            b"<td>x</td><th>UPC</th><td>0000000000000190</td>"
        );
        assert!(text("/catalogue/book-401/index.html").is_none());
        let home = String::from_utf8(text("/").unwrap().to_vec()).unwrap();
        assert_eq!(home.matches("/list/").count(), 3);
        let last = String::from_utf8(text("/list/2.html").unwrap().to_vec()).unwrap();
        assert_eq!(last.matches("/catalogue/").count(), 1);
        assert!(text("/list/3.html").is_none() && text("/sitemap-1.xml").is_none());
        let part = String::from_utf8(text("/sitemap-0.xml").unwrap().to_vec()).unwrap();
        assert_eq!(part.matches("<loc>").count(), 401);
    }
}
