//! Rows of text: which character divides them, whether cells are quoted, and
//! whether the first row names the fields.

use super::error::NotAFeed;
use super::names;
use super::shown::{cut, example, plain};
use super::table::{FIELDS_MAX, ROWS_MAX, Table, is_amount, is_url};

/// What may stand between two cells, the more telling first.
const DELIMITERS: [char; 5] = ['\t', '^', '|', ';', ','];

/// Longest first line; a row of a feed has as much room.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Lines that are looked at for quoted cells.
const QUOTED_LINES: usize = 50;

/// How rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) delimiter: char,
    pub(super) is_quoted: bool,
    pub(super) has_header: bool,
    /// Whether the header is known by its names, and not by its look.
    pub(super) is_header_sure: bool,
    /// Rows with another number of cells than the first.
    pub(super) uneven: usize,
    pub(super) table: Table,
}

/// `is_whole` says that the text ends where the file does; else its last row is
/// left out.
pub(super) fn layout(text: &str, is_whole: bool) -> Result<Layout, NotAFeed> {
    let text = text.trim_start_matches(['\u{feff}', '\r', '\n']);
    let first = text.lines().next().unwrap_or_default();
    if first.len() > LINE_BYTES_MAX {
        return Err(NotAFeed::LongLine {
            max: LINE_BYTES_MAX,
        });
    }
    let tried = DELIMITERS.map(|delimiter| Cells::read(text, is_whole, delimiter));
    let is_even = |cells: &&Cells| cells.uneven() * 5 <= cells.records.len();
    let wide = |cells: &&Cells| cells.width() >= 2;
    let best = tried
        .iter()
        .filter(wide)
        .filter(is_even)
        // Of equals the first in the list.
        .rev()
        .max_by_key(|cells| cells.width());
    let Some(cells) = best else {
        return Err(NotAFeed::NoColumns {
            line: example(first),
        });
    };
    cells.layout()
}

/// The first records under one delimiter.
struct Cells {
    delimiter: char,
    is_quoted: bool,
    records: Vec<Vec<String>>,
}

impl Cells {
    fn read(text: &str, is_whole: bool, delimiter: char) -> Self {
        let is_quoted = matches!(delimiter, ',' | ';') || has_quoted_cells(text, delimiter);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter as u8)
            .quoting(is_quoted)
            .from_reader(text.as_bytes());
        let mut records: Vec<Vec<String>> = Vec::new();
        // Text is valid, and so is every record of it.
        for record in reader.records().take(ROWS_MAX + 2).flatten() {
            let cells = record.iter().take(FIELDS_MAX + 1);
            records.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
        let ended = records.len() < ROWS_MAX + 2;
        if ended && !is_whole && records.len() > 1 {
            records.pop();
        }
        records.truncate(ROWS_MAX + 1);
        Self {
            delimiter,
            is_quoted,
            records,
        }
    }

    fn width(&self) -> usize {
        self.records.first().map_or(0, Vec::len)
    }

    fn uneven(&self) -> usize {
        let width = self.width();
        let uneven = self.records.iter().filter(|record| record.len() != width);
        uneven.count()
    }

    fn layout(&self) -> Result<Layout, NotAFeed> {
        let first = &self.records[0];
        let known = first.iter().filter(|cell| names::is_known(cell)).count();
        let is_header_sure = known >= 2;
        let has_header = is_header_sure || looks_like_names(first, &self.records[1..]);
        let (names, rows) = match has_header {
            true => (first.clone(), self.records[1..].to_vec()),
            false => {
                let names = (1..=first.len()).map(|at| format!("field_{at}"));
                (names.collect(), self.records.clone())
            }
        };
        if rows.is_empty() {
            return Err(NotAFeed::NoRows {
                header: plain(cut(&first.join(" "), 200)),
            });
        }
        Ok(Layout {
            delimiter: self.delimiter,
            is_quoted: self.is_quoted,
            has_header,
            is_header_sure: is_header_sure || !has_header,
            uneven: self.uneven(),
            table: Table { names, rows },
        })
    }
}

/// Whether a cell of the first lines stands in quotes.
fn has_quoted_cells(text: &str, delimiter: char) -> bool {
    let cells = text
        .lines()
        .take(QUOTED_LINES)
        .flat_map(|line| line.split(delimiter));
    cells
        .map(str::trim)
        .any(|cell| cell.len() >= 2 && cell.starts_with('"') && cell.ends_with('"'))
}

/// Names are words, no two are the same, and what is below them is something
/// else.
fn looks_like_names(first: &[String], rows: &[Vec<String>]) -> bool {
    let is_word = |cell: &String| !cell.is_empty() && !is_url(cell) && !is_amount(cell);
    let mut distinct: Vec<&String> = first.iter().collect();
    distinct.sort();
    distinct.dedup();
    let is_data = |cell: &String| is_url(cell) || is_amount(cell);
    first.iter().all(is_word)
        && distinct.len() == first.len()
        && (rows.is_empty() || rows.iter().take(5).flatten().any(is_data))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn delimiter_and_header_are_told() {
        let check = |text: &str, delimiter: char, quoted: bool, header: bool| {
            let found = layout(text, true).unwrap();
            let told = (found.delimiter, found.is_quoted, found.has_header);
            assert_eq!(told, (delimiter, quoted, header), "{text}");
        };
        check(
            "id\ttitle\tlink\n1\tA coat, blue\thttp://a/1\n",
            '\t',
            false,
            true,
        );
        check("id,title\n1,\"A coat, blue\"\n2,b\n", ',', true, true);
        check("id;title;price\n1;a, b;12,50\n2;c;1,00\n", ';', true, true);
        check("id|title|link\n1|a;b,c|http://a/1\n", '|', false, true);
        check(
            "id^title^link\n1^a|b|c^http://a/1\n2^d^http://a/2\n",
            '^',
            false,
            true,
        );
        check(
            "1^Coat, blue^http://a/1^12000\n2^Cup^http://a/2^9000\n",
            '^',
            false,
            false,
        );
        check(
            "1,Coat,http://a/1,12000\n2,Cup,http://a/2,9000\n",
            ',',
            true,
            false,
        );
        check("\"id\"\t\"title\"\n\"1\"\t\"a\"\n", '\t', true, true);
        // Names of nobody's, told by what is below them.
        check("foo,bar\nx,http://a/1\ny,http://a/2\n", ',', true, true);
        // A lone quote is text where nothing else is quoted.
        check("id\ttitle\n1\t\"Big cup\n2\tb\n", '\t', false, true);
        // Quoted line ends.
        check("id,title\n1,\"a\nb\"\n2,c\n", ',', true, true);
        check("상품번호\t상품명\n1\t컵\n", '\t', false, true);
    }

    #[test]
    fn what_is_no_table_says_so() {
        let check = |text: &str, expected: &str| {
            let error = layout(text, true).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("hello\nworld\n", "have no columns");
        check(&"x".repeat((1 << 20) + 1), "does not end");
        check("id,title,link\n", "not one product");
    }

    #[test]
    fn the_last_row_of_a_part_is_left_out() {
        let text = "id,title\n1,a\n2,b\n3,";
        assert_eq!(layout(text, true).unwrap().table.rows.len(), 3);
        assert_eq!(layout(text, false).unwrap().table.rows.len(), 2);
    }
}
