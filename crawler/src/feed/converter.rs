//! Which conversion each column of the schema needs, and the settings of the
//! feed that conversions depend on.

use chrono_tz::Tz;
use trawler_core::feed::{FeedFormat, FeedOptions};
use trawler_core::product::{COLUMNS, Column, Kind};

use super::batch::Value;
use super::convert::{self, Bad, Measure};
use super::dates;
use super::error::FeedError;
use super::words::{self, Vocabulary};

#[derive(Debug, Clone, Copy)]
pub(super) enum Convert {
    Text,
    Url,
    List {
        separator: Option<char>,
        urls: bool,
    },
    Money,
    /// An amount where -1 is a code.
    ShippingCost,
    Int,
    Measure(Measure),
    Bool,
    Instant,
    Start,
    End,
    Word(Vocabulary),
    Gtin,
    Path,
}

/// What conversions depend on.
pub(super) struct Settings {
    zone: Tz,
    separator: Option<char>,
    naver_ep: bool,
}

/// Whether the format is one of Korean shops, written in their time.
fn is_korean(format: FeedFormat) -> bool {
    match format {
        FeedFormat::NaverEp | FeedFormat::Tagged => true,
        FeedFormat::Google
        | FeedFormat::GoogleTsv
        | FeedFormat::GoogleXml
        | FeedFormat::Csv
        | FeedFormat::Json
        | FeedFormat::Jsonl => false,
    }
}

impl Settings {
    pub(super) fn new(options: &FeedOptions) -> Result<Self, FeedError> {
        let naver_ep = options.format == FeedFormat::NaverEp;
        let zone = match &options.time_zone {
            Some(name) => name.parse().map_err(|_| FeedError::Options {
                key: "time_zone".to_owned(),
                found: name.clone(),
                allowed: "an IANA zone such as \"Asia/Seoul\"".to_owned(),
            })?,
            None if is_korean(options.format) => Tz::Asia__Seoul,
            None => Tz::UTC,
        };
        let usual = match options.format {
            FeedFormat::NaverEp | FeedFormat::Tagged | FeedFormat::Csv => Some('|'),
            FeedFormat::Google | FeedFormat::GoogleTsv => Some(','),
            // Elements and array values repeat instead.
            FeedFormat::GoogleXml | FeedFormat::Json | FeedFormat::Jsonl => None,
        };
        Ok(Self {
            zone,
            separator: options.list_separator.or(usual),
            naver_ep,
        })
    }

    /// XML repeats elements; decided once the feed is known to be XML.
    pub(super) fn without_separator(mut self, options: &FeedOptions) -> Self {
        self.separator = options.list_separator;
        self
    }

    pub(super) fn converters(&self) -> Vec<Convert> {
        COLUMNS
            .iter()
            .map(|column| self.converter(column))
            .collect()
    }

    fn converter(&self, column: &Column) -> Convert {
        match (column.name, column.kind) {
            ("shipping_cost_minor", _) => Convert::ShippingCost,
            ("availability", _) => Convert::Word(words::AVAILABILITY),
            ("condition", _) => Convert::Word(words::CONDITION),
            ("age_group", _) => Convert::Word(words::AGE_GROUP),
            ("gender", _) => Convert::Word(words::GENDER),
            ("gtin", _) => Convert::Gtin,
            ("category_path", _) => Convert::Path,
            ("sale_starts", _) => Convert::Start,
            ("sale_ends", _) => Convert::End,
            ("attributes", _) if self.naver_ep => Convert::List {
                separator: Some('^'),
                urls: false,
            },
            ("ads_redirect", _) => Convert::Url,
            (name, Kind::Text) if name.ends_with("link") => Convert::Url,
            (_, Kind::Text) => Convert::Text,
            (name, Kind::TextList) => Convert::List {
                separator: self.separator,
                urls: name.ends_with("_links"),
            },
            (name, Kind::Int) if name.ends_with("_minor") => Convert::Money,
            (_, Kind::Int) => Convert::Int,
            (name, Kind::Float) if name.ends_with("_g") => Convert::Measure(Measure::Grams),
            (_, Kind::Float) => Convert::Measure(Measure::Centimetres),
            (_, Kind::Bool) => Convert::Bool,
            (_, Kind::Instant) => Convert::Instant,
        }
    }

    /// Microseconds since 1970 of a date of the feed.
    pub(super) fn instant(&self, found: &str) -> Result<i64, Bad> {
        dates::instant(found, self.zone)
    }

    /// Conversions that need nothing but the text.
    pub(super) fn value<'v>(&self, convert: Convert, found: &'v str) -> Result<Value<'v>, Bad> {
        match convert {
            Convert::Text | Convert::Path => convert::text(found).map(Value::Text),
            Convert::Url => convert::url(found).map(Value::Text),
            Convert::Int => convert::int(found).map(Value::Int),
            Convert::Measure(unit) => convert::measure(found, unit).map(Value::Float),
            Convert::Bool => convert::boolean(found).map(Value::Bool),
            Convert::Instant => dates::instant(found, self.zone).map(Value::Instant),
            Convert::Start => self.interval_end(found, |(start, _)| start),
            Convert::End => self.interval_end(found, |(_, end)| end),
            Convert::Word(vocabulary) => words::look_up(found, vocabulary).map(Value::Text),
            Convert::Money | Convert::ShippingCost | Convert::Gtin | Convert::List { .. } => {
                Err("cannot be put together from several fields")
            }
        }
    }

    /// One end of an interval, or a date that stands for it alone.
    fn interval_end<'v>(
        &self,
        found: &str,
        pick: impl Fn((i64, i64)) -> i64,
    ) -> Result<Value<'v>, Bad> {
        match dates::interval(found, self.zone) {
            Ok(interval) => Ok(Value::Instant(pick(interval))),
            Err(why) => dates::instant(found, self.zone)
                .map(Value::Instant)
                .map_err(|_| why),
        }
    }
}
