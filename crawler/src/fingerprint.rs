//! What a stored validator is bound to: pipe, mapping, schema and parser. Any
//! difference forces a full read, since the same bytes would give other rows.

use sha2::{Digest, Sha256};
use trawler_core::pipe::Pipe;
use trawler_core::product::COLUMNS;

/// Raised with every change that makes the parser or the normalisation give
/// other rows for the same bytes.
pub const PARSER_VERSION: u32 = 2;

/// Hex digest over everything besides the bytes that decides what a feed's
/// rows are.
pub(crate) fn fingerprint(pipe: &Pipe, mapping_digest: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    part(&PARSER_VERSION.to_string());
    part(pipe.id.as_str());
    part(&serde_json::to_string(&pipe.source).expect("a source has string keys only"));
    part(&serde_json::to_string(&*pipe.reading()).expect("feed options have string keys only"));
    part(&serde_json::to_string(&pipe.site).expect("site options have string keys only"));
    part(mapping_digest);
    for column in COLUMNS {
        part(column.name);
        part(&format!("{:?}", column.kind));
    }
    hex::encode(hash.finalize())
}
