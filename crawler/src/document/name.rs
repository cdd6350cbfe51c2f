//! Names of elements and attributes as small numbers, and what the HTML
//! standard and this reader make of each element's name.
//!
//! Names that pages use all the time are numbers known beforehand; any other
//! name is numbered by the page that holds it (`arena`). Two known names are
//! equal if their numbers are.

/// A name, or which kind of node has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name(pub(super) u32);

/// The "special" category of the standard.
const SPECIAL: u16 = 1;
/// Ends every scope ("has an element in scope").
const SCOPE: u16 = 1 << 1;
/// Its end tag is implied.
const IMPLIED: u16 = 1 << 2;
/// `h1` to `h6`.
const HEADING: u16 = 1 << 3;
/// Text is not allowed in it: it would be moved in front of the table.
const TABLE: u16 = 1 << 4;
/// Does not part the words before from those after.
const INLINE: u16 = 1 << 5;
/// Nobody reads its text.
const SILENT: u16 = 1 << 6;
/// Holds no elements (but in SVG), so that it makes nothing deeper.
const FLAT: u16 = 1 << 7;
/// Ends foreign content when it starts there.
const BREAKOUT: u16 = 1 << 8;
/// Ends an open paragraph when it starts, and is closed by its end tag alone.
const BLOCK: u16 = 1 << 9;
/// Goes on in the next block if it was not closed in its own.
const FORMATTING: u16 = 1 << 10;
/// Nothing is special about it.
const NONE: u16 = 0;

macro_rules! names {
    ($($konst:ident $text:literal $flags:expr;)*) => {
        // Most names are only ever looked up by their text.
        #[allow(dead_code, non_camel_case_types, clippy::upper_case_acronyms)]
        enum Number { $($konst),* }

        #[allow(dead_code)]
        impl Name {
            $(pub(crate) const $konst: Self = Self(Number::$konst as u32);)*
        }

        const KNOWN: &[(&str, u16)] = &[$(($text, $flags)),*];
    };
}

names! {
    DOCUMENT "#document" NONE;
    TEXT "#text" NONE;

    A "a" INLINE | FORMATTING;
    ABBR "abbr" INLINE;
    ADDRESS "address" SPECIAL | BLOCK;
    APPLET "applet" SPECIAL | SCOPE;
    AREA "area" SPECIAL;
    ARTICLE "article" SPECIAL | BLOCK;
    ASIDE "aside" SPECIAL | BLOCK;
    AUDIO "audio" NONE;
    B "b" INLINE | BREAKOUT | FORMATTING;
    BASE "base" SPECIAL | FLAT;
    BASEFONT "basefont" SPECIAL;
    BDI "bdi" INLINE;
    BDO "bdo" INLINE;
    BGSOUND "bgsound" SPECIAL;
    BIG "big" BREAKOUT | FORMATTING;
    BLOCKQUOTE "blockquote" SPECIAL | BREAKOUT | BLOCK;
    BODY "body" SPECIAL | BREAKOUT;
    BR "br" SPECIAL | FLAT | BREAKOUT;
    BUTTON "button" SPECIAL;
    CANVAS "canvas" NONE;
    CAPTION "caption" SPECIAL | SCOPE;
    CENTER "center" SPECIAL | BREAKOUT | BLOCK;
    CIRCLE "circle" NONE;
    CITE "cite" INLINE;
    CODE "code" INLINE | BREAKOUT | FORMATTING;
    COL "col" SPECIAL;
    COLGROUP "colgroup" SPECIAL;
    DATA "data" INLINE;
    DATALIST "datalist" NONE;
    DD "dd" SPECIAL | IMPLIED | BREAKOUT;
    DEFS "defs" NONE;
    DEL "del" INLINE;
    DESC "desc" NONE;
    DETAILS "details" SPECIAL | BLOCK;
    DFN "dfn" NONE;
    DIALOG "dialog" BLOCK;
    DIR "dir" SPECIAL | BLOCK;
    DIV "div" SPECIAL | BREAKOUT | BLOCK;
    DL "dl" SPECIAL | BREAKOUT | BLOCK;
    DT "dt" SPECIAL | IMPLIED | BREAKOUT;
    EM "em" INLINE | BREAKOUT | FORMATTING;
    EMBED "embed" SPECIAL | BREAKOUT;
    FIELDSET "fieldset" SPECIAL | BLOCK;
    FIGCAPTION "figcaption" SPECIAL | BLOCK;
    FIGURE "figure" SPECIAL | BLOCK;
    FONT "font" INLINE | FORMATTING;
    FOOTER "footer" SPECIAL | BLOCK;
    FORM "form" SPECIAL;
    FRAME "frame" SPECIAL;
    FRAMESET "frameset" SPECIAL;
    G "g" NONE;
    H1 "h1" SPECIAL | HEADING | BREAKOUT;
    H2 "h2" SPECIAL | HEADING | BREAKOUT;
    H3 "h3" SPECIAL | HEADING | BREAKOUT;
    H4 "h4" SPECIAL | HEADING | BREAKOUT;
    H5 "h5" SPECIAL | HEADING | BREAKOUT;
    H6 "h6" SPECIAL | HEADING | BREAKOUT;
    HEAD "head" SPECIAL | BREAKOUT;
    HEADER "header" SPECIAL | BLOCK;
    HGROUP "hgroup" SPECIAL | BLOCK;
    HR "hr" SPECIAL | FLAT | BREAKOUT;
    HTML "html" SPECIAL | SCOPE;
    I "i" INLINE | BREAKOUT | FORMATTING;
    IFRAME "iframe" SPECIAL;
    IMAGE "image" NONE;
    IMG "img" SPECIAL | FLAT | BREAKOUT;
    INPUT "input" SPECIAL | FLAT;
    INS "ins" INLINE;
    ISINDEX "isindex" SPECIAL;
    KBD "kbd" INLINE;
    KEYGEN "keygen" NONE;
    LABEL "label" NONE;
    LEGEND "legend" NONE;
    LI "li" SPECIAL | IMPLIED | BREAKOUT;
    LINE "line" NONE;
    LINK "link" SPECIAL | FLAT | INLINE;
    LISTING "listing" SPECIAL | BREAKOUT;
    MAIN "main" SPECIAL | BLOCK;
    MAP "map" NONE;
    MARK "mark" INLINE;
    MARQUEE "marquee" SPECIAL | SCOPE;
    MATH "math" NONE;
    MENU "menu" SPECIAL | BREAKOUT | BLOCK;
    META "meta" SPECIAL | FLAT | INLINE | BREAKOUT;
    METER "meter" NONE;
    NAV "nav" SPECIAL | BLOCK;
    NOBR "nobr" BREAKOUT | FORMATTING;
    NOEMBED "noembed" SPECIAL;
    NOFRAMES "noframes" SPECIAL;
    NOSCRIPT "noscript" SPECIAL | SILENT;
    OBJECT "object" SPECIAL | SCOPE;
    OL "ol" SPECIAL | BREAKOUT | BLOCK;
    OPTGROUP "optgroup" IMPLIED;
    OPTION "option" IMPLIED;
    OUTPUT "output" NONE;
    P "p" SPECIAL | IMPLIED | BREAKOUT;
    PARAM "param" SPECIAL;
    PATH "path" NONE;
    PICTURE "picture" NONE;
    PLAINTEXT "plaintext" SPECIAL;
    POLYGON "polygon" NONE;
    PRE "pre" SPECIAL | BREAKOUT;
    PROGRESS "progress" NONE;
    Q "q" INLINE;
    RB "rb" IMPLIED;
    RECT "rect" NONE;
    RP "rp" IMPLIED;
    RT "rt" IMPLIED;
    RTC "rtc" IMPLIED;
    RUBY "ruby" BREAKOUT;
    S "s" INLINE | BREAKOUT | FORMATTING;
    SAMP "samp" INLINE;
    SCRIPT "script" SPECIAL | FLAT | SILENT;
    SEARCH "search" BLOCK;
    SECTION "section" SPECIAL | BLOCK;
    SELECT "select" SPECIAL | SCOPE;
    SLOT "slot" NONE;
    SMALL "small" INLINE | BREAKOUT | FORMATTING;
    SOURCE "source" SPECIAL | FLAT;
    SPAN "span" INLINE | BREAKOUT;
    STRIKE "strike" BREAKOUT | FORMATTING;
    STRONG "strong" INLINE | BREAKOUT | FORMATTING;
    STYLE "style" SPECIAL | FLAT | SILENT;
    SUB "sub" INLINE | BREAKOUT;
    SUMMARY "summary" SPECIAL | BLOCK;
    SUP "sup" INLINE | BREAKOUT;
    SVG "svg" NONE;
    SYMBOL "symbol" NONE;
    TABLE_ "table" SPECIAL | SCOPE | TABLE | BREAKOUT;
    TBODY "tbody" SPECIAL | TABLE;
    TD "td" SPECIAL | SCOPE;
    TEMPLATE "template" SPECIAL | SCOPE | SILENT;
    TEXTAREA "textarea" SPECIAL;
    TFOOT "tfoot" SPECIAL | TABLE;
    TH "th" SPECIAL | SCOPE;
    THEAD "thead" SPECIAL | TABLE;
    TIME "time" INLINE;
    TITLE "title" SPECIAL | FLAT;
    TR "tr" SPECIAL | TABLE;
    TRACK "track" SPECIAL;
    TT "tt" BREAKOUT | FORMATTING;
    U "u" INLINE | BREAKOUT | FORMATTING;
    UL "ul" SPECIAL | BREAKOUT | BLOCK;
    USE "use" NONE;
    VAR "var" INLINE | BREAKOUT;
    VIDEO "video" NONE;
    WBR "wbr" SPECIAL | FLAT | INLINE;
    XMP "xmp" SPECIAL;

    ABOUT "about" NONE;
    ACTION "action" NONE;
    ALT "alt" NONE;
    ARIA_HIDDEN "aria-hidden" NONE;
    ARIA_LABEL "aria-label" NONE;
    CHARSET "charset" NONE;
    CHECKED "checked" NONE;
    CLASS "class" NONE;
    COLOR "color" NONE;
    COLSPAN "colspan" NONE;
    CONTENT "content" NONE;
    D "d" NONE;
    DATATYPE "datatype" NONE;
    DATETIME "datetime" NONE;
    DATA_ID "data-id" NONE;
    DATA_LAZY_SRC "data-lazy-src" NONE;
    DATA_ORIGINAL "data-original" NONE;
    DATA_PRICE "data-price" NONE;
    DATA_SRC "data-src" NONE;
    DISABLED "disabled" NONE;
    FACE "face" NONE;
    FILL "fill" NONE;
    FOR "for" NONE;
    HEIGHT "height" NONE;
    HREF "href" NONE;
    HREFLANG "hreflang" NONE;
    HTTP_EQUIV "http-equiv" NONE;
    ID "id" NONE;
    ITEMID "itemid" NONE;
    ITEMPROP "itemprop" NONE;
    ITEMREF "itemref" NONE;
    ITEMSCOPE "itemscope" NONE;
    ITEMTYPE "itemtype" NONE;
    LANG "lang" NONE;
    LOADING "loading" NONE;
    MEDIA "media" NONE;
    METHOD "method" NONE;
    NAME "name" NONE;
    ONCLICK "onclick" NONE;
    PLACEHOLDER "placeholder" NONE;
    PREFIX "prefix" NONE;
    PROPERTY "property" NONE;
    REL "rel" NONE;
    RESOURCE "resource" NONE;
    ROLE "role" NONE;
    ROWSPAN "rowspan" NONE;
    SELECTED "selected" NONE;
    SIZE "size" NONE;
    SIZES "sizes" NONE;
    SRC "src" NONE;
    SRCSET "srcset" NONE;
    STROKE "stroke" NONE;
    TABINDEX "tabindex" NONE;
    TARGET "target" NONE;
    TYPE "type" NONE;
    TYPEOF "typeof" NONE;
    VALUE "value" NONE;
    VIEW_BOX "viewBox" NONE;
    VOCAB "vocab" NONE;
    WIDTH "width" NONE;
    XMLNS "xmlns" NONE;
}

/// How many names are known beforehand; the page's own are numbered from here.
pub(super) const KNOWN_NAMES: usize = KNOWN.len();

/// Known names have at most this many bytes, which fit one number.
pub(super) const KNOWN_BYTES_MAX: usize = 16;

/// Places of the table below: a power of two, a quarter of them taken.
const PLACES: usize = 1024;

/// The known names by [`place_of`] their bytes; 0 (`#document`, which no page
/// can name) is a free place.
static TABLE_OF_NAMES: [u16; PLACES] = table();
static PACKED: [u128; KNOWN_NAMES] = packed();

const fn pack(text: &str) -> u128 {
    let bytes = text.as_bytes();
    let mut key = 0;
    let mut at = 0;
    while at < bytes.len() {
        key |= (bytes[at] as u128) << (8 * at);
        at += 1;
    }
    key
}

const fn packed() -> [u128; KNOWN_NAMES] {
    let mut keys = [0; KNOWN_NAMES];
    let mut number = 0;
    while number < KNOWN_NAMES {
        assert!(KNOWN[number].0.len() <= KNOWN_BYTES_MAX);
        keys[number] = pack(KNOWN[number].0);
        number += 1;
    }
    keys
}

const fn place_of(key: u128) -> usize {
    let folded = (key as u64) ^ ((key >> 64) as u64).rotate_left(29);
    // The golden ratio's bits; the high ones depend on all bytes.
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES.trailing_zeros())) as usize
}

const fn table() -> [u16; PLACES] {
    let mut table = [0; PLACES];
    let mut number = 1;
    while number < KNOWN_NAMES {
        let mut place = place_of(pack(KNOWN[number].0));
        while table[place] != 0 {
            place = (place + 1) % PLACES;
        }
        table[place] = number as u16;
        number += 1;
    }
    table
}

impl Name {
    /// The known name of these lower-case bytes, the first byte lowest.
    #[inline]
    pub(super) fn of_packed(key: u128) -> Option<Self> {
        let mut place = place_of(key);
        loop {
            match TABLE_OF_NAMES[place] {
                0 => return None,
                number if PACKED[usize::from(number)] == key => {
                    return Some(Self(u32::from(number)));
                }
                _ => place = (place + 1) % PLACES,
            }
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > KNOWN_BYTES_MAX {
            return None;
        }
        Self::of_packed(pack(text))
    }

    #[inline]
    pub(super) fn is_known(self) -> bool {
        (self.0 as usize) < KNOWN_NAMES
    }

    /// The text of a known name.
    #[inline]
    pub(super) fn known_text(self) -> Option<&'static str> {
        KNOWN.get(self.0 as usize).map(|(text, _)| *text)
    }

    #[inline]
    fn has(self, flag: u16) -> bool {
        KNOWN
            .get(self.0 as usize)
            .is_some_and(|(_, flags)| flags & flag != 0)
    }

    pub(super) fn is_special(self) -> bool {
        self.has(SPECIAL)
    }

    pub(super) fn ends_scope(self) -> bool {
        self.has(SCOPE)
    }

    pub(super) fn has_implied_end(self) -> bool {
        self.has(IMPLIED)
    }

    pub(super) fn is_heading(self) -> bool {
        self.has(HEADING)
    }

    /// `table`, `tbody`, `tfoot`, `thead`, `tr`: no text, no other elements.
    pub(super) fn is_of_table(self) -> bool {
        self.has(TABLE)
    }

    pub(super) fn is_inline(self) -> bool {
        self.has(INLINE)
    }

    pub(super) fn is_silent(self) -> bool {
        self.has(SILENT)
    }

    pub(super) fn is_flat(self) -> bool {
        self.has(FLAT)
    }

    pub(super) fn is_block(self) -> bool {
        self.has(BLOCK)
    }

    pub(super) fn is_formatting(self) -> bool {
        self.has(FORMATTING)
    }

    pub(super) fn breaks_out(self) -> bool {
        self.has(BREAKOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_and_no_other() {
        for (number, (text, _)) in KNOWN.iter().enumerate().skip(1) {
            assert_eq!(Name::of(text), Some(Name(number as u32)), "{text}");
        }
        for text in [
            "",
            "x",
            "divx",
            "blockquotes",
            "data-product-sku-of-it",
            "#document",
        ] {
            assert_eq!(Name::of(text), None, "{text}");
        }
    }
}
