//! Browsers end with the process that started them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::shop::Shop;
use super::{Yard, document};

/// Says to the child where its browsers' files are to be.
const CHILD: &str = "TRAWLER_RENDER_CHILD";

/// Processes whose command line names `folder`.
fn browsers_of(folder: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(folder))
        .count()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "{what}: never");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Not a test by itself: what the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_to_be_killed() {
    let Ok(folder) = std::env::var(CHILD) else {
        return;
    };
    let shop = Shop::serve(&[]).await;
    let yard = Yard::new(|settings| settings.profiles = folder.into());
    let session = yard.session(&shop).await;
    let page = document(&shop.url("/"), "<script>while (true) {}</script>");
    let _ = session.render(&page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_work_leaves_no_browser_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().to_str().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends::a_process_to_be_killed"])
        .env(CHILD, profiles)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the page is at work", || browsers_of(profiles) >= 5).await;
    child.kill().unwrap();
    child.wait().unwrap();
    until("no browser is left", || browsers_of(profiles) == 0).await;
    let files = || folder.path().read_dir().unwrap().count();
    until("no file is left", || files() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_end_with_the_last_crawl() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().to_str().unwrap().to_owned();
    let shop = Shop::serve(&[]).await;
    let yard = Yard::new(|settings| settings.profiles = folder.path().to_owned());
    let (one, other) = (yard.session(&shop).await, yard.session(&shop).await);
    let page = document(&shop.url("/"), "<p>a</p>");
    one.render(&page).await.unwrap();
    drop(one);
    other.render(&page).await.unwrap();
    assert_eq!(yard.browsers.started(), 1);
    drop(other);
    until("no browser is left", || browsers_of(&profiles) == 0).await;
}
