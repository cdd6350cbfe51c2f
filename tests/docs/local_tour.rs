//! The README's tour on one machine, by its own lines, and what it prints; and
//! the pipes and errors that it shows. Only ports, the size of the demo and the
//! folders differ.

use std::fs;

use super::tour::{assert_printed, blocks, free_port, run};
use super::{read, section};

/// Synthetic products of a shop: what the demo shows does not depend on it.
const DEMO: &str = "trawler demo --products 30\n";

#[test]
fn the_local_tour_of_the_readme_runs_as_written_and_prints_what_it_shows() {
    let readme = read("README.md");
    let (_, tour) = readme.split_once("### The demo").unwrap();
    let (tour, _) = tour.split_once("## Run it as a fleet").unwrap();
    let script: String = blocks(tour, "sh").concat();
    assert!(script.contains("trawler demo\n"));
    let script = script
        .replace("8099", &free_port())
        .replace("trawler demo\n", DEMO);
    let ran = run(&script, &[]);
    // The demo is a smaller one, whose sizes have other units.
    assert_printed(tour, &ran, &["image bytes"]);
}

/// What a pipe has besides the tables that the README speaks of.
const REST: &str =
    "[source]\nkind = \"file\"\npath = \"feed\"\n\n[schedule]\ncron = \"15 3 * * *\"\n\n";

#[test]
fn the_pipes_and_tables_of_the_readme_pass_the_check() {
    let readme = read("README.md");
    let chapter = section(&readme, "Write a pipe");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["pipes", "mappings"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("trawler.toml"), "").unwrap();
    let pipes = blocks(chapter, "toml");
    for (at, text) in pipes.iter().enumerate() {
        let rest = if text.contains("[source]") { "" } else { REST };
        fs::write(
            path(&format!("pipes/readme-{at}.toml")),
            format!("{rest}{text}"),
        )
        .unwrap();
    }
    assert!(pipes.len() >= 7, "only {} pipes were found", pipes.len());
    for table in blocks(chapter, "csv") {
        fs::write(path("mappings/category.csv"), table).unwrap();
    }
    let said = run("trawler -C $folder check", &[("folder", folder.path())]);
    assert!(
        said.contains(&format!("ok, {} pipe(s)", pipes.len())),
        "{said}"
    );
}

#[test]
fn the_errors_of_the_readme_are_what_check_says() {
    let readme = read("README.md");
    let chapter = section(&readme, "Write a pipe");
    let shown = blocks(chapter, "text")
        .into_iter()
        .find(|block| block.contains("3 error(s)"))
        .unwrap();
    let script = "trawler init shop > /dev/null
        sed -i 's/^crawl_slots = 2/crawl_slots = 200/' shop/trawler.toml
        sed -i 's/^cron = .* \\*\"/cron = \"daily\"/; s/^rate_per_s = 10/rate_per_s = 0/' shop/pipes/example.toml
        trawler -C shop check || true";
    let said = run(script, &[]);
    assert!(
        said.contains(shown.trim_end()),
        "README.md shows\n{shown}\nand the program says\n{said}"
    );
}
