//! The bounds of one document. They are far above what real shops send and
//! low enough that a hostile page costs about a second and some tens of
//! megabytes.

/// Bytes of text that are read. A page has at most 8 MiB; as UTF-8 these
/// can be three times as many.
pub const TEXT_BYTES_MAX: usize = 32 << 20;

/// Elements open at once, the formatting elements that are to be opened again
/// included. Browsers stop nesting at 512 too (Blink, WebKit), and a tag may
/// cost a walk over all of them.
pub const OPEN_ELEMENTS_MAX: usize = 512;

/// Nodes of a document, at 28 bytes each: 7 MB (and about 70 bytes each, 17
/// MB, while the full builder is at work). Misnested formatting elements can
/// make the tree grow with the square of the page.
pub const NODES_MAX: usize = 250_000;

/// Attributes of one tag. Each is compared with all before it.
pub const TAG_ATTRIBUTES_MAX: usize = 2000;

/// Attributes of a document, at 12 bytes each: 12 MB.
pub const ATTRIBUTES_MAX: usize = 1_000_000;

/// Nodes visited for the text of one element.
pub const TEXT_NODES_MAX: usize = 10_000;

/// Characters of one CSS selector.
pub const SELECTOR_CHARS_MAX: usize = 2000;
