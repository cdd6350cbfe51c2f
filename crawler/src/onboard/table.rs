//! The first rows of a feed, field by field, and what the values of a field
//! look like.

/// Rows that are looked at.
pub(super) const ROWS_MAX: usize = 200;

/// Fields that are looked at; the reader of feeds allows as many.
pub(super) const FIELDS_MAX: usize = 1_000;

/// The first rows of a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) names: Vec<String>,
    /// A row may be shorter than the names.
    pub(super) rows: Vec<Vec<String>>,
}

/// What the values of one field look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) rows: usize,
    pub(super) filled: usize,
    pub(super) distinct: usize,
    pub(super) urls: usize,
    pub(super) image_urls: usize,
    pub(super) amounts: usize,
    pub(super) spaced: usize,
    pub(super) chars: usize,
}

impl Table {
    #[cfg(test)]
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let at = self.names.iter().position(|known| known == name);
        at.into_iter().flat_map(|at| self.values_at(at))
    }

    /// The values of a field that are not empty.
    pub(super) fn values_at(&self, at: usize) -> impl Iterator<Item = &str> {
        let values = self.rows.iter().filter_map(move |row| row.get(at));
        values
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn look(&self, at: usize) -> Look {
        let mut look = Look {
            rows: self.rows.len(),
            ..Look::default()
        };
        let mut seen = std::collections::HashSet::new();
        for value in self.values_at(at) {
            look.filled += 1;
            look.distinct += usize::from(seen.insert(value));
            let url = is_url(value);
            look.urls += usize::from(url);
            look.image_urls += usize::from(url && is_image(value));
            look.amounts += usize::from(is_amount(value));
            look.spaced += usize::from(value.contains(' '));
            look.chars += value.chars().count();
        }
        look
    }
}

impl Look {
    /// Most of the rows have such a value.
    pub(super) fn mostly(&self, count: usize) -> bool {
        self.filled > 0 && count * 10 >= self.filled * 9 && self.filled * 2 > self.rows
    }
}

pub(super) fn is_url(value: &str) -> bool {
    let head: String = value
        .chars()
        .take(8)
        .collect::<String>()
        .to_ascii_lowercase();
    head.starts_with("http://") || head.starts_with("https://") || head.starts_with("//")
}

fn is_image(url: &str) -> bool {
    const ENDINGS: [&str; 8] = [
        ".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif",
    ];
    let path = url
        .split(['?', '#'])
        .next()
        .unwrap_or(url)
        .to_ascii_lowercase();
    ENDINGS.iter().any(|ending| path.ends_with(ending))
        || ["/img/", "/image/", "/images/"]
            .iter()
            .any(|part| path.contains(part))
}

/// A number, with or without a currency.
pub(super) fn is_amount(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let others = value
        .chars()
        .filter(|c| !c.is_ascii_digit() && !matches!(c, ',' | '.' | ' ' | '-'))
        .count();
    digits > 0 && others <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_by_their_look() {
        let check = |value: &str, url: bool, amount: bool| {
            assert_eq!((is_url(value), is_amount(value)), (url, amount), "{value}");
        };
        check("https://shop.example/1", true, false);
        check("HTTP://shop.example/1", true, false);
        check("//cdn.example/1.jpg", true, false);
        check("12,000원", false, true);
        check("19.90 EUR", false, true);
        check("coat 3", false, false);
        check("", false, false);
        assert!(is_image("https://a.example/x.JPG?w=3"));
        assert!(!is_image("https://a.example/x.html"));
    }
}
