//! The insertion modes around the body, and which rules a token goes to.

use super::super::arena::{NOWHERE, Space, Span, leading_space};
use super::super::name::Name;
use super::super::references::Place;
use super::{Builder, Declined, Mode, Quirks, Step, Tag, raw};

/// How the text of an element that holds no markup is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawText {
    /// References are decoded.
    Rcdata,
    Rawtext,
    Script,
}

/// What a rule did with a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Yes,
    /// The insertion mode changed, and its rules take the tag.
    Again,
}

impl Builder<'_> {
    pub(super) fn take_text(&mut self, span: Span) -> Step {
        let mut span = span;
        if std::mem::take(&mut self.skips_line_feed) && self.text(span).starts_with('\n') {
            span = span.skip(1);
        }
        if let Some(open) = self.open.last()
            && open.space != Space::Html
            && !self.is_integration_point(open)
        {
            if !span.is_empty() {
                self.append_text(span);
            }
            return Ok(());
        }
        while !span.is_empty() {
            match self.mode {
                Mode::InBody | Mode::InCell | Mode::InCaption => {
                    self.reconstruct_formatting();
                    self.append_text(span);
                    return Ok(());
                }
                Mode::InTable | Mode::InTableBody | Mode::InRow => {
                    let is_blank = leading_space(self.text(span)) == self.text(span).len();
                    if !is_blank || !self.current().name.is_of_table() {
                        return Err(Declined::TextInTable);
                    }
                    self.append_text(span);
                    return Ok(());
                }
                _ => span = self.take_text_outside(span)?,
            }
        }
        Ok(())
    }

    /// Text where mostly white space is; returns what the next mode takes.
    fn take_text_outside(&mut self, span: Span) -> Step<Span> {
        let blank = leading_space(self.text(span));
        let rest = span.skip(blank);
        let is_all = rest.is_empty();
        match self.mode {
            Mode::Initial | Mode::BeforeHtml | Mode::BeforeHead if is_all => {}
            Mode::Initial => self.mode = Mode::BeforeHtml,
            Mode::BeforeHtml => self.open_root(),
            Mode::BeforeHead => self.open_head(),
            Mode::InHead | Mode::InHeadNoscript | Mode::InColumnGroup => {
                if blank > 0 {
                    self.append_text(span.first(blank));
                }
                if !is_all {
                    if self.mode == Mode::InColumnGroup {
                        return Err(Declined::TextInTable);
                    }
                    self.leave_head_part();
                }
            }
            Mode::AfterHead => {
                let text = self.arena.slice(self.page, span.first(blank));
                self.after_head.push_str(text);
                if !is_all {
                    self.open_body();
                }
            }
            Mode::AfterBody | Mode::AfterAfterBody => {
                self.reconstruct_formatting();
                if !is_all {
                    self.mode = Mode::InBody;
                }
                self.append_text(span);
                return Ok(Span::EMPTY);
            }
            mode => unreachable!("{mode:?} takes text itself"),
        }
        Ok(rest)
    }

    fn open_root(&mut self) {
        self.insert_phantom(Name::HTML);
        self.mode = Mode::BeforeHead;
    }

    fn open_head(&mut self) {
        self.head = self.insert_phantom(Name::HEAD);
        self.mode = Mode::InHead;
    }

    /// Ends `<noscript>` in the head, or the head.
    fn leave_head_part(&mut self) {
        self.pop();
        self.mode = match self.mode {
            Mode::InHeadNoscript => Mode::InHead,
            _ => Mode::AfterHead,
        };
    }

    fn flush_after_head(&mut self) {
        if self.after_head.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.after_head);
        let span = self.arena.make(|made| made.push_str(&text));
        self.append_text(span);
    }

    fn open_body(&mut self) {
        self.flush_after_head();
        self.insert_phantom(Name::BODY);
        self.mode = Mode::InBody;
    }

    /// What every document has, even an empty one.
    pub(super) fn end_of_page(&mut self) {
        loop {
            match self.mode {
                Mode::Initial => self.mode = Mode::BeforeHtml,
                Mode::BeforeHtml => self.open_root(),
                Mode::BeforeHead => self.open_head(),
                Mode::InHead | Mode::InHeadNoscript => self.leave_head_part(),
                Mode::AfterHead => self.open_body(),
                _ => return,
            }
        }
    }

    pub(super) fn take_start_tag(&mut self, tag: &Tag) -> Step {
        if self.is_deep() && !(tag.name.is_flat() && self.is_in_html()) {
            self.cut.depth = true;
            return Ok(());
        }
        if let Some(open) = self.open.last()
            && open.space != Space::Html
        {
            if self.is_integration_point(open) {
                return Err(Declined::MarkupInForeignText);
            }
            return self.start_in_foreign(tag);
        }
        while self.start_in_mode(tag)? == Done::Again {}
        Ok(())
    }

    pub(super) fn start_in_mode(&mut self, tag: &Tag) -> Step<Done> {
        match self.mode {
            Mode::Initial => {
                self.quirks = Quirks::Yes;
                self.mode = Mode::BeforeHtml;
                Ok(Done::Again)
            }
            Mode::BeforeHtml if tag.name == Name::HTML => {
                self.insert(tag);
                self.mode = Mode::BeforeHead;
                Ok(Done::Yes)
            }
            Mode::BeforeHtml => {
                self.open_root();
                Ok(Done::Again)
            }
            Mode::BeforeHead => match tag.name {
                Name::HTML => Ok(self.start_html_again(tag)),
                Name::HEAD => {
                    self.head = self.insert(tag);
                    self.mode = Mode::InHead;
                    Ok(Done::Yes)
                }
                _ => {
                    self.open_head();
                    Ok(Done::Again)
                }
            },
            Mode::InHead => self.start_in_head(tag),
            Mode::InHeadNoscript => match tag.name {
                Name::HTML => Ok(self.start_html_again(tag)),
                Name::BASEFONT
                | Name::BGSOUND
                | Name::LINK
                | Name::META
                | Name::NOFRAMES
                | Name::STYLE => self.start_in_head(tag),
                Name::HEAD | Name::NOSCRIPT => Ok(Done::Yes),
                _ => {
                    self.leave_head_part();
                    Ok(Done::Again)
                }
            },
            Mode::AfterHead => self.start_after_head(tag),
            Mode::InBody => self.start_in_body(tag),
            Mode::InTable => self.start_in_table(tag),
            Mode::InCaption => self.start_in_caption(tag),
            Mode::InColumnGroup => self.start_in_column_group(tag),
            Mode::InTableBody => self.start_in_table_body(tag),
            Mode::InRow => self.start_in_row(tag),
            Mode::InCell => self.start_in_cell(tag),
            Mode::AfterBody | Mode::AfterAfterBody => {
                if tag.name == Name::HTML {
                    return Ok(self.start_html_again(tag));
                }
                self.mode = Mode::InBody;
                Ok(Done::Again)
            }
        }
    }

    pub(super) fn start_html_again(&mut self, tag: &Tag) -> Done {
        let root = self.open[0].node;
        self.add_missing_attributes(root, tag);
        Done::Yes
    }

    fn start_in_head(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::HTML => Ok(self.start_html_again(tag)),
            Name::NOSCRIPT => {
                self.insert(tag);
                self.mode = Mode::InHeadNoscript;
                Ok(Done::Yes)
            }
            Name::HEAD => Ok(Done::Yes),
            _ => {
                if !self.start_of_head(tag, self.current().node)? {
                    self.leave_head_part();
                    return Ok(Done::Again);
                }
                Ok(Done::Yes)
            }
        }
    }

    fn start_after_head(&mut self, tag: &Tag) -> Step<Done> {
        match tag.name {
            Name::HTML => return Ok(self.start_html_again(tag)),
            Name::BODY => {
                self.flush_after_head();
                self.insert(tag);
                self.mode = Mode::InBody;
                return Ok(Done::Yes);
            }
            Name::FRAMESET => return Err(Declined::Frameset),
            Name::HEAD => return Ok(Done::Yes),
            _ => {}
        }
        debug_assert_ne!(self.head, NOWHERE);
        if !self.start_of_head(tag, self.head)? {
            self.open_body();
            return Ok(Done::Again);
        }
        Ok(Done::Yes)
    }

    /// The elements that belong into a head, wherever they stand; false if
    /// this is none.
    pub(super) fn start_of_head(&mut self, tag: &Tag, parent: u32) -> Step<bool> {
        match tag.name {
            Name::BASE | Name::BASEFONT | Name::BGSOUND | Name::LINK | Name::META => {
                self.insert_in(parent, tag, Space::Html);
            }
            Name::TITLE => self.raw_element(tag, parent, RawText::Rcdata),
            Name::NOFRAMES | Name::STYLE => self.raw_element(tag, parent, RawText::Rawtext),
            Name::SCRIPT => self.raw_element(tag, parent, RawText::Script),
            Name::TEMPLATE => return Err(Declined::Template),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// An element whose text is no markup, with its text and its end tag.
    pub(super) fn raw_element(&mut self, tag: &Tag, parent: u32, kind: RawText) {
        let node = self.insert_in(parent, tag, Space::Html);
        let start = self.at;
        let rest = &self.page.as_bytes()[start..];
        let name = tag.name.known_text().expect("raw elements are known");
        let length = match kind {
            RawText::Script => raw::until_script_end(rest),
            RawText::Rcdata | RawText::Rawtext => raw::until_end_tag(rest, name),
        };
        let end = start + length;
        let mut span = match kind {
            RawText::Rcdata => self.run(start, end, Place::Text),
            RawText::Rawtext | RawText::Script => Span::of_page(start, end),
        };
        if tag.name == Name::TEXTAREA && self.text(span).starts_with('\n') {
            span = span.skip(1);
        }
        if !span.is_empty() {
            self.arena.push_text(self.page, node, span);
        }
        self.at = end;
        self.skip_end_tag();
    }

    pub(super) fn take_end_tag(&mut self, name: Name) -> Step {
        if let Some(open) = self.open.last()
            && open.space != Space::Html
            && !self.end_in_foreign(name)?
        {
            return Ok(());
        }
        while self.end_in_mode(name)? == Done::Again {}
        Ok(())
    }

    fn end_in_mode(&mut self, name: Name) -> Step<Done> {
        // The end tags that the modes around the body do not ignore.
        let opens = matches!(name, Name::BODY | Name::HTML | Name::BR);
        match self.mode {
            Mode::Initial => {
                self.quirks = Quirks::Yes;
                self.mode = Mode::BeforeHtml;
                Ok(Done::Again)
            }
            Mode::BeforeHtml if opens || name == Name::HEAD => {
                self.open_root();
                Ok(Done::Again)
            }
            Mode::BeforeHead if opens || name == Name::HEAD => {
                self.open_head();
                Ok(Done::Again)
            }
            Mode::InHead if name == Name::HEAD => {
                self.leave_head_part();
                Ok(Done::Yes)
            }
            Mode::InHead if opens => {
                self.leave_head_part();
                Ok(Done::Again)
            }
            Mode::InHeadNoscript if name == Name::NOSCRIPT => {
                self.leave_head_part();
                Ok(Done::Yes)
            }
            Mode::InHeadNoscript if name == Name::BR => {
                self.leave_head_part();
                Ok(Done::Again)
            }
            Mode::AfterHead if opens => {
                self.open_body();
                Ok(Done::Again)
            }
            Mode::BeforeHtml
            | Mode::BeforeHead
            | Mode::InHead
            | Mode::InHeadNoscript
            | Mode::AfterHead => Ok(Done::Yes),
            Mode::InBody => self.end_in_body(name),
            Mode::InTable => self.end_in_table(name),
            Mode::InCaption => self.end_in_caption(name),
            Mode::InColumnGroup => self.end_in_column_group(name),
            Mode::InTableBody => self.end_in_table_body(name),
            Mode::InRow => self.end_in_row(name),
            Mode::InCell => self.end_in_cell(name),
            Mode::AfterBody if name == Name::HTML => {
                self.mode = Mode::AfterAfterBody;
                Ok(Done::Yes)
            }
            Mode::AfterBody | Mode::AfterAfterBody => {
                self.mode = Mode::InBody;
                Ok(Done::Again)
            }
        }
    }
}
