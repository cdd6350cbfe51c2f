//! Feeds that are whole and wrong: what a person would not believe is held or
//! quarantined, and a person decides.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use trawler_shop::{Compression, DayChange, FeedFormat, Model, Shop, ShopSpec, render_feed};

use crate::look::{NO_IMAGES, assert_same, feed_table, text, truth};
use crate::server::{Answer, Server};
use crate::support::{Ended, Folder, pipe};

/// Where links lead; nobody asks there.
const SHOP: &str = "http://shop.example";

const PRODUCTS: u32 = 200;

/// A page as PHP writes it that has lost its database.
const ERROR_PAGE: &str = "<br />\n<b>Fatal error</b>:  Uncaught Exception: no database in <b>/srv/feed.php</b> on line <b>3</b><br />\n";

/// A partner that serves what the test says, and the folder that collects it.
struct Partner {
    model: Model,
    answer: Arc<Mutex<Vec<u8>>>,
    server: Server,
    folder: Folder,
}

impl Partner {
    /// With day 0 collected.
    fn new(gone_share: f64, judge: &str) -> Self {
        let spec = ShopSpec {
            format: FeedFormat::JsonLines,
            day_change: DayChange {
                new_share: 0.02,
                changed_share: 0.1,
                gone_share,
                ..DayChange::NONE
            },
            ..ShopSpec::new("judged", 9, PRODUCTS)
        };
        let model = Model::new(&spec, SHOP).unwrap();
        let answer = Arc::new(Mutex::new(Vec::new()));
        let served = Arc::clone(&answer);
        let server = Server::start(move |_| Answer::of(served.lock().unwrap().clone()));
        let folder = Folder::new(&[server.host()], "");
        let partner = Self {
            model,
            answer,
            server,
            folder,
        };
        partner.judge(judge);
        partner.serve(&partner.lines(0));
        partner.runs(0);
        partner.stands_as(0);
        partner
    }

    fn judge(&self, judge: &str) {
        let more = format!("{NO_IMAGES}\n[judge]\n{judge}\n");
        let feed = feed_table(FeedFormat::JsonLines);
        let text = pipe(&self.server.url("/feed"), &feed, &more);
        self.folder.pipe("judged", &text);
    }

    /// The feed of a day.
    fn lines(&self, day: u32) -> Vec<String> {
        let mut bytes = Vec::new();
        let format = self.model.spec().format;
        render_feed(&self.model, format, Compression::None, day, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The feed of a day, each row changed.
    fn changed(&self, day: u32, change: impl Fn(&mut Value)) -> Vec<String> {
        let changed = |line: String| {
            let mut row: Value = serde_json::from_str(&line).unwrap();
            change(&mut row);
            row.to_string()
        };
        self.lines(day).into_iter().map(changed).collect()
    }

    fn serve(&self, lines: &[String]) {
        *self.answer.lock().unwrap() = (lines.join("\n") + "\n").into_bytes();
    }

    /// Runs the pipe; gives its run.
    fn runs(&self, code: i32) -> Value {
        self.folder.run_pipe("judged").with_code(code);
        self.folder.last_run("judged")
    }

    fn stands_as(&self, day: u32) {
        let expected = truth(self.model.products(day));
        assert_same(&self.folder.told("judged"), &expected);
    }

    fn decide(&self, verb: &str, run: &Value, more: &[&str]) -> Ended {
        let id = text(run, "id");
        let args = [&["runs", verb, &id], more].concat();
        self.folder.trawler(&args)
    }

    fn shown(&self, run: &Value) -> String {
        self.decide("show", run, &["--diff"]).with_code(0).stdout
    }

    /// The run is quarantined for this reason, and nothing of it is seen.
    fn quarantined(&self, says: &str) -> Value {
        let (_, end) = self.folder.changes("0");
        let run = self.runs(3);
        assert_eq!(run["phase"], "quarantined", "{run:#}");
        let said = run["quarantine"].to_string();
        assert!(said.contains(says), "{says:?} is not in {said}");
        self.stands_as(0);
        let (changes, _) = self.folder.changes(&end);
        assert!(changes.is_empty(), "{changes:#?}");
        let printed = self.folder.trawler(&["runs", "--waiting", "--json"]);
        assert_eq!(printed.with_code(0).json()[0]["id"], run["id"]);
        run
    }
}

fn tenfold(row: &mut Value) {
    let price = row["price"].clone();
    let number = price.as_i64().or_else(|| price.as_str()?.parse().ok());
    let number = number.unwrap_or_else(|| panic!("a price: {row}"));
    row["price"] = Value::from(number * 10);
}

#[test]
fn tenfold_prices_are_quarantined_until_the_feed_is_right_again() {
    let partner = Partner::new(0.02, "");
    partner.serve(&partner.changed(1, tenfold));
    let run = partner.quarantined("max_price_shift");
    let shown = partner.shown(&run);
    for part in [
        "phase        quarantined",
        "by more than 9 ",
        "decision     none yet: `trawler runs accept",
        "price    of",
        "kept in",
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let listed = partner.folder.trawler(&["runs"]).with_code(0).stdout;
    assert!(listed.contains("quarantined"), "{listed}");
    // Files that were written in vain are gone, and the next day is believed.
    let catalogue = partner.folder.catalogue();
    let files = crate::look::files(&catalogue).len();
    partner.serve(&partner.lines(1));
    partner.runs(0);
    partner.stands_as(1);
    assert!(files < crate::look::files(&catalogue).len());
    // What came too late is refused.
    let late = partner.decide("accept", &run, &[]).with_code(2);
    assert!(late.stderr.contains("has landed since"), "{late:?}");
    partner.stands_as(1);
    let rejected = partner.decide("reject", &run, &["--by", "ann", "--why", "a bug of theirs"]);
    rejected.with_code(0);
    let shown = partner.shown(&run);
    assert!(shown.contains("rejected by ann"), "{shown}");
    assert!(shown.contains("a bug of theirs"), "{shown}");
}

#[test]
fn an_accepted_run_is_brought_in_once() {
    let partner = Partner::new(0.02, "");
    partner.serve(&partner.changed(1, tenfold));
    let run = partner.quarantined("max_price_shift");
    // The partner has nothing more to say: what is brought in is what was kept.
    partner.serve(&[]);
    let accepted = partner.decide(
        "accept",
        &run,
        &["--by", "kim", "--why", "they sell gold now"],
    );
    accepted.with_code(0);
    let again = partner.decide("accept", &run, &[]).with_code(2);
    assert!(again.stderr.contains("was accepted by kim"), "{again:?}");
    let too = partner.decide("reject", &run, &[]).with_code(2);
    assert!(too.stderr.contains("was accepted by kim"), "{too:?}");
    partner.stands_as(0);
    partner.folder.trawler(&["run", "--once"]).with_code(0);
    let runs = partner.folder.runs("judged");
    let newest = &runs[0];
    assert_eq!(newest["accepts"], run["id"], "{newest:#}");
    assert_eq!(newest["phase"], "finished", "{newest:#}");
    assert_eq!(runs[1]["decided"], "accepted", "{:#}", runs[1]);
    let mut expected = truth(partner.model.products(1));
    for told in expected.values_mut() {
        told.1 *= 10;
    }
    assert_same(&partner.folder.told("judged"), &expected);
    let waiting = partner.folder.trawler(&["runs", "--waiting"]).with_code(0);
    assert!(waiting.stdout.contains("no run waits"), "{waiting:?}");
    // The same bytes cost nothing, as after any complete run.
    partner.serve(&partner.changed(1, tenfold));
    let run = partner.runs(0);
    assert!(
        run["remarks"].to_string().contains("last complete run"),
        "{run:#}"
    );
    // Priced as they were they would be quarantined, now the other way round.
    partner.serve(&partner.lines(1));
    let run = partner.runs(3);
    assert_eq!(run["phase"], "quarantined", "{run:#}");
}

#[test]
fn a_real_mass_delisting_is_accepted_with_one_command() {
    let partner = Partner::new(0.6, "");
    partner.serve(&partner.lines(1));
    let run = partner.runs(3);
    let gone = partner.model.changes(1).gone.len();
    assert_eq!(run["counts"]["held_deletes"], gone, "{run:#}");
    let (_, end) = partner.folder.changes("0");
    let told = partner.decide("accept", &run, &["--work"]).with_code(0);
    assert!(told.stdout.contains("is accepted"), "{told:?}");
    partner.stands_as(1);
    let (changes, _) = partner.folder.changes(&end);
    let deletes = changes
        .iter()
        .filter(|change| change["_change_type"] == "delete");
    assert_eq!(deletes.count(), gone);
    assert_eq!(changes.len(), gone, "{changes:#?}");
    let newest = partner.folder.last_run("judged");
    assert_eq!(newest["counts"]["deletes"], gone, "{newest:#}");
    assert!(
        newest["remarks"].to_string().contains("max_drop"),
        "{newest:#}"
    );
    let again = partner.decide("accept", &run, &[]).with_code(2);
    assert!(again.stderr.contains("was accepted by"), "{again:?}");
}

#[test]
fn equal_runs_of_three_days_delist_by_themselves() {
    let partner = Partner::new(0.6, "");
    partner.serve(&partner.lines(1));
    let before = partner.folder.told("judged").len();
    let args = ["run", "--once", "--pipe", "judged", "--json"];
    for day in [1_u64, 2] {
        partner.folder.hours_later(24 * day, &args).with_code(3);
        let run = partner.folder.last_run("judged");
        assert_eq!(run["drop_held"], true, "{run:#}");
        assert!(partner.folder.told("judged").len() >= before);
    }
    partner.folder.hours_later(72, &args).with_code(0);
    partner.stands_as(1);
    let run = partner.folder.last_run("judged");
    assert!(
        run["remarks"].to_string().contains("accept_after_equal"),
        "{run:#}"
    );
    let shown = partner.shown(&run);
    assert!(
        shown.contains("applied by itself by judge.accept_after_equal = 3"),
        "{shown}"
    );
}

#[test]
fn half_a_feed_is_held_and_heals() {
    let partner = Partner::new(0.02, "");
    let mut half = partner.lines(1);
    half.truncate(half.len() / 2);
    partner.serve(&half);
    let run = partner.runs(3);
    assert!(run["counts"]["held_deletes"].as_u64() > Some(80), "{run:#}");
    assert_eq!(run["counts"]["deletes"], 0, "{run:#}");
    partner.serve(&partner.lines(1));
    partner.runs(0);
    partner.stands_as(1);
}

/// What was brought in before an incomplete run is not what is stored any
/// more, so its bytes are read anew when they come back.
#[test]
fn a_feed_that_goes_back_after_half_a_feed_is_read() {
    let partner = Partner::new(0.02, "");
    let mut half = partner.lines(1);
    half.truncate(half.len() / 2);
    partner.serve(&half);
    partner.runs(3);
    partner.serve(&partner.lines(0));
    partner.runs(0);
    partner.stands_as(0);
}

#[test]
fn a_capped_file_is_held() {
    let partner = Partner::new(0.02, "suspect_rows = [190]");
    let mut capped = partner.lines(1);
    capped.truncate(190);
    partner.serve(&capped);
    let run = partner.runs(3);
    assert!(
        run["incomplete"].to_string().contains("suspect_rows"),
        "{run:#}"
    );
    assert!(run["counts"]["held_deletes"].as_u64() > Some(0), "{run:#}");
    assert_eq!(run["counts"]["deletes"], 0, "{run:#}");
}

#[test]
fn empty_titles_delist_and_change_nothing() {
    let partner = Partner::new(0.02, "");
    partner.serve(&partner.changed(1, |row| row["name"] = Value::from("")));
    let run = partner.runs(3);
    assert_eq!(run["counts"]["deletes"], 0, "{run:#}");
    assert!(
        run["incomplete"].to_string().contains("max_bad_share"),
        "{run:#}"
    );
    partner.stands_as(0);
}

#[test]
fn a_column_that_is_empty_all_at_once_is_quarantined() {
    let partner = Partner::new(0.02, "");
    partner.serve(&partner.changed(1, |row| row["image"] = Value::Null));
    let run = partner.quarantined("image_link is filled in 0.0 % of the rows");
    let shown = partner.shown(&run);
    assert!(shown.contains("image_link"), "{shown}");
    assert!(shown.contains("-100.0"), "{shown}");
}

#[test]
fn prices_of_nothing_and_repeated_ids_are_quarantined_also_at_first() {
    let partner = Partner::new(0.02, "");
    partner.serve(&partner.changed(1, |row| row["price"] = Value::from(0)));
    partner.quarantined("max_zero_price");
    let repeated = [partner.lines(0), partner.lines(0)].concat();
    partner.serve(&repeated);
    partner.quarantined("max_duplicates");
    let (folder, server) = (Folder::new(&[partner.server.host()], ""), &partner.server);
    let feed = feed_table(FeedFormat::JsonLines);
    folder.pipe("first", &pipe(&server.url("/feed"), &feed, NO_IMAGES));
    folder.run_pipe("first").with_code(3);
    assert_eq!(folder.last_run("first")["phase"], "quarantined");
    assert!(folder.rows("first").is_empty());
    // A person who knows better.
    let run = text(&folder.last_run("first"), "id");
    folder
        .trawler(&["runs", "accept", &run, "--work"])
        .with_code(0);
    assert_same(&folder.told("first"), &truth(partner.model.products(0)));
}

#[test]
fn an_error_page_fails_in_its_own_words_and_error_text_among_rows_quarantines() {
    let partner = Partner::new(0.02, "");
    let mut lines = partner.lines(1);
    lines.insert(100, ERROR_PAGE.trim_end().replace('\n', " "));
    partner.serve(&lines);
    partner.quarantined("Fatal error");
    // Where a header row is wanted the page is no feed at all.
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    partner.folder.pipe(
        "judged",
        &pipe(&partner.server.url("/feed"), feed, NO_IMAGES),
    );
    partner.serve(&[ERROR_PAGE.to_owned()]);
    let run = partner.runs(1);
    assert_eq!(run["phase"], "failed", "{run:#}");
    assert!(text(&run, "reason").contains("Fatal error"), "{run:#}");
    partner.stands_as(0);
}

#[test]
fn inputs_are_kept_packed_and_no_more_than_the_pipe_says() {
    let partner = Partner::new(0.02, "keep_raw = 2");
    let kept = || {
        let files = crate::look::files(&partner.folder.blobs().join("raw/judged"));
        files
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect::<Vec<_>>()
    };
    for day in 1..4 {
        partner.serve(&partner.lines(day));
        partner.runs(0);
        assert_eq!(kept().len(), 2, "on day {day}");
    }
    let feed = partner.answer.lock().unwrap().len() as u64;
    assert!(
        kept().iter().all(|bytes| *bytes * 2 < feed),
        "{:?} of {feed}",
        kept()
    );
    // Unchanged: nothing is kept anew.
    let before = crate::look::files(&partner.folder.blobs().join("raw"));
    partner.runs(0);
    assert_eq!(
        crate::look::files(&partner.folder.blobs().join("raw")),
        before
    );
    // None at all: what is held can be looked at and rejected, not accepted.
    partner.judge("keep_raw = 0");
    partner.serve(&partner.changed(4, tenfold));
    let run = partner.runs(3);
    assert!(kept().is_empty());
    let refused = partner.decide("accept", &run, &[]).with_code(2);
    assert!(refused.stderr.contains("is not kept"), "{refused:?}");
    partner.decide("reject", &run, &[]).with_code(0);
    for (id, says) in [
        ("judged@2020-01-01T00:00:00.000Z", "no run"),
        ("nonsense", "run id"),
        (
            &text(&partner.folder.runs("judged")[1], "id"),
            "holds nothing back",
        ),
    ] {
        let wrong = partner.folder.trawler(&["runs", "accept", id]).with_code(2);
        assert!(wrong.stderr.contains(says), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_site_are_accepted_without_asking_it_again() {
    let shop = Shop::start(ShopSpec::new("doubted", 4, 8)).await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let text = format!(
        "[source]\nkind = \"site\"\nurl = \"{}\"\n\n[schedule]\ncron = \"15 3 * * *\"\n\n\
         [fetch]\nrate_per_s = 1000\n\n{NO_IMAGES}\n[judge]\nmin_rows = 100\n",
        shop.url("/")
    );
    folder.pipe("doubted", &text);
    folder.run_pipe("doubted").with_code(3);
    let run = folder.last_run("doubted");
    assert_eq!(run["phase"], "quarantined", "{run:#}");
    assert!(folder.rows("doubted").is_empty());
    let asked = shop.seen().len();
    let id = run["id"].as_str().unwrap();
    folder
        .trawler(&["runs", "accept", id, "--work"])
        .with_code(0);
    assert_eq!(shop.seen().len(), asked, "the shop was asked again");
    let found = folder.told("doubted").into_keys().collect::<Vec<_>>();
    let products = shop.products(0).into_iter();
    let mut sold: Vec<String> = products.map(|product| product.id).collect();
    sold.sort();
    assert_eq!(found, sold);
    shop.stop().await;
}
