//! The whole job on real input: 200 book pages and 109 images that nobody here
//! wrote, as a Naver EP feed and as a Google Merchant feed.
//!
//! The files are not part of this tree; where they are absent the test says so
//! and passes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use trawler_crawler::page;
use url::Url;

use crate::look::{assert_same, text};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

/// Files that cannot be stored, and what is told of them. Every other file is
/// stored.
const REFUSED: &[(&str, &str)] = &[
    ("65536-uint32-limit.png", "too_large"),
    ("corrupt-header.jpg", "truncated"),
    ("peacock.default.truncated.jpeg", "truncated"),
    ("peacock.progressive.truncated.jpeg", "truncated"),
    ("pitm.avif", "unsupported_format"),
    ("testimgl.jpg", "unsupported_format"),
    ("truncated.jpg", "truncated"),
    ("truncated.png", "truncated"),
];

/// Sources up to this size are given to several products; the larger ones to
/// one product each, since decoding them unoptimised takes its time.
const SHARED_BYTES_MAX: u64 = 8 * 1024;

/// Categories of the books, and the node of a real shop's tree that each is
/// mapped to.
const MAPPED: &[(&str, &str)] = &[
    ("Books > Music", "Music (CDs & Vinyl)"),
    ("Books > Health", "Health, Fitness & Beauty"),
    ("Books > Business", "Business & Office"),
    ("Books > Science", "Science & Discovery"),
];

/// The folder of real input: `TRAWLER_REAL`, or beside the checkout.
fn real() -> Option<PathBuf> {
    let root = std::env::var_os("TRAWLER_REAL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real"),
        PathBuf::from,
    );
    if root.is_dir() {
        return Some(root);
    }
    let is_required = std::env::var("TRAWLER_REAL_REQUIRED").is_ok_and(|word| word == "1");
    assert!(!is_required, "there is no {}", root.display());
    // Past the test's captured output, which nobody reads of a test that passes.
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    drop(writeln!(
        std::io::stderr(),
        "SKIPPED {test}: there is no {}; TRAWLER_REAL says where real input lies",
        root.display()
    ));
    None
}

#[derive(Debug, Clone)]
struct Book {
    upc: String,
    title: String,
    pence: i64,
    category: String,
    in_stock: bool,
    link: String,
    /// File name of its image.
    image: String,
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.find(start)? + start.len();
    let length = text[from..].find(end)?;
    Some(text[from..from + length].trim())
}

fn book(file: &Path, images: &[String], n: usize) -> Book {
    let bytes = fs::read(file).unwrap();
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let url = Url::parse(&format!("https://books.example/catalogue/{stem}.html")).unwrap();
    let product = page::extract(&bytes, None, &url)
        .product
        .expect("a product");
    let price = product.price.expect("a price").value;
    assert_eq!(price.currency.as_str(), "GBP");
    let html = String::from_utf8(bytes).unwrap();
    let crumbs = between(&html, "<ul class=\"breadcrumb\">", "<li class=\"active\">").unwrap();
    let category = crumbs.rsplit("html\">").next().unwrap();
    Book {
        upc: between(&html, "<th>UPC</th><td>", "<").unwrap().to_owned(),
        title: product.title.expect("a title").value,
        pence: price.amount_minor,
        category: category.split('<').next().unwrap().trim().to_owned(),
        in_stock: between(&html, "<th>Availability</th>", "</tr>")
            .unwrap()
            .contains("In stock"),
        link: url.to_string(),
        image: images[n % images.len()].clone(),
    }
}

/// The images by name. The first list has all of them once.
struct Images {
    files: BTreeMap<String, PathBuf>,
    all_then_small: Vec<String>,
}

fn images(root: &Path, products: usize) -> Images {
    let mut files = BTreeMap::new();
    for folder in ["photos", "formats"] {
        for entry in fs::read_dir(root.join("images").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            files.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), path);
        }
    }
    let small = |name: &&String| fs::metadata(&files[*name]).unwrap().len() <= SHARED_BYTES_MAX;
    let all_then_small = files
        .keys()
        .chain(files.keys().filter(small).cycle())
        .take(products)
        .cloned()
        .collect();
    Images {
        files,
        all_then_small,
    }
}

fn naver(books: &[Book], images: &str) -> Vec<u8> {
    let mut feed =
        "id\ttitle\tprice_pc\tlink\timage_link\tcategory_name1\tcategory_name2\tcondition\n"
            .to_owned();
    for book in books {
        feed.push_str(&format!(
            "{}\t{}\t{}.{:02}\t{}\t{images}/{}\tBooks\t{}\t신상품\n",
            book.upc,
            book.title,
            book.pence / 100,
            book.pence % 100,
            book.link,
            book.image,
            book.category
        ));
    }
    feed.into_bytes()
}

/// UTF-16 with a byte order mark, quoted as spreadsheets do.
fn google(books: &[Book], images: &str) -> Vec<u8> {
    let mut feed =
        "id\ttitle\tlink\timage_link\tprice\tavailability\tproduct_type\tcondition\n".to_owned();
    for book in books {
        feed.push_str(&format!(
            "{}\t\"{}\"\t{}\t{images}/{}\t{}.{:02} GBP\t{}\tBooks > {}\tnew\n",
            book.upc,
            book.title.replace('"', "\"\""),
            book.link,
            book.image,
            book.pence / 100,
            book.pence % 100,
            if book.in_stock {
                "in_stock"
            } else {
                "out_of_stock"
            },
            book.category
        ));
    }
    let units = std::iter::once(0xFEFF).chain(feed.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// `mappings/category.csv` from a real category tree.
fn write_mapping(folder: &Folder, root: &Path) -> BTreeMap<String, String> {
    let tree: Vec<Value> =
        serde_json::from_slice(&fs::read(root.join("mapping/categories.json")).unwrap()).unwrap();
    let mut table = "from,to\n".to_owned();
    let mut mapped = BTreeMap::new();
    for (from, node) in MAPPED {
        let found = tree.iter().find(|found| found["name"] == *node);
        let found = found.unwrap_or_else(|| panic!("the tree has no {node:?}"));
        let levels = found["path"].as_array().unwrap().iter();
        let names: Vec<&str> = levels.filter_map(|level| level["name"].as_str()).collect();
        let to = names.join(" > ");
        table.push_str(&format!("{from},\"{to}\"\n"));
        mapped.insert(from.replace(" > ", ">"), to);
    }
    fs::create_dir(folder.path().join("mappings")).unwrap();
    fs::write(folder.path().join("mappings/category.csv"), table).unwrap();
    mapped
}

#[test]
fn real_pages_and_images_pass_through_the_whole_job() {
    let Some(root) = real() else { return };
    let mut pages: Vec<PathBuf> = fs::read_dir(root.join("books"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "html")
        })
        .collect();
    pages.sort();
    assert_eq!(pages.len(), 200);
    let images = images(&root, pages.len());
    let books: Vec<Book> = pages
        .iter()
        .enumerate()
        .map(|(n, page)| book(page, &images.all_then_small, n))
        .collect();
    // The second feed shares the small images alone.
    let small = &images.all_then_small[images.files.len()..];
    let again: Vec<Book> = books
        .iter()
        .zip(small.iter().cycle())
        .map(|(book, image)| Book {
            image: image.clone(),
            ..book.clone()
        })
        .collect();

    let files = images.files.clone();
    let pictures = Server::start(
        move |path| match files.get(path.trim_start_matches("/img/")) {
            Some(file) => Answer::of(fs::read(file).unwrap()),
            None => Answer::not_found(),
        },
    );
    let feeds: Arc<BTreeMap<&str, Vec<u8>>> = Arc::new(BTreeMap::from([
        ("/naver.tsv", naver(&books, &pictures.url("/img"))),
        ("/google.tsv", google(&again, &pictures.url("/img"))),
    ]));
    let served = Arc::clone(&feeds);
    let shop = Server::start(move |path| {
        served
            .get(path)
            .map_or_else(Answer::not_found, |body| Answer::of(body.clone()))
    });

    let variants = "[[images.variants]]\nname = \"list\"\nwidth = 96\nheight = 96\nfit = \"contain\"\nformat = \"jpeg\"\nquality = 75\n";
    let folder = Folder::new(&[shop.host(), pictures.host()], variants);
    let mapped = write_mapping(&folder, &root);
    let naver_feed = "format = \"naver-ep\"\nmode = \"full\"\ncurrency = \"GBP\"";
    let google_feed = "format = \"google\"\nmode = \"full\"";
    folder.pipe("naver", &pipe(&shop.url("/naver.tsv"), naver_feed, ""));
    folder.pipe("google", &pipe(&shop.url("/google.tsv"), google_feed, ""));
    folder.trawler(&["run", "--once"]).with_code(0);

    for (id, books) in [("naver", &books), ("google", &again)] {
        let rows = folder.rows(id);
        check_products(&rows, books);
        check_categories(&folder, id, &rows, books, &mapped);
        check_images(&folder, &rows, books);
    }
    for (id, row) in folder.rows("google") {
        let book = again.iter().find(|book| book.upc == id).unwrap();
        let expected = if book.in_stock {
            "in_stock"
        } else {
            "out_of_stock"
        };
        assert_eq!(row["availability"], expected);
    }
    // The day after, both are as they were.
    for id in ["naver", "google"] {
        let run = folder.run_pipe(id).with_code(0).json();
        assert_eq!(run["figures"]["rows_rewritten"], 0);
        assert_eq!(run["figures"]["image_bytes_up"], 0);
    }
}

fn check_products(rows: &BTreeMap<String, Value>, books: &[Book]) {
    type Facts = (String, i64, String, String);
    let expected: BTreeMap<String, Facts> = books
        .iter()
        .map(|book| {
            let facts = (
                book.title.clone(),
                book.pence,
                "GBP".to_owned(),
                book.link.clone(),
            );
            (book.upc.clone(), facts)
        })
        .collect();
    let found = rows.iter().map(|(id, row)| {
        let price = row["price_minor"].as_i64().unwrap();
        (
            id.clone(),
            (
                text(row, "title"),
                price,
                text(row, "currency"),
                text(row, "link"),
            ),
        )
    });
    assert_same(&found.collect(), &expected);
}

fn check_categories(
    folder: &Folder,
    pipe: &str,
    rows: &BTreeMap<String, Value>,
    books: &[Book],
    mapped: &BTreeMap<String, String>,
) {
    let mut unmapped = 0;
    for book in books {
        let path = format!("Books>{}", book.category);
        let row = &rows[&book.upc];
        assert_eq!(text(row, "category_path"), path, "{row:#}");
        let expected = mapped.get(&path).cloned().unwrap_or_default();
        assert_eq!(text(row, "category_mapped"), expected, "{row:#}");
        unmapped += u32::from(expected.is_empty());
    }
    assert!(usize::try_from(unmapped).unwrap() < books.len());
    let remarks = folder.last_run(pipe)["remarks"].to_string();
    let said = format!("{unmapped} row(s) with unmapped categories");
    assert!(remarks.contains(&said), "{said:?} is not in {remarks}");
}

fn check_images(folder: &Folder, rows: &BTreeMap<String, Value>, books: &[Book]) {
    let refused: BTreeMap<&str, &str> = REFUSED.iter().copied().collect();
    for book in books {
        let row = &rows[&book.upc];
        let status = text(row, "image_status");
        let Some(expected) = refused.get(&*book.image) else {
            assert_eq!(status, "stored", "{}: {row:#}", book.image);
            let variants = row["image_variants"].as_array().unwrap();
            assert_eq!(variants.len(), 1, "{}", book.image);
            let variant = &variants[0];
            let bytes = fs::read(folder.blobs().join(text(variant, "key"))).unwrap();
            assert_eq!(bytes[..2], [0xFF, 0xD8], "{} is a JPEG", book.image);
            let size = trawler_image_worker::try_image(
                &bytes,
                &[],
                trawler_image_worker::Limits::default(),
                &trawler_core::image_policy::ImagePolicy::default(),
            );
            let report = size.unwrap().report;
            assert_eq!(report.status.as_str(), "stored", "{}", book.image);
            let told = |name: &str| variant[name].as_u64().and_then(|px| u32::try_from(px).ok());
            assert_eq!(
                (report.width, report.height),
                (told("width"), told("height"))
            );
            continue;
        };
        assert_eq!(status, *expected, "{}: {row:#}", book.image);
        assert!(!text(row, "image_reason").is_empty(), "{row:#}");
        assert_eq!(row["image_variants"], Value::Null, "{row:#}");
    }
}
