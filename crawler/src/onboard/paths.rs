//! What the addresses of a shop tell: whose they are, and which are called after
//! products.

use trawler_core::site::SiteOptions;
use url::Url;

/// The host of the shop, with or without `www.`.
pub(super) fn is_of(home: &Url, url: &Url) -> bool {
    let (Some(home_host), Some(host)) = (home.host_str(), url.host_str()) else {
        return false;
    };
    home.port_or_known_default() == url.port_or_known_default()
        && SiteOptions::default().is_host(home_host, host)
        || SiteOptions::default().is_host(home_host, host) && home.scheme() != url.scheme()
}

const PRODUCT_WORDS: [&str; 9] = [
    "product", "goods", "item", "/p/", "/dp/", "/pd/", "detail", "/shop/", "artikel",
];

pub(super) fn is_called_after_products(url: &Url) -> bool {
    // Which has an item in it.
    let path = url.path().to_ascii_lowercase().replace("sitemap", "");
    PRODUCT_WORDS.iter().any(|word| path.contains(word))
}

/// The first step of the paths, where all share it.
pub(super) fn product_patterns(products: &[Url]) -> Vec<String> {
    let mut patterns: Vec<String> = products
        .iter()
        .filter_map(|url| {
            let mut steps = url.path_segments()?;
            let first = steps.next()?;
            let more = steps.next().is_some_and(|next| !next.is_empty());
            (more && !first.is_empty()).then(|| format!("/{first}/"))
        })
        .collect();
    patterns.sort();
    patterns.dedup();
    patterns
}

pub(super) fn part_patterns(parts: &[Url]) -> Vec<String> {
    let named = parts.iter().filter(|part| is_called_after_products(part));
    let mut patterns: Vec<String> = named
        .map(|part| {
            let path = part.path();
            let end = path
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(path.len());
            format!("{}*", &path[..end])
        })
        .collect();
    patterns.sort();
    patterns.dedup();
    // Of no use where every part is meant.
    if parts.iter().all(is_called_after_products) {
        patterns.clear();
    }
    patterns
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn urls(texts: &[&str]) -> Vec<Url> {
        texts.iter().map(|text| Url::parse(text).unwrap()).collect()
    }

    #[test]
    fn patterns_are_what_paths_have_in_common() {
        let products = urls(&["https://a.example/product/1", "https://a.example/product/2"]);
        assert_eq!(product_patterns(&products), ["/product/"]);
        assert!(product_patterns(&urls(&["https://a.example/cup.html"])).is_empty());
        let parts = urls(&[
            "https://a.example/sitemap_products_1.xml",
            "https://a.example/sitemap_products_2.xml",
            "https://a.example/sitemap_blogs_1.xml",
        ]);
        assert_eq!(part_patterns(&parts), ["/sitemap_products_*"]);
        assert!(part_patterns(&parts[..2]).is_empty());
    }

    #[test]
    fn hosts_of_the_shop_are_told() {
        let home = &urls(&["https://shop.example/"])[0];
        let check = |url: &str, expected: bool| {
            assert_eq!(is_of(home, &Url::parse(url).unwrap()), expected, "{url}");
        };
        check("https://www.shop.example/p/1", true);
        check("http://shop.example/p/1", true);
        check("https://cdn.shop.example/p/1", false);
        check("https://other.example/", false);
    }
}
