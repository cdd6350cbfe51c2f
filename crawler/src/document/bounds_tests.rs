//! Hostile pages: what they cost is bounded by counts, whatever the machine.

#![allow(clippy::unwrap_used)]

use super::limits::{ATTRIBUTES_MAX, NODES_MAX, OPEN_ELEMENTS_MAX, TAG_ATTRIBUTES_MAX};
use super::{Builder, Document};

/// Looks at the stack of open elements that a byte may cost: one tag (three
/// bytes at least) may walk the stack a few times.
const LOOKS_A_BYTE_MAX: usize = 2 * OPEN_ELEMENTS_MAX;

/// Reads a page with the fast builder and holds it to the bounds.
fn read(page: &str, what: &str) -> Document {
    let document = Document::parse(page);
    assert!(
        document.node_count() <= NODES_MAX + OPEN_ELEMENTS_MAX + 1,
        "{what}"
    );
    assert!(document.looks() <= LOOKS_A_BYTE_MAX * page.len(), "{what}");
    let attributes = document.arena.attributes.len();
    assert!(attributes <= ATTRIBUTES_MAX + TAG_ATTRIBUTES_MAX, "{what}");
    let made = document.arena.made_bytes();
    assert!(
        made <= 3 * page.len() + 100,
        "{what}: {made} bytes made of {}",
        page.len()
    );
    let deepest = document
        .elements()
        .step_by(97)
        .map(|e| e.ancestors().count())
        .max();
    let deep_max = match document.builder() {
        Builder::Fast => OPEN_ELEMENTS_MAX + 2,
        // It looks every 64 tokens, each of which may open four elements.
        Builder::Full(_) => OPEN_ELEMENTS_MAX + 4 * 64,
    };
    assert!(deepest.unwrap_or(0) <= deep_max, "{what}");
    document
}

#[test]
fn repeated_markup_costs_its_length() {
    for piece in [
        "<div>",
        "<p>",
        "<p><b>",
        "<p><b>x",
        "<b><b><p>",
        "<a href=x>",
        "<a><p>",
        "<li>",
        "<ul><li>",
        "<dl><dt><dd>",
        "<table><tr><td>",
        "<table>",
        "<select><option>",
        "<button>",
        "<form>",
        "<span>",
        "</x>",
        "</p>",
        "</div>",
        "</br>",
        "<x></y>",
        "<object><p>",
        "<nobr>",
        "<font color=a>",
        "<svg>",
        "<svg><title>",
        "<svg></p",
        "<ruby><rt>",
        "<h1><h2>",
        "<br>",
        "<",
        "<!",
        "<!--",
        "<!-- -->",
        "<?",
        "&",
        "&amp;",
        "&x",
        "&#",
        "&#1",
        "\r",
        "\r\n",
        "x<x",
        "x</x>",
        "x<td a='&amp;'>y",
        "<html a=1>",
        "<body b=2>",
        "</body>x",
        "</html>",
        "<script>",
        "<style></style>",
        "<title>",
        "<textarea>\n</textarea>",
        "<a",
        "<a b",
        "<a b=",
        "<a b=\"",
        "<a b='c'",
        "<script><!--<script>",
        "<noscript>",
        "<image>",
        "\"",
        "'",
        "<head>",
        "</head> <link a=&amp>",
        "<![CDATA[",
        "<svg><![CDATA[x]]>",
        "<pre>\n",
        "<hr>",
        "<caption>",
        "<col>",
        "\u{feff}",
        "한",
        "<한>",
        "<x한 y한=한>",
    ] {
        let page = piece.repeat(30_000 / piece.len());
        read(&page, piece);
        // After what many rules walk over.
        for start in [
            "<p><span><i><u>",
            "<table><tr><td>",
            "<body></body>",
            "<svg>",
            "<select>",
            "<ul><li>",
            "</head>",
        ] {
            let page = start.repeat(40) + &piece.repeat(4_000 / piece.len());
            read(&page, &format!("{start} then {piece}"));
        }
    }
}

#[test]
fn end_tags_that_match_nothing_are_not_looked_for() {
    let deep = "<span>".repeat(400);
    let page = deep.clone() + &"</x>".repeat(100_000);
    let before = read(&deep, "deep").looks();
    let after = read(&page, "unmatched").looks();
    assert_eq!(before, after);
}

#[test]
fn paragraphs_without_end_are_closed_at_once() {
    let document = read(&"<p>".repeat(100_000), "paragraphs");
    assert_eq!(document.node_count(), 100_003);
    assert!(document.looks() <= 3 * 100_000);
    assert_eq!(document.builder(), Builder::Fast);
}

#[test]
fn what_is_left_out_is_told() {
    let deep = read(&"<div>".repeat(100_000), "deep");
    assert!(deep.cut().depth);
    assert!(deep.node_count() <= OPEN_ELEMENTS_MAX + 3);
    let wide = read(&"<br>".repeat(NODES_MAX + 1000), "wide");
    assert!(wide.cut().nodes && !wide.cut().depth);
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=x")).collect();
    let long = read(&format!("<h1>x</h1><p{attributes}>y"), "long");
    assert_eq!(long.cut().long_tag_at, Some(10));
    assert_eq!(long.root().text(10), "x");
    let same = read(&format!("<p{}>y", " a".repeat(100_000)), "same");
    assert_eq!(same.cut().long_tag_at, Some(0));
    let tags: String = (0..2000).map(|n| format!(" a{n}=x")).collect();
    let tag = format!("<br{}>", &tags[..tags.len() / 2]);
    let many = read(&tag.repeat(ATTRIBUTES_MAX / 900), "many");
    assert!(many.cut().attributes);
    let fine = read("<p a b c>x", "fine");
    assert_eq!(fine.cut(), super::Cut::default());
}

#[test]
fn nodes_stop_growing_where_formatting_is_repeated() {
    let page: String = (0..20_000).map(|n| format!("<p><b id={n}>x")).collect();
    let document = read(&page, "formatting");
    assert!(document.cut().nodes || document.cut().depth);
    let full = Document::parse_full(page.as_str());
    assert!(full.cut().nodes || full.cut().depth);
    assert!(full.node_count() <= 2 * NODES_MAX);
}

#[test]
fn text_parted_by_nothing_is_joined_once() {
    // Each end tag parts the text and leaves nothing; joining copies what is
    // there once, not every time.
    for piece in [
        "a</x>",
        "a<!---->",
        "a<td y='&lt;'>",
        "a</X-Y-Z-NAME>",
        "&lt;</x>",
        "a<TD QQQ=1>",
    ] {
        let page = piece.repeat(100_000);
        let document = read(&page, piece);
        assert_eq!(document.node_count(), 4, "{piece}");
    }
}
