//! One column of the canonical product: name, type, unit and where it comes
//! from. The table itself is [`super::COLUMNS`].

/// The type of a column. Amounts of money are [`Kind::Int`] in minor units of
/// the row's `currency` column, with `unit` saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    TextList,
    Int,
    Float,
    Bool,
    /// Microseconds since 1970, UTC.
    Instant,
}

impl Kind {
    /// The name of the type as readers of the catalogue see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::TextList => "array<string>",
            Self::Int => "long",
            Self::Float => "double",
            Self::Bool => "boolean",
            Self::Instant => "timestamp",
        }
    }
}

/// A column of the product schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Option<&'static str>,
    /// The Naver EP 3.0 field that it is filled from.
    pub naver_ep: Option<&'static str>,
    /// The Google Merchant product-data attribute that it is filled from.
    pub merchant: Option<&'static str>,
    pub doc: &'static str,
}

/// Position of a column in [`super::COLUMNS`], by name.
pub fn column_index(name: &str) -> Option<usize> {
    super::COLUMNS.iter().position(|column| column.name == name)
}
