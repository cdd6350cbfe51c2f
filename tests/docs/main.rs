//! The documents against the code: what they name has to exist. Names are
//! looked up as text; that a named test holds what it says is its own matter.

#![allow(clippy::unwrap_used)]

mod fleet_tour;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Invariants of the design.
const INVARIANTS: u32 = 11;

/// Folders of the workspace without source of ours.
const PASSED: [&str; 3] = ["target", ".git", ".ci"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of all functions in the workspace's Rust files.
fn functions() -> BTreeSet<String> {
    let (mut folders, mut names) = (vec![root()], BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !PASSED.contains(&name) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                names.extend(text.lines().filter_map(function));
            }
        }
    }
    names
}

/// The function that a line of Rust declares.
fn function(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let declares = before
        .split_whitespace()
        .all(|word| word == "async" || word.starts_with("pub"));
    let name: String = after.chars().take_while(|c| is_word(*c)).collect();
    (declares && !name.is_empty()).then_some(name)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What stands between backticks and looks like the name of a test: a word of
/// lower case in at least three parts.
fn tests_named_in(text: &str) -> Vec<&str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.chars().all(|c| is_word(c) && !c.is_ascii_uppercase()))
        .filter(|word| word.matches('_').count() >= 2)
        .collect()
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let text = read("ARCHITECTURE.md");
    let (_, table) = text.split_once("## Invariants").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let functions = functions();
    let mut invariants = Vec::new();
    for line in table.lines() {
        let number = line
            .strip_prefix("| ")
            .and_then(|rest| rest.split_once(" |"))
            .and_then(|(number, _)| number.parse::<u32>().ok());
        let tests = tests_named_in(line);
        for test in &tests {
            assert!(
                functions.contains(*test),
                "ARCHITECTURE.md names the test {test}, and no Rust file has it"
            );
        }
        if let Some(number) = number {
            assert!(!tests.is_empty(), "invariant {number} names no test");
            invariants.push(number);
        }
    }
    assert_eq!(invariants, (1..=INVARIANTS).collect::<Vec<_>>());
}

/// The subcommands of a `clap` enum: its variants in kebab-case.
fn subcommands(args: &str, name: &str) -> BTreeSet<String> {
    let (_, body) = args.split_once(&format!("enum {name} {{")).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| {
            line.chars()
                .take_while(|c| is_word(*c))
                .collect::<String>()
                .to_lowercase()
        })
        .collect()
}

/// The words after `trawler` or `demo --` of a command, without the global
/// options before the subcommand.
fn command_words(text: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("trawler ") {
        let command = text[..at].ends_with(['`', '\n', ' ', '$']);
        let line = text[at..].lines().next().unwrap_or_default();
        let line = line.split(['`', '#', '|']).next().unwrap_or_default();
        let mut words = line.split_whitespace().skip(1).peekable();
        while words.peek() == Some(&"-C") {
            words.nth(1);
        }
        let words: Vec<&str> = words.collect();
        if command && !words.is_empty() {
            found.push(words);
        }
    }
    found
}

#[test]
fn every_command_in_the_readme_is_one() {
    let (readme, args) = (read("README.md"), read("cli/src/args.rs"));
    let commands = subcommands(&args, "Command");
    let nested = [
        ("try", subcommands(&args, "TryCommand")),
        ("fleet", subcommands(&args, "FleetCommand")),
        (
            "dlq",
            subcommands(&read("cli/src/args/dlq.rs"), "DlqCommand"),
        ),
        (
            "maintenance",
            subcommands(&read("cli/src/args/maintenance.rs"), "MaintenanceCommand"),
        ),
    ];
    assert!(commands.contains("run"), "found {commands:?}");
    let mut seen = BTreeSet::new();
    for words in command_words(&readme) {
        let command = words[0];
        assert!(
            commands.contains(command),
            "README.md says `trawler {}`; there are {commands:?}",
            words.join(" ")
        );
        seen.insert(command);
        for (outer, inner) in &nested {
            if command == *outer {
                let step = words.get(1).copied().unwrap_or_default();
                assert!(
                    inner.contains(step),
                    "README.md says `trawler {command} {step}`; there are {inner:?}"
                );
            }
        }
    }
    assert!(seen.len() >= 5, "only {seen:?} were recognised");
}

#[test]
fn every_file_that_the_documents_link_to_is_there() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(
                root().join(path).exists(),
                "{document} links to {path}, which is not there"
            );
        }
    }
}
