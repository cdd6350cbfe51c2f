//! Every item of a product-like type, wherever it occurs in the real pages,
//! beside what an established extractor reads of it. Where the two differ, the
//! table below says why; a difference that is new, or is there no longer,
//! fails. Where the pages are absent the test says so and passes.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::items::Reader;
use super::real_tests::files;
use super::remarks::Remarks;
use super::scan::{self, Syntax};
use super::value::{Value, local_name, type_name};
use super::*;
use crate::document::Document;
use crate::real::real;

/// Types whose items are compared.
const TYPES: &[&str] = &[
    "Product",
    "Offer",
    "AggregateOffer",
    "AggregateRating",
    "Book",
    "BreadcrumbList",
    "ProductGroup",
];

/// Pages that have a reference, and references to their RDFa.
const PAGES: usize = 55;
const EXPANDED: usize = 13;

/// References that are not named as their page is.
const NAMED_OTHERWISE: &[(&str, &str)] = &[
    (
        "schema.org/product_custom_url.json",
        "schema.org/product.html",
    ),
    (
        "schema.org/product_custom_url_and_node_id.json",
        "schema.org/product.html",
    ),
    (
        "schema.org/CreativeWork_flat.001.json",
        "schema.org/CreativeWork.001.html",
    ),
    (
        "schema.org/CreativeWork_flat_with_node_id.001.json",
        "schema.org/CreativeWork.001.html",
    ),
    (
        "misc/microformat_flat_test.json",
        "misc/microformat_test.html",
    ),
    ("misc/opengraph_flat_test.json", "misc/opengraph_test.html"),
    ("w3c/microdata.5.2.flat.json", "w3c/microdata.5.2.html"),
    ("w3c/microdata.5.2.withtext.json", "w3c/microdata.5.2.html"),
    ("w3c/microdata.7.1.flat.json", "w3c/microdata.7.1.html"),
];

/// What differs: the page (or reference), `-` for what only the reference has
/// and `+` for what only we have, and why that is right.
#[rustfmt::skip]
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("misc/opengraph_ns_product_test.html", "+Offer", META_ALONE),
    ("misc/opengraph_ns_product_test.html", "+Product", META_ALONE),
    ("schema.org/CreativeWork.001.json", "-.author.value=Stendhal", TEXT),
    ("schema.org/CreativeWork.001.json", "-.translationOfWork.value=Rouge et le noir", TEXT),
    ("schema.org/CreativeWork.001.json", "-.workTranslation.value=Red and Black : A New Translation, Backgrounds and Sources, Criticism", TEXT),
    ("schema.org/CreativeWork_flat.001.json", "-.author.value=Stendhal", TEXT),
    ("schema.org/CreativeWork_flat.001.json", "-.translationOfWork.value=Rouge et le noir", TEXT),
    ("schema.org/CreativeWork_flat.001.json", "-.workTranslation.value=Red and Black : A New Translation, Backgrounds and Sources, Criticism", TEXT),
    ("schema.org/CreativeWork_flat_with_node_id.001.json", "-.author.value=Stendhal", TEXT),
    ("schema.org/CreativeWork_flat_with_node_id.001.json", "-.translationOfWork.value=Rouge et le noir", TEXT),
    ("schema.org/CreativeWork_flat_with_node_id.001.json", "-.workTranslation.value=Red and Black : A New Translation, Backgrounds and Sources, Criticism", TEXT),
    ("schema.org/product_custom_url.json", "+.image=anvil_executive.jpg", RESOLVED),
    ("schema.org/product_custom_url.json", "-.image=http://some-example.com/anvil_executive.jpg", RESOLVED),
    ("schema.org/product_custom_url_and_node_id.json", "+.image=anvil_executive.jpg", RESOLVED),
    ("schema.org/product_custom_url_and_node_id.json", "-.image=http://some-example.com/anvil_executive.jpg", RESOLVED),
];

/// The page has microdata as well.
const META_ALONE: &str = "the reference is of the page's meta tags alone";

/// Of an item without properties the reference gives the text. Microdata has
/// no such value, and that of a linked work is not the product's.
const TEXT: &str = "an item without properties has no value";

/// The reference was made for a page of that host. Ours are resolved where a
/// product is read, with the URL that the page has then.
const RESOLVED: &str = "references are resolved after items are read";

/// An item as lines `property=value`, those of items in it behind their
/// property.
type Lines = BTreeSet<String>;

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Items of the compared types in a value of ours.
fn ours(value: &Value, types: &[&str], found: &mut Vec<Lines>) {
    match value {
        Value::List(list) => list.iter().for_each(|member| ours(member, types, found)),
        Value::Object(entries) => {
            if value.has_type(types) {
                let mut lines = Lines::new();
                our_lines(value, "", &mut lines);
                found.push(lines);
            }
            entries
                .iter()
                .for_each(|(_, member)| ours(member, types, found));
        }
        _ => {}
    }
}

fn our_lines(value: &Value, path: &str, lines: &mut Lines) {
    match value {
        Value::Null => {}
        Value::Bool(yes) => drop(lines.insert(format!("{path}={yes}"))),
        Value::Number(text) | Value::Text(text) => {
            let text = collapsed(text);
            lines.insert(format!("{path}={text}"));
        }
        Value::List(list) => list
            .iter()
            .for_each(|member| our_lines(member, path, lines)),
        Value::Object(entries) => {
            for (key, member) in entries {
                if key == "@context" {
                    continue;
                }
                if key == "@type" {
                    for name in value.types() {
                        lines.insert(format!("{path}@type={name}"));
                    }
                } else {
                    our_lines(member, &format!("{path}.{}", local_name(key)), lines);
                }
            }
        }
    }
}

/// Items of the compared types in a reference, which writes JSON-LD as it is
/// and microdata as objects with `type` and `properties`.
fn theirs(value: &Json, types: &[&str], found: &mut Vec<Lines>) {
    match value {
        Json::Array(list) => list.iter().for_each(|member| theirs(member, types, found)),
        Json::Object(entries) => {
            if types_of(value)
                .iter()
                .any(|name| types.contains(&name.as_str()))
            {
                let mut lines = Lines::new();
                their_lines(value, "", &mut lines);
                found.push(lines);
            }
            entries
                .iter()
                .for_each(|(_, member)| theirs(member, types, found));
        }
        _ => {}
    }
}

fn types_of(value: &Json) -> Vec<String> {
    let types = value.get("@type").or_else(|| value.get("type"));
    let types = match types {
        Some(Json::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let names = types.iter().filter_map(Json::as_str);
    names.map(|name| type_name(name).to_owned()).collect()
}

fn their_lines(value: &Json, path: &str, lines: &mut Lines) {
    match value {
        Json::Null => {}
        Json::String(text) => drop(lines.insert(format!("{path}={}", collapsed(text)))),
        Json::Bool(_) | Json::Number(_) => drop(lines.insert(format!("{path}={value}"))),
        Json::Array(list) => list
            .iter()
            .for_each(|member| their_lines(member, path, lines)),
        // A reference that RDFa says by attribute is a text of ours.
        Json::Object(entries) if entries.len() == 1 && entries.contains_key("@id") => {
            their_lines(&entries["@id"], path, lines);
        }
        Json::Object(entries) => {
            for name in types_of(value) {
                lines.insert(format!("{path}@type={name}"));
            }
            for (key, member) in entries {
                match key.as_str() {
                    // The reference's own marks are not of the page.
                    "@type" | "type" | "_nodeId_" | "@context" => {}
                    // A name that the reference gives what has none.
                    "@id" if member.as_str().is_some_and(|id| id.starts_with("_:")) => {}
                    "@value" => their_lines(member, path, lines),
                    "properties" => their_lines(member, path, lines),
                    "id" => their_lines(member, &format!("{path}.@id"), lines),
                    key => their_lines(member, &format!("{path}.{}", local_name(key)), lines),
                }
            }
        }
    }
}

/// Every item of the compared types on a page, in microdata, RDFa and JSON-LD.
fn items_of(path: &Path, wanted: &[&str]) -> Vec<Lines> {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let document = Document::parse(text);
    let mut found = Vec::new();
    for element in document.elements() {
        let syntaxes = [
            (
                Syntax::Microdata,
                "itemtype",
                element.attribute("itemscope"),
            ),
            (Syntax::Rdfa, "typeof", element.attribute("typeof")),
        ];
        for (syntax, attribute, scope) in syntaxes {
            let types = element.attribute(attribute).unwrap_or_default();
            let mut names = types.split_ascii_whitespace().map(type_name);
            if scope.is_some() && names.any(|name| wanted.contains(&name)) {
                let item = Reader::new(&document).item(element, syntax, 0);
                let mut lines = Lines::new();
                our_lines(&item, "", &mut lines);
                found.push(lines);
            }
        }
    }
    for block in scan::scan(&document, &mut Remarks::default()).json_ld {
        if let Some(parsed) = json::parse(&block).unwrap() {
            ours(&parsed.value, wanted, &mut found);
        }
    }
    found
}

/// References in the folder, each with its page.
fn pairs(folder: &Path) -> Vec<(String, PathBuf, PathBuf)> {
    let mut pairs = Vec::new();
    for page in files(folder) {
        // What is written as `expanded` is RDFa as JSON-LD.
        for extension in ["json", "jsonld", "expanded.json"] {
            let reference = page.with_extension(extension);
            if reference.is_file() {
                let name = reference.strip_prefix(folder).unwrap();
                pairs.push((name.display().to_string(), page.clone(), reference));
            }
        }
    }
    for (reference, page) in NAMED_OTHERWISE {
        pairs.push((
            (*reference).to_owned(),
            folder.join(page),
            folder.join(reference),
        ));
    }
    pairs
}

/// The item of ours that is most like one of theirs is compared with it; `met`
/// has the numbers of those that were.
fn differences(
    name: &str,
    theirs: &[Lines],
    ours: &[Lines],
    met: &mut BTreeSet<usize>,
) -> Vec<(String, String)> {
    let mut left: Vec<(usize, &Lines)> = ours.iter().enumerate().collect();
    let mut found = Vec::new();
    for their in theirs {
        let alike = left
            .iter()
            .enumerate()
            .max_by_key(|(at, (_, our))| (our.intersection(their).count(), std::cmp::Reverse(*at)));
        let our = match alike {
            Some((at, (_, our))) if our.intersection(their).next().is_some() => {
                let (number, our) = left.remove(at);
                met.insert(number);
                our.clone()
            }
            _ => Lines::new(),
        };
        let missing = their.difference(&our).map(|line| format!("-{line}"));
        let added = our.difference(their).map(|line| format!("+{line}"));
        found.extend(missing.chain(added).map(|line| (name.to_owned(), line)));
    }
    found
}

/// Items of ours that no reference of their page has, as `+` and their types.
fn extra(page: &str, ours: &[Lines], met: &BTreeSet<usize>) -> Vec<(String, String)> {
    let left = ours.iter().enumerate();
    let left = left.filter(|(number, _)| !met.contains(number));
    let types = |lines: &Lines| -> Vec<String> {
        let types = lines.iter().filter_map(|line| line.strip_prefix("@type="));
        types.map(str::to_owned).collect()
    };
    left.map(|(_, lines)| (page.to_owned(), format!("+{}", types(lines).join(" "))))
        .collect()
}

#[test]
fn product_like_items_agree_with_the_references() {
    let Some(folder) = real("structured") else {
        return;
    };
    let (mut items, mut expanded) = (0, 0);
    let mut found: Vec<(String, String)> = Vec::new();
    let mut pages: BTreeMap<PathBuf, Vec<(String, PathBuf)>> = BTreeMap::new();
    for (name, page, reference) in pairs(&folder) {
        expanded += usize::from(name.ends_with(".expanded.json"));
        pages.entry(page).or_default().push((name, reference));
    }
    assert_eq!(
        (pages.len(), expanded),
        (PAGES, EXPANDED),
        "pages with references"
    );
    for (page, references) in pages {
        let ours = items_of(&page, TYPES);
        let mut met = BTreeSet::new();
        for (name, reference) in references {
            let reference: Json = serde_json::from_slice(&fs::read(reference).unwrap()).unwrap();
            let mut expected = Vec::new();
            theirs(&reference, TYPES, &mut expected);
            items += expected.len();
            found.extend(differences(&name, &expected, &ours, &mut met));
        }
        let page = page.strip_prefix(&folder).unwrap().display().to_string();
        found.extend(extra(&page, &ours, &met));
    }
    assert!(items >= 30, "{items} items compared");
    found.sort();
    found.dedup();
    let known = |(name, line): &(String, String)| {
        DIFFERENCES
            .iter()
            .any(|(known, differs, _)| known == name && differs == line)
    };
    let new: Vec<_> = found.iter().filter(|found| !known(found)).collect();
    assert!(
        new.is_empty(),
        "differences that the table does not have: {new:#?}"
    );
    for (name, line, why) in DIFFERENCES {
        let there = found
            .iter()
            .any(|(known, found)| known == name && found == line);
        assert!(there, "{name}: {line} is no difference any more ({why})");
    }
}

/// What differs in the RDFa of persons, which no page of products has: names of
/// other vocabularies are of no use to us, and identifiers are resolved where
/// they are used.
const OF_PERSONS: &[(&str, &str)] = &[
    ("004", "+.@id=#manu"),
    ("004", "-.@id=http://www.example.com/index.html#manu"),
    ("005", "+.@id=#manu"),
    ("005", "+.ov:preferredAnimal=Liger"),
    ("005", "-.@id=http://www.example.com/index.html#manu"),
    ("005", "-.http://open.vocab.org/terms/preferredAnimal=Liger"),
];

/// None of the references to RDFa has a product, so that the same reading is
/// compared on what they have of schema.org.
#[test]
fn rdfa_of_persons_agrees_with_the_references() {
    let Some(folder) = real("structured/w3crdfa") else {
        return;
    };
    let mut found = Vec::new();
    for number in ["003", "004", "005"] {
        let page = folder.join(format!("w3c.rdfalite.example{number}.html"));
        let reference = fs::read(page.with_extension("expanded.json")).unwrap();
        let mut expected = Vec::new();
        theirs(
            &serde_json::from_slice(&reference).unwrap(),
            &["Person"],
            &mut expected,
        );
        let ours = items_of(&page, &["Person"]);
        assert_eq!((expected.len(), ours.len()), (1, 1), "{number}");
        assert!(expected[0].len() >= 3, "{expected:?}");
        found.extend(differences(number, &expected, &ours, &mut BTreeSet::new()));
    }
    let known = OF_PERSONS.iter();
    let known: BTreeSet<(String, String)> = known
        .map(|(number, line)| ((*number).to_owned(), (*line).to_owned()))
        .collect();
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), known);
}
