//! The README of `infra/` by its own lines, on the emulator: package, deploy,
//! the first run through the function and workers on what the stack made,
//! upgrade, a release that does not work, tear down. Different from AWS: the
//! endpoint; a partner on this machine; and workers that the test starts, since
//! the emulator's machines do nothing.

use std::path::Path;
use std::process::Command;

use trawler_tests::emulator::{Ministack, REGION};

use crate::tools::{aws, said};
use crate::tour::{blocks, free_port, run};
use crate::{read, root};

/// The partner's feed, and the processes that machines would be.
const PARTNER: &str = r#"
mkdir -p site
cat > site/cups.csv <<'END'
id,title,price,link,product_type,brand
1001,White cup,12000 KRW,http://127.0.0.1:@PORT@/1001,Kitchen > Cups,ACME Inc.
1002,Blue bowl,9500 KRW,http://127.0.0.1:@PORT@/1002,Kitchen > Bowls,acme
END
(cd site && exec python3 -m http.server @PORT@ --bind 127.0.0.1) >/dev/null 2>&1 &
"#;

const WORKERS: &str = r#"
sed -e 's|^dir = .*|dir = "scratch"|' -e '/^idle_exit_s/d' -e '/^\[capacity\]/,$d' fleet/trawler.toml > workers.toml
mkdir -p machine && cp workers.toml machine/trawler.toml
trawler -C machine crawl & crawl=$!
trawler -C machine images & images=$!
"#;

/// The emulator has machines that do nothing, and so do not leave either.
const MACHINES_LEAVE: &str = r#"
for group in crawl image; do
  aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$ENVIRONMENT-$group" \
    --query 'AutoScalingGroups[0].[AutoScalingGroupName,length(Instances)]' --output text
  aws autoscaling set-desired-capacity --auto-scaling-group-name "$ENVIRONMENT-$group" --desired-capacity 0
done
"#;

/// A program that starts and does not do what it should, put in as a release.
const BROKEN: &str = r#"
released > good
infra/package.sh fleet out "$arch=/bin/false"
upload
upgrade && echo "it was put in"
released | diff good - && echo "the release before is back"
tick | grep -q runs_planned && echo "and works"
"#;

const NO_WORKERS: &str = "kill $crawl $images; wait $crawl $images\n";

/// What another configuration is, before the upgrade.
const CHANGED: &str = "sed -i 's/^idle_exit_s = .*/idle_exit_s = 600/' fleet/trawler.toml\n";

/// The program without what it does not need to run: a tenth is packed in a
/// tenth of the time.
fn stripped(folder: &Path) {
    let mut command = Command::new("strip");
    command.arg("-o").arg(folder.join("trawler"));
    command.arg(env!("CARGO_BIN_EXE_trawler-under-test"));
    let (went_well, text) = said(&mut command);
    assert!(went_well, "{text}");
}

/// Puts text before the first line of a script that begins so.
fn before(script: &str, line: &str, text: &str) -> String {
    let at = script
        .find(line)
        .unwrap_or_else(|| panic!("no line {line} in\n{script}"));
    format!("{}{text}{}", &script[..at], &script[at..])
}

#[test]
fn the_readme_of_the_infrastructure_runs_as_written() {
    let readme = read("infra/README.md");
    let script = blocks(&readme, "sh").concat();
    let port = free_port();
    let script = script
        .replace("=ap-northeast-2", &format!("={REGION}"))
        .replace(
            "https://shop.example.com",
            &format!("http://127.0.0.1:{port}"),
        )
        .replace(
            "contact = \"https://example.com/our-crawler\"\n",
            &format!(
                "contact = \"https://example.com/our-crawler\"\nallow = [\"127.0.0.1:{port}\"]\n"
            ),
        );
    let script = before(
        &script,
        "mkdir -p partner/pipes",
        &PARTNER.replace("@PORT@", &port),
    );
    let script = before(&script, "for try in", WORKERS);
    let script = before(
        &script,
        "for group in crawl image; do\n  until",
        MACHINES_LEAVE,
    );
    let (first, second) = script
        .split_once("trawler -C fleet products --pipe cups\n")
        .unwrap();
    let (_, upgrade) = second.split_once("infra/package.sh").unwrap();
    let (upgrade, tear_down) = upgrade.split_once("trawler -C fleet pause").unwrap();
    let script = format!(
        "ln -s {root}/infra infra\n{first}trawler -C fleet products --pipe cups\n{NO_WORKERS}{CHANGED}infra/package.sh{upgrade}{BROKEN}trawler -C fleet pause{tear_down}\
         aws cloudformation describe-stacks --stack-name \"trawler-$ENVIRONMENT\" || echo \"the stack is gone\"\n\
         aws s3 ls \"s3://trawler-$ENVIRONMENT-data-$ACCOUNT-$AWS_REGION\" && echo \"the data is there\"\n",
        root = root().display()
    );
    let program = tempfile::tempdir().unwrap();
    stripped(program.path());
    let path = format!(
        "{}:{}:{}",
        aws().display(),
        program.path().display(),
        std::env::var("PATH").unwrap()
    );
    let script = format!("export PATH='{path}'\n{script}");
    let endpoint = Ministack::shared().endpoint();
    let said = run(
        &script,
        &[
            ("AWS_ENDPOINT_URL", Path::new(&endpoint)),
            ("AWS_ACCESS_KEY_ID", Path::new("emulated")),
            ("AWS_SECRET_ACCESS_KEY", Path::new("emulated")),
            ("AWS_CONFIG_FILE", Path::new("/dev/null")),
        ],
    );
    for expected in [
        "Successfully created/updated stack - trawler-production",
        "trawler-production-data-000000000000-eu-west-1",
        // The function ran the very program, on what the stack made.
        "\"runs_planned\": 1",
        // One of each was started, or was there, to try the upgrade on.
        "production-crawl\t1",
        "production-image\t1",
        "the schedule fails with this release: going back to Release=",
        "the release before is back",
        "and works",
        "finished",
        "White cup",
        "the stack is gone",
        "the data is there",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!said.contains("it was put in"), "{said}");
    let releases: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("release "))
        .collect();
    assert_eq!(releases.len(), 3, "{said}");
    assert_ne!(releases[0], releases[1], "the upgrade was another release");
}
