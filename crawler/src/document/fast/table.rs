//! The rules of tables (sections 13.2.6.4.9 to 15 of the HTML standard).
//! What would be moved in front of the table declines.

use super::super::name::Name;
use super::modes::Done;
use super::{Builder, Declined, Mode, Open, Space, Step, Tag};

impl Builder<'_> {
    /// Pops until the current node is one of these, or `<html>`.
    fn clear_to(&mut self, context: impl Fn(Name) -> bool) {
        loop {
            let current = self.current();
            let is_html = current.space == Space::Html;
            if is_html && (current.name == Name::HTML || context(current.name)) {
                return;
            }
            self.pop();
        }
    }

    fn clear_to_table(&mut self) {
        self.clear_to(|name| name == Name::TABLE_);
    }

    fn clear_to_table_body(&mut self) {
        self.clear_to(|name| matches!(name, Name::TBODY | Name::TFOOT | Name::THEAD));
    }

    fn clear_to_row(&mut self) {
        self.clear_to(|name| name == Name::TR);
    }

    fn mode_of_open(&self) -> Mode {
        let mode_of = |open: &Open| {
            if open.space != Space::Html {
                return None;
            }
            Some(match open.name {
                Name::TD | Name::TH => Mode::InCell,
                Name::TR => Mode::InRow,
                Name::TBODY | Name::THEAD | Name::TFOOT => Mode::InTableBody,
                Name::CAPTION => Mode::InCaption,
                Name::COLGROUP => Mode::InColumnGroup,
                Name::TABLE_ => Mode::InTable,
                Name::HEAD => Mode::InHead,
                Name::BODY => Mode::InBody,
                Name::HTML => Mode::AfterHead,
                _ => return None,
            })
        };
        self.open
            .iter()
            .rev()
            .find_map(mode_of)
            .unwrap_or(Mode::InBody)
    }

    fn end_table(&mut self) {
        self.pop_through(Name::TABLE_);
        self.looks += self.open.len();
        self.mode = self.mode_of_open();
    }

    pub(super) fn start_in_table(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::CAPTION => {
                self.clear_to_table();
                self.push_marker();
                self.insert(tag);
                self.mode = Mode::InCaption;
            }
            Name::COLGROUP => {
                self.clear_to_table();
                self.insert(tag);
                self.mode = Mode::InColumnGroup;
            }
            Name::COL => {
                self.clear_to_table();
                self.insert_phantom(Name::COLGROUP);
                self.mode = Mode::InColumnGroup;
                return Ok(Done::Again);
            }
            Name::TBODY | Name::TFOOT | Name::THEAD => {
                self.clear_to_table();
                self.insert(tag);
                self.mode = Mode::InTableBody;
            }
            Name::TD | Name::TH | Name::TR => {
                self.clear_to_table();
                self.insert_phantom(Name::TBODY);
                self.mode = Mode::InTableBody;
                return Ok(Done::Again);
            }
            Name::TABLE_ => {
                if self.in_table_scope(Name::TABLE_) {
                    self.end_table();
                    return Ok(Done::Again);
                }
            }
            Name::STYLE | Name::SCRIPT => {
                let parent = self.current().node;
                self.start_of_head(tag, parent)?;
            }
            Name::TEMPLATE => return Err(Declined::Template),
            Name::INPUT => {
                let is_hidden = self
                    .attribute(tag, Name::TYPE)
                    .is_some_and(|kind| kind.eq_ignore_ascii_case("hidden"));
                if !is_hidden {
                    return Err(Declined::MarkupInTable);
                }
                self.insert_void(tag);
            }
            Name::FORM => {
                if self.form == super::NOWHERE {
                    self.form = self.insert_void(tag);
                }
            }
            _ => return Err(Declined::MarkupInTable),
        }
        Ok(Done::Yes)
    }

    pub(super) fn end_in_table(&mut self, name: Name) -> Step<Done> {
        match name {
            Name::TABLE_ => {
                if self.in_table_scope(Name::TABLE_) {
                    self.end_table();
                }
                Ok(Done::Yes)
            }
            Name::BODY
            | Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::HTML
            | Name::TBODY
            | Name::TD
            | Name::TFOOT
            | Name::TH
            | Name::THEAD
            | Name::TR
            | Name::TEMPLATE => Ok(Done::Yes),
            // These insert an element.
            Name::P | Name::BR => Err(Declined::MarkupInTable),
            _ => self.end_in_body(name),
        }
    }

    pub(super) fn start_in_table_body(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::TR => {
                self.clear_to_table_body();
                self.insert(tag);
                self.mode = Mode::InRow;
                Ok(Done::Yes)
            }
            Name::TH | Name::TD => {
                self.clear_to_table_body();
                self.insert_phantom(Name::TR);
                self.mode = Mode::InRow;
                Ok(Done::Again)
            }
            Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::TBODY
            | Name::TFOOT
            | Name::THEAD => Ok(self.leave_table_body()),
            _ => self.start_in_table(tag),
        }
    }

    fn leave_table_body(&mut self) -> Done {
        let outer = |name| matches!(name, Name::TABLE_ | Name::TBODY | Name::TFOOT);
        if !self.in_table_scope_where(outer) {
            return Done::Yes;
        }
        self.clear_to_table_body();
        self.pop();
        self.mode = Mode::InTable;
        Done::Again
    }

    pub(super) fn end_in_table_body(&mut self, name: Name) -> Step<Done> {
        match name {
            Name::TBODY | Name::TFOOT | Name::THEAD => {
                if self.in_table_scope(name) {
                    self.clear_to_table_body();
                    self.pop();
                    self.mode = Mode::InTable;
                }
                Ok(Done::Yes)
            }
            Name::TABLE_ => Ok(self.leave_table_body()),
            Name::BODY
            | Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::HTML
            | Name::TD
            | Name::TH
            | Name::TR => Ok(Done::Yes),
            _ => self.end_in_table(name),
        }
    }

    pub(super) fn start_in_row(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::TH | Name::TD => {
                self.clear_to_row();
                self.insert(tag);
                self.mode = Mode::InCell;
                self.push_marker();
                Ok(Done::Yes)
            }
            Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::TBODY
            | Name::TFOOT
            | Name::THEAD
            | Name::TR => Ok(self.leave_row()),
            _ => self.start_in_table(tag),
        }
    }

    fn leave_row(&mut self) -> Done {
        if !self.in_table_scope(Name::TR) {
            return Done::Yes;
        }
        self.clear_to_row();
        self.pop();
        self.mode = Mode::InTableBody;
        Done::Again
    }

    pub(super) fn end_in_row(&mut self, name: Name) -> Step<Done> {
        match name {
            Name::TR => {
                self.leave_row();
                Ok(Done::Yes)
            }
            Name::TABLE_ => Ok(self.leave_row()),
            Name::TBODY | Name::TFOOT | Name::THEAD => {
                if self.in_table_scope(name) {
                    return Ok(self.leave_row());
                }
                Ok(Done::Yes)
            }
            Name::BODY
            | Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::HTML
            | Name::TD
            | Name::TH => Ok(Done::Yes),
            _ => self.end_in_table(name),
        }
    }

    pub(super) fn start_in_cell(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::TBODY
            | Name::TD
            | Name::TFOOT
            | Name::TH
            | Name::THEAD
            | Name::TR => {
                if !self.in_table_scope_where(is_cell) {
                    return Ok(Done::Yes);
                }
                Ok(self.leave_cell())
            }
            _ => self.start_in_body(tag),
        }
    }

    fn leave_cell(&mut self) -> Done {
        self.close_implied();
        self.pop_through_where(is_cell);
        self.clear_formatting_to_marker();
        self.mode = Mode::InRow;
        Done::Again
    }

    pub(super) fn end_in_cell(&mut self, name: Name) -> Step<Done> {
        match name {
            Name::TD | Name::TH => {
                if self.in_table_scope(name) {
                    self.close_implied();
                    self.pop_through(name);
                    self.clear_formatting_to_marker();
                    self.mode = Mode::InRow;
                }
                Ok(Done::Yes)
            }
            Name::BODY | Name::CAPTION | Name::COL | Name::COLGROUP | Name::HTML => Ok(Done::Yes),
            Name::TABLE_ | Name::TBODY | Name::TFOOT | Name::THEAD | Name::TR => {
                if self.in_table_scope(name) {
                    return Ok(self.leave_cell());
                }
                Ok(Done::Yes)
            }
            _ => self.end_in_body(name),
        }
    }

    pub(super) fn start_in_caption(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::TBODY
            | Name::TD
            | Name::TFOOT
            | Name::TH
            | Name::THEAD
            | Name::TR => Ok(self.leave_caption()),
            _ => self.start_in_body(tag),
        }
    }

    fn leave_caption(&mut self) -> Done {
        if !self.in_table_scope(Name::CAPTION) {
            return Done::Yes;
        }
        self.close_implied();
        self.pop_through(Name::CAPTION);
        self.clear_formatting_to_marker();
        self.mode = Mode::InTable;
        Done::Again
    }

    pub(super) fn end_in_caption(&mut self, name: Name) -> Step<Done> {
        match name {
            Name::CAPTION => {
                self.leave_caption();
                Ok(Done::Yes)
            }
            Name::TABLE_ => Ok(self.leave_caption()),
            Name::BODY
            | Name::COL
            | Name::COLGROUP
            | Name::HTML
            | Name::TBODY
            | Name::TD
            | Name::TFOOT
            | Name::TH
            | Name::THEAD
            | Name::TR => Ok(Done::Yes),
            _ => self.end_in_body(name),
        }
    }

    pub(super) fn start_in_column_group(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::HTML => Ok(self.start_html_again(tag)),
            Name::COL => {
                self.insert_void(tag);
                Ok(Done::Yes)
            }
            Name::TEMPLATE => Err(Declined::Template),
            _ => Ok(self.leave_column_group()),
        }
    }

    fn leave_column_group(&mut self) -> Done {
        if !self.current_is(Name::COLGROUP) {
            return Done::Yes;
        }
        self.pop();
        self.mode = Mode::InTable;
        Done::Again
    }

    pub(super) fn end_in_column_group(&mut self, name: Name) -> Step<Done> {
        match name {
            Name::COLGROUP => {
                self.leave_column_group();
                Ok(Done::Yes)
            }
            Name::COL | Name::TEMPLATE => Ok(Done::Yes),
            _ => Ok(self.leave_column_group()),
        }
    }
}

fn is_cell(name: Name) -> bool {
    matches!(name, Name::TD | Name::TH)
}
