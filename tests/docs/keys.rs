//! Every key of the configuration and of a pipe file is documented where it
//! stands in the source, with its default where it has one: the README sends
//! its readers there.

use super::read;

/// Structs whose fields are keys, each with its file.
const TABLES: [(&str, &[&str]); 26] = [
    (
        "cli/src/config/fleet.rs",
        &["MetricsConfig", "CapacityConfig", "NoticesConfig"],
    ),
    ("cli/src/config/images.rs", &["ImagesConfig"]),
    ("cli/src/config/mod.rs", &["Config"]),
    ("cli/src/config/net.rs", &["NetConfig"]),
    ("cli/src/config/plan.rs", &["PlanConfig"]),
    ("cli/src/config/queue.rs", &["QueueConfig"]),
    (
        "cli/src/config/store.rs",
        &["StoreConfig", "CatalogueConfig"],
    ),
    (
        "cli/src/config/workers.rs",
        &["WorkersConfig", "SchedulerConfig"],
    ),
    (
        "core/src/feed.rs",
        &["CsvOptions", "FeedLimits", "FeedOptions"],
    ),
    ("core/src/image.rs", &["Variant"]),
    ("core/src/maintenance/window.rs", &["WindowText"]),
    ("core/src/pipe/fetch.rs", &["FetchOptions", "ProxyOptions"]),
    ("core/src/pipe/images.rs", &["ImageOptions"]),
    ("core/src/pipe/inbox.rs", &["InboxSource"]),
    ("core/src/judge/options.rs", &["JudgeOptions"]),
    ("core/src/pipe/sftp.rs", &["SftpSource"]),
    (
        "core/src/pipe/source.rs",
        &["HttpSource", "FileSource", "SiteSource"],
    ),
    ("core/src/schedule.rs", &["ScheduleText"]),
    ("core/src/verdict.rs", &["RetryPolicy"]),
    ("core/src/site/canonical.rs", &["CanonicalOptions"]),
    ("core/src/site/extract.rs", &["ExtractOptions"]),
    ("core/src/site/limits.rs", &["SiteLimits"]),
    ("core/src/site/links.rs", &["LinkOptions"]),
    (
        "core/src/site/listings.rs",
        &["CategoryOptions", "NumberedPages", "JsonOptions"],
    ),
    ("core/src/site/mod.rs", &["SiteOptions"]),
    ("core/src/site/unchanged.rs", &["UnchangedOptions"]),
];

/// Keys that have no default: who writes the table has to give them.
const REQUIRED: [&str; 18] = [
    "url", "path", "prefix", "host", "user", "host_key", "auth", "format", "mode", "cron", "name",
    "link", "width", "height", "fit", "quality", "from", "until",
];

/// A field and the comment above it.
struct Field {
    name: String,
    kind: String,
    comment: String,
}

fn fields(text: &str, table: &str) -> Vec<Field> {
    let (_, body) = text.split_once(&format!("struct {table} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let (mut found, mut comment) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            comment.push_str(words);
        } else if let Some((name, kind)) = line.split_once(": ")
            && let Some(name) = name
                .strip_prefix("pub(crate) ")
                .or(name.strip_prefix("pub "))
        {
            found.push(Field {
                name: name.to_owned(),
                kind: kind.trim_end_matches(',').to_owned(),
                comment: std::mem::take(&mut comment),
            });
        }
    }
    found
}

#[test]
fn every_key_is_documented_with_its_default() {
    let mut wrong = Vec::new();
    for (file, tables) in TABLES {
        let text = read(file);
        for table in tables {
            let fields = fields(&text, table);
            assert!(!fields.is_empty(), "{file}: {table} has no fields");
            for field in fields {
                // A table of its own, whose keys are looked at there.
                let is_table = ["Config", "Policy", "Limits", "Options", "Options>"]
                    .iter()
                    .any(|end| field.kind.ends_with(end));
                let has_default = field.comment.to_lowercase().contains("default");
                let is_told = has_default
                    || REQUIRED.contains(&field.name.as_str()) && !field.comment.is_empty();
                if !is_table && !is_told {
                    wrong.push(format!(
                        "{file}: {table}.{} {:?}",
                        field.name, field.comment
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
