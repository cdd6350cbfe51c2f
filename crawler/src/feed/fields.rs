//! Fields of the feed to columns of the schema: what the pipe says, else the
//! names of the specifications.

use std::collections::HashMap;

use trawler_core::feed::{FeedFormat, FeedOptions, Source};
use trawler_core::personal::is_personal;
use trawler_core::product::{COLUMNS, PARTNER_UPDATED, column_index};

use super::error::FeedError;
use super::tags::{Place, TAGS};

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A column of the schema. A fallback only fills what nothing else fills.
    Column {
        column: usize,
        fallback: bool,
    },
    /// An amount already in minor units.
    Minor {
        column: usize,
    },
    /// One of several fields of a column, in the order of the pipe.
    Part {
        column: usize,
        at: u8,
    },
    /// What a summary feed does with the row.
    Class,
    /// No column takes it.
    Extra,
    /// Personal data of a seller, which the pipe does not ask for.
    Personal,
    Ignore,
}

/// Fields seen so far, with where each goes.
pub(super) struct Fields {
    names: Vec<String>,
    targets: Vec<Vec<Target>>,
    by_name: HashMap<String, usize>,
    plan: HashMap<String, Vec<Target>>,
    positions: HashMap<u32, Vec<Target>>,
    keep_extra: bool,
    /// Personal fields that the pipe keeps, as keys.
    keep: Vec<String>,
    fields_max: usize,
}

/// Marks an XML element of the feed's own vocabulary (RSS, Atom) and not of
/// Google's; what it fills is a fallback.
pub(super) const PLAIN: char = '#';

/// Elements of RSS and Atom and the columns they stand in for.
const PLAIN_ELEMENTS: &[(&str, &str)] = &[
    ("id", "id"),
    ("guid", "id"),
    ("title", "title"),
    ("link", "link"),
    ("description", "description"),
    ("summary", "description"),
    ("content", "description"),
];

impl Fields {
    pub(super) fn new(options: &FeedOptions) -> Self {
        let mut fields = Self {
            names: Vec::new(),
            targets: Vec::new(),
            by_name: HashMap::new(),
            plan: HashMap::new(),
            positions: HashMap::new(),
            keep_extra: options.keep_extra,
            keep: options.keep.iter().map(|name| key(name)).collect(),
            fields_max: options.limits.fields_max,
        };
        fields.plan_own(options);
        fields.plan_specified(options);
        for name in &options.ignore {
            fields.plan.insert(key(name), vec![Target::Ignore]);
        }
        fields
    }

    /// What the pipe says.
    fn plan_own(&mut self, options: &FeedOptions) {
        for (name, source) in &options.columns.0 {
            let target = match column_index(column_of(name)) {
                Some(column) => Target::Column {
                    column,
                    fallback: false,
                },
                None if name == "class" => Target::Class,
                None => Target::Ignore,
            };
            match (source, target) {
                (Source::Field(field), _) => {
                    self.plan.entry(key(field)).or_default().push(target);
                }
                (Source::Position(at), _) => {
                    self.positions.entry(*at).or_default().push(target);
                }
                (Source::Fields(list), Target::Column { column, .. }) => {
                    for (at, field) in (0_u8..).zip(list) {
                        let part = Target::Part { column, at };
                        self.plan.entry(key(field)).or_default().push(part);
                    }
                }
                (Source::Fields(list), other) => {
                    for field in list {
                        self.plan.entry(key(field)).or_default().push(other);
                    }
                }
            }
        }
    }

    /// What the specifications say, for columns and fields that the pipe does
    /// not mention.
    fn plan_specified(&mut self, options: &FeedOptions) {
        let named_by_pipe = |wanted: &str| {
            let mut names = options.columns.0.keys();
            names.any(|name| column_of(name) == wanted)
        };
        let own = |name: &str| named_by_pipe(name);
        let mut specified: HashMap<String, Vec<Target>> = HashMap::new();
        let (ep, google, named) = match options.format {
            FeedFormat::NaverEp => (true, false, false),
            // Tags are another vocabulary, and the only one.
            FeedFormat::Tagged => (false, false, false),
            FeedFormat::Google | FeedFormat::GoogleTsv | FeedFormat::GoogleXml => {
                (false, true, false)
            }
            FeedFormat::Csv | FeedFormat::Json | FeedFormat::Jsonl => (true, true, true),
        };
        // In the order of precedence: a name is planned by the first to claim it.
        let mut claim = |name: &str, targets: Vec<Target>| {
            specified.entry(key(name)).or_insert(targets);
        };
        let open = || {
            let columns = COLUMNS.iter().enumerate();
            columns.filter(|(_, column)| !own(column.name))
        };
        if !own("class") {
            claim("class", vec![Target::Class]);
        }
        if options.format == FeedFormat::Tagged {
            for (tag, place) in TAGS {
                let place = match *place {
                    Place::Column(name) if own(name) => continue,
                    Place::Level(name, _) if own(name) => continue,
                    Place::Class if own("class") => continue,
                    Place::Column(name) => plain_target(known(name)),
                    Place::Level(name, at) => Target::Part {
                        column: known(name),
                        at,
                    },
                    Place::Class => Target::Class,
                    Place::Nowhere => Target::Ignore,
                };
                claim(tag, vec![place]);
            }
        }
        if !own(PARTNER_UPDATED) {
            claim("update_time", vec![plain_target(known(PARTNER_UPDATED))]);
        }
        for (at, column) in open().filter(|_| named) {
            let target = match column.name.ends_with("_minor") {
                true => Target::Minor { column: at },
                false => plain_target(at),
            };
            claim(column.name, vec![target]);
        }
        // Fields that two columns share, such as the interval of a sale.
        let mut merchant: HashMap<&str, Vec<Target>> = HashMap::new();
        for (at, column) in open().filter(|_| google) {
            if let Some(field) = column.merchant {
                merchant.entry(field).or_default().push(plain_target(at));
            }
        }
        for (field, targets) in merchant {
            claim(field, targets);
        }
        for (column, ep_fields) in open()
            .filter(|_| ep)
            .filter_map(|(at, column)| Some((at, column.naver_ep?)))
        {
            match ep_fields.contains('>') {
                true => {
                    for (at, field) in (0_u8..).zip(ep_fields.split('>')) {
                        claim(field, vec![Target::Part { column, at }]);
                    }
                }
                false => claim(ep_fields, vec![plain_target(column)]),
            }
        }
        if google {
            for (element, name) in PLAIN_ELEMENTS {
                let target = Target::Column {
                    column: known(name),
                    fallback: true,
                };
                claim(&format!("{PLAIN}{element}"), vec![target]);
            }
        }
        for (field, targets) in specified {
            self.plan.entry(field).or_insert(targets);
        }
    }

    /// Number of a field, given out on first sight.
    pub(super) fn number(&mut self, name: &str) -> Result<usize, FeedError> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(*number);
        }
        let targets = match self.plan.get(&key(name)) {
            Some(targets) => targets.clone(),
            None if name.trim().is_empty() || name.starts_with(PLAIN) => vec![Target::Ignore],
            None => vec![self.unmapped(name)],
        };
        self.add(name.trim().to_owned(), targets).inspect(|number| {
            self.by_name.insert(name.to_owned(), *number);
        })
    }

    /// Number of a field of the header, which may be named once only, unless
    /// its values are ignored.
    pub(super) fn header(&mut self, position: usize, name: &str) -> Result<usize, FeedError> {
        if let Some(first) = self.by_name.get(name).copied() {
            let single = |target: &Target| match target {
                Target::Column { column, .. } | Target::Minor { column } => {
                    COLUMNS[*column].kind != trawler_core::product::Kind::TextList
                }
                Target::Part { .. } | Target::Class => true,
                Target::Extra | Target::Personal | Target::Ignore => false,
            };
            if self.targets[first].iter().any(single) {
                return Err(FeedError::DuplicateField {
                    field: name.to_owned(),
                    first: first + 1,
                    second: position + 1,
                });
            }
            let targets = self.targets[first].clone();
            return self.add(name.trim().to_owned(), targets);
        }
        self.number(name)
    }

    /// Number of a field without name.
    pub(super) fn position(&mut self, position: usize) -> Result<usize, FeedError> {
        let at = u32::try_from(position + 1).unwrap_or(u32::MAX);
        let name = format!("field_{at}");
        let targets = match self.positions.get(&at) {
            Some(targets) => targets.clone(),
            None => vec![self.unmapped(&name)],
        };
        self.add(name, targets)
    }

    fn unmapped(&self, name: &str) -> Target {
        if is_personal(name) && !self.keep.contains(&key(name)) {
            Target::Personal
        } else if self.keep_extra {
            Target::Extra
        } else {
            Target::Ignore
        }
    }

    fn add(&mut self, name: String, targets: Vec<Target>) -> Result<usize, FeedError> {
        if self.names.len() >= self.fields_max {
            return Err(FeedError::TooManyFields {
                max: self.fields_max,
            });
        }
        self.names.push(name);
        self.targets.push(targets);
        Ok(self.names.len() - 1)
    }

    pub(super) fn targets(&self, field: usize) -> &[Target] {
        &self.targets[field]
    }

    pub(super) fn name(&self, field: usize) -> &str {
        &self.names[field]
    }

    /// Whether some field goes to the column.
    pub(super) fn fills(&self, wanted: usize) -> bool {
        self.targets.iter().flatten().any(|target| {
            matches!(target,
                Target::Column { column, .. } | Target::Minor { column }
                | Target::Part { column, .. } if *column == wanted)
        })
    }

    pub(super) fn has_class(&self) -> bool {
        self.targets.iter().flatten().any(|t| *t == Target::Class)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether the pipe does not leave a field of this name out.
    pub(super) fn is_used(&self, name: &str) -> bool {
        self.plan
            .get(name)
            .is_none_or(|targets| *targets != [Target::Ignore])
    }

    /// Fields that no column takes.
    pub(super) fn unmapped_names(&self) -> Vec<String> {
        self.names_of(Target::Extra)
    }

    /// Fields dropped because they hold personal data.
    pub(super) fn personal_names(&self) -> Vec<String> {
        self.names_of(Target::Personal)
    }

    fn names_of(&self, target: Target) -> Vec<String> {
        let pairs = self.names.iter().zip(&self.targets);
        let named = pairs.filter(|(_, targets)| targets.contains(&target));
        named.map(|(name, _)| name.clone()).collect()
    }
}

fn known(name: &str) -> usize {
    column_index(name).expect("the tables name columns of the schema")
}

/// The column that a key of `columns` means.
fn column_of(name: &str) -> &str {
    match name {
        "update_time" => PARTNER_UPDATED,
        name => name,
    }
}

fn plain_target(column: usize) -> Target {
    Target::Column {
        column,
        fallback: false,
    }
}

/// Names are compared without case, and blanks stand for underscores, as
/// Google's specification has it.
fn key(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace(' ', "_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use trawler_core::feed::FeedMode;

    fn column_of(fields: &mut Fields, name: &str) -> Option<&'static str> {
        let number = fields.number(name).unwrap();
        match fields.targets(number)[0] {
            Target::Column { column, .. }
            | Target::Minor { column }
            | Target::Part { column, .. } => Some(COLUMNS[column].name),
            _ => None,
        }
    }

    #[test]
    fn names_of_the_specifications_find_their_column() {
        let check = |format: FeedFormat, name: &str, expected: Option<&str>| {
            let mut fields = Fields::new(&FeedOptions::new(format, FeedMode::Full));
            assert_eq!(column_of(&mut fields, name), expected, "{format:?} {name}");
        };
        check(FeedFormat::NaverEp, "price_pc", Some("price_minor"));
        check(FeedFormat::NaverEp, "PRICE_PC ", Some("price_minor"));
        check(FeedFormat::NaverEp, "category_name3", Some("category_path"));
        check(FeedFormat::NaverEp, "shipping", Some("shipping_cost_minor"));
        check(FeedFormat::NaverEp, "price", None);
        check(FeedFormat::GoogleTsv, "image link", Some("image_link"));
        check(FeedFormat::GoogleTsv, "shipping", Some("shipping"));
        check(FeedFormat::GoogleXml, "#guid", Some("id"));
        check(FeedFormat::Csv, "price_minor", Some("price_minor"));
        check(FeedFormat::Csv, "price", Some("price_minor"));
        check(FeedFormat::Csv, "price_pc", Some("price_minor"));
        check(FeedFormat::Csv, "whatever", None);
    }

    #[test]
    fn what_the_pipe_says_comes_first() {
        let mut options = FeedOptions::new(FeedFormat::Csv, FeedMode::Full);
        let price = Source::Field("title".to_owned());
        options.columns.0.insert("brand".to_owned(), price);
        let mut fields = Fields::new(&options);
        assert_eq!(column_of(&mut fields, "title"), Some("brand"));
        assert_eq!(column_of(&mut fields, "brand"), None);
    }

    #[test]
    fn the_sale_interval_goes_to_two_columns() {
        let options = FeedOptions::new(FeedFormat::GoogleTsv, FeedMode::Full);
        let mut fields = Fields::new(&options);
        let number = fields.number("sale_price_effective_date").unwrap();
        assert_eq!(fields.targets(number).len(), 2);
    }

    #[test]
    fn fields_are_bounded() {
        let mut options = FeedOptions::new(FeedFormat::Csv, FeedMode::Full);
        options.limits.fields_max = 2;
        let mut fields = Fields::new(&options);
        fields.number("a").unwrap();
        fields.number("b").unwrap();
        assert!(fields.number("a").is_ok());
        assert!(matches!(
            fields.number("c"),
            Err(FeedError::TooManyFields { max: 2 })
        ));
    }
}
