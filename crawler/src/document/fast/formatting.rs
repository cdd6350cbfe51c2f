//! The list of active formatting elements: `<b>` and its like go on in the
//! next paragraph when they were not closed in theirs.
//!
//! The adoption agency, which moves what was read already, is not here: where
//! it would move anything, the builder declines.

use super::super::arena::{Content, Space};
use super::super::name::Name;
use super::{Builder, Declined, Step, Tag};

#[derive(Debug, Clone, Copy)]
pub(super) enum Formatting {
    /// Cells, captions and the like: formatting does not go on into them.
    Marker,
    Element {
        node: u32,
        /// Where in the stack of open elements it was put.
        open_at: usize,
        name: Name,
        attributes: Content,
    },
}

impl Builder<'_> {
    fn is_open_entry(&self, entry: &Formatting) -> bool {
        match entry {
            Formatting::Marker => true,
            Formatting::Element { node, open_at, .. } => self
                .open
                .get(*open_at)
                .is_some_and(|open| open.node == *node),
        }
    }

    /// Opens again the formatting elements that were closed by the end of
    /// what they stand in.
    #[inline]
    pub(super) fn reconstruct_formatting(&mut self) {
        if let Some(last) = self.formatting.last()
            && !self.is_open_entry(last)
        {
            self.reopen_formatting();
        }
    }

    fn reopen_formatting(&mut self) {
        let first = self
            .formatting
            .iter()
            .rposition(|entry| self.is_open_entry(entry))
            .map_or(0, |at| at + 1);
        for at in first..self.formatting.len() {
            let Formatting::Element {
                name, attributes, ..
            } = self.formatting[at]
            else {
                unreachable!("a marker counts as open");
            };
            self.formatting[at] = self.open_formatting(&Tag {
                name,
                attributes,
                is_self_closing: false,
            });
        }
    }

    fn open_formatting(&mut self, tag: &Tag) -> Formatting {
        let open_at = self.open.len();
        let node = self.insert(tag);
        Formatting::Element {
            node,
            open_at,
            name: tag.name,
            attributes: tag.attributes,
        }
    }

    pub(super) fn start_formatting(&mut self, tag: &Tag) {
        self.forget_fourth_alike(tag);
        let entry = self.open_formatting(tag);
        self.formatting.push(entry);
    }

    /// At most three formatting elements alike go on at a time.
    fn forget_fourth_alike(&mut self, tag: &Tag) {
        let mut alike = 0;
        let mut earliest = None;
        for (at, entry) in self.formatting.iter().enumerate().rev() {
            let Formatting::Element {
                name, attributes, ..
            } = entry
            else {
                break;
            };
            if *name == tag.name && self.has_same_attributes(*attributes, tag.attributes) {
                alike += 1;
                earliest = Some(at);
            }
        }
        if let Some(at) = earliest
            && alike >= 3
        {
            self.formatting.remove(at);
        }
    }

    fn has_same_attributes(&self, one: Content, other: Content) -> bool {
        let one = &self.arena.attributes[one.as_attributes()];
        let other = &self.arena.attributes[other.as_attributes()];
        one.len() == other.len()
            && one.iter().all(|attribute| {
                other.iter().any(|candidate| {
                    self.arena
                        .is_same_name(self.page, attribute.name, candidate.name)
                        && self.text(attribute.value) == self.text(candidate.value)
                })
            })
    }

    /// The last formatting element of this name since the last marker.
    fn formatting_named(&self, wanted: Name) -> Option<usize> {
        for (at, entry) in self.formatting.iter().enumerate().rev() {
            match entry {
                Formatting::Marker => return None,
                Formatting::Element { name, .. } if *name == wanted => return Some(at),
                Formatting::Element { .. } => {}
            }
        }
        None
    }

    /// `<a>` in `<a>` ends the first.
    pub(super) fn close_open_link(&mut self) -> Step {
        let Some(at) = self.formatting_named(Name::A) else {
            return Ok(());
        };
        let Formatting::Element { node, .. } = self.formatting[at] else {
            unreachable!("it has a name");
        };
        self.end_formatting(Name::A)?;
        self.formatting.retain(
            |entry| !matches!(entry, Formatting::Element { node: other, .. } if *other == node),
        );
        if let Some(at) = self.position_of(node) {
            self.remove_open(at);
        }
        Ok(())
    }

    /// The end tag of a formatting element (steps of the adoption agency as
    /// far as nothing is moved).
    pub(super) fn end_formatting(&mut self, name: Name) -> Step {
        let current = self.current();
        if current.name == name && current.space == Space::Html {
            let is_active = self.formatting.iter().any(
                |entry| matches!(entry, Formatting::Element { node, .. } if *node == current.node),
            );
            if !is_active {
                self.pop();
                return Ok(());
            }
        }
        // Each round of the standard's loop that ends without moving
        // anything is the last, so one is enough.
        let Some(at) = self.formatting_named(name) else {
            self.end_other(name);
            return Ok(());
        };
        let Formatting::Element { node, open_at, .. } = self.formatting[at] else {
            unreachable!("it has a name");
        };
        if !self.is_open_entry(&self.formatting[at]) {
            self.formatting.remove(at);
            return Ok(());
        }
        debug_assert_eq!(self.open[open_at].node, node);
        self.looks += self.open.len() - open_at;
        let above = &self.open[open_at + 1..];
        if above.iter().any(|open| self.ends_scope(open)) {
            return Ok(());
        }
        let moves = above
            .iter()
            .any(|open| open.space == Space::Html && open.name.is_special());
        if moves {
            return Err(Declined::Misnested);
        }
        self.truncate_open(open_at);
        self.formatting.remove(at);
        Ok(())
    }

    pub(super) fn push_marker(&mut self) {
        self.formatting.push(Formatting::Marker);
    }

    pub(super) fn clear_formatting_to_marker(&mut self) {
        while let Some(entry) = self.formatting.pop() {
            if matches!(entry, Formatting::Marker) {
                return;
            }
        }
    }
}
