//! Looks for error text of the partner's program in what came: where a feed
//! begins and ends, and among its rejected rows. Which words those are is in
//! `trawler_core::judge::error_text`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use trawler_core::judge::error_text;

/// Of the beginning and of the end of an input: an error page tells what it is
/// in its first lines, and a program that dies does so last.
const LOOKED_AT: u64 = 4 * 1024;

/// A row of the rejected-rows report, as far as it is looked at.
#[derive(Deserialize)]
struct Rejected {
    #[serde(default)]
    id: Option<String>,
    found: String,
}

/// In an input that could not be read to its end. A packed one says nothing,
/// and neither does one that is gone.
pub(crate) fn in_input(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let head = piece(&mut file)?;
    if let Some(found) = error_text(&head) {
        return Some(found);
    }
    let end = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(end.saturating_sub(LOOKED_AT)))
        .ok()?;
    error_text(&piece(&mut file)?)
}

fn piece(file: &mut File) -> Option<String> {
    let mut bytes = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Among the rows of a report, which is bounded by `limits.rejected_rows_kept`.
pub(crate) fn in_report(path: &Path) -> Option<String> {
    let lines = BufReader::new(File::open(path).ok()?).lines();
    lines.map_while(Result::ok).find_map(|line| {
        let row: Rejected = serde_json::from_str(&line).ok()?;
        let in_id = row.id.as_deref().and_then(error_text);
        in_id.or_else(|| error_text(&row.found))
    })
}
