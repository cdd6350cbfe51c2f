//! The keys of the `[feed]` table of a pipe file: format, mode, character set,
//! compression, which field goes to which column, and the bounds of reading.
//!
//! Plain data and the checks that need no file. Character-set labels and time
//! zones are looked up by the crawler, which also does the reading.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::product::{Currency, column_index};

/// Fields of a summary feed that say what to do with the row and are not part
/// of the product.
pub const SUMMARY_FIELDS: &[&str] = &["class", "update_time"];

/// How the feed is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedFormat {
    /// Naver shopping EP 3.0: tab-separated, header row, no quoting whatsoever.
    NaverEp,
    /// The older engine pages of Naver and Daum: `<<<begin>>>`, one tag a
    /// line, `<<<ftend>>>` or `<<<end>>>`.
    Tagged,
    /// Google Merchant, tab-separated or XML, told apart by the first character.
    Google,
    GoogleTsv,
    /// RSS 2.0 or Atom, told apart by the root element.
    GoogleXml,
    Csv,
    /// One document with an array of items somewhere in it.
    Json,
    /// One JSON object a line.
    Jsonl,
}

/// Whether the feed lists everything or what changed. Declared, never
/// inferred: a summary read as full would delist what it does not mention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedMode {
    #[default]
    Full,
    /// Rows carry `class` I, U or D and apply in order. `D` is sold out: the
    /// product goes, in a full feed too.
    Summary,
}

/// Compression of the file itself, beside that of the transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// By the first bytes; brotli and raw deflate have none and are declared.
    #[default]
    Auto,
    None,
    Gzip,
    Zstd,
    Brotli,
    /// zlib (RFC 1950) or raw deflate (RFC 1951).
    Deflate,
    /// An archive with exactly one file in it.
    Zip,
}

/// What becomes of a row of CSV or TSV with too few fields. A row with too
/// many is always rejected, since nobody can say which one is too much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortRows {
    #[default]
    Reject,
    /// Missing fields at the end count as empty.
    Pad,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A header field, an XML element or a dotted JSON path.
    Field(String),
    /// Position in the row, from 1, for files without header.
    Position(u32),
    /// Several fields: the levels of a path, or the values of a list.
    Fields(Vec<String>),
}

/// Column name to its source. Columns not named here are taken from the field
/// with their own, their Merchant or their EP name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnMap(pub BTreeMap<String, Source>);

/// How CSV is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsvOptions {
    /// Between fields, one ASCII character such as `^`, `|`, `;` or a tab;
    /// default `,`.
    pub delimiter: char,
    /// Around values, one ASCII character; default `"`. Empty text switches
    /// quoting off.
    pub quote: String,
    /// Whether the first row names the fields; without it, columns are given
    /// by position or by `names`. Default true.
    pub header: bool,
    /// Names of the fields, in order, of files without header; default none.
    pub names: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: ',',
            quote: "\"".to_owned(),
            header: true,
            names: Vec::new(),
        }
    }
}

impl CsvOptions {
    /// Whether fields have no name and columns are given by position.
    pub fn by_position(&self) -> bool {
        !self.header && self.names.is_empty()
    }
}

/// The bounds of reading one feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedLimits {
    /// Bytes after decompression. The largest known feed, 30 million rows of
    /// a kilobyte, fits twice. Default 64 GiB, bound 1 to 1 TiB.
    pub decoded_bytes_max: u64,
    /// Decoded bytes per compressed byte. Product text compresses 5 to 40
    /// fold; a bomb 1,000 fold and more. Default 250, bound 2 to 10000.
    pub compression_ratio_max: u32,
    /// One row, item or line; default 1 MiB, bound 1 KiB to 16 MiB.
    pub row_bytes_max: usize,
    /// One value; longer text is cut and counted. Default 64 KiB, bound
    /// 256 to `row_bytes_max`.
    pub value_bytes_max: usize,
    /// Distinct fields in the feed; default 1000, bound 1 to 10000.
    pub fields_max: usize,
    /// Unmapped fields kept of one row; default 64, bound 0 to 10000.
    pub extra_fields_max: usize,
    /// Unmapped bytes kept of one row; default 16 KiB, bound 0 to 1 MiB.
    pub extra_bytes_max: usize,
    /// Rows handed on at once; default 4096, bound 1 to 65536.
    pub batch_rows: usize,
    /// Bytes of text handed on at once; default 8 MiB, bound 1 KiB to 64 MiB.
    pub batch_bytes: usize,
    /// Rejected rows written to the report, all being counted; default 1000,
    /// bound 0 to 1000000.
    pub rejected_rows_kept: u64,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            decoded_bytes_max: 64 << 30,
            compression_ratio_max: 250,
            row_bytes_max: 1 << 20,
            value_bytes_max: 64 << 10,
            fields_max: 1_000,
            extra_fields_max: 64,
            extra_bytes_max: 16 << 10,
            batch_rows: 4_096,
            batch_bytes: 8 << 20,
            rejected_rows_kept: 1_000,
        }
    }
}

/// Longest `clear`: a word, not a sentence that a title may hold.
const CLEAR_BYTES_MAX: usize = 64;

/// A share of rejected rows above which a feed is not believed: one in twenty.
const MAX_BAD_SHARE: f64 = 0.05;

/// Everything that a pipe declares about its feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedOptions {
    /// `naver-ep`, `tagged`, `google`, `google-tsv`, `google-xml`, `csv`,
    /// `json` or `jsonl`.
    pub format: FeedFormat,
    /// `full` or `summary`; has to be said.
    pub mode: FeedMode,
    /// A label such as `utf-8`, `cp949` or `utf-16le`; by default detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<String>,
    /// Compression of the file itself; default `auto`, which tells all but
    /// `brotli` and `deflate` by their first bytes.
    #[serde(default)]
    pub compression: Compression,
    /// Currency of amounts that name none, such as `EUR`; default none, and
    /// `KRW` for Naver EP and tagged feeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// IANA zone of dates that name none; default Korean time for Naver EP and
    /// tagged feeds, and UTC for all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Columns and the fields that they are taken from; default those of the
    /// same name.
    #[serde(default)]
    pub columns: ColumnMap,
    /// Fields to leave out altogether; default none.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Whether fields that no column takes are kept in `extra`; default true.
    #[serde(default = "yes")]
    pub keep_extra: bool,
    /// Fields with personal data of sellers that are kept; default none, so
    /// that such fields are dropped, from `extra` too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// Whether the rows of a summary hold only what changed: what is absent or
    /// empty keeps the stored value; default false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    /// The value that empties a stored one, with `partial`; 1 to 64 bytes such
    /// as `-`, default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<String>,
    /// Separator of list values; default `|` for Naver EP, tagged feeds and
    /// CSV, `,` for Google's text feed, none for XML and JSON, where values repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_separator: Option<char>,
    /// Rows with too few fields: `reject`, the default, or `pad`.
    #[serde(default)]
    pub short_rows: ShortRows,
    /// How CSV is written; only with `format = "csv"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvOptions>,
    /// Dotted path to the array of items of a JSON document; by default the
    /// document is the array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// Share of rejected rows, 0 to 1, above which the run is incomplete;
    /// default 0.05.
    #[serde(default = "max_bad_share")]
    pub max_bad_share: f64,
    #[serde(default)]
    pub limits: FeedLimits,
}

fn yes() -> bool {
    true
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn max_bad_share() -> f64 {
    MAX_BAD_SHARE
}

impl FeedOptions {
    pub fn new(format: FeedFormat, mode: FeedMode) -> Self {
        Self {
            format,
            mode,
            charset: None,
            compression: Compression::Auto,
            currency: None,
            time_zone: None,
            columns: ColumnMap::default(),
            ignore: Vec::new(),
            keep_extra: true,
            keep: Vec::new(),
            partial: false,
            clear: None,
            list_separator: None,
            short_rows: ShortRows::Reject,
            csv: None,
            items: None,
            max_bad_share: MAX_BAD_SHARE,
            limits: FeedLimits::default(),
        }
    }

    /// The currency of amounts that name none.
    pub fn default_currency(&self) -> Option<Currency> {
        match self.format {
            FeedFormat::NaverEp | FeedFormat::Tagged => {
                Some(self.currency.unwrap_or(Currency::KRW))
            }
            FeedFormat::Google
            | FeedFormat::GoogleTsv
            | FeedFormat::GoogleXml
            | FeedFormat::Csv
            | FeedFormat::Json
            | FeedFormat::Jsonl => self.currency,
        }
    }

    /// Every value outside its bound and every contradiction between two
    /// settings; keys are relative to the table.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        if !(0.0..=1.0).contains(&self.max_bad_share) {
            let share = self.max_bad_share.to_string();
            push(&mut found, "max_bad_share", &share, "a share from 0 to 1");
        }
        if self.csv.is_some() && self.format != FeedFormat::Csv {
            let set = format!("a table, with format {:?}", self.format);
            push(&mut found, "csv", &set, "only with format = \"csv\"");
        }
        if let (Some(items), true) = (&self.items, self.format != FeedFormat::Json) {
            push(&mut found, "items", items, "only with format = \"json\"");
        }
        self.partial_problems(&mut found);
        self.csv_problems(&mut found);
        self.column_problems(&mut found);
        self.limits.problems(&mut found);
        found
    }

    fn partial_problems(&self, found: &mut Vec<Problem>) {
        if self.partial && self.mode == FeedMode::Full {
            push(found, "partial", "true", "only with mode = \"summary\"");
        }
        let Some(clear) = &self.clear else {
            return;
        };
        if !self.partial {
            push(found, "clear", clear, "only with partial = true");
        }
        let is_word = (1..=CLEAR_BYTES_MAX).contains(&clear.len())
            && clear.trim() == clear
            && !clear.chars().any(char::is_control);
        if !is_word {
            let allowed = "1 to 64 bytes without blanks at its ends";
            push(found, "clear", &format!("{clear:?}"), allowed);
        }
    }

    fn csv_problems(&self, found: &mut Vec<Problem>) {
        let csv = self.csv.clone().unwrap_or_default();
        if !csv.delimiter.is_ascii() || matches!(csv.delimiter, '\n' | '\r' | '\0') {
            let shown = csv.delimiter.to_string();
            push(found, "csv.delimiter", &shown, "one ASCII character");
        }
        let quote_usable = csv.quote.is_empty()
            || (csv.quote.len() == 1 && csv.quote.is_ascii() && !csv.quote.contains(csv.delimiter));
        if !quote_usable {
            let allowed = "one ASCII character other than the delimiter, or nothing";
            push(found, "csv.quote", &csv.quote, allowed);
        }
        if self.format == FeedFormat::Csv && csv.by_position() && self.columns.0.is_empty() {
            let allowed = "without header, csv.names, or a position for every column in `columns`";
            push(found, "csv.header", "false", allowed);
        }
        if csv.header && !csv.names.is_empty() {
            let shown = format!("{:?}", csv.names);
            push(found, "csv.names", &shown, "only with csv.header = false");
        }
    }

    fn column_problems(&self, found: &mut Vec<Problem>) {
        let by_position = self.format == FeedFormat::Csv
            && self.csv.as_ref().is_some_and(CsvOptions::by_position);
        for (column, source) in &self.columns.0 {
            let key = format!("columns.{column}");
            if column_index(column).is_none() && !SUMMARY_FIELDS.contains(&column.as_str()) {
                push(
                    found,
                    &key,
                    column,
                    "a column of the product schema; `trawler schema` lists them",
                );
            }
            match source {
                Source::Position(0) => push(found, &key, "0", "positions count from 1"),
                Source::Position(at) if !by_position => {
                    let allowed =
                        "the name of a field; positions need csv.header = false without csv.names";
                    push(found, &key, &at.to_string(), allowed);
                }
                Source::Field(name) if by_position => {
                    push(
                        found,
                        &key,
                        name,
                        "a position from 1, since there is no header",
                    );
                }
                Source::Fields(names) if by_position || names.is_empty() => {
                    let shown = format!("{names:?}");
                    push(found, &key, &shown, "at least one field of the header");
                }
                Source::Position(_) | Source::Field(_) | Source::Fields(_) => {}
            }
        }
    }
}

impl FeedLimits {
    fn problems(&self, found: &mut Vec<Problem>) {
        let mut within = |key: &str, value: u64, min: u64, max: u64| {
            if !(min..=max).contains(&value) {
                push(found, key, &value.to_string(), &format!("{min} to {max}"));
            }
        };
        within(
            "limits.decoded_bytes_max",
            self.decoded_bytes_max,
            1,
            1 << 40,
        );
        let ratio = u64::from(self.compression_ratio_max);
        within("limits.compression_ratio_max", ratio, 2, 10_000);
        let row = self.row_bytes_max as u64;
        within("limits.row_bytes_max", row, 1 << 10, 16 << 20);
        within(
            "limits.value_bytes_max",
            self.value_bytes_max as u64,
            256,
            row.max(256),
        );
        within("limits.fields_max", self.fields_max as u64, 1, 10_000);
        within(
            "limits.extra_fields_max",
            self.extra_fields_max as u64,
            0,
            10_000,
        );
        within(
            "limits.extra_bytes_max",
            self.extra_bytes_max as u64,
            0,
            1 << 20,
        );
        within("limits.batch_rows", self.batch_rows as u64, 1, 65_536);
        within(
            "limits.batch_bytes",
            self.batch_bytes as u64,
            1 << 10,
            64 << 20,
        );
        within(
            "limits.rejected_rows_kept",
            self.rejected_rows_kept,
            0,
            1_000_000,
        );
    }
}

fn push(found: &mut Vec<Problem>, key: &str, shown: &str, allowed: &str) {
    found.push(Problem {
        key: key.to_owned(),
        found: shown.to_owned(),
        allowed: allowed.to_owned(),
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(json: &str) -> Result<FeedOptions, String> {
        let options: FeedOptions = serde_json::from_str(json).map_err(|e| e.to_string())?;
        match options.problems().first() {
            None => Ok(options),
            Some(problem) => Err(format!(
                "{} = {}: {}",
                problem.key, problem.found, problem.allowed
            )),
        }
    }

    #[test]
    fn a_short_declaration_is_enough() {
        let options =
            read(r#"{"format": "naver-ep", "mode": "full", "charset": "cp949"}"#).unwrap();
        assert_eq!(options.default_currency(), Some(Currency::KRW));
        assert_eq!(options.limits, FeedLimits::default());
        let back: FeedOptions =
            serde_json::from_str(&serde_json::to_string(&options).unwrap()).unwrap();
        assert_eq!(back, options);
    }

    #[test]
    fn contradictions_are_named() {
        let check = |json: &str, said: &str| {
            let error = read(json).unwrap_err();
            assert!(error.contains(said), "{json}: {error}");
        };
        check(r#"{"format": "csv"}"#, "mode");
        check(r#"{"format": "ep", "mode": "full"}"#, "naver-ep");
        check(
            r#"{"format": "csv", "mode": "full", "x": 1}"#,
            "unknown field",
        );
        check(
            r#"{"format": "json", "mode": "full", "csv": {}}"#,
            "format = \"csv\"",
        );
        check(
            r#"{"format": "csv", "mode": "full", "items": "a"}"#,
            "format = \"json\"",
        );
        check(
            r#"{"format": "csv", "mode": "full", "max_bad_share": 2.0}"#,
            "max_bad_share = 2",
        );
        check(
            r#"{"format": "csv", "mode": "full", "columns": {"prize": "p"}}"#,
            "columns.prize",
        );
        check(
            r#"{"format": "csv", "mode": "full", "columns": {"id": 1}}"#,
            "columns.id = 1",
        );
        check(
            r#"{"format": "csv", "mode": "full", "csv": {"header": false}}"#,
            "csv.header",
        );
        check(
            r#"{"format": "csv", "mode": "full", "csv": {"names": ["id"]}}"#,
            "csv.names",
        );
        check(
            r#"{"format": "csv", "mode": "full", "columns": {"id": 1},
                "csv": {"header": false, "names": ["id"]}}"#,
            "columns.id = 1",
        );
        check(
            r#"{"format": "naver-ep", "mode": "full", "partial": true}"#,
            "partial = true: only with mode",
        );
        check(
            r#"{"format": "naver-ep", "mode": "summary", "clear": "-"}"#,
            "clear = -: only with partial",
        );
        for clear in ["", " -", "-\n", &"x".repeat(65)] {
            let options = serde_json::json!({
                "format": "naver-ep", "mode": "summary", "partial": true, "clear": clear,
            });
            check(&options.to_string(), "1 to 64 bytes");
        }
        check(
            r#"{"format": "csv", "mode": "full", "csv": {"quote": "''"}}"#,
            "csv.quote",
        );
        check(
            r#"{"format": "csv", "mode": "full", "limits": {"row_bytes_max": 5}}"#,
            "limits.row_bytes_max",
        );
    }

    #[test]
    fn columns_come_from_a_field_a_position_or_several_fields() {
        let options = read(
            r#"{"format": "csv", "mode": "full", "columns":
                {"title": "name", "category_path": ["c1", "c2"]}}"#,
        )
        .unwrap();
        assert_eq!(options.columns.0["title"], Source::Field("name".to_owned()));
        assert_eq!(
            options.columns.0["category_path"],
            Source::Fields(vec!["c1".to_owned(), "c2".to_owned()])
        );
        let options = read(
            r#"{"format": "csv", "mode": "full", "csv": {"header": false},
                "columns": {"id": 1, "title": 2, "link": 3}}"#,
        )
        .unwrap();
        assert_eq!(options.columns.0["title"], Source::Position(2));
    }
}
