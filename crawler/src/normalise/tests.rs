#![allow(clippy::unwrap_used)]
use super::*;

fn table(csv: &str) -> MappingTable {
    MappingTable::read(csv.as_bytes(), "map.csv").unwrap()
}

#[test]
fn pipe_rules_come_before_global_ones() {
    let pipe = table("from,to\nShoes,Footwear>Sneakers\n");
    let global = table("from,to\nShoes,Footwear\nHats,Headwear\n");
    let mut normaliser = Normaliser::new(vec![pipe, global], Vec::new());
    assert_eq!(normaliser.category("Shoes"), Some("Footwear>Sneakers"));
    assert_eq!(normaliser.category("Hats"), Some("Headwear"));
    assert_eq!(normaliser.category("Gloves"), None);
}

#[test]
fn exact_then_folded_then_longest_beginning() {
    let mut normaliser = Normaliser::new(
        vec![table(
            "from,to,note\nHome,house,\nHome > Garden,garden,x\nhome>garden>Lawn,lawn,\n\
             HOME,capitals,\n",
        )],
        Vec::new(),
    );
    let mut check = |path: &str, expected: Option<&str>| {
        assert_eq!(normaliser.category(path), expected, "{path}");
    };
    check("Home", Some("house"));
    check("HOME", Some("capitals"));
    check("home", Some("house"));
    check("Home>Garden", Some("garden"));
    check("home > GARDEN", Some("garden"));
    check("Home>Garden>Lawn>Mowers", Some("lawn"));
    check("Home>Kitchen>Pans", Some("house"));
    check("Homes", None);
    check("Home and Garden", None);
    check("", None);
}

#[test]
fn tables_are_validated() {
    let check = |csv: &[u8], said: &str| {
        let error = MappingTable::read(csv, "map.csv").unwrap_err().to_string();
        assert!(error.starts_with("map.csv"), "{error}");
        assert!(error.contains(said), "{error}");
    };
    check(b"", "`from` and `to`");
    check(b"old,new\na,b\n", "\"old,new\"");
    check(b"from,to\na,b\n,c\n", "map.csv:3: `from` is empty");
    check(b"from,to\na\n", "map.csv:2: `to` is empty");
    check(b"from,to\na,b\na,c\n", "map.csv:3: \"a\" already maps");
    check(b"from,to\na,\xff\n", "map.csv:2");
    let missing = MappingTable::load(std::path::Path::new("no/such/table.csv"));
    assert!(missing.unwrap_err().to_string().contains("table.csv"));
}

#[test]
fn repeated_and_marked_tables_are_fine() {
    assert_eq!(table("\u{feff}from,to\na,b\na,b\n").len(), 1);
}

#[test]
fn brands_are_folded_to_one_spelling() {
    let forms = CorporateForms::default();
    let check = |brand: &str, expected: &str| assert_eq!(fold(brand, &forms), expected, "{brand}");
    check("Samsung", "samsung");
    check("  SAMSUNG   Electronics ", "samsung electronics");
    check("ＳＡＭＳＵＮＧ", "samsung");
    check("(주)한빛상사", "한빛상사");
    check("㈜한빛상사", "한빛상사");
    check("한빛상사 주식회사", "한빛상사");
    check("Acme Co., Ltd.", "acme");
    check("Acme, Inc.", "acme");
    check("Zinc", "zinc");
    check("Inc.", "inc.");
    check("LG전자", "lg전자");
    check("", "");
}

#[test]
fn brand_rules_match_the_sent_and_the_folded_brand() {
    let brands = table("from,to\nsamsung electronics,Samsung\n삼성전자,Samsung\n");
    let mut normaliser = Normaliser::new(Vec::new(), vec![brands]);
    assert_eq!(normaliser.brand("삼성전자"), "Samsung");
    assert_eq!(normaliser.brand("(주)삼성전자"), "Samsung");
    assert_eq!(normaliser.brand("SAMSUNG ELECTRONICS Co., Ltd."), "Samsung");
    assert_eq!(normaliser.brand("Nike"), "nike");
    let unmapped = normaliser.unmapped_brands();
    assert_eq!(
        (unmapped.rows, unmapped.values[0].value.as_str()),
        (1, "Nike")
    );
}

#[test]
fn unmapped_values_are_counted_in_bounded_memory() {
    let mut normaliser = Normaliser::new(vec![table("from,to\nx,y\n")], Vec::new());
    for round in 0..20_000 {
        normaliser.category("frequent");
        normaliser.category(&format!("rare {round}"));
    }
    let report = normaliser.unmapped_categories();
    assert_eq!(report.rows, 40_000);
    assert_eq!(report.values[0].value, "frequent");
    let counted = report.values[0].rows;
    assert!(counted + report.short_by_max >= 20_000, "{counted}");
    assert!(report.values.len() <= 100);
}

#[test]
fn without_tables_nothing_is_unmapped() {
    let mut normaliser = Normaliser::default();
    assert_eq!(normaliser.category("Home"), None);
    assert_eq!(normaliser.brand("Nike"), "nike");
    assert_eq!(normaliser.unmapped_categories(), Unmapped::default());
    assert_eq!(normaliser.unmapped_brands(), Unmapped::default());
}

/// A real shop's category tree becomes a table, and all its paths map.
#[test]
fn a_real_category_tree_maps_whole() {
    let Some(file) = crate::real::real("mapping/categories.json") else {
        return;
    };
    let text = std::fs::read_to_string(&file).unwrap();
    let tree: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut csv_table = csv::Writer::from_writer(Vec::new());
    csv_table.write_record(["from", "to"]).unwrap();
    let mut rules: HashMap<String, String> = HashMap::new();
    for node in &tree {
        let names: Vec<&str> = node["path"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|level| level["name"].as_str())
            .map(str::trim)
            .collect();
        if names.is_empty() {
            continue;
        }
        let path = names.join(">");
        let id = node["id"].as_str().unwrap().to_owned();
        if let std::collections::hash_map::Entry::Vacant(free) = rules.entry(path.clone()) {
            csv_table.write_record([&path, &id]).unwrap();
            free.insert(id);
        }
    }
    let table = table(std::str::from_utf8(&csv_table.into_inner().unwrap()).unwrap());
    assert!(table.len() > 3_000, "{}", table.len());
    let mut normaliser = Normaliser::new(vec![table], Vec::new());
    for (path, id) in &rules {
        assert_eq!(normaliser.category(path), Some(id.as_str()), "{path}");
        let deeper = format!("{path}>something new");
        assert!(normaliser.category(&deeper).is_some(), "{deeper}");
    }
    assert_eq!(normaliser.unmapped_categories().rows, 0);
}
