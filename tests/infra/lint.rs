//! cfn-lint and checkov find nothing in the template that is not explained in
//! it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::root;
use crate::template::{template, text};
use crate::tools::{lint, said};

/// The default, and two whose lists of types differ from it.
const REGIONS: [&str; 3] = ["ap-northeast-2", "eu-west-1", "us-east-1"];

/// Letters of the shortest explanation that says anything.
const EXPLANATION_CHARS_MIN: usize = 40;

#[test]
fn cfn_lint_finds_nothing() {
    let mut command = lint("cfn-lint");
    command
        .arg("--template")
        .arg(root().join("infra/trawler.yaml"));
    command.arg("--regions").args(REGIONS);
    let (went_well, text) = said(&mut command);
    assert!(went_well, "{text}");
}

/// What checkov says of a file.
fn report(file: &Path) -> Value {
    let mut command = lint("checkov");
    command
        .args(["--framework", "cloudformation", "--output", "json"])
        .args(["--compact", "--skip-download", "--file"])
        .arg(file);
    let (_, printed) = said(&mut command);
    let begin = printed.find('{').unwrap_or_else(|| panic!("{printed}"));
    let mut values = serde_json::Deserializer::from_str(&printed[begin..]).into_iter::<Value>();
    let report = values.next().unwrap().unwrap();
    let passed = report["summary"]["passed"].as_u64().unwrap();
    assert!(passed > 50, "it looked at {passed} things only");
    report
}

/// Resource and check of what it found.
fn findings(report: &Value) -> BTreeSet<(String, String)> {
    let found = report["results"]["failed_checks"]
        .as_array()
        .unwrap()
        .iter();
    let found = found.map(|check| {
        let resource = text(&check["resource"]);
        let (_, resource) = resource.rsplit_once('.').unwrap();
        (resource.to_owned(), text(&check["check_id"]))
    });
    found.collect()
}

#[test]
fn checkov_finds_nothing_that_is_not_explained() {
    let report = report(&root().join("infra/trawler.yaml"));
    assert_eq!(findings(&report), BTreeSet::new());
}

/// What is to be skipped it does not look at: without the explanations, it
/// finds just what they explain.
#[test]
fn checkov_finds_all_that_is_explained() {
    let mut bare = template().clone();
    for (_, resource) in bare["Resources"].as_object_mut().unwrap() {
        if let Some(metadata) = resource.get_mut("Metadata") {
            metadata.as_object_mut().unwrap().remove("checkov");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bare.json");
    // It finds its way in a file by the lines.
    fs::write(&file, serde_json::to_string_pretty(&bare).unwrap()).unwrap();
    let report = report(&file);
    let explained = explained().into_iter();
    let explained: BTreeSet<_> = explained
        .map(|(resource, check, _)| (resource, check))
        .collect();
    assert_eq!(findings(&report), explained);
}

/// Each finding that is meant so: resource, check, explanation.
fn explained() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (name, resource) in template()["Resources"].as_object().unwrap() {
        let skips = resource["Metadata"]["checkov"]["skip"].as_array();
        for skip in skips.into_iter().flatten() {
            found.push((name.clone(), text(&skip["id"]), text(&skip["comment"])));
        }
    }
    found
}

#[test]
fn every_finding_that_is_meant_so_says_why() {
    for (resource, check, why) in explained() {
        assert!(
            why.len() >= EXPLANATION_CHARS_MIN && check.starts_with("CKV"),
            "{resource}: {check}: {why:?}"
        );
    }
}
