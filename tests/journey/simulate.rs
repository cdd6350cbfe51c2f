//! `simulate`: a report in every shape, and files that are wrong.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ended, TRAWLER};

/// The program in a folder that has nothing of Trawler's.
fn simulate(dir: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(TRAWLER);
    command.current_dir(dir).arg("simulate").args(args);
    Ended::from(command.output().unwrap())
}

const SMALL: [&str; 10] = [
    "--pipes",
    "100",
    "--products",
    "1000000",
    "--days",
    "2",
    "--workload",
    "daily",
    "--policy",
    "alarms,planner",
];

fn example_bill() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/examples/old-bill.csv")
}

#[test]
fn simulate_reports_as_text_as_data_and_as_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let bill = example_bill();
    let bill = bill.to_str().unwrap();
    let with = |more: &[&str]| {
        let args = [&SMALL[..], more].concat();
        simulate(dir.path(), &args).with_code(0)
    };
    let told = with(&["--bill", bill, "--html", "report.html"]).stdout;
    for part in [
        "planner",
        "alarms",
        "compared",
        "old bill",
        "ImageCrawler",
        "target",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("Beside the old bill") && page.contains("<svg"));

    let json = with(&["--bill", bill, "--json"]).json();
    let outcomes = json["sections"][0]["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[1]["policy"], "planner");
    assert!(outcomes[1]["runs"].as_u64().unwrap() >= 200);
    // 1,960 + 38 + 456 + 38: the servers that crawl and make images.
    assert_eq!(
        json["comparison"]["fleets"][0]["compared_usd_month"],
        2_492.0
    );
    assert_eq!(json["comparison"]["policy"], "planner");
    assert!(json["facts"]["facts"]["price.ipv4_hour"]["source"].is_string());
    assert_eq!(
        json,
        with(&["--bill", bill, "--json"]).json(),
        "the same seed"
    );
}

#[test]
fn simulate_takes_a_trace_and_prices_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put(
        "trace.csv",
        "pipe,at,seconds\ncups,2026-11-01T02:00:00Z,1800\nbowls,2026-11-01T02:00:00Z,1800\n",
    );
    put(
        "prices.toml",
        "[price.ipv4_hour]\nvalue = 0\nsource = \"addresses of our own\"\n",
    );
    let args = [
        "--trace",
        "trace.csv",
        "--prices",
        "prices.toml",
        "--policy",
        "keda",
        "--json",
    ];
    let json = simulate(dir.path(), &args).with_code(0).json();
    assert_eq!(json["sections"][0]["workload"], "trace");
    assert_eq!(json["sections"][0]["outcomes"][0]["runs"], 2);
    assert_eq!(
        json["facts"]["facts"]["price.ipv4_hour"]["source"],
        "addresses of our own"
    );
    // The same runs with and without prices of one's own.
    let usd = |json: &serde_json::Value, name: &str| {
        let of = &json["sections"][0]["outcomes"][0];
        let lines = of["bill"]["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["name"] == name);
        line.unwrap()["usd"].as_f64().unwrap()
    };
    let args = ["--trace", "trace.csv", "--policy", "keda", "--json"];
    let plain = simulate(dir.path(), &args).with_code(0).json();
    // Half an hour of one crawler, what it takes to boot and to go; no images.
    let paid_h = plain["sections"][0]["outcomes"][0]["crawl_instance_h"]
        .as_f64()
        .unwrap();
    assert!((0.5..0.7).contains(&paid_h), "{paid_h}");
    assert!((usd(&plain, "public IPv4") - paid_h * 0.005).abs() < 1e-9);
    assert_eq!(usd(&json, "public IPv4"), 0.0);
    for other in ["crawl instances", "disks of instances", "SQS"] {
        assert!(usd(&json, other) > 0.0, "{other}");
        assert_eq!(usd(&json, other), usd(&plain, other), "{other}");
    }

    // What is printed is what --prices takes.
    let facts = simulate(dir.path(), &["--facts"]).with_code(0).stdout;
    put("all.toml", &facts);
    let args = [
        "--trace",
        "trace.csv",
        "--prices",
        "all.toml",
        "--policy",
        "keda",
    ];
    simulate(dir.path(), &args).with_code(0);
}

#[test]
fn simulate_says_what_is_wrong_with_a_file_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let check = |option: &str, text: &str, expected: &str| {
        std::fs::write(dir.path().join("given"), text).unwrap();
        let ended = simulate(dir.path(), &[option, "given"]).with_code(2);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    };
    check(
        "--trace",
        "pipe,at,seconds\ncups,tomorrow,1\n",
        "given, line 2, column at: found \"tomorrow\"; give an instant such as 2026-11-01T17:15:00Z",
    );
    check(
        "--trace",
        "pipe,at,seconds\ncups,a\n",
        "given cannot be read as CSV",
    );
    check(
        "--prices",
        "[price.ipv5]\nvalue = 1\n",
        "given: there is no fact \"price.ipv5\"",
    );
    check(
        "--bill",
        "fleet,server,instances,type,purchase,usd_month\na,b,1,c,d,much\n",
        "given, line 2, column usd_month: found \"much\"",
    );
    let ended = simulate(dir.path(), &["--trace", "absent.csv"]).with_code(2);
    assert!(
        ended.stderr.contains("absent.csv: No such file"),
        "{}",
        ended.stderr
    );
    let ended = simulate(dir.path(), &["--policy", "hope"]).with_code(2);
    assert!(
        ended.stderr.contains("there is no policy \"hope\""),
        "{}",
        ended.stderr
    );
}
