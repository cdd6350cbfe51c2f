//! The bounds of reading one page. They are far above what real shops send
//! and low enough that a hostile page costs about a second and some tens of
//! megabytes. Those of the document itself are [`crate::document::limits`].

/// Bytes of a page that are read; the largest product pages seen are 2 MiB.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// JSON-LD blocks that are read; pages with 30 exist.
pub const JSON_LD_BLOCKS_MAX: usize = 100;

/// Nesting of JSON values. The reader calls itself once a level, and so does
/// the release of its result.
pub const JSON_DEPTH_MAX: usize = 64;

/// Values in one JSON-LD block, at about 56 bytes each: 11 MiB.
pub const JSON_VALUES_MAX: usize = 200_000;

/// Terms of a JSON-LD context that are known at once; every key of every
/// object is looked up among them.
pub const CONTEXT_TERMS_MAX: usize = 50;

/// Scripts whose state is read.
pub const STATE_SCRIPTS_MAX: usize = 100;

/// Bytes of scripts that are read for state, those of literals that turn out
/// to be unreadable included; the largest state seen is 2 MiB.
pub const STATE_BYTES_MAX: usize = 8 << 20;

/// Objects in the state of a page that look like products and are compared.
pub const CANDIDATES_MAX: usize = 500;

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

/// Images of one product; an image job carries at most 100.
pub const IMAGES_MAX: usize = 100;

/// Offers of one product that are compared.
pub const OFFERS_MAX: usize = 500;

/// Variants of one product that are read; shops allow some hundred to two
/// thousand, and each becomes a row.
pub const VARIANTS_MAX: usize = 500;

/// Products in the JSON-LD of one page that are looked at.
pub const PRODUCTS_MAX: usize = 1000;

/// Characters of a URL; RFC 9110 asks for 8,000 at least.
pub const URL_CHARS_MAX: usize = 8000;

/// Bytes of a row's id; the catalogue takes no longer ones.
pub const ID_BYTES_MAX: usize = 256;

/// Elements that the selectors of one field may find.
pub const SELECTED_MAX: usize = 100;

/// Characters of a page's text up to which it is a short page, which has room
/// for one message.
pub const SHORT_PAGE_CHARS: usize = 1500;

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
