//! The pipe file: what was recognised as keys, why as comments, and what is
//! unsure at its end.

use std::fmt::Write as _;

use serde::Serialize;
use trawler_core::PipeId;
use trawler_core::feed::{FeedFormat, FeedMode, FeedOptions, Source as FieldSource};
use trawler_core::pipe::Egress;
use url::Url;

use super::columns::How;
use super::feed::{FeedDraft, Finding};
use super::guess::delimiter_words;
use super::shown::{key, plain, quoted};
use super::site::SiteDraft;

/// Fields that are listed in comments.
const FIELDS_SHOWN_MAX: usize = 200;

/// Where comments behind a value begin.
const COMMENT_AT: usize = 33;

/// Longest line of a comment.
const COMMENT_CHARS: usize = 96;

/// Where the pipe's products come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Web {
        url: Url,
        /// Parameters that carry credentials, without their values.
        credentials: Vec<String>,
    },
    File(String),
    Site(Url),
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Feed(Box<FeedDraft>),
    Site(Box<SiteDraft>),
}

/// A pipe that is suggested.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    pub source: Source,
    pub what: What,
    /// By which address it was looked at, and is to be collected.
    pub egress: Egress,
}

impl Draft {
    pub fn findings(&self) -> &[Finding] {
        match &self.what {
            What::Feed(feed) => &feed.findings,
            What::Site(site) => &site.findings,
        }
    }

    /// What is unsure, for people.
    pub fn remarks(&self) -> &[String] {
        match &self.what {
            What::Feed(feed) => &feed.remarks,
            What::Site(site) => &site.remarks,
        }
    }

    /// The pipe file.
    pub fn text(&self, id: &PipeId) -> String {
        let mut file = Lines::default();
        file.comment(&format!(
            "Pipe {id}, drafted by `trawler pipe new`. What it is unsure of is said at the end: look \
             at each of it, and take the remarks out when they are settled."
        ));
        file.value("name", &quoted(id.as_str()), "for people: the shop's name");
        file.value(
            "state",
            "\"draft\"",
            "not collected yet: then \"shadow\", which nobody reads, or \"live\"",
        );
        file.value("owner", "\"\"", "who answers for it");
        file.value("contact", "\"\"", "whom to ask at the shop");
        file.value("notes", "\"\"", "");
        file.value(
            "max_age",
            "\"36h\"",
            "overdue when its last complete run is older",
        );
        self.source(&mut file);
        match &self.what {
            What::Feed(feed) => write_feed(&mut file, feed),
            What::Site(site) => write_site(&mut file, site),
        }
        let zone = if self.is_korean() {
            "Asia/Seoul"
        } else {
            "UTC"
        };
        let (hour, minute) = hour_and_minute(id);
        file.table("schedule");
        file.value(
            "cron",
            &quoted(&format!("{minute} {hour} * * *")),
            "once a day, at a minute of this pipe's own; ask the shop when the feed is new",
        );
        file.value("zone", &quoted(zone), "");
        self.fetch(&mut file, id);
        for remark in self.remarks() {
            if !file.text.ends_with("\n\n") && !file.text.contains("\n# unsure: ") {
                file.text.push('\n');
            }
            file.comment(&format!("unsure: {}", plain(remark)));
        }
        file.text
    }

    fn is_korean(&self) -> bool {
        match &self.what {
            What::Feed(feed) => feed.is_korean,
            What::Site(site) => site.is_korean,
        }
    }

    fn source(&self, file: &mut Lines) {
        file.table("source");
        match &self.source {
            Source::Web { url, .. } => {
                file.value("kind", "\"http\"", "");
                file.value("url", &quoted(url.as_str()), "");
            }
            Source::File(path) => {
                file.value("kind", "\"file\"", "read anew with every run");
                file.value("path", &quoted(path), "");
            }
            Source::Site(url) => {
                file.value("kind", "\"site\"", "no feed: the site is crawled");
                file.value("url", &quoted(url.as_str()), "");
            }
        }
    }

    fn fetch(&self, file: &mut Lines, id: &PipeId) {
        let is_fixed = self.egress == Egress::Fixed;
        let has_credentials = |source: &Source| match source {
            Source::Web { credentials, .. } => !credentials.is_empty(),
            Source::File(_) | Source::Site(_) => false,
        };
        if is_fixed || has_credentials(&self.source) || matches!(self.source, Source::Site(_)) {
            file.table("fetch");
        }
        if is_fixed {
            file.value(
                "egress",
                "\"fixed\"",
                "the shop lets in one address: through net.fixed_egress alone",
            );
        }
        match &self.source {
            Source::Web { credentials, .. } if !credentials.is_empty() => {
                let entries = credentials.iter().map(|name| {
                    let variable = variable(id, name);
                    format!("{} = \"env:{variable}\"", key(name))
                });
                let entries = entries.collect::<Vec<_>>().join(", ");
                file.value(
                    "query",
                    &format!("{{ {entries} }}"),
                    "put the values into these variables of the worker",
                );
            }
            Source::Site(_) => {
                file.value(
                    "rate_per_s",
                    "5",
                    "requests a second to one host; ask the shop",
                );
                file.value("concurrency", "4", "");
            }
            Source::Web { .. } | Source::File(_) => {}
        }
    }
}

/// The environment variable of a credential, such as `SHOP_A_TOKEN`.
fn variable(id: &PipeId, name: &str) -> String {
    let word = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    let id: String = id.as_str().chars().map(word).collect();
    let name: String = name.chars().map(word).collect();
    // A variable does not begin with a digit.
    match id.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("PIPE_{id}_{name}"),
        false => format!("{id}_{name}"),
    }
}

/// Between one and six in the morning, by the id: pipes that were drafted on one
/// day do not all begin in one minute.
fn hour_and_minute(id: &PipeId) -> (u32, u32) {
    // FNV-1a.
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    let hash = id.as_str().bytes().fold(2_166_136_261, fold);
    (1 + hash / 60 % 5, hash % 60)
}

fn write_feed(file: &mut Lines, feed: &FeedDraft) {
    let options = &feed.options;
    file.table("feed");
    let finding = |what: &str| {
        let found = feed.findings.iter().find(|finding| finding.what == what);
        found
            .map(|finding| finding.found.as_str())
            .unwrap_or_default()
    };
    file.value(
        "format",
        &quoted(&format_name(options.format)),
        finding("format"),
    );
    let mode = match options.mode {
        FeedMode::Full => "\"full\"",
        FeedMode::Summary => "\"summary\"",
    };
    file.value("mode", mode, "as you said");
    for (side, list) in [
        ("full", &feed.evidence.for_full),
        ("summary", &feed.evidence.for_summary),
    ] {
        if !list.is_empty() {
            file.comment(&format!("For {side} speaks: {}.", list.join("; ")));
        }
    }
    match &options.charset {
        Some(charset) => file.value("charset", &quoted(charset), "as found"),
        None => file.comment(&format!("charset: {}.", finding("charset"))),
    }
    match options.compression {
        trawler_core::feed::Compression::Brotli => {
            file.value("compression", "\"brotli\"", "it has no mark of its own");
        }
        trawler_core::feed::Compression::Deflate => {
            file.value("compression", "\"deflate\"", "it has no mark of its own");
        }
        _ => file.comment(&format!(
            "compression: {}; told anew with every run.",
            finding("compression")
        )),
    }
    if let Some(currency) = options.currency {
        let why = match feed.is_currency_guessed {
            true => "a guess, see below",
            false => "as you said",
        };
        file.value("currency", &quoted(currency.as_str()), why);
    } else if options.format != FeedFormat::NaverEp {
        file.comment("currency = \"KRW\": of amounts that name none.");
    }
    if let Some(items) = &options.items {
        file.value("items", &quoted(items), "path of the array of products");
    }
    file.comment(
        "max_bad_share = 0.05: a larger share of rejected rows makes a run incomplete; then \
         nothing is delisted.",
    );
    write_csv(file, options);
    write_columns(file, feed);
}

fn write_csv(file: &mut Lines, options: &FeedOptions) {
    let Some(csv) = &options.csv else { return };
    file.table("feed.csv");
    let delimiter = quoted(&csv.delimiter.to_string());
    file.value("delimiter", &delimiter, &delimiter_words(csv.delimiter));
    let quote = match csv.quote.is_empty() {
        true => "a quote is a character like others",
        false => "",
    };
    file.value("quote", &quoted(&csv.quote), quote);
    let header = if csv.header { "true" } else { "false" };
    file.value("header", header, "");
}

fn write_columns(file: &mut Lines, feed: &FeedDraft) {
    let columns = &feed.options.columns.0;
    if !columns.is_empty() {
        file.table("feed.columns");
    }
    for (column, source) in columns {
        let source = match source {
            FieldSource::Field(name) => quoted(name),
            FieldSource::Position(at) => at.to_string(),
            FieldSource::Fields(names) => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                format!("[{}]", names.join(", "))
            }
        };
        let field = feed
            .fields
            .iter()
            .find(|field| field.columns.contains(column));
        let example = field
            .map(|field| field.example.as_str())
            .unwrap_or_default();
        let how = feed.mapped.get(column).copied().unwrap_or(How::Named);
        file.value(
            &key(column),
            &source,
            &format!("{}: {example}", how.words()),
        );
    }
    let specified: Vec<String> = feed
        .fields
        .iter()
        .filter(|field| field.how == How::Specified)
        .map(|field| match field.columns.first() {
            Some(column) if *column != field.field => format!("{} -> {column}", field.field),
            _ => field.field.clone(),
        })
        .collect();
    let unmapped: Vec<String> = feed
        .fields
        .iter()
        .filter(|field| field.how == How::Unmapped)
        .map(|field| field.field.clone())
        .collect();
    if !specified.is_empty() {
        file.text.push('\n');
        file.comment(&format!("Taken by their names: {}.", listed(&specified)));
    }
    if !unmapped.is_empty() {
        file.comment(&format!(
            "No column takes these, they are kept in `extra` (class and update_time say what to do \
             with a row): {}. `trawler schema` lists the columns.",
            listed(&unmapped)
        ));
    }
}

fn listed(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(FIELDS_SHOWN_MAX)
        .cloned()
        .collect::<Vec<_>>();
    let more = names.len().saturating_sub(FIELDS_SHOWN_MAX);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn format_name(format: FeedFormat) -> String {
    // As a pipe file has it.
    let word = serde_json::to_value(format).ok();
    let word = word.as_ref().and_then(serde_json::Value::as_str);
    word.unwrap_or_default().to_owned()
}

fn write_site(file: &mut Lines, site: &SiteDraft) {
    file.table("site");
    for finding in &site.findings {
        file.comment(&format!("{}: {}.", finding.what, plain(&finding.found)));
    }
    match site.has_sitemaps {
        true => file.value(
            "sitemaps",
            "\"robots\"",
            "those of robots.txt, else /sitemap.xml",
        ),
        false => file.value("sitemaps", "\"none\"", "none leads to a page"),
    }
    if !site.part_patterns.is_empty() {
        let patterns = patterns(&site.part_patterns);
        file.comment(&format!(
            "sitemap_allow = {patterns}: only these parts, if no product is in another."
        ));
    }
    match site.currency {
        Some(currency) => {
            file.value(
                "currency",
                &quoted(currency.as_str()),
                "of amounts that name none",
            );
        }
        None => file.comment("currency = \"KRW\": of amounts that name none."),
    }
    if site.wants_browser {
        file.comment("render = \"chromium\": pages are built in a browser first; see below.");
    }
    if !site.has_sitemaps {
        file.table("site.links");
        file.value("follow", "true", "from the home page on");
    }
    if !site.product_patterns.is_empty() {
        let patterns = patterns(&site.product_patterns);
        file.text.push('\n');
        file.comment(&format!(
            "[site.links] products = {patterns}: only such addresses are read as products, which \
             spares requests where lists and notices are in between. Sure only if no product is \
             elsewhere."
        ));
    }
    if !site.pages.is_empty() {
        file.text.push('\n');
        file.comment("Pages that were looked at:");
    }
    for page in &site.pages {
        let title = page.title.as_deref().unwrap_or("no product");
        let price = page
            .price
            .as_deref()
            .map_or(String::new(), |price| format!(", {price} (minor units)"));
        let rules = match page.rules.is_empty() {
            true => String::new(),
            false => format!("; by {}", page.rules.join(", ")),
        };
        file.comment(&format!(
            "  {}: {}{price}{rules}",
            plain(&page.url),
            plain(title)
        ));
    }
}

fn patterns(list: &[String]) -> String {
    let list: Vec<String> = list.iter().map(|pattern| quoted(pattern)).collect();
    format!("[{}]", plain(&list.join(", ")))
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn table(&mut self, name: &str) {
        writeln!(self.text, "\n[{name}]").expect("writing to a string cannot fail");
    }

    fn value(&mut self, key: &str, value: &str, comment: &str) {
        let line = format!("{key} = {value}");
        let comment = plain(comment);
        let comment = comment.trim().trim_end_matches(':');
        let line = match comment {
            "" => line,
            comment => format!(
                "{line:<width$}# {comment}",
                width = COMMENT_AT.max(line.chars().count() + 1)
            ),
        };
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// A sentence, folded at blanks.
    fn comment(&mut self, sentence: &str) {
        let sentence = plain(sentence);
        let mut line = "#".to_owned();
        let indent = sentence.len() - sentence.trim_start().len();
        line.push_str(&" ".repeat(indent));
        for word in sentence.split_whitespace() {
            if line.len() > 1 && line.chars().count() + word.chars().count() >= COMMENT_CHARS {
                self.text.push_str(&line);
                self.text.push('\n');
                line = "#  ".to_owned();
            }
            line.push(' ');
            line.push_str(word);
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pipes_begin_at_minutes_of_their_own() {
        let of = |id: &str| hour_and_minute(&PipeId::parse(id).unwrap());
        assert_eq!(of("shop-a"), of("shop-a"));
        let all: std::collections::BTreeSet<_> =
            (0..200).map(|n| of(&format!("shop-{n}"))).collect();
        assert!(all.len() > 100, "{}", all.len());
        assert!(
            all.iter()
                .all(|(hour, minute)| (1..6).contains(hour) && *minute < 60)
        );
    }

    #[test]
    fn credentials_get_variables() {
        let id = PipeId::parse("shop-a").unwrap();
        assert_eq!(variable(&id, "api_key"), "SHOP_A_API_KEY");
        let id = PipeId::parse("11st").unwrap();
        assert_eq!(variable(&id, "token"), "PIPE_11ST_TOKEN");
    }
}
