//! The rules of the insertion mode "in body" (section 13.2.6.4.7 of the HTML
//! standard), where nearly all of a page is read.

use super::super::arena::Space;
use super::super::name::Name;
use super::modes::{Done, RawText};
use super::{Builder, Declined, Mode, Quirks, Step, Tag};

impl Builder<'_> {
    pub(super) fn start_in_body(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            name if name.is_block() || name == Name::P => {
                self.close_paragraph();
                self.insert(tag);
            }
            Name::A => {
                self.close_open_link()?;
                self.reconstruct_formatting();
                self.start_formatting(tag);
            }
            Name::NOBR => self.start_nobr(tag)?,
            name if name.is_formatting() => {
                self.reconstruct_formatting();
                self.start_formatting(tag);
            }
            Name::LI | Name::DD | Name::DT => self.start_list_item(tag),
            Name::AREA | Name::BR | Name::EMBED | Name::IMG | Name::KEYGEN | Name::WBR => {
                self.reconstruct_formatting();
                self.insert_void(tag);
            }
            Name::H1 | Name::H2 | Name::H3 | Name::H4 | Name::H5 | Name::H6 => {
                self.close_paragraph();
                let current = self.current();
                if current.name.is_heading() && current.space == Space::Html {
                    self.pop();
                }
                self.insert(tag);
            }
            Name::INPUT
            | Name::SELECT
            | Name::OPTION
            | Name::OPTGROUP
            | Name::HR
            | Name::BUTTON
            | Name::FORM => self.start_form_part(tag),
            Name::PARAM | Name::SOURCE | Name::TRACK => {
                self.insert_void(tag);
            }
            Name::TABLE_ => {
                self.start_table(tag)?;
            }
            Name::PRE | Name::LISTING => {
                self.close_paragraph();
                self.insert(tag);
                self.skips_line_feed = true;
            }
            Name::CAPTION
            | Name::COL
            | Name::COLGROUP
            | Name::FRAME
            | Name::HEAD
            | Name::TBODY
            | Name::TD
            | Name::TFOOT
            | Name::TH
            | Name::THEAD
            | Name::TR => {}
            Name::HTML => {
                self.start_html_again(tag);
            }
            _ => self.start_rare_in_body(tag)?,
        }
        Ok(Done::Yes)
    }

    fn start_rare_in_body(&mut self, tag: &Tag) -> Step {
        match tag.name {
            Name::APPLET | Name::MARQUEE | Name::OBJECT => {
                self.reconstruct_formatting();
                self.insert(tag);
                self.push_marker();
            }
            Name::IMAGE => {
                self.reconstruct_formatting();
                self.insert_void(&Tag {
                    name: Name::IMG,
                    ..*tag
                });
            }
            Name::BODY => {
                if let Some(body) = self.open.get(1)
                    && body.name == Name::BODY
                {
                    let node = body.node;
                    self.add_missing_attributes(node, tag);
                }
            }
            Name::TEXTAREA => {
                let parent = self.current().node;
                self.raw_element(tag, parent, RawText::Rcdata);
            }
            Name::IFRAME | Name::NOEMBED => {
                let parent = self.current().node;
                self.raw_element(tag, parent, RawText::Rawtext);
            }
            Name::XMP => {
                self.close_paragraph();
                self.reconstruct_formatting();
                let parent = self.current().node;
                self.raw_element(tag, parent, RawText::Rawtext);
            }
            Name::RB | Name::RTC => {
                if self.in_scope(Name::RUBY) {
                    self.close_implied();
                }
                self.insert(tag);
            }
            Name::RP | Name::RT => {
                if self.in_scope(Name::RUBY) {
                    self.close_implied_except(Name::RTC);
                }
                self.insert(tag);
            }
            Name::SVG => {
                self.reconstruct_formatting();
                self.start_svg(tag);
            }
            Name::MATH => return Err(Declined::MathMl),
            Name::FRAMESET => return Err(Declined::Frameset),
            Name::PLAINTEXT => return Err(Declined::Plaintext),
            _ => {
                let parent = self.current().node;
                if !self.start_of_head(tag, parent)? {
                    self.reconstruct_formatting();
                    self.insert(tag);
                }
            }
        }
        Ok(())
    }

    fn start_nobr(&mut self, tag: &Tag) -> Step {
        self.reconstruct_formatting();
        if self.in_scope(Name::NOBR) {
            self.end_formatting(Name::NOBR)?;
            self.reconstruct_formatting();
        }
        self.start_formatting(tag);
        Ok(())
    }

    fn start_list_item(&mut self, tag: &Tag) {
        let closes = |name: Name| match tag.name {
            Name::LI => name == Name::LI,
            _ => matches!(name, Name::DD | Name::DT),
        };
        let mut found = None;
        for at in (0..self.open.len()).rev() {
            let open = self.open[at];
            self.looks += 1;
            if open.space != Space::Html {
                continue;
            }
            if closes(open.name) {
                found = Some(open.name);
                break;
            }
            let is_passed = matches!(open.name, Name::ADDRESS | Name::DIV | Name::P);
            if open.name.is_special() && !is_passed {
                break;
            }
        }
        if let Some(name) = found {
            self.close_implied_except(name);
            self.pop_through(name);
        }
        self.close_paragraph();
        self.insert(tag);
    }

    fn start_form_part(&mut self, tag: &Tag) {
        match tag.name {
            Name::INPUT => {
                if self.in_scope(Name::SELECT) {
                    self.pop_through(Name::SELECT);
                }
                self.reconstruct_formatting();
                self.insert_void(tag);
            }
            Name::HR => {
                self.close_paragraph();
                if self.in_scope(Name::SELECT) {
                    self.close_implied();
                }
                self.insert_void(tag);
            }
            Name::SELECT if self.in_scope(Name::SELECT) => self.pop_through(Name::SELECT),
            Name::SELECT => {
                self.reconstruct_formatting();
                self.insert(tag);
            }
            Name::OPTION | Name::OPTGROUP => {
                if self.in_scope(Name::SELECT) {
                    self.close_implied_except(match tag.name {
                        Name::OPTION => Name::OPTGROUP,
                        _ => Name::DOCUMENT,
                    });
                } else if self.current_is(Name::OPTION) {
                    self.pop();
                }
                self.reconstruct_formatting();
                self.insert(tag);
            }
            Name::BUTTON => {
                if self.in_scope(Name::BUTTON) {
                    self.close_implied();
                    self.pop_through(Name::BUTTON);
                }
                self.reconstruct_formatting();
                self.insert(tag);
            }
            // A form in a form is ignored.
            _ if self.form == super::NOWHERE => {
                self.close_paragraph();
                self.form = self.insert(tag);
            }
            _ => {}
        }
    }

    fn start_table(&mut self, tag: &Tag) -> Step {
        if self.quirks != Quirks::Yes && self.in_button_scope(Name::P) {
            if self.quirks == Quirks::Unknown {
                return Err(Declined::Doctype);
            }
            self.close_paragraph();
        }
        self.insert(tag);
        self.mode = Mode::InTable;
        Ok(())
    }

    pub(super) fn end_in_body(&mut self, name: Name) -> Step<Done> {
        match name {
            name if name.is_block() => self.end_block(name),
            Name::BUTTON | Name::LISTING | Name::PRE | Name::SELECT => self.end_block(name),
            name if name.is_formatting() => self.end_formatting(name)?,
            Name::P => {
                if !self.in_button_scope(Name::P) {
                    self.insert_phantom(Name::P);
                }
                self.close_paragraph();
            }
            Name::LI if self.in_list_scope(name) => {
                self.close_implied_except(name);
                self.pop_through(name);
            }
            Name::DD | Name::DT if self.in_scope(name) => {
                self.close_implied_except(name);
                self.pop_through(name);
            }
            Name::LI | Name::DD | Name::DT => {}
            Name::H1 | Name::H2 | Name::H3 | Name::H4 | Name::H5 | Name::H6 => {
                self.end_heading();
            }
            Name::BODY | Name::HTML => {
                if self.in_scope(Name::BODY) {
                    self.mode = Mode::AfterBody;
                    if name == Name::HTML {
                        return Ok(Done::Again);
                    }
                }
            }
            Name::FORM => self.end_form(),
            Name::APPLET | Name::MARQUEE | Name::OBJECT => {
                if self.in_scope(name) {
                    self.end_block(name);
                    self.clear_formatting_to_marker();
                }
            }
            Name::BR => {
                self.reconstruct_formatting();
                self.insert_phantom(Name::BR);
                self.pop();
            }
            // No template is open: they decline.
            Name::TEMPLATE => {}
            _ => self.end_other(name),
        }
        Ok(Done::Yes)
    }

    fn end_block(&mut self, name: Name) {
        if self.in_scope(name) {
            self.close_implied();
            self.pop_through(name);
        }
    }

    fn end_heading(&mut self) {
        if self
            .in_scope_where(Name::is_heading, Self::ends_scope)
            .is_some()
        {
            self.close_implied();
            self.pop_through_where(Name::is_heading);
        }
    }

    fn end_form(&mut self) {
        let form = std::mem::replace(&mut self.form, super::NOWHERE);
        if form == super::NOWHERE {
            return;
        }
        let Some(at) = self.position_of(form) else {
            return;
        };
        self.looks += self.open.len() - at;
        let is_in_scope = !self.open[at + 1..].iter().any(|open| self.ends_scope(open));
        if is_in_scope {
            self.close_implied();
            // Implied end tags may have closed nothing below the form.
            self.remove_open(at);
        }
    }

    /// "Any other end tag".
    pub(super) fn end_other(&mut self, name: Name) {
        if !self.may_be_open(name) {
            return;
        }
        for at in (0..self.open.len()).rev() {
            let open = self.open[at];
            self.looks += 1;
            if open.space != Space::Html {
                continue;
            }
            if self.arena.is_same_name(self.page, open.name, name) {
                self.close_implied_except(name);
                self.truncate_open(at);
                return;
            }
            if open.name.is_special() {
                return;
            }
        }
    }
}
