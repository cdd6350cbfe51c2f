//! The beginning of a feed to what a pipe has to say about it. What was
//! recognised is tried at once, on the same bytes, with the reader that runs
//! use; what does not hold there is dropped and told.

use serde::Serialize;
use trawler_core::feed::{Compression, CsvOptions, FeedFormat, FeedMode, FeedOptions};
use trawler_core::product::Currency;

use super::columns::{self, FieldUse, How, Mapped};
use super::error::NotAFeed;
use super::glance::{Glance, error_text_line, glance};
use super::guess::{delimiter_words, guess_currency, seen_fields, specification};
use super::json;
use super::mode::{self, ModeEvidence};
use super::names::fold;
use super::rows;
use super::shown::{example, plain};
use super::table::Table;
use super::tagged;
use crate::feed::{Peeked, Step, TryFeedReport, peek, try_feed};
use crate::normalise::Normaliser;

/// Text that is looked at: thousands of rows.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// Products that are shown.
const SHOWN_MAX: usize = 3;

/// Mappings that are dropped one after the other at most.
const ROUNDS_MAX: usize = 8;

/// What the reader says of an amount without a currency.
const NO_CURRENCY: &str = "names no currency";

/// What is known beside the bytes.
#[derive(Debug, Clone, Default)]
pub struct FeedHints {
    /// What the user says.
    pub mode: Option<FeedMode>,
    pub currency: Option<Currency>,
    /// Address or path, for its words and its top-level domain.
    pub place: String,
}

/// One thing that was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: &'static str,
    pub found: String,
}

/// What a pipe has to say about a feed, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedDraft {
    /// With the mode that the user says; `full` stands there where nobody has
    /// said anything, see [`FeedDraft::is_mode_said`].
    pub options: FeedOptions,
    pub is_mode_said: bool,
    pub evidence: ModeEvidence,
    pub fields: Vec<FieldUse>,
    pub findings: Vec<Finding>,
    /// What is unsure, for people.
    pub remarks: Vec<String>,
    pub is_korean: bool,
    #[serde(skip)]
    pub(super) mapped: std::collections::BTreeMap<String, How>,
    #[serde(skip)]
    pub(super) is_currency_guessed: bool,
}

/// Drafts from the beginning of a feed; `is_whole` says that it is all of it.
/// CPU only, at most some seconds for the largest beginning.
///
/// # Errors
///
/// What it is instead of a feed, or what keeps it from being read.
pub fn draft_feed(bytes: &[u8], is_whole: bool, hints: &FeedHints) -> Result<FeedDraft, NotAFeed> {
    let (peeked, glanced) = first_look(bytes, is_whole)?;
    let mut draft = Drafting::begin(peeked, glanced, is_whole)?;
    draft.charset();
    draft.options.mode = hints.mode.unwrap_or_default();
    let records =
        (draft.options.format == FeedFormat::Tagged).then(|| tagged::sample(&draft.peeked.text));
    let table = draft.table.as_ref().or(records.as_ref());
    let evidence = mode::evidence(table, &hints.place, draft.is_whole);
    draft.options.currency = hints.currency;
    let report = draft.settle(bytes, hints)?;
    draft.tell(&report);
    if hints.mode == Some(FeedMode::Full) && evidence.deletions > 0 {
        draft.remarks.push(format!(
            "{} of the first rows are of class D in a full feed: their products go, as those go \
             that it does not list",
            evidence.deletions
        ));
    }
    draft.finish(&report, evidence, hints)
}

/// What the bytes are; two packings without a mark of their own are tried where
/// they are no text.
fn first_look(bytes: &[u8], is_whole: bool) -> Result<(Peeked, Glance), NotAFeed> {
    let look = |compression| {
        let mut peeked = peek(bytes, compression, TEXT_BYTES_MAX).map_err(NotAFeed::Unreadable)?;
        peeked.is_whole &= is_whole;
        let glanced = glance(&peeked)?;
        Ok((peeked, glanced))
    };
    let first = look(Compression::Auto);
    if !matches!(first, Err(NotAFeed::Binary { .. })) {
        return first;
    }
    for compression in [Compression::Brotli, Compression::Deflate] {
        if let Ok((peeked, glanced)) = look(compression)
            && peeked.malformed == 0
        {
            return Ok((peeked, glanced));
        }
    }
    first
}

struct Drafting {
    peeked: Peeked,
    is_whole: bool,
    options: FeedOptions,
    /// None of XML and of tagged files, whose fields are known by their names
    /// alone.
    table: Option<Table>,
    mapped: Mapped,
    findings: Vec<Finding>,
    remarks: Vec<String>,
    is_korean: bool,
    is_currency_guessed: bool,
}

impl Drafting {
    fn begin(peeked: Peeked, glanced: Glance, is_whole: bool) -> Result<Self, NotAFeed> {
        let is_whole = is_whole && peeked.is_whole;
        let hangul = |c: char| matches!(c, '\u{ac00}'..='\u{d7a3}');
        let mut draft = Self {
            is_korean: peeked.text.contains(hangul),
            is_whole,
            options: FeedOptions::new(FeedFormat::Csv, FeedMode::Full),
            table: None,
            mapped: Mapped::default(),
            findings: Vec::new(),
            remarks: Vec::new(),
            is_currency_guessed: false,
            peeked,
        };
        // Only the two without a mark have to be declared.
        if matches!(
            draft.peeked.compression,
            Compression::Brotli | Compression::Deflate
        ) {
            draft.options.compression = draft.peeked.compression;
        }
        match glanced {
            Glance::Xml => draft.options.format = FeedFormat::GoogleXml,
            Glance::Tagged => draft.options.format = FeedFormat::Tagged,
            Glance::Rows => draft.rows()?,
            Glance::JsonLines => {
                draft.options.format = FeedFormat::Jsonl;
                draft.table = Some(json::sample_lines(&draft.peeked.text));
            }
            Glance::Json => {
                let text = &draft.peeked.text;
                let items = json::find_items(text);
                let items = items.ok_or(NotAFeed::NoItems { bytes: text.len() })?;
                draft.options.format = FeedFormat::Json;
                draft.table = Some(json::sample(text, &items));
                draft.options.items = (!items.path.is_empty()).then_some(items.path);
            }
        }
        draft.found("format", draft.format_words());
        if let Some(table) = &draft.table {
            draft.mapped = columns::map(&draft.options, table)?;
            draft.options.columns = draft.mapped.columns.clone();
        }
        Ok(draft)
    }

    fn rows(&mut self) -> Result<(), NotAFeed> {
        let layout = rows::layout(&self.peeked.text, self.is_whole)?;
        if !layout.is_header_sure {
            self.remarks.push(
                "no name in the first row is known; it is taken for a header by its look"
                    .to_owned(),
            );
        }
        if !layout.has_header {
            self.remarks.push(
                "the feed has no header row: columns are told by what their values look like. Look \
                 at every line of [feed.columns], and ask the shop for names"
                    .to_owned(),
            );
        }
        if layout.uneven > 0 {
            let (uneven, all) = (layout.uneven, layout.table.rows.len());
            self.remarks.push(format!(
                "{uneven} of the first {all} rows have another number of cells than the first; \
                 short_rows = \"pad\" takes those that are too short"
            ));
        }
        self.options.format = specification(&layout);
        if self.options.format == FeedFormat::Csv {
            self.options.csv = Some(CsvOptions {
                delimiter: layout.delimiter,
                quote: if layout.is_quoted { "\"" } else { "" }.to_owned(),
                header: layout.has_header,
                names: Vec::new(),
            });
        }
        self.table = Some(layout.table);
        Ok(())
    }

    fn format_words(&self) -> String {
        match (self.options.format, &self.options.csv, &self.options.items) {
            (FeedFormat::NaverEp, _, _) => "naver-ep: tab-separated, names of Naver EP".to_owned(),
            (FeedFormat::GoogleTsv, _, _) => {
                "google-tsv: tab-separated, names of Google Merchant".to_owned()
            }
            (FeedFormat::GoogleXml, _, _) => "google-xml: RSS or Atom".to_owned(),
            (FeedFormat::Tagged, _, _) => {
                "tagged: one field a line, of Naver and Daum before EP 3.0".to_owned()
            }
            (FeedFormat::Csv, Some(csv), _) => format!(
                "csv: divided by {}, {}, {}",
                delimiter_words(csv.delimiter),
                if csv.quote.is_empty() {
                    "no quotes"
                } else {
                    "cells may be quoted"
                },
                if csv.header {
                    "with a header row"
                } else {
                    "without a header row"
                },
            ),
            (FeedFormat::Json, _, Some(items)) => {
                format!("json: one document, products at {}", plain(items))
            }
            (FeedFormat::Json, _, None) => "json: one document, an array of products".to_owned(),
            (FeedFormat::Jsonl, _, _) => "jsonl: one product a line".to_owned(),
            (other, _, _) => format!("{other:?}"),
        }
    }

    fn found(&mut self, what: &'static str, found: String) {
        self.findings.push(Finding { what, found });
    }

    fn charset(&mut self) {
        let found = self.peeked.charset.clone();
        let is_ascii = self.peeked.text.is_ascii();
        let declared = match &*found {
            _ if is_ascii && !found.starts_with("utf-16") => None,
            "euc-kr" => Some("cp949"),
            "utf-8" => Some("utf-8"),
            "utf-16le" => Some("utf-16le"),
            "utf-16be" => Some("utf-16be"),
            _ => None,
        };
        self.options.charset = declared.map(str::to_owned);
        match declared {
            Some(charset) => self.found("charset", charset.to_owned()),
            None if is_ascii => {
                self.found(
                    "charset",
                    "ASCII so far, detected with every run".to_owned(),
                );
            }
            None => {
                self.found("charset", format!("{found}, detected with every run"));
                self.remarks.push(format!(
                    "the charset {found} is a guess by how often letters occur; ask the shop, and \
                     say it in feed.charset"
                ));
            }
        }
        if self.peeked.malformed > 0 {
            self.remarks.push(format!(
                "{} character(s) are damaged in this charset; their rows are rejected",
                self.peeked.malformed
            ));
        }
        let compression = match self.peeked.compression {
            Compression::Auto | Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Brotli => "brotli",
            Compression::Deflate => "deflate",
            Compression::Zip => "zip",
        };
        self.found("compression", compression.to_owned());
    }

    /// Tries what is drafted until it holds.
    fn settle(&mut self, bytes: &[u8], hints: &FeedHints) -> Result<TryFeedReport, NotAFeed> {
        let mut report = self.attempt(bytes)?;
        let wants_currency = |report: &TryFeedReport| {
            let bad = report.bad_values.get("price_minor");
            bad.is_some_and(|bad| {
                bad.examples
                    .iter()
                    .any(|bad| bad.reason.contains(NO_CURRENCY))
            })
        };
        if self.options.currency.is_none() && wants_currency(&report) {
            self.options.currency = guess_currency(&self.peeked.text, &hints.place);
            match self.options.currency {
                Some(currency) => {
                    self.is_currency_guessed = true;
                    self.remarks.push(format!(
                        "amounts name no currency; {currency} is a guess by language and address: \
                         look at it, `--currency` says another"
                    ));
                    report = self.attempt(bytes)?;
                }
                None => self.remarks.push(
                    "amounts name no currency and nothing tells which it is: prices stay empty \
                     until feed.currency says it (or `--currency`)"
                        .to_owned(),
                ),
            }
        }
        for _ in 0..ROUNDS_MAX {
            let Some((column, why)) = self.untenable(&report) else {
                break;
            };
            self.options.columns.0.remove(&column);
            self.mapped.how.remove(&column);
            self.remarks.push(why);
            report = self.attempt(bytes)?;
        }
        Ok(report)
    }

    fn attempt(&self, bytes: &[u8]) -> Result<TryFeedReport, NotAFeed> {
        let mut normaliser = Normaliser::default();
        let mut options = self.options.clone();
        // A part of a feed is no fault of the feed.
        options.max_bad_share = 1.0;
        let mut read = 0_u64;
        let mut step = |progress: crate::feed::Progress| {
            read = progress.bytes_decoded;
            match read > TEXT_BYTES_MAX as u64 {
                true => Step::Stop,
                false => Step::Continue,
            }
        };
        let report = try_feed(bytes, &options, SHOWN_MAX, &mut normaliser, &mut step)
            .map_err(NotAFeed::Unreadable)?;
        if report.rows + report.deletes == 0 {
            let why = report.rejected_rows.first().map_or_else(
                || "it ends before its first product".to_owned(),
                |row| {
                    format!(
                        "line {}: {}, such as {:?}",
                        row.line,
                        row.reason,
                        example(&row.found)
                    )
                },
            );
            let rows = report.rejected;
            return Err(NotAFeed::NothingReadable { rows, why });
        }
        Ok(report)
    }

    /// A column whose field was guessed and whose values are none of it.
    fn untenable(&self, report: &TryFeedReport) -> Option<(String, String)> {
        let is_guess = |column: &str| {
            let required = matches!(column, "id" | "title" | "link");
            !required && self.mapped.how.contains_key(column)
        };
        let (column, bad) = report
            .bad_values
            .iter()
            .find(|(column, bad)| is_guess(column) && bad.count * 2 > report.rows)?;
        let first = bad.examples.first();
        let shown = first.map_or(String::new(), |bad| {
            format!(", such as {:?}, which {}", example(&bad.found), bad.reason)
        });
        let source = self.options.columns.0.get(*column);
        let field = match source {
            Some(trawler_core::feed::Source::Field(name)) => format!("field {:?}", plain(name)),
            _ => "a field".to_owned(),
        };
        let why = format!(
            "{field} was taken for {column} and is not: {} value(s) are wrong{shown}",
            bad.count
        );
        Some(((*column).to_owned(), why))
    }

    /// What the trial shows.
    fn tell(&mut self, report: &TryFeedReport) {
        let looked = report.rows + report.deletes + report.rejected;
        let part = if self.is_whole { "all" } else { "the first" };
        self.found(
            "rows",
            format!(
                "{part} {looked} looked at: {} good, {} rejected",
                report.rows + report.deletes,
                report.rejected
            ),
        );
        if let Some(row) = report.rejected_rows.first() {
            self.remarks.push(format!(
                "{} of {looked} rows would be rejected, the first at line {}: {} ({:?})",
                report.rejected,
                row.line,
                row.reason,
                example(&row.found)
            ));
        }
        if let (true, Some(why)) = (self.is_whole, &report.incomplete_reason) {
            self.remarks
                .push(format!("a run would call it incomplete: {why}"));
        }
        for (column, bad) in &report.bad_values {
            let Some(first) = bad.examples.first() else {
                continue;
            };
            if *column == "price_minor" && first.reason.contains(NO_CURRENCY) {
                continue;
            }
            self.remarks.push(format!(
                "{} value(s) of {column} become empty, such as {:?} ({})",
                bad.count,
                example(&first.found),
                first.reason
            ));
        }
        if let Some(line) = error_text_line(&self.peeked.text) {
            self.remarks.push(format!(
                "line {line} has error text of the shop's server in it: tell the shop"
            ));
        }
        for wanted in ["price_minor", "image_link"] {
            let sale = wanted == "price_minor" && report.columns_seen.contains(&"sale_price_minor");
            if !report.columns_seen.contains(&wanted) && !sale {
                self.remarks
                    .push(format!("no field was found for {wanted}"));
            }
        }
        self.repeated_ids();
    }

    fn repeated_ids(&mut self) {
        let Some(table) = &self.table else { return };
        let is_id = |name: &String| match self.options.columns.0.get("id") {
            Some(trawler_core::feed::Source::Field(field)) => field == name,
            Some(_) => false,
            None => fold(name) == "id",
        };
        let Some(at) = table.names.iter().position(is_id) else {
            return;
        };
        let look = table.look(at);
        if look.distinct < look.filled {
            self.remarks.push(format!(
                "{} of the first {} ids repeat; of equal ids the last row wins. If these are \
                 variants of one product, another field is the id",
                look.filled - look.distinct,
                look.filled
            ));
        }
    }

    fn finish(
        mut self,
        report: &TryFeedReport,
        evidence: ModeEvidence,
        hints: &FeedHints,
    ) -> Result<FeedDraft, NotAFeed> {
        let fields = match &self.table {
            Some(table) => {
                columns::uses(&self.options, table, &self.mapped).map_err(NotAFeed::Unreadable)?
            }
            None => seen_fields(report),
        };
        for field in fields.iter().filter(|field| field.how == How::Guessed) {
            self.remarks.push(format!(
                "field {:?} is taken for {} by what its values look like ({:?})",
                field.field,
                field.columns.join(", "),
                field.example
            ));
        }
        if let Some(product) = report.sample.first() {
            let price = product
                .price
                .map(|price| format!(", {} {} (minor units)", price.amount_minor, price.currency));
            self.found(
                "first product",
                format!(
                    "{}: {}{}",
                    example(&product.id),
                    example(product.title.as_deref().unwrap_or_default()),
                    price.unwrap_or_default()
                ),
            );
        }
        Ok(FeedDraft {
            is_mode_said: hints.mode.is_some(),
            evidence,
            fields,
            findings: self.findings,
            remarks: self.remarks,
            is_korean: self.is_korean || hints.place.contains(".kr"),
            mapped: self.mapped.how,
            is_currency_guessed: self.is_currency_guessed,
            options: self.options,
        })
    }
}
