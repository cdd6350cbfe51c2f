//! The rule of a fold: results of image work against the image columns of
//! stored rows. Content, `row_hash` and `updated` stay as they are.
//!
//! A result counts only while the row's `image_link` is still the URL that was
//! fetched. A failure keeps what is known of the last good picture of that
//! URL: the status says that it is not fresh, and its variants stay usable. A
//! placeholder is no failure of that kind: the partner shows it instead of the
//! picture, which is forgotten.

use std::sync::Arc;

use arrow_array::builder::{
    Int64Builder, ListBuilder, StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_schema::Field;
use arrow_select::take::take;
use chrono::{DateTime, Utc};
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, StoredVariant};
use trawler_core::image_policy::{PLACEHOLDER_RECIPE, is_recipe_of_damaged};

use crate::error::{CatalogueError, Result};
use crate::merge::{Aligned, Changed, Op, Rule, push_keep};
use crate::schema::{ID, IMAGE_COLUMNS, IMAGE_LINK, instant, table_schema, variant_fields};
use crate::staging::OUTCOME;

/// Image state of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImageCells {
    pub(crate) status: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) width: Option<i64>,
    pub(crate) height: Option<i64>,
    pub(crate) bytes: Option<i64>,
    pub(crate) variants: Option<Vec<StoredVariant>>,
    pub(crate) recipe: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) reason: Option<String>,
    /// Microseconds since 1970 of the fold that brought this state.
    pub(crate) tried: Option<i64>,
    pub(crate) phash: Option<String>,
    /// Why the file that was fetched last could be decoded in part only.
    pub(crate) damaged: Option<String>,
}

/// Applies a result to a row's image state; `None` when nothing changes.
///
/// The same failure again is no change, whatever its reason says, so that an
/// unchanged day writes nothing.
pub(crate) fn apply(
    cells: &ImageCells,
    outcome: &ImageOutcome,
    at: DateTime<Utc>,
) -> Option<ImageCells> {
    let mut new = cells.clone();
    let mut status = outcome.status;
    match outcome.status {
        ImageStatus::Pending => return None,
        // What was stored before stays, whatever the pipe says today.
        ImageStatus::NotCollected
            if cells.status.as_deref() == Some(ImageStatus::Stored.as_str()) =>
        {
            return None;
        }
        ImageStatus::Stored => set_picture(&mut new, outcome),
        ImageStatus::Placeholder => set_placeholder(&mut new, outcome),
        ImageStatus::Unchanged if cells.sha256.is_some() => {
            status = set_unchanged(&mut new, &outcome.known)?;
        }
        // Unchanged against something that the row no longer has: the row
        // stays due, and the next try sends no validators.
        ImageStatus::Unchanged => return None,
        ImageStatus::Truncated | ImageStatus::Corrupt => {
            new.damaged = damage_of(outcome);
        }
        ImageStatus::NotFound
        | ImageStatus::Blocked
        | ImageStatus::NotAnImage
        | ImageStatus::TooLarge
        | ImageStatus::UnsupportedFormat
        | ImageStatus::Timeout
        | ImageStatus::RefusedAddress
        | ImageStatus::Unreachable
        | ImageStatus::BadUrl
        | ImageStatus::PipePaused
        | ImageStatus::NotCollected => {}
    }
    new.status = Some(status.as_str().to_owned());
    new.url = Some(outcome.url.clone());
    if new == *cells {
        return None;
    }
    new.reason = Some(outcome.reason.clone()).filter(|reason| !reason.is_empty());
    new.tried = Some(at.timestamp_micros());
    Some(new)
}

fn set_picture(cells: &mut ImageCells, outcome: &ImageOutcome) {
    set_facts(cells, outcome);
    cells.variants = Some(outcome.variants.clone());
}

fn set_placeholder(cells: &mut ImageCells, outcome: &ImageOutcome) {
    // Without facts it is the picture that was stored until it was listed.
    if outcome.source.is_none() && cells.sha256 != outcome.known.sha256 {
        *cells = ImageCells {
            reason: cells.reason.take(),
            tried: cells.tried,
            ..ImageCells::default()
        };
    }
    set_facts(cells, outcome);
    cells.variants = None;
}

fn set_facts(cells: &mut ImageCells, outcome: &ImageOutcome) {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let known = &outcome.known;
    if let Some(source) = &outcome.source {
        let side = |pixels: u32| (pixels > 0).then(|| pixels.into());
        cells.sha256 = Some(source.sha256.clone());
        cells.format = Some(source.format.clone());
        cells.width = side(source.width);
        cells.height = side(source.height);
        cells.bytes = Some(number(source.bytes));
        cells.phash = source.phash.map(String::from);
        cells.damaged = damage_of(outcome);
        cells.etag.clone_from(&known.etag);
        cells.last_modified.clone_from(&known.last_modified);
    } else {
        cells.sha256.clone_from(&known.sha256);
        set_validators(cells, known);
    }
    cells.recipe.clone_from(&known.recipe);
}

/// Of bytes that are as they were: what an answer does not say stays.
fn set_validators(cells: &mut ImageCells, known: &KnownImage) {
    for (cell, known) in [
        (&mut cells.etag, &known.etag),
        (&mut cells.last_modified, &known.last_modified),
    ] {
        if known.is_some() {
            cell.clone_from(known);
        }
    }
}

fn damage_of(outcome: &ImageOutcome) -> Option<String> {
    let damaged = outcome.source.as_ref()?.damaged?;
    Some(damaged.kind.as_str().to_owned())
}

/// The same bytes, judged as they were: the picture is fresh, or is still a
/// placeholder. `None` where the row has another of the two by now; the next
/// look sees to it.
fn set_unchanged(cells: &mut ImageCells, known: &KnownImage) -> Option<ImageStatus> {
    let is_placeholder = |recipe: &Option<String>| recipe.as_deref() == Some(PLACEHOLDER_RECIPE);
    if known.recipe.is_some() && is_placeholder(&known.recipe) != is_placeholder(&cells.recipe) {
        return None;
    }
    if known.recipe.is_some() {
        cells.recipe.clone_from(&known.recipe);
    }
    set_validators(cells, known);
    // Another file may have been fetched and refused in between.
    if !cells.recipe.as_deref().is_some_and(is_recipe_of_damaged) {
        cells.damaged = None;
    }
    Some(match is_placeholder(&cells.recipe) {
        true => ImageStatus::Placeholder,
        false => ImageStatus::Stored,
    })
}

/// Reads the image state of rows.
pub(crate) struct CellReader<'a> {
    texts: Vec<(&'static str, &'a StringArray)>,
    batch: &'a RecordBatch,
}

impl<'a> CellReader<'a> {
    /// The batch may hold some of the image columns only.
    pub(crate) fn new(batch: &'a RecordBatch) -> Self {
        let names = IMAGE_COLUMNS.into_iter().chain([IMAGE_LINK, ID]);
        let texts = names
            .filter_map(|name| Some((name, batch.column_by_name(name)?.as_string_opt::<i32>()?)))
            .collect();
        Self { texts, batch }
    }

    pub(crate) fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        let (_, array) = self.texts.iter().find(|(known, _)| *known == name)?;
        array.is_valid(row).then(|| array.value(row))
    }

    fn number(&self, name: &str, row: usize) -> Option<i64> {
        let array = column(self.batch, name).as_primitive::<Int64Type>();
        array.is_valid(row).then(|| array.value(row))
    }

    pub(crate) fn tried(&self, row: usize) -> Option<i64> {
        let array = column(self.batch, "image_tried").as_primitive::<TimestampMicrosecondType>();
        array.is_valid(row).then(|| array.value(row))
    }

    pub(crate) fn known(&self, row: usize) -> KnownImage {
        let text = |name: &str| self.text(name, row).map(str::to_owned);
        KnownImage {
            sha256: text("image_sha256"),
            recipe: text("image_recipe"),
            etag: text("image_etag"),
            last_modified: text("image_last_modified"),
            phash: self.text("image_phash", row).and_then(|t| t.parse().ok()),
        }
    }

    pub(crate) fn variants(&self, row: usize) -> Option<Vec<StoredVariant>> {
        let list = column(self.batch, "image_variants").as_list::<i32>();
        if list.is_null(row) {
            return None;
        }
        let rows = list.value(row);
        let rows = rows.as_struct();
        let text = |name: &str, at: usize| {
            let array = rows.column_by_name(name)?.as_string::<i32>();
            array.is_valid(at).then(|| array.value(at).to_owned())
        };
        let number = |name: &str, at: usize| -> u64 {
            let array = rows
                .column_by_name(name)
                .map(|a| a.as_primitive::<Int64Type>());
            let value = array.filter(|a| a.is_valid(at)).map_or(0, |a| a.value(at));
            u64::try_from(value).unwrap_or(0)
        };
        let variant = |at: usize| StoredVariant {
            name: text("name", at).unwrap_or_default(),
            key: text("key", at).unwrap_or_default(),
            width: u32::try_from(number("width", at)).unwrap_or(u32::MAX),
            height: u32::try_from(number("height", at)).unwrap_or(u32::MAX),
            bytes: number("bytes", at),
            sha256: text("sha256", at).unwrap_or_default(),
        };
        Some((0..rows.len()).map(variant).collect())
    }

    pub(crate) fn cells(&self, row: usize) -> ImageCells {
        let text = |name: &str| self.text(name, row).map(str::to_owned);
        ImageCells {
            status: text("image_status"),
            url: text("image_url"),
            sha256: text("image_sha256"),
            format: text("image_format"),
            width: self.number("image_width", row),
            height: self.number("image_height", row),
            bytes: self.number("image_bytes", row),
            variants: self.variants(row),
            recipe: text("image_recipe"),
            etag: text("image_etag"),
            last_modified: text("image_last_modified"),
            reason: text("image_reason"),
            tried: self.tried(row),
            phash: text("image_phash"),
            damaged: text("image_damaged"),
        }
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch
        .column_by_name(name)
        .expect("batches are read with the columns that the rule names")
}

/// Builds one image column of some rows.
pub(crate) fn build_column(name: &str, cells: &[ImageCells]) -> ArrayRef {
    let texts = |get: fn(&ImageCells) -> &Option<String>| -> ArrayRef {
        Arc::new(
            cells
                .iter()
                .map(|c| get(c).as_deref())
                .collect::<StringArray>(),
        )
    };
    let numbers = |get: fn(&ImageCells) -> Option<i64>| -> ArrayRef {
        let mut builder = Int64Builder::with_capacity(cells.len());
        cells.iter().for_each(|c| builder.append_option(get(c)));
        Arc::new(builder.finish())
    };
    match name {
        "image_status" => texts(|c| &c.status),
        "image_url" => texts(|c| &c.url),
        "image_sha256" => texts(|c| &c.sha256),
        "image_format" => texts(|c| &c.format),
        "image_width" => numbers(|c| c.width),
        "image_height" => numbers(|c| c.height),
        "image_bytes" => numbers(|c| c.bytes),
        "image_variants" => build_variants(cells),
        "image_recipe" => texts(|c| &c.recipe),
        "image_etag" => texts(|c| &c.etag),
        "image_last_modified" => texts(|c| &c.last_modified),
        "image_reason" => texts(|c| &c.reason),
        "image_tried" => {
            let mut builder =
                TimestampMicrosecondBuilder::with_capacity(cells.len()).with_data_type(instant());
            cells.iter().for_each(|c| builder.append_option(c.tried));
            Arc::new(builder.finish())
        }
        "image_phash" => texts(|c| &c.phash),
        "image_damaged" => texts(|c| &c.damaged),
        other => unreachable!("{other} is not an image column"),
    }
}

fn build_variants(cells: &[ImageCells]) -> ArrayRef {
    let fields = variant_fields();
    let element = Field::new(
        "element",
        arrow_schema::DataType::Struct(fields.clone()),
        true,
    );
    let mut list = ListBuilder::new(StructBuilder::from_fields(fields, cells.len()))
        .with_field(Arc::new(element));
    for cells in cells {
        for variant in cells.variants.iter().flatten() {
            let row = list.values();
            for (at, text) in [(0, &variant.name), (1, &variant.key), (5, &variant.sha256)] {
                row.field_builder::<StringBuilder>(at)
                    .expect("the schema of variants has text there")
                    .append_value(text);
            }
            let bytes = i64::try_from(variant.bytes).unwrap_or(i64::MAX);
            let sizes = [
                (2, variant.width.into()),
                (3, variant.height.into()),
                (4, bytes),
            ];
            for (at, number) in sizes {
                row.field_builder::<Int64Builder>(at)
                    .expect("the schema of variants has numbers there")
                    .append_value(number);
            }
            row.append(true);
        }
        list.append(cells.variants.is_some());
    }
    Arc::new(list.finish())
}

pub(crate) struct ImageRule {
    /// Instant of the fold.
    pub(crate) at: DateTime<Utc>,
}

impl ImageRule {
    /// New image state of a stored row, if the result changes it.
    fn renewed(
        &self,
        stored: &CellReader<'_>,
        row: usize,
        outcome: &str,
    ) -> Result<Option<ImageCells>> {
        let outcome: ImageOutcome =
            serde_json::from_str(outcome).map_err(|error| CatalogueError::WrongColumns {
                reason: format!("a staged image result is damaged: {error}"),
            })?;
        if stored.text(IMAGE_LINK, row) != Some(outcome.url.as_str()) {
            return Ok(None);
        }
        Ok(apply(&stored.cells(row), &outcome, self.at))
    }
}

impl Rule for ImageRule {
    fn stored_columns(&self) -> &[&'static str] {
        &[
            ID,
            IMAGE_LINK,
            IMAGE_COLUMNS[0],
            IMAGE_COLUMNS[1],
            IMAGE_COLUMNS[2],
            IMAGE_COLUMNS[3],
            IMAGE_COLUMNS[4],
            IMAGE_COLUMNS[5],
            IMAGE_COLUMNS[6],
            IMAGE_COLUMNS[7],
            IMAGE_COLUMNS[8],
            IMAGE_COLUMNS[9],
            IMAGE_COLUMNS[10],
            IMAGE_COLUMNS[11],
            IMAGE_COLUMNS[12],
            IMAGE_COLUMNS[13],
            IMAGE_COLUMNS[14],
        ]
    }

    fn incoming_columns(&self) -> Option<&[&'static str]> {
        None
    }

    fn absence_matters(&self) -> bool {
        false
    }

    fn decide(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<Vec<Op>> {
        let cells = CellReader::new(stored);
        let outcomes = column(incoming, OUTCOME).as_string::<i32>();
        let mut ops = Vec::with_capacity(aligned.len());
        for aligned in aligned {
            match *aligned {
                Aligned::Stored { from, len } => push_keep(&mut ops, from, len),
                // The product is gone since its image was planned.
                Aligned::Incoming { .. } => {}
                Aligned::Both { stored, incoming } => {
                    match self.renewed(&cells, stored, outcomes.value(incoming))? {
                        Some(_) => ops.push(Op::Update { stored, incoming }),
                        None => push_keep(&mut ops, stored, 1),
                    }
                }
            }
        }
        Ok(ops)
    }

    fn build(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        changed: &[Changed],
    ) -> Result<RecordBatch> {
        let reader = CellReader::new(stored);
        let outcomes = column(incoming, OUTCOME).as_string::<i32>();
        let mut from = Vec::with_capacity(changed.len());
        let mut cells = Vec::with_capacity(changed.len());
        for row in changed {
            let at = row.stored.expect("a fold updates stored rows only");
            from.push(at as u32);
            let renewed = self.renewed(&reader, at, outcomes.value(row.incoming))?;
            cells.push(renewed.expect("the fold decided that this row changes"));
        }
        let from = UInt32Array::from(from);
        let columns: Result<Vec<ArrayRef>> = table_schema()
            .fields()
            .iter()
            .map(|field| {
                let name = field.name().as_str();
                if IMAGE_COLUMNS.contains(&name) {
                    return Ok(build_column(name, &cells));
                }
                take(column(stored, name), &from, None)
                    .map_err(CatalogueError::arrow("build folded rows"))
            })
            .collect();
        RecordBatch::try_new(table_schema(), columns?)
            .map_err(CatalogueError::arrow("build folded rows"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::image::{Damage, Damaged, SourceFacts};

    use super::*;

    fn outcome(status: ImageStatus) -> ImageOutcome {
        ImageOutcome {
            product_id: "1".to_owned(),
            url: "http://a/1.jpg".to_owned(),
            status,
            reason: String::new(),
            source: None,
            known: KnownImage::default(),
            variants: Vec::new(),
        }
    }

    fn stored(sha256: &str) -> ImageOutcome {
        ImageOutcome {
            source: Some(SourceFacts {
                sha256: sha256.to_owned(),
                format: "jpeg".to_owned(),
                width: 10,
                height: 20,
                bytes: 30,
                ..SourceFacts::default()
            }),
            known: KnownImage {
                sha256: Some(sha256.to_owned()),
                recipe: Some("r1".to_owned()),
                etag: Some("e1".to_owned()),
                ..KnownImage::default()
            },
            ..outcome(ImageStatus::Stored)
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn the_same_result_again_changes_nothing() {
        let pending = ImageCells {
            status: Some("pending".to_owned()),
            ..ImageCells::default()
        };
        let first = apply(&pending, &stored("s1"), at(1)).unwrap();
        assert_eq!(first.status.as_deref(), Some("stored"));
        assert_eq!(first.tried, Some(1_000_000));
        assert_eq!(apply(&first, &stored("s1"), at(2)), None);
        assert_eq!(apply(&first, &outcome(ImageStatus::Unchanged), at(2)), None);
        let failed = apply(&first, &outcome(ImageStatus::NotFound), at(3)).unwrap();
        let again = ImageOutcome {
            reason: "404 after 3 s".to_owned(),
            ..outcome(ImageStatus::NotFound)
        };
        assert_eq!(apply(&failed, &again, at(4)), None);
    }

    #[test]
    fn a_failure_keeps_the_last_good_picture_and_unchanged_makes_it_fresh() {
        let good = apply(&ImageCells::default(), &stored("s1"), at(1)).unwrap();
        let failed = apply(&good, &outcome(ImageStatus::Timeout), at(2)).unwrap();
        assert_eq!(failed.status.as_deref(), Some("timeout"));
        assert_eq!(failed.sha256, good.sha256);
        assert_eq!(failed.etag, good.etag);
        let fresh = apply(&failed, &outcome(ImageStatus::Unchanged), at(3)).unwrap();
        assert_eq!(fresh.status.as_deref(), Some("stored"));
        assert_eq!(fresh.sha256, good.sha256);
    }

    #[test]
    fn unchanged_without_a_picture_leaves_the_row_due() {
        let pending = ImageCells {
            status: Some("pending".to_owned()),
            ..ImageCells::default()
        };
        assert_eq!(
            apply(&pending, &outcome(ImageStatus::Unchanged), at(1)),
            None
        );
        assert_eq!(apply(&pending, &outcome(ImageStatus::Pending), at(1)), None);
    }

    #[test]
    fn what_nobody_was_asked_for_keeps_its_picture() {
        let good = apply(&ImageCells::default(), &stored("s1"), at(1)).unwrap();
        // A pipe that collects no images any more keeps what it has.
        let left = outcome(ImageStatus::NotCollected);
        assert_eq!(apply(&good, &left, at(2)), None);
        let paused = apply(&good, &outcome(ImageStatus::PipePaused), at(2)).unwrap();
        assert_eq!(paused.status.as_deref(), Some("pipe_paused"));
        assert_eq!((&paused.sha256, &paused.etag), (&good.sha256, &good.etag));
        assert_eq!(paused.variants, good.variants);
        let back = apply(&paused, &outcome(ImageStatus::Unchanged), at(3)).unwrap();
        assert_eq!(back.status.as_deref(), Some("stored"));
        let pending = ImageCells {
            status: Some("pending".to_owned()),
            ..ImageCells::default()
        };
        let left = apply(&pending, &left, at(2)).unwrap();
        assert_eq!(left.status.as_deref(), Some("not_collected"));
    }

    #[test]
    fn new_validators_are_kept() {
        let good = apply(&ImageCells::default(), &stored("s1"), at(1)).unwrap();
        let mut renewed = outcome(ImageStatus::Unchanged);
        renewed.known.etag = Some("e2".to_owned());
        let new = apply(&good, &renewed, at(2)).unwrap();
        assert_eq!(new.etag.as_deref(), Some("e2"));
        assert_eq!(new.recipe, good.recipe);
    }

    #[test]
    fn a_placeholder_takes_the_place_of_the_picture_and_stays_one() {
        let good = apply(&ImageCells::default(), &stored("s1"), at(1)).unwrap();
        assert!(good.variants.is_some());
        let placeholder = |sha256: &str, source| ImageOutcome {
            status: ImageStatus::Placeholder,
            reason: "listed".to_owned(),
            source,
            known: KnownImage {
                recipe: Some(PLACEHOLDER_RECIPE.to_owned()),
                ..stored(sha256).known
            },
            ..stored(sha256)
        };
        let unread = SourceFacts {
            sha256: "s2".to_owned(),
            format: "png".to_owned(),
            bytes: 7,
            ..SourceFacts::default()
        };
        let listed = placeholder("s2", Some(unread));
        let new = apply(&good, &listed, at(2)).unwrap();
        assert_eq!(new.status.as_deref(), Some("placeholder"));
        assert_eq!(new.reason.as_deref(), Some("listed"));
        assert_eq!((new.variants.as_ref(), new.width), (None, None));
        assert_eq!(new.etag.as_deref(), Some("e1"));
        assert_eq!(apply(&new, &listed, at(3)), None);
        // What a 304 says of it, also after a failure in between.
        let unchanged = ImageOutcome {
            known: listed.known.clone(),
            ..outcome(ImageStatus::Unchanged)
        };
        assert_eq!(apply(&new, &unchanged, at(4)), None);
        let failed = apply(&new, &outcome(ImageStatus::Timeout), at(5)).unwrap();
        let again = apply(&failed, &unchanged, at(6)).unwrap();
        assert_eq!(again.status.as_deref(), Some("placeholder"));
        assert_eq!(again.variants, None);
        // Judged of a stored row without a byte: its facts stay.
        let known = apply(&good, &placeholder("s1", None), at(7)).unwrap();
        assert_eq!((known.variants.as_ref(), known.width), (None, Some(10)));
        let other = apply(&good, &placeholder("s3", None), at(7)).unwrap();
        assert_eq!((other.sha256.as_deref(), other.width), (Some("s3"), None));
        // The row has the other kind by now: it is left to the next look.
        assert_eq!(apply(&good, &unchanged, at(8)), None);
        let fresh = ImageOutcome {
            known: good_known(),
            ..outcome(ImageStatus::Unchanged)
        };
        assert_eq!(apply(&new, &fresh, at(8)), None);
        // A real picture later.
        let back = apply(&new, &stored("s4"), at(9)).unwrap();
        assert_eq!(back.status.as_deref(), Some("stored"));
        assert_eq!(back.reason, None);
    }

    fn good_known() -> KnownImage {
        stored("s1").known
    }

    #[test]
    fn damage_is_told_of_what_is_stored_and_of_what_is_refused() {
        let damaged = |outcome: ImageOutcome| {
            let facts = SourceFacts {
                damaged: Some(Damaged {
                    kind: Damage::Truncated,
                    decoded_percent: 70,
                }),
                ..stored("s2").source.unwrap()
            };
            ImageOutcome {
                source: Some(facts),
                ..outcome
            }
        };
        let good = apply(&ImageCells::default(), &stored("s1"), at(1)).unwrap();
        let refused = damaged(outcome(ImageStatus::Truncated));
        let refused = apply(&good, &refused, at(2)).unwrap();
        assert_eq!(refused.status.as_deref(), Some("truncated"));
        assert_eq!(refused.damaged.as_deref(), Some("truncated"));
        // The last good picture is kept, and sound again when it is fresh.
        assert_eq!(refused.sha256, good.sha256);
        let fresh = apply(&refused, &outcome(ImageStatus::Unchanged), at(3)).unwrap();
        assert_eq!((fresh.damaged, fresh.status), (None, good.status.clone()));
        let cut = apply(&refused, &outcome(ImageStatus::Corrupt), at(3)).unwrap();
        assert_eq!(cut.damaged, None);
        // Stored all the same: it stays told.
        let mut taken = damaged(stored("s2"));
        taken.known.recipe = Some(trawler_core::image_policy::recipe_of_damaged("r1"));
        let taken = apply(&good, &taken, at(4)).unwrap();
        assert_eq!(taken.status.as_deref(), Some("stored"));
        assert_eq!(taken.damaged.as_deref(), Some("truncated"));
        let failed = apply(&taken, &outcome(ImageStatus::Timeout), at(5)).unwrap();
        let fresh = apply(&failed, &outcome(ImageStatus::Unchanged), at(6)).unwrap();
        assert_eq!(fresh.damaged.as_deref(), Some("truncated"));
        assert_eq!(apply(&fresh, &stored("s3"), at(7)).unwrap().damaged, None);
    }
}
