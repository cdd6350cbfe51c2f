//! What names, language and address speak for: the specification that rows
//! follow, the currency of amounts that name none.

use std::collections::BTreeSet;

use trawler_core::feed::FeedFormat;
use trawler_core::product::{COLUMNS, Currency};

use super::columns::{FieldUse, How};
use super::names::fold;
use super::rows::Layout;
use super::shown::plain;
use crate::feed::TryFeedReport;

/// The specification that tab-separated rows follow, if they do: by names that
/// only one of them has.
pub(super) fn specification(layout: &Layout) -> FeedFormat {
    if layout.delimiter != '\t' || !layout.has_header {
        return FeedFormat::Csv;
    }
    let names: BTreeSet<String> = layout.table.names.iter().map(|name| fold(name)).collect();
    let required = ["id", "title", "link"]
        .iter()
        .all(|name| names.contains(*name));
    if !required {
        return FeedFormat::Csv;
    }
    let (mut ep, mut google) = (BTreeSet::new(), BTreeSet::new());
    for column in COLUMNS {
        ep.extend(
            column
                .naver_ep
                .into_iter()
                .flat_map(|fields| fields.split('>'))
                .map(fold),
        );
        google.extend(column.merchant.map(fold));
    }
    let ep_only = names
        .iter()
        .filter(|name| ep.contains(*name) && !google.contains(*name))
        .count();
    let google_only = names
        .iter()
        .filter(|name| google.contains(*name) && !ep.contains(*name))
        .count();
    match ep_only.cmp(&google_only) {
        std::cmp::Ordering::Greater => FeedFormat::NaverEp,
        std::cmp::Ordering::Less => FeedFormat::GoogleTsv,
        std::cmp::Ordering::Equal => FeedFormat::Csv,
    }
}

/// Of XML what the trial met.
pub(super) fn seen_fields(report: &TryFeedReport) -> Vec<FieldUse> {
    let seen = report.columns_seen.iter().map(|name| {
        let column = COLUMNS.iter().find(|column| column.name == *name);
        FieldUse {
            field: column
                .and_then(|column| column.merchant)
                .unwrap_or(name)
                .to_owned(),
            columns: vec![(*name).to_owned()],
            how: How::Specified,
            example: String::new(),
        }
    });
    let unmapped = report.unmapped_fields.iter().map(|name| FieldUse {
        field: plain(name),
        columns: Vec::new(),
        how: How::Unmapped,
        example: String::new(),
    });
    seen.chain(unmapped).collect()
}

pub(super) fn delimiter_words(delimiter: char) -> String {
    match delimiter {
        '\t' => "tabs".to_owned(),
        ',' => "commas".to_owned(),
        ';' => "semicolons".to_owned(),
        other => format!("{other}"),
    }
}

/// The currency that language, signs and address speak for, if they do.
pub(super) fn guess_currency(text: &str, place: &str) -> Option<Currency> {
    let host = url::Url::parse(place).ok();
    let host = host
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or_default()
        .to_owned();
    let ends = |endings: &[&str]| endings.iter().any(|ending| host.ends_with(ending));
    let code = if text.contains(|c: char| matches!(c, '\u{ac00}'..='\u{d7a3}')) || ends(&[".kr"]) {
        "KRW"
    } else if text.contains('€')
        || ends(&[
            ".de", ".fr", ".it", ".es", ".nl", ".at", ".be", ".fi", ".ie", ".pt",
        ])
    {
        "EUR"
    } else if text.contains('£') || ends(&[".uk"]) {
        "GBP"
    } else if ends(&[".jp"]) {
        "JPY"
    } else {
        return None;
    };
    Currency::parse(code).ok()
}
