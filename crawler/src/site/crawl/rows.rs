//! The rows of pages on their way to the rows of the run: one line of JSON
//! each, with what tells the same product from another.
//!
//! A product that was found under many URLs is one row: of those with one id
//! the one with the least link is kept, whichever page was read first, so that
//! the same site gives the same rows. Different products under one id are
//! told, because then the id is none.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::super::disk::{DiskError, HashKey, Table, digest};

/// Before the line: hash of the id, of the link, of the title, length.
const HEAD_BYTES: usize = 8 * 3 + 4;

/// Ids that are named as those of different products.
const EXAMPLES_MAX: usize = 3;

/// The rows of one page, as the frontier's journal carries them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PageRows {
    bytes: Vec<u8>,
    rows: u64,
}

impl PageRows {
    pub(super) fn push(&mut self, row: &Map<String, Value>) {
        let hash = |column| {
            let text = row.get(column).and_then(Value::as_str).unwrap_or_default();
            // 0 is an empty slot of the table.
            digest(0, text.as_bytes()).max(1)
        };
        let line = serde_json::to_vec(row).expect("texts, numbers and lists have a JSON form");
        for hash in [hash("id"), hash("link"), hash("title")] {
            self.bytes.extend_from_slice(&hash.to_le_bytes());
        }
        let length = u32::try_from(line.len()).expect("a page is at most 8 MiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&line);
        self.rows += 1;
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// One row as it is read back.
struct Row<'a> {
    id: u64,
    link: u64,
    title: u64,
    line: &'a [u8],
}

/// The rows in the bytes of a page; what is cut off is left out.
fn rows_of(mut bytes: &[u8]) -> impl Iterator<Item = Row<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let number = |at: usize| {
            let word = head[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(word)
        };
        let length = u32::from_le_bytes(head[24..28].try_into().expect("four bytes"));
        let (line, rest) = rest.split_at_checked(length as usize)?;
        bytes = rest;
        Some(Row {
            id: number(0),
            link: number(8),
            title: number(16),
            line,
        })
    })
}

/// How many rows the bytes of a page hold.
#[cfg(test)]
fn count(bytes: &[u8]) -> u64 {
    rows_of(bytes).count() as u64
}

/// Where in a table the row's id is: keyed, so that no partner can choose ids
/// that crowd one place.
fn place(places: HashKey, row: &Row<'_>) -> u64 {
    places.hash(&row.id.to_le_bytes())
}

/// First pass over the rows of a crawl: which row speaks for its id.
pub(super) struct Speakers {
    table: Table<3>,
    places: HashKey,
    told: Told,
}

/// What was noticed of the ids.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// Rows that say the same product again.
    pub(super) repeated: u64,
    /// Rows whose id belongs to a product of another title as well.
    pub(super) at_odds: u64,
    /// Some of their ids.
    pub(super) examples: Vec<String>,
}

impl Speakers {
    pub(super) fn new(dir: &Path) -> Result<Self, DiskError> {
        Ok(Self {
            table: Table::create(&dir.join("ids"))?,
            places: HashKey::random(),
            told: Told::default(),
        })
    }

    /// Looks at the rows of one page.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        for row in rows_of(bytes) {
            let place = place(self.places, &row);
            let Some([_, link, title]) = self.table.get(place)? else {
                self.table.put([place, row.link, row.title])?;
                continue;
            };
            self.told.repeated += 1;
            if title != row.title {
                self.told.at_odds += 1;
                self.told.tell(row.line);
            }
            // The least of link and title, so that rows which differ in the
            // title alone have one speaker as well.
            if (row.link, row.title) < (link, title) {
                self.table.put([place, row.link, row.title])?;
            }
        }
        Ok(())
    }

    /// What was noticed, and the second pass.
    pub(super) fn file(self, path: &Path) -> Result<(Told, RowFile), DiskError> {
        let file = File::create(path).map_err(DiskError::of("create the file of rows", path))?;
        let rows = RowFile {
            table: self.table,
            places: self.places,
            out: BufWriter::with_capacity(256 << 10, file),
            path: path.to_owned(),
            written: 0,
        };
        Ok((self.told, rows))
    }
}

impl Told {
    fn tell(&mut self, line: &[u8]) {
        if self.examples.len() >= EXAMPLES_MAX {
            return;
        }
        let row: Option<Map<String, Value>> = serde_json::from_slice(line).ok();
        let id = row.and_then(|row| row.get("id")?.as_str().map(str::to_owned));
        if let Some(id) = id.filter(|id| !self.examples.contains(id)) {
            self.examples.push(id);
        }
    }
}

/// Second pass: the rows that speak, as the lines of a feed.
pub(super) struct RowFile {
    table: Table<3>,
    places: HashKey,
    out: BufWriter<File>,
    path: std::path::PathBuf,
    written: u64,
}

impl RowFile {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        for row in rows_of(bytes) {
            let place = place(self.places, &row);
            let Some([_, link, title]) = self.table.get(place)? else {
                continue;
            };
            if (row.link, row.title) != (link, title) {
                continue;
            }
            // It has spoken: no link is 0, so that nothing more matches.
            self.table.put([place, 0, 0])?;
            self.line(row.line)
                .map_err(DiskError::of("write the file of rows", &self.path))?;
            self.written += 1;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }

    /// Rows written.
    pub(super) fn finish(mut self) -> Result<u64, DiskError> {
        self.out
            .flush()
            .map_err(DiskError::of("write the file of rows", &self.path))?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn page(rows: &[(&str, &str, &str)]) -> Vec<u8> {
        let mut page = PageRows::default();
        for (id, link, title) in rows {
            let mut row = Map::new();
            for (column, value) in [("id", id), ("link", link), ("title", title)] {
                row.insert(column.to_owned(), Value::from(*value));
            }
            page.push(&row);
        }
        assert_eq!(page.rows(), rows.len() as u64);
        page.into_bytes()
    }

    fn written(pages: &[Vec<u8>]) -> (Told, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        let mut speakers = Speakers::new(dir.path()).unwrap();
        pages.iter().for_each(|page| speakers.hear(page).unwrap());
        let (told, mut file) = speakers.file(&path).unwrap();
        pages.iter().for_each(|page| file.write(page).unwrap());
        let count = file.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.len() as u64, count);
        lines.sort();
        (told, lines)
    }

    #[test]
    fn a_product_under_many_urls_is_one_row_whichever_came_first() {
        let mut pages = vec![
            page(&[("1", "/a?x=1", "One")]),
            page(&[("2", "/b", "Two"), ("1", "/a", "One")]),
            page(&[("1", "/z/a", "One")]),
        ];
        let (told, there) = written(&pages);
        assert_eq!((told.repeated, told.at_odds), (2, 0));
        pages.reverse();
        let (_, back) = written(&pages);
        assert_eq!(there, back);
        assert_eq!(there.len(), 2);
    }

    #[test]
    fn different_products_under_one_id_are_told() {
        let (told, lines) = written(&[
            page(&[("sku", "/a", "One")]),
            page(&[("sku", "/b", "Two")]),
            page(&[("sku", "/c", "Three")]),
        ]);
        assert_eq!((told.repeated, told.at_odds), (2, 2));
        assert_eq!(told.examples, ["sku"]);
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn bytes_that_are_cut_off_lose_the_last_row_alone() {
        let whole = page(&[("1", "/a", "One"), ("2", "/b", "Two")]);
        assert_eq!(count(&whole), 2);
        for cut in 0..whole.len() {
            assert!(count(&whole[..cut]) < 2);
        }
    }
}
