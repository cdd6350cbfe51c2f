//! The bounds of reading one page. They are far above what real shops send
//! and low enough that a hostile page costs about a second and some tens of
//! megabytes.

/// Bytes of a page that are read; the largest product pages seen are 2 MiB.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// Elements open at once. Browsers stop nesting at 512 too (Blink, WebKit),
/// and every start tag may cost the HTML parser a walk over all of them.
pub const OPEN_ELEMENTS_MAX: usize = 512;

/// Nodes of the tree, at about 250 bytes each: 60 MiB. Misnested formatting
/// elements can make the tree grow with the square of the page.
pub const NODES_MAX: usize = 250_000;

/// Attributes of one tag. The HTML parser compares each with all before it.
pub const TAG_ATTRIBUTES_MAX: usize = 2000;

/// JSON-LD blocks that are read; pages with 30 exist.
pub const JSON_LD_BLOCKS_MAX: usize = 100;

/// Nesting of JSON values. The reader calls itself once a level, and so does
/// the release of its result.
pub const JSON_DEPTH_MAX: usize = 64;

/// Values in one JSON-LD block, at about 56 bytes each: 11 MiB.
pub const JSON_VALUES_MAX: usize = 200_000;

/// Items (microdata, RDFa) that are read; a listing page has about 100.
pub const ITEMS_MAX: usize = 100;

/// Nesting of items; `itemref` can make a loop of them.
pub const ITEM_DEPTH_MAX: usize = 16;

/// Nodes visited for all items of a page. Items that lie in each other, and
/// `itemref`, make one node part of many.
pub const ITEM_NODES_MAX: usize = 500_000;

/// Properties that all items of a page may have.
pub const ITEM_PROPERTIES_MAX: usize = 20_000;

/// Bytes of text in all items of a page. Properties that lie in each other
/// repeat the same text.
pub const ITEM_TEXT_BYTES_MAX: usize = 16 << 20;

/// Names that one element may be a property under.
pub const PROPERTY_NAMES_MAX: usize = 10;

/// Nodes visited for the text of one element.
pub const TEXT_NODES_MAX: usize = 10_000;

/// Images of one product; an image job carries at most 100.
pub const IMAGES_MAX: usize = 100;

/// Offers of one product that are compared.
pub const OFFERS_MAX: usize = 500;

/// Characters of a URL; RFC 9110 asks for 8,000 at least.
pub const URL_CHARS_MAX: usize = 8000;

/// Characters of ids, names, brands and the like.
pub const TEXT_CHARS_MAX: usize = 1000;

/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 20_000;

/// Elements of each kind that the generic rules look at (headings, prices,
/// images, breadcrumb steps).
pub const MARKS_MAX: usize = 500;

/// Meta tags that are read.
pub const METAS_MAX: usize = 1000;

/// Remarks kept; the last one says that there were more.
pub const REMARKS_MAX: usize = 50;
