//! The first records of a tagged file, as far as they tell whether it lists
//! everything or what changed. How its fields are read is known by their tags.

use super::table::{ROWS_MAX, Table};

/// Tags that are looked for, under the names that other feeds have for them.
const TAGS: [(&str, &str); 2] = [("<<<class>>>", "class"), ("<<<utime>>>", "update_time")];

/// Where a record begins.
const BEGIN: [&str; 2] = ["<<<mapid>>>", "<<<pid>>>"];

/// A row a record; without a name for what no record has.
pub(super) fn sample(text: &str) -> Table {
    let mut rows: Vec<[&str; TAGS.len()]> = Vec::new();
    for line in text.lines() {
        if BEGIN.iter().any(|tag| line.starts_with(tag)) {
            if rows.len() == ROWS_MAX {
                break;
            }
            rows.push([""; TAGS.len()]);
        }
        for (at, (tag, _)) in TAGS.iter().enumerate() {
            if let (Some(value), Some(row)) = (line.strip_prefix(tag), rows.last_mut()) {
                row[at] = value;
            }
        }
    }
    let seen = (0..TAGS.len()).filter(|at| rows.iter().any(|row| !row[*at].trim().is_empty()));
    let seen: Vec<usize> = seen.collect();
    Table {
        names: seen.iter().map(|at| TAGS[*at].1.to_owned()).collect(),
        rows: rows
            .iter()
            .map(|row| seen.iter().map(|at| row[*at].to_owned()).collect())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_tell_class_and_update_time() {
        let text = "<<<tocnt>>>2\n<<<begin>>>\n<<<mapid>>>A1\n<<<pname>>>Lamp\n<<<class>>>U\n\
                    <<<ftend>>>\n<<<begin>>>\n<<<mapid>>>A2\n<<<class>>>D\n<<<ftend>>>\n";
        let table = sample(text);
        assert_eq!(table.names, ["class"]);
        assert_eq!(table.rows, [["U"], ["D"]]);
        let plain = sample("<<<begin>>>\n<<<pid>>>1\n<<<end>>>\n<<<begin>>>\n<<<pid>>>2\n");
        assert!(plain.names.is_empty());
        assert_eq!(plain.rows.len(), 2);
    }
}
