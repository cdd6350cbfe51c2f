//! The documents against the code: what they name has to exist, and what they
//! name as a test has to be one. Names are looked up as text; that a named test
//! holds what it says is its own matter.

#![allow(clippy::unwrap_used)]

mod fleet_tour;
mod keys;
mod local_tour;
mod onboard_tour;
mod site_tour;
mod tour;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Invariants of the design.
const INVARIANTS: u32 = 11;

/// What people read.
const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "docs/crawl-a-shop.md",
    "docs/fuzzing.md",
    "docs/image-facts.md",
    "docs/onboard.md",
    "docs/onboard.ko.md",
    "docs/undo.md",
    "docs/withheld.md",
    "docs/simulator.md",
    "infra/README.md",
];

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

/// Functions of the workspace's Rust files, by what they are.
#[derive(Default)]
struct Functions {
    all: BTreeSet<String>,
    /// Those that the test harness runs, and the cases of the contract suites.
    tests: BTreeSet<String>,
}

impl Functions {
    fn read() -> Self {
        let (mut folders, mut found) = (vec![root()], Self::default());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if path.is_dir() && !PASSED.contains(&name) {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    found.take_up(&fs::read_to_string(&path).unwrap());
                }
            }
        }
        found.tests.extend(cases(&read("tests/contract/suite.rs")));
        found
    }

    fn take_up(&mut self, text: &str) {
        // Between the attribute and its function stand other attributes and
        // comments alone.
        let mut is_test = false;
        for line in text.lines() {
            let bare = line.trim();
            if bare == "#[test]" || bare.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(name) = function(bare) {
                if std::mem::take(&mut is_test) {
                    self.tests.insert(name.clone());
                }
                self.all.insert(name);
            } else if !bare.starts_with("//") && bare.ends_with(['{', '}', ';']) {
                is_test = false;
            }
        }
    }
}

/// The cases that the macros of the contract suites make tests of, each on a
/// line of its own.
fn cases(suite: &str) -> impl Iterator<Item = String> {
    let bare = suite.lines().map(|line| line.trim().trim_end_matches(','));
    bare.filter(|line| looks_like_a_test(line))
        .map(str::to_owned)
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

/// A word of lower case in at least four parts; settings and columns have fewer.
fn looks_like_a_test(word: &str) -> bool {
    let is_lower = |c: char| is_word(c) && !c.is_ascii_uppercase();
    word.chars().all(is_lower) && word.matches('_').count() >= 3
}

/// What stands between backticks and looks like the name of a test.
fn tests_named_in(text: &str) -> Vec<&str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| looks_like_a_test(word))
        .collect()
}

/// The text under a heading, to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let sections = text.split("\n## ");
    let mut of_heading = sections.filter(|section| section.starts_with(heading));
    let section = of_heading.next();
    section.unwrap_or_else(|| panic!("no heading begins with {heading:?}"))
}

/// Rows of the tables of a section, without their heads.
fn rows(section: &str) -> impl Iterator<Item = &str> {
    let lines = section.lines().zip(section.lines().skip(1).chain([""]));
    lines
        .filter(|(line, next)| line.starts_with("| ") && !next.starts_with("|---"))
        .map(|(line, _)| line)
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let text = read("ARCHITECTURE.md");
    let numbers = rows(section(&text, "Invariants")).map(|row| {
        let number = row.trim_start_matches("| ").split(" |").next();
        let number = number.and_then(|number| number.parse::<u32>().ok());
        assert!(!tests_named_in(row).is_empty(), "no test is named: {row}");
        number
    });
    assert!(numbers.eq((1..=INVARIANTS).map(Some)));
}

#[test]
fn every_row_of_what_happens_when_something_dies_names_tests() {
    let text = read("ARCHITECTURE.md");
    let rows: Vec<&str> = rows(section(&text, "When something dies")).collect();
    assert!(rows.len() >= 5, "{rows:?}");
    for row in rows {
        assert!(!tests_named_in(row).is_empty(), "no test is named: {row}");
    }
}

#[test]
fn what_is_named_as_a_test_is_one() {
    let functions = Functions::read();
    let mut wrong = Vec::new();
    for document in DOCUMENTS {
        for name in tests_named_in(&read(document)) {
            if functions.tests.contains(name) {
                continue;
            }
            wrong.push(match functions.all.contains(name) {
                true => format!("{document}: {name} is a function and no test"),
                false => format!("{document}: no Rust file has {name}"),
            });
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_what_the_harness_runs_is_a_test() {
    let mut found = Functions::default();
    found.take_up(
        "#[test]\n#[ignore = \"long\"]\n/// Why.\nfn a_b_c() {\n}\n\
         async fn d_e_f() {\n    let fine = 1;\n}\n\
         #[tokio::test(flavor = \"multi_thread\")]\nasync fn g_h_i() {\n}\n\
         #[test]\nmod odd {}\nfn j_k_l() {}",
    );
    let names: Vec<&str> = found.tests.iter().map(String::as_str).collect();
    assert_eq!(names, ["a_b_c", "g_h_i"]);
    assert_eq!(found.all.len(), 4);
    let suite = "[\n    one_more_case_here,\n    and_another_case_here,\n]\n    $case:ident,";
    assert!(cases(suite).eq(["one_more_case_here", "and_another_case_here"]));
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
            "pipe",
            subcommands(&read("cli/src/args/pipe.rs"), "PipeCommand"),
        ),
        (
            "dlq",
            subcommands(&read("cli/src/args/dlq.rs"), "DlqCommand"),
        ),
        (
            "images",
            subcommands(&read("cli/src/args/images.rs"), "ImagesCommand"),
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
                // Alone it is the role.
                let is_role = command == "images" && !step.starts_with(is_word);
                assert!(
                    is_role || inner.contains(step),
                    "README.md says `trawler {command} {step}`; there are {inner:?}"
                );
            }
        }
    }
    assert!(seen.len() >= 5, "only {seen:?} were recognised");
}

#[test]
fn every_file_that_the_documents_link_to_is_there() {
    for document in DOCUMENTS {
        let text = read(document);
        let folder = root().join(document).parent().unwrap().to_owned();
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(
                folder.join(path).exists(),
                "{document} links to {path}, which is not there"
            );
        }
    }
}
