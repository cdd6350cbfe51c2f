//! State that pages carry for their own scripts: `__NEXT_DATA__` and other
//! JSON blocks, `window.__X__ = {…}`, the events of `dataLayer`, Shopify's
//! product JSON. Literals are read, nothing is executed. An object counts only
//! if it looks like a product and is shown to be this page's.

mod names;
mod nuxt;
mod shape;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use trawler_core::product::Currency;
use url::Url;

use super::dom::collapse;
use super::fields::Fields;
use super::json;
use super::limits::{CANDIDATES_MAX, STATE_BYTES_MAX, TEXT_CHARS_MAX};
use super::links::Links;
use super::price;
use super::remarks::Remarks;
use super::value::Value;
use shape::{Candidate, Shape};

/// A script that may carry state.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) kind: ScriptKind,
    pub(super) id: &'a str,
    pub(super) text: Cow<'a, str>,
}

impl Script<'_> {
    /// Whether a script of this type can carry state: JSON of any name but
    /// JSON-LD, or JavaScript.
    pub(super) fn kind(media_type: Option<&str>) -> Option<ScriptKind> {
        let media_type = media_type.unwrap_or_default().trim();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if media_type.is_empty()
            || is("text/javascript")
            || is("module")
            || is("application/javascript")
        {
            return Some(ScriptKind::JavaScript);
        }
        let has = |part: &[u8]| {
            let bytes = media_type.as_bytes();
            bytes
                .windows(part.len())
                .any(|at| at.eq_ignore_ascii_case(part))
        };
        (has(b"json") && !has(b"ld+json")).then_some(ScriptKind::Json)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptKind {
    Json,
    JavaScript,
}

/// Whether a script's text is worth keeping: it speaks of prices, or names
/// their currency.
pub(super) fn speaks_of_prices(text: &str) -> bool {
    let has = |letters: &str| memchr::memmem::find(text.as_bytes(), letters.as_bytes()).is_some();
    // `price`, `Price`, `salePrice` and `price_min` share these letters.
    has("rice") || has("urrency")
}

/// How the page's own product is known.
pub(super) struct Identity<'i> {
    /// What other evidence calls it.
    pub(super) titles: Vec<&'i str>,
    pub(super) skus: Vec<&'i str>,
    pub(super) canonical: Option<&'i Url>,
}

/// What the scripts of a page say of its product.
pub(super) fn read(
    scripts: &[Script<'_>],
    identity: &Identity<'_>,
    links: &Links,
    remarks: &mut Remarks,
) -> Option<Fields> {
    if scripts.is_empty() {
        return None;
    }
    let mut finder = Finder {
        bytes_left: STATE_BYTES_MAX,
        values: Vec::new(),
        shop_currency: None,
    };
    for script in scripts {
        finder.script(script);
    }
    if finder.bytes_left == 0 {
        remarks.add(format!(
            "the scripts of the page hold more than {STATE_BYTES_MAX} bytes of state; \
             the rest was not read"
        ));
    }
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for found in &finder.values {
        shape::candidates(&found.value, found.is_product, &mut candidates);
        if candidates.len() >= CANDIDATES_MAX {
            break;
        }
    }
    let only = candidates.len() == 1;
    let known = Known::new(identity, links);
    let best = candidates
        .iter()
        .enumerate()
        .map(|(at, candidate)| {
            (
                known.evidence(candidate, only),
                std::cmp::Reverse(at),
                candidate,
            )
        })
        .max_by_key(|(evidence, at, _)| (*evidence, *at))?;
    let (evidence, _, candidate) = best;
    if evidence == 0 {
        return None;
    }
    let shape = Shape {
        links,
        home: links.home(),
        shop_currency: finder.shop_currency,
    };
    Some(shape.fields(candidate, remarks))
}

/// A literal found in a script.
struct Literal {
    value: Value,
    /// Whether its place says that it is the page's product.
    is_product: bool,
}

struct Finder {
    bytes_left: usize,
    values: Vec<Literal>,
    shop_currency: Option<Currency>,
}

/// Calls whose arguments describe what the page shows.
const CALLS: &[&str] = &["dataLayer.push(", "gtag(", "fbq("];

/// How far behind the start of a call its object may begin.
const ARGUMENT_BYTES_MAX: usize = 200;

impl Finder {
    fn script(&mut self, script: &Script<'_>) {
        let text = script.text.as_ref();
        if script.kind == ScriptKind::Json {
            let is_product = has_word(script.id, "product");
            self.block(text, is_product);
            return;
        }
        self.currency(text);
        self.assignments(text);
        for call in CALLS {
            self.calls(text, call);
        }
    }

    fn block(&mut self, text: &str, is_product: bool) {
        if text.len() > self.bytes_left {
            self.bytes_left = 0;
            return;
        }
        self.bytes_left -= text.len();
        if let Ok(Some(parsed)) = json::parse(text) {
            let value = nuxt::revived(parsed.value);
            self.values.push(Literal { value, is_product });
        }
    }

    /// `name = {…}`, `name = […]` and `name = JSON.parse("…")`.
    fn assignments(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(equals) = memchr::memchr(b'=', &bytes[at..]).map(|found| at + found) {
            at = equals + 1;
            let rest = text[at..].trim_start();
            let starts = rest.starts_with(['{', '[']) || rest.starts_with("JSON.parse(");
            let is_compared = equals > 0 && matches!(bytes[equals - 1], b'=' | b'!' | b'<' | b'>');
            if !starts || is_compared {
                continue;
            }
            let from = text.len() - rest.len();
            let name = &text[..equals];
            let Some(length) = self.literal(rest, has_word(assigned(name), "product")) else {
                return;
            };
            at = from + length;
        }
    }

    fn calls(&mut self, text: &str, call: &str) {
        let mut at = 0;
        while let Some(found) = memchr::memmem::find(&text.as_bytes()[at..], call.as_bytes()) {
            at += found + call.len();
            let window = text.len().min(at + ARGUMENT_BYTES_MAX);
            let Some(open) = memchr::memchr(b'{', &text.as_bytes()[at..window]) else {
                continue;
            };
            let Some(length) = self.literal(&text[at + open..], false) else {
                return;
            };
            at += open + length;
        }
    }

    /// Reads a literal and says how long it is; `None` if nothing more may be
    /// read.
    fn literal(&mut self, text: &str, is_product: bool) -> Option<usize> {
        let (value, length) = json::literal(text);
        self.bytes_left = self.bytes_left.saturating_sub(length);
        if self.bytes_left == 0 {
            return None;
        }
        match value {
            Some(value) => {
                if matches!(value, Value::Object(_) | Value::List(_)) {
                    self.values.push(Literal { value, is_product });
                }
                Some(length)
            }
            // What lies inside may be readable by itself.
            None => Some(1),
        }
    }

    /// The currency that Shopify's scripts name beside the product.
    fn currency(&mut self, text: &str) {
        const MARKS: &[&str] = &["meta.currency", "Shopify.currency"];
        /// `= {"active":"USD"` and blanks.
        const LOOKED_AT_BYTES: usize = 48;
        for mark in MARKS {
            let Some(at) = memchr::memmem::find(text.as_bytes(), mark.as_bytes()) else {
                continue;
            };
            let from = at + mark.len();
            let window = &text.as_bytes()[from..text.len().min(from + LOOKED_AT_BYTES)];
            let code = window
                .split(|b| !b.is_ascii_alphabetic())
                .find(|word| word.len() == 3 && word.iter().all(u8::is_ascii_uppercase));
            let code = code.and_then(|code| std::str::from_utf8(code).ok());
            self.shop_currency = self.shop_currency.or(code.and_then(price::currency_field));
        }
    }
}

/// The name that an assignment is to, of the text before its `=`.
fn assigned(before: &str) -> &str {
    let before = before.trim_end();
    let start = before
        .rfind(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$' | '.'))
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    &before[start..]
}

/// Whether a name holds a word, in any case.
fn has_word(name: &str, word: &str) -> bool {
    let bytes = name.as_bytes();
    bytes
        .windows(word.len())
        .any(|at| at.eq_ignore_ascii_case(word.as_bytes()))
}

/// [`Identity`], prepared for many comparisons.
struct Known<'i> {
    identity: &'i Identity<'i>,
    links: &'i Links,
    titles: Vec<String>,
    /// Parts of the page's path and values of its query, in lower case.
    parts: Vec<String>,
}

impl<'i> Known<'i> {
    fn new(identity: &'i Identity<'i>, links: &'i Links) -> Self {
        let titles = identity.titles.iter().map(|title| folded(title)).collect();
        let pages = [identity.canonical.cloned(), links.page()];
        let mut parts = Vec::new();
        for page in pages.into_iter().flatten() {
            let path = page.path_segments().into_iter().flatten();
            parts.extend(path.filter(|part| !part.is_empty()).map(str::to_lowercase));
            parts.extend(page.query_pairs().map(|(_, value)| value.to_lowercase()));
        }
        Self {
            identity,
            links,
            titles,
            parts,
        }
    }

    /// How much shows that an object is the page's product; 0 is nothing.
    fn evidence(&self, candidate: &Candidate<'_>, only: bool) -> u32 {
        let by_url = candidate
            .url()
            .is_some_and(|url| self.links.is_page(url, self.identity.canonical));
        let by_handle = candidate
            .handle()
            .map(str::to_lowercase)
            .is_some_and(|handle| self.parts.iter().any(|part| is_part(part, &handle)));
        let by_title = candidate
            .name()
            .map(folded)
            .is_some_and(|name| self.titles.contains(&name));
        let by_number = candidate.numbers().any(|number| {
            self.identity.skus.contains(&number)
                || (number.len() >= NUMBER_CHARS_MIN
                    && self
                        .parts
                        .iter()
                        .any(|part| holds_number(part, &number.to_lowercase())))
        });
        let proofs = u32::from(by_url) * 4
            + u32::from(by_handle) * 4
            + u32::from(by_title) * 3
            + u32::from(by_number) * 2
            + u32::from(candidate.is_viewed) * 3;
        let is_placed = candidate.is_product && (only || proofs > 0);
        proofs + u32::from(is_placed)
    }
}

/// Numbers that are shorter stand in too many URLs by chance.
const NUMBER_CHARS_MIN: usize = 4;

/// Whether a part of a path is this handle, with or without an ending.
fn is_part(part: &str, handle: &str) -> bool {
    let rest = part.strip_prefix(handle);
    handle.len() > 2 && rest.is_some_and(|rest| matches!(rest, "" | ".html" | ".htm" | ".php"))
}

/// Whether a part of a URL holds a number, not inside a longer one.
fn holds_number(part: &str, number: &str) -> bool {
    part.match_indices(number).any(|(at, _)| {
        let alone = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        alone(part[..at].chars().next_back()) && alone(part[at + number.len()..].chars().next())
    })
}

fn folded(text: &str) -> String {
    collapse(text, TEXT_CHARS_MAX).to_lowercase()
}
