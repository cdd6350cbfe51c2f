//! What a page in a browser may ask for, by its kind and address: pure.
//! robots.txt is asked afterwards, addresses are judged by the tunnel.

use chromiumoxide::cdp::browser_protocol::network::ResourceType;
use url::Url;

/// What is done about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// The page itself: it was asked for already.
    Document,
    /// The page wants to be elsewhere.
    Moved(Url),
    /// An image of one transparent pixel, so that no script takes a product's
    /// image for a missing one and puts another in its place.
    Pixel,
    /// To be asked for, if robots.txt allows.
    Ask(Url),
    Refused,
}

/// A request of a page.
pub(super) struct Wanted<'a> {
    pub(super) kind: &'a ResourceType,
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) is_main_frame: bool,
    /// Whether the page itself was asked for before.
    pub(super) has_document: bool,
}

pub(super) fn rule(wanted: &Wanted<'_>) -> Ruling {
    let url = Url::parse(wanted.url).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    match wanted.kind {
        ResourceType::Document if !wanted.is_main_frame => Ruling::Refused,
        ResourceType::Document if !wanted.has_document => Ruling::Document,
        ResourceType::Document => match url {
            Some(url) if wanted.method == "GET" => Ruling::Moved(url),
            _ => Ruling::Refused,
        },
        ResourceType::Image => Ruling::Pixel,
        ResourceType::Script
        | ResourceType::Stylesheet
        | ResourceType::Xhr
        | ResourceType::Fetch
        | ResourceType::Preflight
        | ResourceType::TextTrack => url.map_or(Ruling::Refused, Ruling::Ask),
        // What is asked for ahead; and the icons of windows, which nobody sees.
        ResourceType::Other => match url {
            Some(url) if !is_image(&url) => Ruling::Ask(url),
            _ => Ruling::Refused,
        },
        // No product is in them, they stay open, or they are told of somebody.
        ResourceType::EventSource
        | ResourceType::Media
        | ResourceType::Font
        | ResourceType::Prefetch
        | ResourceType::WebSocket
        | ResourceType::Manifest
        | ResourceType::SignedExchange
        | ResourceType::Ping
        | ResourceType::CspViolationReport
        | ResourceType::FedCm => Ruling::Refused,
    }
}

/// By its name.
fn is_image(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    [
        ".ico", ".png", ".svg", ".gif", ".jpg", ".jpeg", ".webp", ".avif",
    ]
    .iter()
    .any(|ending| path.ends_with(ending))
}

/// A GIF of one transparent pixel, in base64.
pub(super) const PIXEL: &str = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>(kind: &'a ResourceType, url: &'a str) -> Wanted<'a> {
        Wanted {
            kind,
            method: "GET",
            url,
            is_main_frame: true,
            has_document: true,
        }
    }

    #[test]
    fn images_are_one_pixel_and_what_holds_no_product_is_not_asked_for() {
        let url = "https://shop.test/x";
        let ask = || Ruling::Ask(Url::parse(url).expect("a URL"));
        let check = |kind: ResourceType, expected: Ruling| {
            assert_eq!(rule(&wanted(&kind, url)), expected, "{kind:?}");
        };
        check(ResourceType::Script, ask());
        check(ResourceType::Stylesheet, ask());
        check(ResourceType::Xhr, ask());
        check(ResourceType::Fetch, ask());
        check(ResourceType::Image, Ruling::Pixel);
        check(ResourceType::Font, Ruling::Refused);
        check(ResourceType::Media, Ruling::Refused);
        check(ResourceType::Ping, Ruling::Refused);
        check(ResourceType::WebSocket, Ruling::Refused);
        check(ResourceType::EventSource, Ruling::Refused);
        check(ResourceType::Prefetch, Ruling::Refused);
        check(ResourceType::Other, ask());
        let icon = wanted(&ResourceType::Other, "https://shop.test/favicon.ico");
        assert_eq!(rule(&icon), Ruling::Refused);
        let other = wanted(&ResourceType::Fetch, "file:///etc/passwd");
        assert_eq!(rule(&other), Ruling::Refused);
    }

    #[test]
    fn the_page_is_given_once_and_told_where_it_wants_to_go_after_that() {
        let url = "https://shop.test/x";
        let document = ResourceType::Document;
        let page = wanted(&document, url);
        let moved = Ruling::Moved(Url::parse(url).expect("a URL"));
        assert_eq!(rule(&page), moved);
        let first = Wanted {
            has_document: false,
            ..page
        };
        assert_eq!(rule(&first), Ruling::Document);
        let post = Wanted {
            method: "POST",
            has_document: true,
            ..first
        };
        assert_eq!(rule(&post), Ruling::Refused);
        let frame = Wanted {
            is_main_frame: false,
            method: "GET",
            ..post
        };
        assert_eq!(rule(&frame), Ruling::Refused);
    }
}
