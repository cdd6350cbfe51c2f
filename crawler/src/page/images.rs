//! Where the picture of an `<img>` is: the largest that it names, and not the
//! placeholder that a script is to replace.

use crate::document::Element;

/// Attributes that name the picture in full size.
const LARGE: &[&str] = &[
    "data-zoom-image",
    "data-large_image",
    "data-old-hires",
    "data-zoom",
];

/// Attributes that name pictures with their sizes.
const SETS: &[&str] = &["srcset", "data-srcset", "data-lazy-srcset"];

/// Attributes that name one picture; the first may be a placeholder.
const SINGLE: &[&str] = &[
    "src",
    "data-src",
    "data-original",
    "data-lazy-src",
    "data-lazy",
    "data-image",
];

/// The reference to the picture that an element shows.
pub(super) fn image_source(image: Element<'_>) -> Option<&str> {
    let is_real = |source: &&str| {
        let source = source.trim();
        !source.is_empty() && !source.starts_with("data:") && !source.starts_with("about:")
    };
    let of = |names: &[&str]| {
        let mut found = names.iter().filter_map(|name| image.attribute(name));
        found.find(is_real)
    };
    let largest = || {
        let sets = SETS.iter().filter_map(|name| image.attribute(name));
        sets.filter_map(largest).find(is_real)
    };
    let source = of(LARGE).or_else(largest).or_else(|| of(SINGLE));
    source.map(str::trim)
}

/// The largest of the pictures of a `srcset`, by width or density.
fn largest(set: &str) -> Option<&str> {
    let mut best: Option<(f64, &str)> = None;
    let mut rest = set;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        let end = rest
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        if end == 0 {
            return best.map(|(_, url)| url);
        }
        let url = &rest[..end];
        // A comma at the end of a URL ends the entry; one inside does not.
        let alone = url.ends_with(',');
        let url = url.trim_end_matches(',');
        let after = &rest[end..];
        let descriptors = match alone {
            true => "",
            false => &after[..after.find(',').unwrap_or(after.len())],
        };
        rest = &after[descriptors.len()..];
        let size = size(descriptors);
        if best.is_none_or(|(known, _)| size > known) {
            best = Some((size, url));
        }
    }
}

/// `640w` or `2x`; a lone URL is `1x`.
fn size(descriptors: &str) -> f64 {
    let number = |word: &str| {
        let digits = word.strip_suffix(['w', 'x'])?;
        digits.parse::<f64>().ok().filter(|size| size.is_finite())
    };
    descriptors
        .split_ascii_whitespace()
        .find_map(number)
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::document::{Document, Selector};

    #[test]
    fn the_largest_picture_is_taken_and_no_placeholder() {
        let check = |attributes: &str, expected: Option<&str>| {
            let document = Document::parse(format!("<img {attributes}>"));
            let selector = Selector::parse("img").unwrap();
            let image = document.select(&selector).next().unwrap();
            assert_eq!(image_source(image), expected, "{attributes}");
        };
        check("src=a.jpg", Some("a.jpg"));
        check("src=' a.jpg '", Some("a.jpg"));
        check(
            "src='data:image/gif;base64,R0' data-src=b.jpg",
            Some("b.jpg"),
        );
        check(
            "src=a.jpg srcset='b.jpg 320w, c.jpg 1280w, d.jpg 640w'",
            Some("c.jpg"),
        );
        check("src=a.jpg srcset='b.jpg, c.jpg 2x'", Some("c.jpg"));
        check("srcset='a,b.jpg 1x,c.jpg'", Some("a,b.jpg"));
        check("data-srcset='b.jpg 100w'", Some("b.jpg"));
        check(
            "src=a.jpg data-zoom-image=z.jpg srcset='b.jpg 9000w'",
            Some("z.jpg"),
        );
        check("src=a.jpg srcset=''", Some("a.jpg"));
        check("src=a.jpg srcset=', ,'", Some("a.jpg"));
        check("src=''", None);
        check("alt=x", None);
    }
}
