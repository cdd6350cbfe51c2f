//! Feeds as Korean shops write them, from a server to the catalogue.

use std::sync::{Arc, Mutex};

use crate::look::{NO_IMAGES, text};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

/// A partner whose feed the test changes.
fn partner(feed: &str) -> (Server, Folder, Arc<Mutex<Vec<u8>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&said);
    let server = Server::start(move |_| Answer::of(told.lock().unwrap().clone()));
    let folder = Folder::new(&[server.host()], "");
    folder.pipe("shop", &pipe(&server.url("/ep.txt"), feed, NO_IMAGES));
    (server, folder, said)
}

const HEADER: &str = "id\ttitle\tprice_pc\tlink\tevent_words\tnote\tclass\tupdate_time\n";

#[test]
fn a_summary_of_what_changed_keeps_the_rest() {
    let feed = "format = \"naver-ep\"\nmode = \"summary\"\npartial = true\nclear = \"-\"\n\
        max_bad_share = 0.9";
    let (_server, folder, said) = partner(feed);
    let say = |rows: &str| *said.lock().unwrap() = format!("{HEADER}{rows}").into_bytes();

    say(
        "a\tHat\t100\thttps://s.example/a\tsale\tx\tI\t2026-05-01 10:00:00\n\
        b\tCap\t200\thttps://s.example/b\t\t\tI\t2026-05-01 10:00:00\n",
    );
    folder.run_pipe("shop").with_code(0);
    let first_seen = folder.rows("shop")["a"]["first_seen"].clone();

    // What changed since; the row of an id that nobody knows; an old row of b.
    say("a\t\t90\t\t-\t\tU\t2026-05-02 10:00:00\n\
        c\t\t10\t\t\t\tU\t2026-05-02 10:00:00\n\
        b\tOld\t\t\t\t\tU\t2026-04-30 10:00:00\n");
    folder.run_pipe("shop").with_code(0);
    let run = folder.last_run("shop");
    let counts = &run["counts"];
    assert_eq!(
        (
            &counts["updates"],
            &counts["inserts"],
            &counts["rejected"],
            &counts["stale"]
        ),
        (&1.into(), &0.into(), &1.into(), &1.into()),
        "{run:#}"
    );
    let remarks = run["remarks"].to_string();
    assert!(remarks.contains("such as [\\\"c\\\"]"), "{remarks}");
    assert!(remarks.contains("older than the stored ones"), "{remarks}");
    let rows = folder.rows("shop");
    assert_eq!(rows.len(), 2);
    let a = &rows["a"];
    assert_eq!(text(a, "title"), "Hat");
    assert_eq!(a["price_minor"], 90);
    assert_eq!(text(a, "currency"), "KRW");
    assert!(a["event_words"].is_null(), "{a:#}");
    assert_eq!(a["extra"]["note"], "x");
    assert_eq!(a["first_seen"], first_seen);
    assert_eq!(text(&rows["b"], "title"), "Cap");

    // The same again, as summaries since midnight do, and b sold out.
    say("a\t\t90\t\t-\t\tU\t2026-05-02 10:00:00\n\
        b\t\t\t\t\t\tD\t2026-05-02 11:00:00\n");
    folder.trawler(&["run", "--once", "--pipe", "shop"]);
    let run = folder.last_run("shop");
    assert_eq!(run["counts"]["updates"], 0, "{run:#}");
    assert_eq!(run["counts"]["deletes"], 1, "{run:#}");
    assert_eq!(folder.rows("shop").len(), 1);
}

fn tagged(ids: std::ops::Range<u32>, declared: u32) -> Vec<u8> {
    let mut page = format!("<<<tocnt>>>{declared}\r\n");
    for n in ids {
        page.push_str(&format!(
            "<<<begin>>>\r\n<<<mapid>>>{n}\r\n<<<pname>>>\"코트 {n}호\r\n<<<price>>>{n}900\r\n\
             <<<pgurl>>>https://s.example/{n}\r\n<<<cate1>>>옷\r\n<<<cate2>>>코트\r\n\
             <<<deliv>>>-1\r\n<<<seller_phone>>>010-0000-0000\r\n<<<ftend>>>\r\n"
        ));
    }
    encoding_rs::EUC_KR.encode(&page).0.into_owned()
}

#[test]
fn a_tagged_page_is_collected_and_a_short_one_delists_nothing() {
    let feed = "format = \"tagged\"\nmode = \"full\"\ncharset = \"cp949\"";
    let (server, folder, said) = partner(feed);
    *said.lock().unwrap() = tagged(1..51, 50);
    folder.run_pipe("shop").with_code(0);
    let rows = folder.rows("shop");
    assert_eq!(rows.len(), 50);
    let row = &rows["7"];
    assert_eq!(text(row, "title"), "\"코트 7호");
    assert_eq!(text(row, "category_path"), "옷>코트");
    assert_eq!(row["shipping_cost_minor"], -1);
    assert!(!row.to_string().contains("010-0000"), "{row:#}");
    let remarks = folder.last_run("shop")["remarks"].to_string();
    assert!(remarks.contains("seller_phone"), "{remarks}");

    *said.lock().unwrap() = tagged(1..46, 50);
    folder.run_pipe("shop").with_code(3);
    let run = folder.last_run("shop");
    assert_eq!(run["counts"]["held_deletes"], 5, "{run:#}");
    assert!(run["incomplete"].to_string().contains("tocnt"), "{run:#}");
    assert_eq!(folder.rows("shop").len(), 50);

    // What the author of the pipe sees.
    let url = server.url("/ep.txt");
    let tried = folder.trawler(&["try", "feed", &url, "--format", "shop", "--json"]);
    let report = tried.json();
    assert_eq!(report["rows"], 45, "{report:#}");
    assert_eq!(report["personal_fields"][0], "seller_phone");
}
