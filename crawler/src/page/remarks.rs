//! What was broken, ambiguous or cut short on a page: sentences for people,
//! bounded in number and length.

use super::limits::REMARKS_MAX;

#[derive(Debug, Default)]
pub(super) struct Remarks {
    list: Vec<String>,
    left_out: usize,
}

impl Remarks {
    /// Adds a remark, once.
    pub(super) fn add(&mut self, remark: String) {
        if self.list.contains(&remark) {
            return;
        }
        if self.list.len() < REMARKS_MAX {
            self.list.push(remark);
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn into_list(mut self) -> Vec<String> {
        if self.left_out > 0 {
            self.list
                .push(format!("and {} more remarks", self.left_out));
        }
        self.list
    }
}

/// The start of a foreign text, quoted, short enough for a remark.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
