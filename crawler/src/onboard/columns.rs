//! Which field of a feed goes to which column: by the names of the
//! specifications, by what shops call their fields, by the look of the values.

use std::collections::{BTreeMap, BTreeSet};

use trawler_core::feed::{ColumnMap, FeedOptions, Source};

use super::error::NotAFeed;
use super::names;
use super::shown::{cut, example, plain};
use super::table::{Look, Table};
use crate::feed::{FeedError, columns_of};

/// Columns without which no row is a product.
const REQUIRED: [&str; 3] = ["id", "title", "link"];

/// Columns that are looked for by values where no name is of help.
const BY_VALUES: [&str; 5] = ["link", "image_link", "id", "price_minor", "title"];

/// How a field was found to be a column's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A name of Naver's or Google's specification, or the column's own.
    Specified,
    /// A name that shops use for it.
    Named,
    /// What its values look like.
    Guessed,
    /// No column takes it.
    Unmapped,
}

impl How {
    /// What people are told.
    pub fn words(self) -> &'static str {
        match self {
            Self::Specified => "by its name",
            Self::Named => "by a usual name",
            Self::Guessed => "by its values",
            Self::Unmapped => "kept in extra",
        }
    }
}

/// One field of the feed and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldUse {
    pub field: String,
    pub columns: Vec<String>,
    pub how: How,
    /// A value of it.
    pub example: String,
}

/// What `[feed.columns]` is to say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Mapped {
    pub(super) columns: ColumnMap,
    pub(super) how: BTreeMap<String, How>,
}

/// Maps the fields of a table. `options` say the format, and nothing of columns
/// yet.
pub(super) fn map(options: &FeedOptions, table: &Table) -> Result<Mapped, NotAFeed> {
    let by_position = options.csv.as_ref().is_some_and(|csv| !csv.header);
    let mut mapping = Mapping {
        table,
        by_position,
        mapped: Mapped::default(),
        used: BTreeSet::new(),
        filled: BTreeSet::new(),
    };
    if !by_position {
        let specified = columns_of(options, &table.names).map_err(NotAFeed::Unreadable)?;
        for (at, columns) in specified.iter().enumerate() {
            if !columns.is_empty() {
                mapping.used.insert(at);
                mapping.filled.extend(columns.iter().copied());
            }
        }
        mapping.by_names();
        mapping.by_levels();
    }
    mapping.by_values();
    for column in REQUIRED {
        if !mapping.filled.contains(column) {
            return Err(NotAFeed::NoColumn {
                column,
                fields: plain(cut(&table.names.join(", "), 600)),
            });
        }
    }
    Ok(mapping.mapped)
}

/// Where every field goes under the final options.
pub(super) fn uses(
    options: &FeedOptions,
    table: &Table,
    mapped: &Mapped,
) -> Result<Vec<FieldUse>, FeedError> {
    let found = columns_of(options, &table.names)?;
    let of_field = |(at, columns): (usize, Vec<&'static str>)| {
        let how = match columns.first() {
            None => How::Unmapped,
            Some(column) => mapped.how.get(*column).copied().unwrap_or(How::Specified),
        };
        FieldUse {
            field: plain(cut(&table.names[at], 100)),
            columns: columns.into_iter().map(str::to_owned).collect(),
            how,
            example: table.values_at(at).next().map(example).unwrap_or_default(),
        }
    };
    Ok(found.into_iter().enumerate().map(of_field).collect())
}

struct Mapping<'t> {
    table: &'t Table,
    by_position: bool,
    mapped: Mapped,
    /// Fields that have a column.
    used: BTreeSet<usize>,
    /// Columns that have a field.
    filled: BTreeSet<&'static str>,
}

impl Mapping<'_> {
    fn source(&self, at: usize) -> Source {
        match self.by_position {
            true => Source::Position(u32::try_from(at + 1).unwrap_or(u32::MAX)),
            false => Source::Field(self.table.names[at].clone()),
        }
    }

    fn take(&mut self, column: &'static str, at: usize, how: How) {
        let source = self.source(at);
        self.mapped.columns.0.insert(column.to_owned(), source);
        self.mapped.how.insert(column.to_owned(), how);
        self.used.insert(at);
        self.filled.insert(column);
    }

    fn by_names(&mut self) {
        let mut found: Vec<(&'static str, usize, usize)> = Vec::new();
        for (at, name) in self.table.names.iter().enumerate() {
            if self.used.contains(&at) {
                continue;
            }
            if let Some((column, rank)) = names::synonym(name) {
                found.push((column, rank, at));
            }
        }
        // The most telling name of a column first.
        found.sort();
        for (column, _, at) in found {
            if !self.filled.contains(column) && self.fits(column, at) {
                self.take(column, at, How::Named);
            }
        }
    }

    /// Whether the values are such as the column may have, as far as that can
    /// be seen.
    fn fits(&self, column: &str, at: usize) -> bool {
        let look = self.table.look(at);
        if look.filled == 0 {
            return true;
        }
        match column {
            "link" | "image_link" | "mobile_link" => look.urls * 2 > look.filled,
            "price_minor" | "list_price_minor" | "mobile_price_minor" => {
                look.amounts * 2 > look.filled
            }
            "id" => look.spaced * 2 < look.filled && look.urls == 0,
            "title" => look.urls * 2 < look.filled && look.amounts * 2 < look.filled,
            _ => true,
        }
    }

    /// `cate1`, `cate2`, `cate3` are the levels of one path.
    fn by_levels(&mut self) {
        if self.filled.contains("category_path") {
            return;
        }
        let mut stems: BTreeMap<String, Vec<(u32, usize)>> = BTreeMap::new();
        for (at, name) in self.table.names.iter().enumerate() {
            if let Some((stem, level)) = names::level(name)
                && !self.used.contains(&at)
            {
                stems.entry(stem).or_default().push((level, at));
            }
        }
        let Some(mut levels) = stems.into_values().max_by_key(Vec::len) else {
            return;
        };
        if levels.len() < 2 || levels.len() > usize::from(u8::MAX) {
            return;
        }
        levels.sort_unstable();
        let fields = levels.iter().map(|(_, at)| self.table.names[*at].clone());
        let path = "category_path";
        let source = Source::Fields(fields.collect());
        self.mapped.columns.0.insert(path.to_owned(), source);
        self.mapped.how.insert(path.to_owned(), How::Named);
        self.used.extend(levels.iter().map(|(_, at)| *at));
        self.filled.insert(path);
    }

    fn by_values(&mut self) {
        for column in BY_VALUES {
            if self.filled.contains(column) {
                continue;
            }
            let looks = (0..self.table.names.len())
                .filter(|at| !self.used.contains(at))
                .map(|at| (at, self.table.look(at)));
            let fitting = looks.filter(|(_, look)| looks_like(column, look));
            let best = match column {
                // The longest text; of the others the first that fits.
                "title" => fitting.max_by_key(|(at, look)| {
                    (look.chars / look.filled.max(1), std::cmp::Reverse(*at))
                }),
                _ => fitting.min_by_key(|(at, _)| *at),
            };
            if let Some((at, _)) = best {
                self.take(column, at, How::Guessed);
            }
        }
    }
}

fn looks_like(column: &str, look: &Look) -> bool {
    match column {
        "link" => look.mostly(look.urls) && look.image_urls * 2 < look.filled,
        "image_link" => look.mostly(look.image_urls),
        // On every row, another on each, and short.
        "id" => {
            look.filled == look.rows
                && look.distinct == look.rows
                && look.spaced == 0
                && look.urls == 0
                && look.chars <= look.filled * 64
        }
        "price_minor" => look.mostly(look.amounts),
        "title" => {
            look.mostly(look.filled)
                && look.urls == 0
                && look.amounts * 2 < look.filled
                && look.chars <= look.filled * 300
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::feed::{CsvOptions, FeedFormat, FeedMode};

    use super::*;
    use crate::onboard::rows::layout;

    fn mapped(text: &str) -> Result<Vec<(String, String, How)>, String> {
        let layout = layout(text, true).unwrap();
        let mut options = FeedOptions::new(FeedFormat::Csv, FeedMode::Full);
        options.csv = Some(CsvOptions {
            header: layout.has_header,
            ..CsvOptions::default()
        });
        let mapped = map(&options, &layout.table).map_err(|error| error.to_string())?;
        let source = |source: &Source| match source {
            Source::Field(name) => name.clone(),
            Source::Position(at) => at.to_string(),
            Source::Fields(names) => names.join("+"),
        };
        let columns = mapped.columns.0.iter();
        Ok(columns
            .map(|(column, from)| (column.clone(), source(from), mapped.how[column]))
            .collect())
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, How)]) {
        let found = mapped(text).unwrap();
        let found: Vec<(&str, &str, How)> =
            found.iter().map(|(a, b, how)| (&**a, &**b, *how)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn fields_find_their_columns() {
        check(
            "id,title,link,price\n1,Coat,http://a/1,5\n2,Cup,http://a/2,6\n",
            &[],
        );
        check(
            "product_id,name,url,image\n1,Coat,http://a/1,http://a/1.jpg\n",
            &[
                ("id", "product_id", How::Named),
                ("image_link", "image", How::Named),
                ("link", "url", How::Named),
                ("title", "name", How::Named),
            ],
        );
        check(
            "상품번호,상품명,상품링크,cate1,cate2\n1,컵,http://a/1,주방,컵\n2,코트,http://a/2,옷,코트\n",
            &[
                ("category_path", "cate1+cate2", How::Named),
                ("id", "상품번호", How::Named),
                ("link", "상품링크", How::Named),
                ("title", "상품명", How::Named),
            ],
        );
        // The more telling of two names.
        check(
            "sku,product_id,title,link\nA,1,Coat,http://a/1\nA,2,Cup,http://a/2\n",
            &[("id", "product_id", How::Named)],
        );
        // A name whose values say otherwise.
        check(
            "id,title,url,goto\n1,Coat,N,http://a/1\n2,Cup,N,http://a/2\n",
            &[("link", "goto", How::Guessed)],
        );
    }

    #[test]
    fn without_a_header_values_tell() {
        check(
            "7001,Winter coat,http://a/1,http://a/1.jpg,12000\n7002,Blue cup,http://a/2,http://a/2.jpg,900\n",
            &[
                ("id", "1", How::Guessed),
                ("image_link", "4", How::Guessed),
                ("link", "3", How::Guessed),
                ("price_minor", "5", How::Guessed),
                ("title", "2", How::Guessed),
            ],
        );
    }

    #[test]
    fn what_no_product_can_do_without_is_missed() {
        let error = mapped("id,title\n1,Coat\n2,Cup\n").unwrap_err();
        assert!(error.contains("the product's link"), "{error}");
        assert!(error.contains("id, title"), "{error}");
    }
}
