//! Whether a row stays, and what it asks for: what every product needs, and
//! the class of summary feeds.

use trawler_core::feed::FeedMode;

use super::convert::{self, Bad};
use super::fields::Target;
use super::mapper::{Mapper, Record};
use super::rejected::{Reason, shown};
use super::text::MALFORMED;

/// Why a row is rejected.
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) column: Option<usize>,
    pub(super) found: String,
    pub(super) why: String,
}

#[derive(PartialEq, Eq)]
pub(super) enum Op {
    Upsert,
    Delete,
}

impl Mapper<'_> {
    /// Whether the row stays, and what it asks for.
    pub(super) fn judge(&self, record: &Record<'_>) -> Result<Op, Refusal> {
        if self.control.malformed() > 0 && record.text.contains(MALFORMED) {
            return Err(self.malformed(record));
        }
        self.required(record, self.known.id, convert::id)?;
        if self.op(record)? == Op::Delete {
            return Ok(Op::Delete);
        }
        self.named(record, self.known.title, convert::text)?;
        self.named(record, self.known.link, convert::url)?;
        Ok(Op::Upsert)
    }

    /// A column that every product has; a row that holds only what changed may
    /// leave it out, and not empty it.
    fn named<'r>(
        &self,
        record: &Record<'r>,
        column: usize,
        check: impl Fn(&'r str) -> Result<&'r str, Bad>,
    ) -> Result<(), Refusal> {
        match &self.partial {
            Some(partial) if partial.clears(column) => Err(Refusal {
                reason: Reason::MissingValue,
                column: Some(column),
                found: partial.sentinel().to_owned(),
                why: "cannot be emptied".to_owned(),
            }),
            Some(_) if self.value(record, column).is_none() => Ok(()),
            _ => self.required(record, column, check).map(drop),
        }
    }

    fn malformed(&self, record: &Record<'_>) -> Refusal {
        let damaged = record
            .values
            .iter()
            .map(|(field, start, end)| (field, &record.text[*start as usize..*end as usize]))
            .find(|(_, value)| value.contains(MALFORMED));
        let column =
            damaged.and_then(
                |(field, _)| match self.fields.targets(*field as usize).first()? {
                    Target::Column { column, .. }
                    | Target::Minor { column }
                    | Target::Part { column, .. } => Some(*column),
                    Target::Class | Target::Extra | Target::Personal | Target::Ignore => None,
                },
            );
        Refusal {
            reason: Reason::MalformedCharacters,
            column,
            found: shown(damaged.map_or(record.text, |(_, value)| value)),
            why: "holds bytes that are malformed in the feed's charset".to_owned(),
        }
    }

    fn required<'r>(
        &self,
        record: &Record<'r>,
        column: usize,
        check: impl Fn(&'r str) -> Result<&'r str, Bad>,
    ) -> Result<&'r str, Refusal> {
        let Some(found) = self.value(record, column) else {
            return Err(Refusal {
                reason: Reason::MissingValue,
                column: Some(column),
                found: String::new(),
                why: "is missing".to_owned(),
            });
        };
        check(found).map_err(|why| Refusal {
            reason: Reason::WrongValue,
            column: Some(column),
            found: shown(found),
            why: why.to_owned(),
        })
    }

    fn op(&self, record: &Record<'_>) -> Result<Op, Refusal> {
        let class = self
            .class
            .map(|(start, end)| &record.text[start as usize..end as usize]);
        let refused = |why: &str| Refusal {
            reason: Reason::Class,
            column: None,
            found: class.map(shown).unwrap_or_default(),
            why: why.to_owned(),
        };
        match (self.mode, class) {
            (_, Some("I" | "i" | "U" | "u")) | (FeedMode::Full, None) => Ok(Op::Upsert),
            // In a full feed too it says that the product is sold out.
            (_, Some("D" | "d")) => Ok(Op::Delete),
            // What holds only what changed is an update if it says nothing.
            (FeedMode::Summary, None) if self.partial.is_some() => Ok(Op::Upsert),
            (FeedMode::Summary, None) => Err(refused("class is missing; it is I, U or D")),
            (_, Some(_)) => Err(refused(
                "class is none of I, U and D; ignore = [\"class\"] leaves it out",
            )),
        }
    }
}
