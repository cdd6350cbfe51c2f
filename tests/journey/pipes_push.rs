//! Pipes reach a fleet in published sets: whole or not at all, named by their
//! content, and kept by the runs that were planned with them.

use std::thread;

use serde_json::Value;

use crate::fleet::Fleet;
use crate::look::text;
use crate::server::{Answer, Server};
use crate::support::pipe;

const NO_IMAGES: &str = "[images]\ncollect = false\n";

fn feed(title: &str) -> String {
    format!(
        "id\ttitle\tprice_pc\tlink\tcategory_name1\n1\t{title}\t10\thttps://a.example/1\tBooks\n"
    )
}

/// A partner with two feeds, and a fleet that may reach it.
fn partner(name: &str) -> (Server, Fleet) {
    let server = Server::start(|path| Answer::of(feed(path)));
    let fleet = Fleet::new(name, &[server.host()]);
    (server, fleet)
}

fn write_pipe(fleet: &Fleet, server: &Server, path: &str) {
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    fleet
        .folder
        .pipe("shop", &pipe(&server.url(path), feed, NO_IMAGES));
}

#[test]
fn a_run_keeps_its_set_while_a_newer_one_is_current() {
    let (server, fleet) = partner("keeps-set");
    write_pipe(&fleet, &server, "/old");
    fleet.write("mappings/category.csv", "from,to\nBooks,Old shelf\n");
    let old = fleet.push();
    assert_eq!(fleet.tick()["runs_planned"], 1);
    write_pipe(&fleet, &server, "/new");
    fleet.write("mappings/category.csv", "from,to\nBooks,New shelf\n");
    let new = fleet.push();
    assert_ne!(old, new);

    let crawler = fleet.start(&["crawl"]);
    let runs = fleet.until_runs_end(1);
    assert_eq!(runs[0]["phase"], "finished", "{runs:#?}");
    assert_eq!(runs[0]["pipe_set"], old.as_str(), "{runs:#?}");
    let row = |fleet: &Fleet| fleet.json(&["products", "--pipe", "shop"])["products"][0].clone();
    let found = row(&fleet);
    assert_eq!(text(&found, "title"), "/old", "{found:#}");
    assert_eq!(text(&found, "category_mapped"), "Old shelf", "{found:#}");

    // The next run is of the newer set.
    fleet
        .trawler(&["run", "--once", "--pipe", "shop"])
        .with_code(0);
    let found = row(&fleet);
    assert_eq!(text(&found, "title"), "/new", "{found:#}");
    assert_eq!(text(&found, "category_mapped"), "New shelf", "{found:#}");
    assert_eq!(fleet.json(&["runs"])[0]["pipe_set"], new.as_str());
    assert_eq!(crawler.leave(), 0);
}

#[test]
fn sets_are_named_by_content_listed_compared_and_rolled_back() {
    let (server, fleet) = partner("history");
    write_pipe(&fleet, &server, "/one");
    let one = fleet.push();
    assert_eq!(fleet.push(), one, "the same content has the same name");
    write_pipe(&fleet, &server, "/two");
    fleet.write("mappings/brand.csv", "from,to\nA,B\n");
    let two = fleet.push();

    let numbers = |history: &Value| -> Vec<(u64, String)> {
        let entries = history.as_array().unwrap().iter();
        entries
            .map(|entry| (entry["number"].as_u64().unwrap(), text(entry, "set")))
            .collect()
    };
    let history = fleet.json(&["pipes", "history"]);
    assert_eq!(numbers(&history), [(2, two.clone()), (1, one.clone())]);
    assert_eq!(history[0]["parent"], one.as_str());
    assert_eq!(history[0]["by"], "ann");

    let differences = fleet.json(&["pipes", "diff", &one[..8]]);
    let told = differences.to_string();
    assert!(told.contains("/one") && told.contains("/two"), "{told}");
    assert_eq!(differences[1]["what"], "table brand.csv", "{told}");
    assert_eq!(differences[1]["kind"], "added", "{told}");

    let shown = fleet.trawler(&["pipes", "show", &one[..8], "--pipe", "shop"]);
    assert!(shown.with_code(0).stdout.contains("/one"));

    fleet
        .trawler(&["pipes", "rollback", &one[..8]])
        .with_code(0);
    let history = fleet.json(&["pipes", "history"]);
    let expected = [(3, one.clone()), (2, two), (1, one.clone())];
    assert_eq!(numbers(&history), expected);
    assert_eq!(fleet.json(&["status"])["pipe_set"], one.as_str());
}

#[test]
fn what_is_wrong_is_not_published() {
    let (server, fleet) = partner("wrong-push");
    write_pipe(&fleet, &server, "/one");
    let one = fleet.push();
    let refused = |args: &[&str], parts: &[&str]| {
        let ended = fleet.trawler(args).with_code(2);
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?} is not in: {ended:?}");
        }
        assert_eq!(fleet.json(&["status"])["pipe_set"], one.as_str());
    };
    let push = ["pipes", "push"];
    fleet.folder.pipe("odd", "[source]\nkind = \"ftp\"\n");
    refused(&push, &["pipes/odd.toml:2", "ftp"]);
    let relative = "[source]\nkind = \"file\"\npath = \"feeds/a.tsv\"\n[feed]\nformat = \"naver-ep\"\nmode = \"full\"\n[schedule]\ncron = \"0 3 * * *\"\n";
    fleet.folder.pipe("odd", relative);
    refused(&push, &["source.path", "feeds/a.tsv", "absolute"]);
    let fixed = relative.replace("feeds/a.tsv", "/feeds/a.tsv") + "[fetch]\negress = \"fixed\"\n";
    fleet.folder.pipe("odd", &fixed);
    refused(&push, &["fetch.egress", "net.fixed_egress"]);
    std::fs::remove_file(fleet.folder.path().join("pipes/odd.toml")).unwrap();
    fleet.write("mappings/category.csv", "no,header,of,ours\n");
    refused(&push, &["category.csv"]);
    refused(
        &["pipes", "show", "ffffffff"],
        &["no set starts with ffffffff"],
    );
    refused(&["pipes", "rollback", "xyz"], &["hex digits"]);
}

#[test]
fn of_pushes_at_once_none_is_lost_unseen() {
    let (server, fleet) = partner("many-pushes");
    write_pipe(&fleet, &server, "/start");
    let start = fleet.push();
    let folders: Vec<tempfile::TempDir> = (0..4)
        .map(|n| {
            let folder = tempfile::tempdir().unwrap();
            let feed = "format = \"naver-ep\"\nmode = \"full\"";
            let text = pipe(&server.url(&format!("/{n}")), feed, NO_IMAGES);
            std::fs::create_dir(folder.path().join("pipes")).unwrap();
            std::fs::write(folder.path().join("pipes/shop.toml"), text).unwrap();
            folder
        })
        .collect();
    let ended: Vec<_> = thread::scope(|scope| {
        let pushes: Vec<_> = folders
            .iter()
            .map(|folder| {
                let folder = folder.path().to_str().unwrap();
                scope.spawn(|| {
                    let args = ["pipes", "push", folder, "--parent", &start, "--json"];
                    fleet.trawler(&args)
                })
            })
            .collect();
        pushes
            .into_iter()
            .map(|push| push.join().unwrap())
            .collect()
    });
    let won: Vec<_> = ended.iter().filter(|ended| ended.code == Some(0)).collect();
    assert_eq!(won.len(), 1, "{ended:#?}");
    for lost in ended.iter().filter(|ended| ended.code != Some(0)) {
        assert_eq!(lost.code, Some(1), "{lost:?}");
        assert!(
            lost.stderr.contains("somebody published meanwhile"),
            "{lost:?}"
        );
    }
    let current = &won[0].json()["current"]["set"];
    assert_eq!(&fleet.json(&["status"])["pipe_set"], current);
    assert_eq!(
        fleet.json(&["pipes", "history"]).as_array().unwrap().len(),
        2
    );
}
