//! The commands, as people and programs meet them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use trawler_shop::{Charset, Compression, FeedFormat, Model, Shop, ShopSpec, render_feed};

use crate::look::{NO_IMAGES, SMALL_VARIANT, feed_table, text, truth};
use crate::support::{Ended, Folder, TRAWLER, pipe};

/// The program without a folder of its own.
fn trawler(args: &[&str]) -> Ended {
    let mut command = std::process::Command::new(TRAWLER);
    Ended::from(command.args(args).output().unwrap())
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whoever reads the output (`head`) may close it when they have seen enough.
#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    let folder = Folder::new(&[], "");
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["pipes"],
        &["runs"],
    ] {
        let mut command = std::process::Command::new(TRAWLER);
        command.arg("-C").arg(folder.path()).args(words);
        let piped = std::process::Stdio::piped;
        let mut child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{words:?}: {told}");
        assert!(!told.contains("panicked"), "{words:?}: {told}");
    }
}

#[test]
fn init_writes_what_check_accepts_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop");
    let written = trawler(&["init", shown(&shop), "--json"])
        .with_code(0)
        .json();
    for path in written["written"].as_array().unwrap() {
        assert!(Path::new(path.as_str().unwrap()).exists(), "{path}");
    }
    let checked = trawler(&["-C", shown(&shop), "check", "--json"])
        .with_code(0)
        .json();
    assert_eq!(checked["ok"], true, "{checked}");
    let before = fs::read(shop.join("trawler.toml")).unwrap();
    let again = trawler(&["init", shown(&shop)]).with_code(1);
    assert!(
        again.stderr.contains("trawler.toml exists already"),
        "{again:?}"
    );
    assert_eq!(fs::read(shop.join("trawler.toml")).unwrap(), before);
}

#[test]
fn errors_of_a_configuration_name_file_line_key_found_and_allowed() {
    let folder = Folder::new(&[], "[catalogue]\nsort_mib = 1\n");
    let feed = feed_table(FeedFormat::NaverEp);
    let written = pipe(
        "ftp://shop.example/feed",
        &feed,
        "[judge]\nmax_drop = 7.5\n",
    );
    folder.pipe("wrong", &written);
    folder.pipe("unknown", &written.replace("max_drop", "maximum"));
    folder.pipe("not an id", &written);

    let printed = folder.trawler(&["check", "--json"]).with_code(2).json();
    assert_eq!(printed["ok"], false);
    let errors = printed["errors"].as_array().unwrap();
    let of = |key: &str| {
        let found = errors.iter().find(|error| error["key"] == key);
        found.unwrap_or_else(|| panic!("no error of {key}: {errors:#?}"))
    };
    let line_in = |file: &str, part: &str| {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        1 + text.lines().position(|line| line.contains(part)).unwrap()
    };
    for (key, file, part, found, allowed) in [
        (
            "catalogue.sort_mib",
            "trawler.toml",
            "sort_mib",
            "1",
            "8 to 4096",
        ),
        (
            "source.url",
            "pipes/wrong.toml",
            "url",
            "ftp://shop.example/feed",
            "http://",
        ),
        (
            "judge.max_drop",
            "pipes/wrong.toml",
            "max_drop",
            "7.5",
            "0 to 1",
        ),
        (
            "judge.maximum",
            "pipes/unknown.toml",
            "maximum",
            "maximum",
            "max_drop",
        ),
    ] {
        let error = of(key);
        assert!(error["file"].as_str().unwrap().ends_with(file), "{error}");
        assert_eq!(error["line"], line_in(file, part), "{error}");
        assert!(error["found"].as_str().unwrap().contains(found), "{error}");
        assert!(
            error["allowed"].as_str().unwrap().contains(allowed),
            "{error}"
        );
    }
    assert!(
        errors
            .iter()
            .any(|error| text(error, "file").contains("not an id"))
    );
    // People are told the same, by every command, and nothing is run.
    for command in ["check", "status", "run"] {
        let told = folder.trawler(&[command]).with_code(2);
        assert!(told.stderr.contains("pipes/wrong.toml"), "{told:?}");
        assert!(told.stderr.contains("found 7.5; allowed:"), "{told:?}");
    }
    assert!(
        !folder.path().join("trawler-data").exists(),
        "check reaches nothing"
    );
}

#[test]
fn a_folder_without_configuration_is_told_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["check", "run", "status", "pipes", "runs"] {
        let ended = trawler(&["-C", shown(dir.path()), command]).with_code(2);
        assert!(
            ended.stderr.contains("trawler init"),
            "{command}: {ended:?}"
        );
        // A folder of pipes is not missed where there is no folder at all.
        assert!(ended.stderr.contains("has 1 error(s)"), "{ended:?}");
    }
    // With a configuration and no pipe, there is nothing to do.
    let folder = Folder::new(&[], "");
    for args in [
        &["status"][..],
        &["pipes"],
        &["runs"],
        &["changes"],
        &["run", "--once"],
        &["dlq", "list"],
    ] {
        let ended = folder.trawler(args).with_code(0);
        assert!(!ended.stdout.is_empty(), "{args:?}: {ended:?}");
        folder
            .trawler(&[args, &["--json"]].concat())
            .with_code(0)
            .json();
    }
}

#[test]
fn an_unknown_pipe_or_queue_is_refused_with_what_there_is() {
    let folder = Folder::new(&[], "");
    let feed = feed_table(FeedFormat::NaverEp);
    folder.pipe("known", &pipe("http://shop.example/feed", &feed, ""));
    for args in [
        &["products", "--pipe", "unheard"][..],
        &["changes", "--pipe", "unheard"],
        &["runs", "--pipe", "unheard"],
        &["run", "--once", "--pipe", "unheard"],
        &["pause", "--pipe", "unheard"],
        &["dlq", "list", "--pipe", "unheard"],
    ] {
        let ended = folder.trawler(args).with_code(2);
        for part in ["unheard", "known"] {
            assert!(ended.stderr.contains(part), "{args:?}: {ended:?}");
        }
    }
    let queue = folder.trawler(&["pause", "--queue", "mail"]).with_code(2);
    assert!(queue.stderr.contains("crawl, image"), "{queue:?}");
    folder.trawler(&["pause"]).with_code(2);
    folder
        .trawler(&["changes", "--since", "yesterday"])
        .with_code(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_and_changes_page_through_everything_once_in_every_format() {
    let shop = Shop::start(ShopSpec::new("cli", 51, 53)).await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let feed = feed_table(FeedFormat::NaverEp);
    folder.pipe("cli", &pipe(&shop.feed_url(), &feed, NO_IMAGES));
    folder.run_pipe("cli").with_code(0);
    let expected: Vec<String> = truth(shop.products(0)).into_keys().collect();

    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["products", "--pipe", "cli", "--limit", "10", "--json"];
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        let page = folder.trawler(&args).with_code(0).json();
        let rows = page["products"].as_array().unwrap();
        assert!(rows.len() <= 10);
        seen.extend(rows.iter().map(|row| text(row, "id")));
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, expected, "every id once, in order");

    let (mut inserted, mut since) = (BTreeSet::new(), "0".to_owned());
    loop {
        let page = folder
            .trawler(&["changes", "--since", &since, "--limit", "10", "--json"])
            .with_code(0)
            .json();
        let rows = page["changes"].as_array().unwrap().clone();
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            assert_eq!(row["_change_type"], "insert");
            assert!(inserted.insert(text(row, "id")), "{} twice", row["id"]);
        }
        since = text(&page, "next");
    }
    assert_eq!(inserted.into_iter().collect::<Vec<_>>(), expected);

    check_formats(&folder, &expected);
    shop.stop().await;
}

fn check_formats(folder: &Folder, expected: &[String]) {
    let products = |format: &str| {
        folder
            .trawler(&[
                "products", "--pipe", "cli", "--limit", "100", "--format", format,
            ])
            .with_code(0)
            .stdout
    };
    let table = products("table");
    assert_eq!(table.lines().count(), 1 + expected.len(), "{table}");
    assert!(table.starts_with("id "), "{table}");
    let lines = products("jsonl");
    let ids: Vec<String> = lines
        .lines()
        .map(|line| text(&serde_json::from_str(line).unwrap(), "id"))
        .collect();
    assert_eq!(ids, expected);
    let csv = products("csv");
    let head = csv.lines().next().unwrap();
    assert!(head.split(',').any(|name| name == "title"), "{head}");
    let changes = folder
        .trawler(&["changes", "--limit", "100", "--format", "csv"])
        .with_code(0);
    assert!(changes.stdout.contains("_change_type"), "{changes:?}");
    assert!(changes.stderr.contains("next watermark: "), "{changes:?}");

    let one = folder
        .trawler(&["products", "--pipe", "cli", "--id", &expected[7], "--json"])
        .with_code(0)
        .json();
    assert_eq!(one["products"][0]["id"], *expected[7]);
    folder
        .trawler(&["products", "--pipe", "cli", "--id", "nobody"])
        .with_code(1);
    let status = folder.trawler(&["status", "--json"]).with_code(0).json();
    assert_eq!(status["catalogue"]["rows"], expected.len(), "{status:#}");
    assert_eq!(status["runs"]["finished"], 1, "{status:#}");
    let pipes = folder.trawler(&["pipes", "--json"]).with_code(0).json();
    assert_eq!(pipes[0]["pipe"], "cli", "{pipes:#}");
    let schema = folder.trawler(&["schema", "--json"]).with_code(0).json();
    assert!(schema.as_array().unwrap().len() > 90);
}

/// A feed of 25 products in a file.
fn feed_file(
    dir: &Path,
    format: FeedFormat,
    charset: Charset,
    compression: Compression,
) -> (Model, String) {
    let spec = ShopSpec {
        charset,
        ..ShopSpec::new("try", 61, 25)
    };
    let model = Model::new(&spec, "http://shop.example").unwrap();
    let path = dir.join(format!("{format:?}{charset:?}{}", compression.suffix()));
    let file = fs::File::create(&path).unwrap();
    render_feed(&model, format, compression, 0, file).unwrap();
    (model, shown(&path).to_owned())
}

#[test]
fn try_feed_shows_what_would_be_read() {
    let dir = tempfile::tempdir().unwrap();
    for (format, name, charset, compression, more) in [
        (
            FeedFormat::NaverEp,
            "naver-ep",
            Charset::Cp949,
            Compression::Gzip,
            &[][..],
        ),
        (
            FeedFormat::NaverEp,
            "naver-ep",
            Charset::Cp949,
            Compression::None,
            &["--charset", "cp949"],
        ),
        (
            FeedFormat::NaverEp,
            "naver-ep",
            Charset::Utf16Le,
            Compression::Zstd,
            &[],
        ),
        (
            FeedFormat::GoogleTsv,
            "google",
            Charset::Utf8,
            Compression::Zip,
            &[],
        ),
        (
            FeedFormat::Rss,
            "google",
            Charset::Utf8,
            Compression::None,
            &[],
        ),
        (
            FeedFormat::Atom,
            "google",
            Charset::Utf8,
            Compression::Gzip,
            &[],
        ),
    ] {
        let (model, file) = feed_file(dir.path(), format, charset, compression);
        let args = [&["try", "feed", &file, "--format", name, "--json"], more].concat();
        let report = trawler(&args).with_code(0).json();
        assert_eq!(report["rows"], 25, "{format:?}: {report:#}");
        assert_eq!(report["rejected"], 0, "{format:?}: {report:#}");
        assert_eq!(report["complete"], true, "{format:?}: {report:#}");
        assert!(report["charset"].is_string(), "{format:?}: {report:#}");
        let sample = report["sample"].as_array().unwrap();
        assert!(!sample.is_empty(), "{format:?}");
        for (found, product) in sample.iter().zip(model.products(0)) {
            assert_eq!(found["id"], *product.id, "{format:?}");
            assert_eq!(found["title"], *product.title, "{format:?}");
            assert_eq!(found["link"], *product.link, "{format:?}");
            assert_eq!(found["image_link"], *product.image_link, "{format:?}");
            assert_eq!(found["price"]["currency"], "KRW", "{format:?}");
            assert!(found["price"]["amount_minor"].is_i64(), "{format:?}");
        }
    }
}

#[test]
fn try_feed_reads_csv_and_jsonl_of_well_known_fields() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        shown(&path).to_owned()
    };
    let csv = write(
        "a.csv",
        "id,title,price,link,image_link\na1,\"Cup, blue\",12.50 EUR,https://s.example/1,https://s.example/1.jpg\na2,,3.00 EUR,https://s.example/2,\n",
    );
    let jsonl = write(
        "a.jsonl",
        "{\"id\":\"a1\",\"title\":\"Cup, blue\",\"price\":\"12.50 EUR\",\"link\":\"https://s.example/1\",\"image_link\":\"https://s.example/1.jpg\"}\n{\"id\":\"a2\"\n",
    );
    for (file, format) in [(csv, "csv"), (jsonl, "jsonl")] {
        let ended = trawler(&["try", "feed", &file, "--format", format, "--json"]);
        let report = ended.json();
        assert_eq!(report["rows"], 1, "{report:#}");
        assert_eq!(report["rejected"], 1, "{report:#}");
        let sample = &report["sample"][0];
        assert_eq!(sample["title"], "Cup, blue");
        assert_eq!(sample["price"]["amount_minor"], 1250, "{report:#}");
        assert_eq!(sample["price"]["currency"], "EUR");
        // People see as much.
        let told = trawler(&["try", "feed", &file, "--format", format]);
        assert!(told.stdout.contains("1 rows, 1 rejected"), "{told:?}");
        assert_eq!(told.code, ended.code);
    }
    let caret = write(
        "a.txt",
        "id^title^price_pc^link\na1^\"24 inch^900^https://s.example/1\n",
    );
    let folder = Folder::new(&[], "");
    let feed = "format = \"csv\"\nmode = \"full\"\ncurrency = \"KRW\"\n\
        csv = { delimiter = \"^\", quote = \"\" }";
    folder.pipe(
        "caret",
        &pipe("https://shop.example/a.txt", feed, NO_IMAGES),
    );
    let ended = folder.trawler(&["try", "feed", &caret, "--format", "caret", "--json"]);
    let report = ended.with_code(0).json();
    assert_eq!(report["sample"][0]["title"], "\"24 inch", "{report:#}");
    let wrong = trawler(&["try", "feed", "x", "--format", "xlsx"]).with_code(2);
    assert!(wrong.stderr.contains("naver-ep"), "{wrong:?}");
    trawler(&["try", "feed", "absent.tsv", "--format", "csv"]).with_code(1);
}

#[test]
fn try_image_gives_every_input_its_status_and_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let mut png = Vec::new();
    image::RgbImage::from_fn(90, 60, |x, y| image::Rgb([x as u8, y as u8, 128]))
        .write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png)
        .unwrap();
    let cut = png[..png.len() / 2].to_vec();
    for (name, bytes, expected) in [
        ("whole", png, "stored"),
        ("cut", cut, "truncated"),
        (
            "page",
            b"<!doctype html><html></html>".to_vec(),
            "not_an_image",
        ),
        ("empty", Vec::new(), "not_an_image"),
    ] {
        let file = dir.path().join(name);
        fs::write(&file, &bytes).unwrap();
        let out = dir.path().join(format!("{name}-out"));
        let args = ["try", "image", shown(&file), "--out", shown(&out), "--json"];
        let code = if expected == "stored" { 0 } else { 3 };
        let report = trawler(&args).with_code(code).json();
        assert_eq!(report["status"], expected, "{name}: {report:#}");
        assert_eq!(report["sha256"].as_str().unwrap().len(), 64, "{report:#}");
        let variants = report["variants"].as_array().unwrap();
        if expected != "stored" {
            assert!(
                variants.is_empty() && report["reason"].is_string(),
                "{report:#}"
            );
            continue;
        }
        let facts = (&report["format"], &report["width"], &report["height"]);
        assert_eq!(facts, (&"png".into(), &90.into(), &60.into()));
        assert_eq!(variants.len(), 2, "thumb and large are the default");
        for variant in variants {
            let path = variant["path"].as_str().unwrap();
            let size = fs::metadata(path).unwrap().len();
            assert_eq!(variant["bytes"], size, "{path}");
            assert_eq!(variant["format"], "jpeg");
            for name in ["name", "width", "height"] {
                assert!(!variant[name].is_null(), "{name} of {variant}");
            }
        }
    }
    trawler(&["try", "image", "absent.png"]).with_code(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn try_reads_urls_only_where_hosts_are_let_in() {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        ..ShopSpec::new("try", 71, 9)
    })
    .await
    .unwrap();
    let product = shop.products(0).remove(0);
    let (host, feed) = (shop.addr().to_string(), shop.feed_url());
    let inputs = [
        (vec!["try", "feed", &*feed, "--format", "naver-ep"], "rows"),
        (vec!["try", "page", &*product.link], "product"),
        (vec!["try", "image", &*product.image_link], "status"),
    ];
    for (args, field) in inputs {
        let refused = trawler(&args).with_code(1);
        assert!(refused.stderr.contains("127.0.0.1"), "{refused:?}");
        assert_eq!(shop.stats().other.requests, 0);
        let allowed = [&args[..], &["--allow", &host, "--json"]].concat();
        let report = trawler(&allowed).with_code(0).json();
        assert!(!report[field].is_null(), "{report:#}");
    }
    let page = trawler(&["try", "page", &product.link, "--allow", &host, "--json"]).json();
    assert_eq!(
        page["product"]["title"]["value"], *product.title,
        "{page:#}"
    );
    assert_eq!(page["name"], *product.title, "{page:#}");
    assert_eq!(page["kind"], "product", "{page:#}");
    assert!(page["price"].is_string() && page["rules"]["price"].is_string());
    assert_eq!(
        page["product"]["price"]["value"]["amount_minor"], product.price_minor,
        "{page:#}"
    );
    // A page without product is told so, and by the exit code as well.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("about.html");
    fs::write(&file, "<html><body><p>About us</p></body></html>").unwrap();
    let none = trawler(&["try", "page", shown(&file), "--json"])
        .with_code(3)
        .json();
    assert!(none["product"].is_null() && !none["remarks"].as_array().unwrap().is_empty());
    shop.stop().await;
}

/// The names that programs go by, with a value each, and null for what a page
/// does not say.
#[test]
fn try_page_names_what_a_program_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page.html");
    let url = "https://shop.example/goods/77";
    let page = |offer: &str, more: &str, crumbs: &str| {
        let product = format!(
            r#"{{"@context":"https://schema.org","@type":"Product","name":"Thing","offers":{{"@type":"Offer",{offer}}}{more}}}"#
        );
        let text = format!(
            r#"<html><head><script type="application/ld+json">{product}</script>{crumbs}</head><body><h1>Thing</h1></body></html>"#
        );
        fs::write(&file, text).unwrap();
        trawler(&["try", "page", shown(&file), "--url", url, "--json"])
            .with_code(0)
            .json()
    };
    let more = r#","sku":"S-77","mpn":"M-77","gtin13":"4006381333931","brand":{"@type":"Brand","name":"Acme"},"description":"A thing.","image":["/a.jpg","https://cdn.example/b.jpg"]"#;
    let crumbs = r#"<script type="application/ld+json">{"@context":"https://schema.org","@type":"BreadcrumbList","itemListElement":[{"@type":"ListItem","position":1,"name":"Home"},{"@type":"ListItem","position":2,"name":"Things"}]}</script>"#;
    let list = r#""price":"1234.50","priceCurrency":"EUR","availability":"https://schema.org/OutOfStock","priceSpecification":{"@type":"UnitPriceSpecification","priceType":"https://schema.org/ListPrice","price":"1500","priceCurrency":"EUR"}"#;
    let full = page(list, more, crumbs);
    for (name, expected) in [
        ("url", serde_json::json!(url)),
        ("name", "Thing".into()),
        ("price", "1234.50".into()),
        ("regularPrice", "1500.00".into()),
        ("currency", "EUR".into()),
        ("availability", "OutOfStock".into()),
        ("sku", "S-77".into()),
        ("mpn", "M-77".into()),
        ("gtin", "4006381333931".into()),
        ("brand", "Acme".into()),
        ("description", "A thing.".into()),
        (
            "images",
            serde_json::json!(["https://shop.example/a.jpg", "https://cdn.example/b.jpg"]),
        ),
        ("breadcrumbs", serde_json::json!(["Home", "Things"])),
    ] {
        assert_eq!(full[name], expected, "{name}: {full:#}");
    }
    let won = r#""price":12000,"priceCurrency":"KRW","availability":"InStock""#;
    let bare = page(won, "", "");
    assert_eq!(bare["price"], "12000", "{bare:#}");
    assert_eq!(bare["availability"], "InStock", "{bare:#}");
    let absent = ["regularPrice", "sku", "mpn", "gtin", "brand", "description"];
    for name in absent {
        assert!(
            bare.get(name).is_some_and(serde_json::Value::is_null),
            "{name}: {bare:#}"
        );
    }
    for name in ["images", "breadcrumbs"] {
        assert_eq!(bare[name], serde_json::json!([]), "{name}: {bare:#}");
    }
    // Of a page that sells nothing every name is there as well.
    fs::write(&file, "<html><body><p>About us</p></body></html>").unwrap();
    let none = trawler(&["try", "page", shown(&file), "--url", url, "--json"])
        .with_code(3)
        .json();
    assert_eq!(none["url"], url, "{none:#}");
    for name in ["name", "price", "currency", "availability"]
        .iter()
        .chain(&absent)
    {
        assert!(
            none.get(name).is_some_and(serde_json::Value::is_null),
            "{name}: {none:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_backed_up_and_purged() {
    let folder = Folder::new(&[], SMALL_VARIANT);
    let feed = feed_table(FeedFormat::NaverEp);
    // Loopback is not let in: the run fails at once.
    folder.pipe("dead", &pipe("http://127.0.0.1:9/feed", &feed, NO_IMAGES));
    folder.run_pipe("dead").with_code(1);
    let job = text(&folder.dead_letters()[0], "job");
    let to = folder.path().join("dead.csv");
    folder
        .trawler(&["dlq", "backup", "--to", shown(&to)])
        .with_code(0);
    let written = fs::read_to_string(&to).unwrap();
    assert!(written.starts_with("job,queue,pipe,"), "{written}");
    assert!(written.contains(&job), "{written}");
    // Nothing is overwritten.
    folder
        .trawler(&["dlq", "backup", "--to", shown(&to)])
        .with_code(1);
    folder
        .trawler(&["dlq", "purge", "--job", "another"])
        .with_code(0);
    assert_eq!(folder.dead_letters().len(), 1);
    folder
        .trawler(&["dlq", "purge", "--job", &job])
        .with_code(0);
    assert!(folder.dead_letters().is_empty());
}
