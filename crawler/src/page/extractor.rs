//! Reads pages with the rules of one pipe. A source is read only where it can
//! still give something: what comes later in the order never replaces what an
//! earlier source said.

use trawler_core::product::Currency;
use trawler_core::site::ExtractOptions;
use url::Url;

use super::charset;
use super::fields::Fields;
use super::graph;
use super::guard;
use super::items;
use super::kind::{self, Evidence, LISTED_MIN, PRICES_MIN, PageKind};
use super::limits::SHORT_PAGE_CHARS;
use super::links::Links;
use super::markup::{self, Heading};
use super::meta;
use super::remarks::Remarks;
use super::report::{self, ExtractedProduct, PageReport};
use super::rules::{RuleError, Rules};
use super::scan::{self, Parts};
use super::state::{self, Identity, Script};
use crate::document::Document;

/// Reads the pages of one pipe. Made once; reads any number of pages, from
/// any thread.
#[derive(Debug, Default)]
pub struct Extractor {
    rules: Rules,
    currency: Option<Currency>,
}

impl Extractor {
    /// Compiles the selectors of a pipe.
    ///
    /// # Errors
    ///
    /// A selector that cannot be used, with its field and place.
    pub fn new(options: &ExtractOptions) -> Result<Self, RuleError> {
        Ok(Self {
            rules: Rules::new(options)?,
            currency: None,
        })
    }

    /// The currency of amounts for which the page names none.
    pub fn with_currency(mut self, currency: Option<Currency>) -> Self {
        self.currency = currency;
        self
    }

    /// Reads the product from the bytes of a page; see [`super::extract`].
    pub fn extract(
        &self,
        bytes: &[u8],
        content_type_charset: Option<&str>,
        page_url: &Url,
    ) -> PageReport {
        self.extract_answer(None, bytes, content_type_charset, page_url)
    }

    /// The same for a page of which the status is known, which helps to tell
    /// refusals and pages that are not there.
    pub fn extract_answer(
        &self,
        status: Option<u16>,
        bytes: &[u8],
        content_type_charset: Option<&str>,
        page_url: &Url,
    ) -> PageReport {
        let mut remarks = Remarks::default();
        let (text, charset) = charset::decode(bytes, content_type_charset, page_url, &mut remarks);
        let document = guard::parse(text, &mut remarks);
        let page = Answer {
            status,
            charset,
            url: page_url,
            canonical: &|named| Some(named.clone()),
        };
        self.extract_document(&document, &page, remarks)
    }

    /// Reads a document that is there already, such as for its links;
    /// `charset` is told on. `canonical` says what is made of the page's word
    /// for its own canonical URL: nothing, where it is not believed.
    pub fn extract_from(
        &self,
        document: &Document,
        status: Option<u16>,
        charset: &'static str,
        page_url: &Url,
        canonical: &dyn Fn(&Url) -> Option<Url>,
    ) -> PageReport {
        let mut remarks = Remarks::default();
        guard::tell_cut(document.cut(), &mut remarks);
        let page = Answer {
            status,
            charset,
            url: page_url,
            canonical,
        };
        self.extract_document(document, &page, remarks)
    }

    /// The document of a page, for [`Self::extract_from`], and its charset.
    pub fn document(
        bytes: &[u8],
        content_type_charset: Option<&str>,
        page_url: &Url,
    ) -> (Document, &'static str) {
        let mut remarks = Remarks::default();
        let (text, charset) = charset::decode(bytes, content_type_charset, page_url, &mut remarks);
        (Document::parse(text), charset)
    }

    /// The same where the fast builder can read the page.
    pub fn document_fast(
        bytes: &[u8],
        content_type_charset: Option<&str>,
        page_url: &Url,
    ) -> Option<(Document, &'static str)> {
        let mut remarks = Remarks::default();
        let (text, charset) = charset::decode(bytes, content_type_charset, page_url, &mut remarks);
        Some((Document::parse_fast(text)?, charset))
    }

    fn extract_document(
        &self,
        document: &Document,
        answer: &Answer<'_>,
        mut remarks: Remarks,
    ) -> PageReport {
        let parts = scan::scan(document, &mut remarks);
        let links = Links::new(answer.url, parts.base, &mut remarks).in_language(parts.language);
        let named = canonical(&parts, &links, &mut remarks);
        let canonical = named.as_ref().and_then(answer.canonical);
        let page = Page {
            document,
            parts: &parts,
            heading: markup::heading(&parts),
            links: &links,
            canonical: canonical.as_ref(),
        };
        let (sources, listed) = page.sources(&self.rules, self.currency, &mut remarks);
        let home = links.home();
        let product = report::merge(&sources, home, self.currency, &mut remarks);
        let kind = page.kind(answer.status, listed, product.as_ref());
        let product = product.filter(|_| kind.may_sell());
        let variants = report::variants(&sources, product.as_ref(), home);
        if product.is_none() {
            remarks.add(format!(
                "no product on this page ({}): no Product in JSON-LD, microdata or RDFa, \
                 no product meta tags, no <h1> followed by a price",
                kind.words()
            ));
        }
        PageReport {
            url: answer.url.clone(),
            charset: answer.charset,
            canonical,
            kind,
            product,
            variants,
            remarks: remarks.into_list(),
        }
    }
}

/// What is known of a page besides its document.
struct Answer<'a> {
    status: Option<u16>,
    charset: &'static str,
    url: &'a Url,
    canonical: &'a dyn Fn(&Url) -> Option<Url>,
}

/// One page while it is read.
struct Page<'p> {
    document: &'p Document,
    parts: &'p Parts<'p>,
    heading: Option<Heading>,
    links: &'p Links,
    canonical: Option<&'p Url>,
}

impl Page<'_> {
    /// What each source says, in order of precedence, and how many products
    /// the page lists.
    fn sources(
        &self,
        rules: &Rules,
        currency: Option<Currency>,
        remarks: &mut Remarks,
    ) -> (Vec<Fields>, usize) {
        let (parts, links, canonical) = (self.parts, self.links, self.canonical);
        let mut sources: Vec<Fields> = Vec::new();
        sources.extend(rules.read(self.document, links, remarks));
        let json_ld = graph::read(&parts.json_ld, links, canonical, remarks);
        sources.extend(json_ld.fields);
        let items = items::read(self.document, parts, links, canonical, remarks);
        sources.extend(items.into_iter().flatten());
        sources.extend(meta::read(parts, links, remarks));
        sources.extend(self.state(&sources, remarks));
        let missing = report::missing(&sources, links.home(), currency);
        let heading = self.heading.as_ref();
        sources.push(markup::read(
            parts, heading, missing, links, canonical, remarks,
        ));
        // One product is the page's own, or may be.
        let beside = json_ld.products.max(parts.products.len()).saturating_sub(1);
        (sources, json_ld.listed.max(beside))
    }

    fn state(&self, sources: &[Fields], remarks: &mut Remarks) -> Option<Fields> {
        let scripts: Vec<Script<'_>> = self
            .parts
            .scripts
            .iter()
            .map(|(kind, element)| Script {
                kind: *kind,
                id: element.attribute("id").unwrap_or_default(),
                text: element.raw_text(),
            })
            .filter(|script| state::speaks_of_prices(&script.text))
            .collect();
        if scripts.is_empty() {
            return None;
        }
        let heading = self.heading.as_ref().map(|heading| heading.text.as_str());
        let titles = sources.iter().filter_map(|source| source.title.as_deref());
        let skus = sources.iter().filter_map(|source| source.sku.as_deref());
        let identity = Identity {
            titles: titles.chain(heading).collect(),
            skus: skus.collect(),
            canonical: self.canonical,
        };
        state::read(&scripts, &identity, self.links, remarks)
    }

    fn kind(
        &self,
        status: Option<u16>,
        listed: usize,
        product: Option<&ExtractedProduct>,
    ) -> PageKind {
        let parts = self.parts;
        let is_short = parts.text_bytes <= SHORT_PAGE_CHARS;
        let text = is_short.then(|| self.document.root().text(SHORT_PAGE_CHARS));
        // Only a page without a product of its own can be a wall or a list.
        let is_plain = !product.is_some_and(kind::is_marked);
        let may_be_wall = is_plain && (is_short || status.is_some_and(|status| status >= 400));
        let has_wall = may_be_wall && {
            let mut scripts = parts.scripts.iter();
            scripts.any(|(_, script)| kind::is_wall_script(&script.raw_text()))
        };
        let is_told = product.is_some_and(kind::is_told);
        let own = self.heading.as_ref().filter(|_| product.is_some());
        let prices = match !is_told && listed < LISTED_MIN {
            true => markup::shown_prices(parts, own, PRICES_MIN),
            false => 0,
        };
        let heading = self.heading.as_ref();
        kind::judge(&Evidence {
            status,
            title: parts.title.as_deref().unwrap_or_default(),
            heading: heading
                .map(|heading| heading.text.as_str())
                .unwrap_or_default(),
            short_text: text.as_deref(),
            has_wall,
            has_captcha: parts.has_captcha,
            has_password: parts.has_password,
            listed,
            prices,
            product,
        })
    }
}

fn canonical(parts: &Parts<'_>, links: &Links, remarks: &mut Remarks) -> Option<Url> {
    let mut found: Option<Url> = None;
    for href in &parts.canonicals {
        let Some(url) = links.resolve(href, "rel=canonical", remarks) else {
            continue;
        };
        match &found {
            None => found = Some(url),
            Some(first) if *first != url => {
                remarks.add(format!(
                    "the page has several rel=canonical links; {first} was taken, not {url}"
                ));
                break;
            }
            Some(_) => {}
        }
    }
    found
}
