//! How two pipe sets differ: which pipes and tables, and of changed pipes
//! which lines.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use trawler_fleet::PipeSetFiles;

use crate::end::End;
use crate::output;

/// Longest files that are compared line by line; the comparison takes their
/// product.
const LINES_MAX: usize = 2_000;

/// One thing that is in one set, or in both and not the same.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    what: String,
    kind: Kind,
    /// Lines with `-` or `+` before them, of a pipe that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Added,
    Removed,
    Changed,
}

pub(super) fn print(from: &PipeSetFiles, to: &PipeSetFiles, as_json: bool) -> anyhow::Result<End> {
    let found = differences(from, to);
    if as_json {
        output::json(&found)?;
        return Ok(End::Done);
    }
    if found.is_empty() {
        say!("no difference");
    }
    for difference in found {
        let verb = match difference.kind {
            Kind::Added => "added",
            Kind::Removed => "removed",
            Kind::Changed => "changed",
        };
        say!("{verb:<8} {}", difference.what);
        for line in difference.lines {
            say!("    {line}");
        }
    }
    Ok(End::Done)
}

fn differences(from: &PipeSetFiles, to: &PipeSetFiles) -> Vec<Difference> {
    let pipes = |files: &PipeSetFiles| -> BTreeMap<String, String> {
        let pipes = files.pipes().iter();
        pipes
            .map(|file| (format!("pipe {}", file.id), file.text.clone()))
            .collect()
    };
    let tables = |files: &PipeSetFiles| -> BTreeMap<String, String> {
        let tables = files.tables().iter();
        tables
            .map(|table| (format!("table {}", table.name), table.sha256.clone()))
            .collect()
    };
    let mut found = compare(&pipes(from), &pipes(to), line_differences);
    found.extend(compare(&tables(from), &tables(to), |_, _| Vec::new()));
    found
}

fn compare(
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
    lines: impl Fn(&str, &str) -> Vec<String>,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let differences = names.into_iter().filter_map(|name| {
        let (kind, lines) = match (from.get(name), to.get(name)) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(old), Some(new)) => (Kind::Changed, lines(old, new)),
            (Some(_), None) => (Kind::Removed, Vec::new()),
            (None, _) => (Kind::Added, Vec::new()),
        };
        Some(Difference {
            what: name.clone(),
            kind,
            lines,
        })
    });
    differences.collect()
}

/// The lines that are not in a longest common subsequence.
fn line_differences(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len().max(new.len()) > LINES_MAX {
        return vec![format!("(more than {LINES_MAX} lines: not compared)")];
    }
    // common[i][j]: the longest of old[i..] and new[j..].
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("-{}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_are_told_and_no_others() {
        let check = |old: &str, new: &str, expected: &[&str]| {
            assert_eq!(line_differences(old, new), expected, "{old:?} {new:?}");
        };
        check("a\nb\nc", "a\nb\nc", &[]);
        check("a\nb\nc", "a\nx\nc", &["-b", "+x"]);
        check("a\nc", "a\nb\nc", &["+b"]);
        check("a\nb\nc", "a\nc", &["-b"]);
        check("", "a", &["+a"]);
    }
}
