//! What a page says about other pages: links, the base they are relative to,
//! which page it is itself, and whether it may be kept or followed.

use super::Document;
use super::arena::NOWHERE;
use super::element::Element;
use super::name::Name;

/// One reference of a page, as written: not resolved, not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'d> {
    pub kind: LinkKind,
    /// The reference, without white space around it; of
    /// [`LinkKind::Robots`] the directives.
    pub target: &'d str,
    /// `rel` has the word `nofollow`, `ugc` or `sponsored`.
    pub nofollow: bool,
    pub element: Element<'d>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// `<a href>`.
    Anchor,
    /// `<area href>`.
    Area,
    /// `rel="next"` of `<link>`, `<a>` or `<area>`.
    Next,
    /// `<link rel="canonical">`.
    Canonical,
    /// `<link rel="alternate">`.
    Alternate,
    /// `<base href>`; the first one of a page counts.
    Base,
    /// `<meta name="robots" content>`.
    Robots,
    /// `<meta http-equiv="refresh" content>`; a refresh of the page itself
    /// is none.
    Refresh,
}

impl Document {
    /// All references in document order, in one pass. What stands in a
    /// `<template>` is not part of the page.
    pub fn links(&self) -> impl Iterator<Item = Link<'_>> {
        let mut at = 0_u32;
        std::iter::from_fn(move || {
            loop {
                at += 1;
                let node = self.arena.nodes.get(at as usize)?;
                if node.name == Name::TEMPLATE {
                    // The loop goes on after it.
                    at = node.end - 1;
                    continue;
                }
                let is_linking = matches!(
                    node.name,
                    Name::A | Name::AREA | Name::LINK | Name::BASE | Name::META
                );
                debug_assert_ne!(node.end, NOWHERE);
                if is_linking && let Some(link) = link_of(Element { document: self, at }, node.name)
                {
                    return Some(link);
                }
            }
        })
    }
}

fn link_of(element: Element<'_>, name: Name) -> Option<Link<'_>> {
    let rel = element.known_attribute(Name::REL).unwrap_or_default();
    let has_word = |wanted: &str| {
        rel.split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case(wanted))
    };
    let (kind, target) = match name {
        Name::META => meta_link(element)?,
        _ => {
            let href = element.known_attribute(Name::HREF)?;
            let kind = match name {
                Name::BASE => LinkKind::Base,
                _ if has_word("next") => LinkKind::Next,
                Name::A => LinkKind::Anchor,
                Name::AREA => LinkKind::Area,
                _ if has_word("canonical") => LinkKind::Canonical,
                _ if has_word("alternate") => LinkKind::Alternate,
                _ => return None,
            };
            (kind, href)
        }
    };
    Some(Link {
        kind,
        target: target.trim(),
        nofollow: !rel.is_empty()
            && (has_word("nofollow") || has_word("ugc") || has_word("sponsored")),
        element,
    })
}

fn meta_link(meta: Element<'_>) -> Option<(LinkKind, &str)> {
    let content = meta.known_attribute(Name::CONTENT)?;
    let is = |name, wanted: &str| {
        meta.known_attribute(name)
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    if is(Name::NAME, "robots") {
        return Some((LinkKind::Robots, content));
    }
    if is(Name::HTTP_EQUIV, "refresh") {
        return Some((LinkKind::Refresh, refresh_target(content)?));
    }
    None
}

/// The URL in `5; url='/next'`, by the HTML standard's lenient rules.
fn refresh_target(content: &str) -> Option<&str> {
    let is_time = |c: char| c.is_ascii_digit() || c == '.';
    let rest = content.trim_ascii_start();
    let after = rest.trim_start_matches(is_time);
    if after.len() == rest.len() || !after.starts_with([';', ',', ' ', '\t', '\n']) {
        return None;
    }
    let rest = after.trim_ascii_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest);
    let rest = rest.trim_ascii_start();
    let rest = strip_url_name(rest).unwrap_or(rest);
    let target = match rest.chars().next()? {
        quote @ ('"' | '\'') => {
            let rest = &rest[1..];
            &rest[..rest.find(quote).unwrap_or(rest.len())]
        }
        _ => rest,
    };
    Some(target.trim()).filter(|target| !target.is_empty())
}

fn strip_url_name(text: &str) -> Option<&str> {
    let name = text.get(..3)?;
    if !name.eq_ignore_ascii_case("url") {
        return None;
    }
    let rest = text[3..].trim_ascii_start();
    Some(rest.strip_prefix('=')?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_listed_in_document_order() {
        let page = "<base href=' /shop/ '><link rel=canonical href=/a><link rel='stylesheet' href=s.css>\
            <link rel='ALTERNATE' hreflang=de href=/de><link rel=next href='?p=2'>\
            <meta name=Robots content='noindex, nofollow'>\
            <meta http-equiv=refresh content='5; URL=\"/later\"'>\
            <body><a href='x&amp;y=1'>x</a><a name=none>n</a><a rel='nofollow noopener' href=n>n</a>\
            <map><area href=m></map><a rel=next href='?p=3'>next</a>\
            <template><a href=hidden></a></template><noscript><a href=quiet></a></noscript>";
        let document = Document::parse(page);
        let found: Vec<(LinkKind, &str, bool)> = document
            .links()
            .map(|link| (link.kind, link.target, link.nofollow))
            .collect();
        assert_eq!(
            found,
            [
                (LinkKind::Base, "/shop/", false),
                (LinkKind::Canonical, "/a", false),
                (LinkKind::Alternate, "/de", false),
                (LinkKind::Next, "?p=2", false),
                (LinkKind::Robots, "noindex, nofollow", false),
                (LinkKind::Refresh, "/later", false),
                (LinkKind::Anchor, "x&y=1", false),
                (LinkKind::Anchor, "n", true),
                (LinkKind::Area, "m", false),
                (LinkKind::Next, "?p=3", false),
                (LinkKind::Anchor, "quiet", false),
            ]
        );
    }

    #[test]
    fn refreshes_are_read_as_browsers_do() {
        let check = |content: &str, expected: Option<&str>| {
            assert_eq!(refresh_target(content), expected, "{content:?}");
        };
        check("0;url=/a", Some("/a"));
        check(" 3.5 , URL = '/a b' x", Some("/a b"));
        check("0; /a", Some("/a"));
        check("0 /a", Some("/a"));
        check("0;url=\"/a", Some("/a"));
        check("5", None);
        check("5;", None);
        check("url=/a", None);
        check("5x;url=/a", None);
        check("0;url=", None);
        check("0;urx=/a", Some("urx=/a"));
        check("0;url/a", Some("url/a"));
        check("", None);
    }
}
