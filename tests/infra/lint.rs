//! cfn-lint and checkov find nothing in the template that is not explained in
//! it.

use std::collections::BTreeSet;

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

#[test]
fn checkov_finds_nothing_that_is_not_explained() {
    let mut command = lint("checkov");
    command
        .args(["--framework", "cloudformation", "--output", "json"])
        .args(["--compact", "--skip-download", "--file"])
        .arg(root().join("infra/trawler.yaml"));
    let (_, printed) = said(&mut command);
    let begin = printed.find('{').unwrap_or_else(|| panic!("{printed}"));
    let mut values = serde_json::Deserializer::from_str(&printed[begin..]).into_iter::<Value>();
    let report = values.next().unwrap().unwrap();
    let failed = report["results"]["failed_checks"].as_array().unwrap();
    let failed: Vec<String> = failed
        .iter()
        .map(|check| {
            format!(
                "{} {} ({})",
                check["check_id"], check["resource"], check["check_name"]
            )
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let passed = report["summary"]["passed"].as_u64().unwrap();
    assert!(passed > 50, "it looked at {passed} things only");
    let skipped = report["results"]["skipped_checks"].as_array().unwrap();
    let skipped: BTreeSet<(String, String)> = skipped
        .iter()
        .map(|check| {
            let resource = text(&check["resource"]);
            let (_, resource) = resource.rsplit_once('.').unwrap();
            (resource.to_owned(), text(&check["check_id"]))
        })
        .collect();
    let explained = explained().into_iter();
    let explained: BTreeSet<_> = explained
        .map(|(resource, check, _)| (resource, check))
        .collect();
    assert_eq!(skipped, explained, "found, and explained");
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
