//! A mapping table: CSV with the columns `from` and `to`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::brand::fold_text;

/// Rules of one table; a category tree has some 10,000 nodes.
const RULES_MAX: usize = 1_000_000;

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    #[error("cannot open mapping table {file}")]
    Open {
        file: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{file}: the header is {found:?}; it must have the columns `from` and `to`")]
    Header { file: String, found: String },
    #[error("{file}:{line}: {why}")]
    Rule {
        file: String,
        line: u64,
        why: String,
    },
    #[error("{file}: more than {RULES_MAX} rules")]
    TooMany { file: String },
}

/// Rules by what partners send.
#[derive(Debug, Clone, Default)]
pub struct MappingTable {
    exact: HashMap<String, String>,
    folded: HashMap<String, String>,
}

impl MappingTable {
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let file = path.display().to_string();
        match File::open(path) {
            Ok(input) => Self::read(input, &file),
            Err(source) => Err(MappingError::Open { file, source }),
        }
    }

    /// Reads a table; `file` names it in errors. Further columns are notes.
    pub fn read(input: impl Read, file: &str) -> Result<Self, MappingError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(input);
        let mut records = reader.records();
        let header = match records.next() {
            Some(Ok(header)) => header,
            Some(Err(error)) => return Err(unreadable(file, &error)),
            None => csv::StringRecord::new(),
        };
        let position = |name: &str| {
            let named = |field: &str| field.trim_start_matches('\u{feff}') == name;
            header.iter().position(named)
        };
        let (Some(from), Some(to)) = (position("from"), position("to")) else {
            return Err(MappingError::Header {
                file: file.to_owned(),
                found: header.iter().collect::<Vec<_>>().join(","),
            });
        };
        let mut table = Self::default();
        for record in records {
            let record = record.map_err(|error| unreadable(file, &error))?;
            let line = record.position().map_or(0, csv::Position::line);
            let rule = |why: String| MappingError::Rule {
                file: file.to_owned(),
                line,
                why,
            };
            let value = |at: usize, name: &str| match record.get(at) {
                Some(value) if !value.is_empty() => Ok(value),
                _ => Err(rule(format!("`{name}` is empty"))),
            };
            let (from, to) = (value(from, "from")?, value(to, "to")?);
            table.add(from, to).map_err(rule)?;
            if table.exact.len() > RULES_MAX {
                return Err(MappingError::TooMany {
                    file: file.to_owned(),
                });
            }
        }
        Ok(table)
    }

    fn add(&mut self, from: &str, to: &str) -> Result<(), String> {
        let from = tidy_path(from);
        match self.exact.insert(from.clone(), to.to_owned()) {
            Some(before) if before != to => {
                return Err(format!("{from:?} already maps to {before:?}, not {to:?}"));
            }
            _ => {}
        }
        // Of two rules that differ in case only, the first counts for what
        // neither of them matches exactly.
        self.folded
            .entry(fold_key(&from))
            .or_insert_with(|| to.to_owned());
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.exact.len()
    }

    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    /// The rule for exactly this value.
    pub fn exact(&self, value: &str) -> Option<&str> {
        self.exact.get(value).map(String::as_str)
    }

    /// The rule for this value, without case and blanks.
    pub fn folded(&self, value: &str) -> Option<&str> {
        self.folded.get(&fold_key(value)).map(String::as_str)
    }

    /// The rule for a path, else for its longest beginning.
    pub fn path(&self, path: &str) -> Option<&str> {
        if let Some(to) = self.exact(path) {
            return Some(to);
        }
        let folded = fold_key(path);
        let mut rest = folded.as_str();
        loop {
            if let Some(to) = self.folded.get(rest) {
                return Some(to);
            }
            rest = &rest[..rest.rfind('>')?];
        }
    }
}

fn unreadable(file: &str, error: &csv::Error) -> MappingError {
    MappingError::Rule {
        file: file.to_owned(),
        line: error.position().map_or(0, csv::Position::line),
        why: error.to_string(),
    }
}

/// `a > b` and `a>b` are the same path.
fn tidy_path(from: &str) -> String {
    let levels: Vec<&str> = from.split('>').map(str::trim).collect();
    levels.join(">")
}

fn fold_key(value: &str) -> String {
    let mut key = fold_text(value);
    key.retain(|c| c != ' ');
    key
}
