//! Large pictures on many threads at once: what they take together stays within
//! `images.memory_mib`, and each of them is stored all the same.

use std::fs;
use std::time::Duration;

use trawler_shop::FeedFormat;

use crate::child::{Running, assert_tidy, scratch};
use crate::crafted::{packed_zeros, png_as};
use crate::hostile::MEMORY_MAX;
use crate::look::{SMALL_VARIANT, feed_table, text};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

const PICTURES: usize = 16;
const THREADS: u64 = 8;
/// Four channels of 8 bits: 48 MiB decoded, and more than twice that on the way.
const SIDES: (u32, u32) = (4_096, 3_072);
/// Room for one of them at a time.
const IMAGES_MIB: u64 = 160;
const NET_MIB: u64 = 16;

/// A debug build with nothing to do has 60 MiB resident, and each thread takes
/// something of its own. Without the room, 8 pictures took 900 MiB.
const MEMORY: u64 = ((64 + NET_MIB + IMAGES_MIB) << 20) + THREADS * MEMORY_MAX / 2;
const RUN_MAX: Duration = Duration::from_secs(180);

#[test]
fn large_pictures_on_many_threads_share_the_memory_there_is() {
    let (width, height) = SIDES;
    let rows = (4 * width as usize + 1) * height as usize;
    let picture = png_as(SIDES, [8, 6], &[], &packed_zeros(rows));
    let server = Server::start(move |path| {
        // The host goes into the query, since the server is told it afterwards.
        let Some(host) = path.strip_prefix("/feed?") else {
            return Answer::of(picture.clone());
        };
        let mut feed = "id\ttitle\tprice_pc\tlink\timage_link\n".to_owned();
        for at in 0..PICTURES {
            feed +=
                &format!("p{at}\tPicture {at}\t1000\thttps://a.test/{at}\thttp://{host}/{at}\n");
        }
        Answer::of(feed)
    });
    let folder = Folder::new(&[], "");
    let text_of = format!(
        "[net]\ncontact = \"https://example.com/test\"\nallow = [{:?}]\nmemory_mib = {NET_MIB}\n\n\
         [scheduler]\ntick_ms = 50\n\n[workers]\npoll_s = 1\nimage_threads = {THREADS}\n\n\
         [images]\nmemory_mib = {IMAGES_MIB}\n\n{SMALL_VARIANT}",
        server.host()
    );
    fs::write(folder.path().join("trawler.toml"), text_of).expect("write trawler.toml");
    let url = server.url(&format!("/feed?{}", server.host()));
    let feed = feed_table(FeedFormat::NaverEp);
    folder.pipe("large", &pipe(&url, &feed, ""));

    let running = Running::start(&folder, &["run", "--once", "--json"]);
    let watched = running.watch(&scratch(&folder), RUN_MAX);
    println!(
        "{:?}, {} MiB resident",
        watched.took,
        watched.memory_bytes >> 20
    );
    assert!(
        watched.memory_bytes < MEMORY,
        "{} bytes resident",
        watched.memory_bytes
    );
    watched.ended.with_code(0);
    assert_tidy(&folder);
    let rows = folder.rows("large");
    assert_eq!(rows.len(), PICTURES);
    for (id, row) in &rows {
        assert_eq!(text(row, "image_status"), "stored", "{id}");
    }
}
