//! Builds the document of a page, and tells what its bounds left out.

use crate::document::limits::{
    ATTRIBUTES_MAX, NODES_MAX, OPEN_ELEMENTS_MAX, TAG_ATTRIBUTES_MAX, TEXT_BYTES_MAX,
};
use crate::document::{Cut, Document};

use super::remarks::Remarks;

/// The document of a page. Never fails: what is beyond a bound is left out
/// and told in a remark.
pub(super) fn parse(text: String, remarks: &mut Remarks) -> Document {
    let document = Document::parse(text);
    tell_cut(document.cut(), remarks);
    document
}

pub(super) fn tell_cut(cut: Cut, remarks: &mut Remarks) {
    if cut.text {
        remarks.add(format!(
            "the page has more than {TEXT_BYTES_MAX} bytes of text; the rest was not read"
        ));
    }
    if let Some(at) = cut.long_tag_at {
        remarks.add(format!(
            "the tag at byte {at} of the text has more than {TAG_ATTRIBUTES_MAX} attributes; \
             the page was read up to it"
        ));
    }
    if cut.depth {
        remarks.add(format!(
            "elements nest deeper than {OPEN_ELEMENTS_MAX}; what lies deeper was flattened"
        ));
    }
    if cut.nodes {
        remarks.add(format!(
            "the page has more than {NODES_MAX} nodes; the rest was not read"
        ));
    }
    if cut.attributes {
        remarks.add(format!(
            "the page has more than {ATTRIBUTES_MAX} attributes; the rest was not read"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remarks_of(page: &str) -> String {
        let mut remarks = Remarks::default();
        let document = parse(page.to_owned(), &mut remarks);
        assert!(document.node_count() < NODES_MAX * 2);
        remarks.into_list().join("; ")
    }

    #[test]
    fn hostile_markup_is_bounded() {
        assert_eq!(remarks_of("<p>fine</p>"), "");
        let deep = remarks_of(&"<div>".repeat(200_000));
        assert!(deep.contains("nest deeper"), "{deep}");
        let wide = remarks_of(&"<br>".repeat(NODES_MAX + 1000));
        assert!(wide.contains("nodes; the rest"), "{wide}");
        let misnested: String = (0..20_000).map(|n| format!("<p><b id={n}>x")).collect();
        assert!(!remarks_of(&misnested).is_empty());
        let attributes: String = (0..100_000).map(|n| format!(" a{n}")).collect();
        let many = remarks_of(&format!("<h1>x</h1><p{attributes}>"));
        assert!(
            many.contains("attributes; the page was read up to it"),
            "{many}"
        );
    }
}
