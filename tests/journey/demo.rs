//! `trawler demo`: the first thing that anybody runs.

use std::path::Path;

use serde_json::Value;

use crate::support::{Ended, TRAWLER};

fn demo(out: &Path, args: &[&str]) -> Ended {
    let mut command = std::process::Command::new(TRAWLER);
    command.arg("demo").arg("--out").arg(out).args(args);
    Ended::from(command.output().unwrap())
}

#[test]
fn the_second_run_of_the_demo_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let ended = demo(&out, &["--shops", "4", "--products", "12", "--json"]).with_code(0);
    let printed = ended.json();
    let (first, second) = (&printed["passes"][0], &printed["passes"][1]);
    assert_eq!(first["products"], 48, "{first:#}");
    assert_eq!(first["changes"], 48, "{first:#}");
    assert!(first["images_stored"].as_u64().unwrap() > 0, "{first:#}");
    assert_eq!(second["products"], 48, "{second:#}");
    for nothing in [
        "changes",
        "rows_rewritten",
        "image_bytes_up",
        "image_bytes_down",
        "image_bytes_sent",
        "images_stored",
    ] {
        assert_eq!(second[nothing], 0, "{nothing} of {second:#}");
    }
    assert!(
        second["image_requests_conditional"].as_u64().unwrap() > 0,
        "{second:#}"
    );
    assert_eq!(
        second["image_requests"], second["image_not_modified"],
        "{second:#}"
    );
    assert_eq!(second["log_entries"], 4, "one small entry a pipe");
    for run in first["runs"].as_array().unwrap() {
        assert_eq!(run["counts"]["rows"], 12, "{run:#}");
        assert_eq!(run["counts"]["rejected"], 0, "{run:#}");
        assert_eq!(run["remarks"], Value::Null, "nothing to mend: {run:#}");
    }
    for place in ["catalogue_dir", "images_dir", "sample_image", "folder"] {
        let path = printed[place].as_str().unwrap();
        assert!(Path::new(path).exists(), "{place}: {path}");
    }
}

#[test]
fn the_demo_says_where_things_lie_and_leaves_other_folders_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let shown = demo(&out, &["--shops", "1", "--products", "4"]).with_code(0);
    for part in [
        "rows rewritten 0, image bytes up 0, image bytes down 0",
        "The catalogue is a Delta table:",
        "The images are files",
        "products --pipe shop-1",
    ] {
        assert!(shown.stdout.contains(part), "{part:?} is not in {shown:?}");
    }
    for line in shown.stdout.lines() {
        let place = [
            "The catalogue is a Delta table: ",
            "The images are files, stored once by content: ",
            "  for example ",
        ]
        .iter()
        .find_map(|start| line.strip_prefix(start));
        if let Some(place) = place {
            assert!(Path::new(place).exists(), "{place}");
        }
    }
    // What the demo tells people to run works after it.
    let status = std::process::Command::new(TRAWLER)
        .arg("-C")
        .arg(&out)
        .args(["products", "--pipe", "shop-1", "--limit", "5"])
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");

    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("letter.txt"), "mine").unwrap();
    let refused = demo(&own, &["--shops", "1", "--products", "4"]).with_code(1);
    assert!(refused.stderr.contains("--out"), "{refused:?}");
    assert!(own.join("letter.txt").exists());
}
