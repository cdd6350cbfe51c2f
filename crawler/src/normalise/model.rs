//! One spelling for the ways in which a model number is written, for those who
//! match products of several shops.
//!
//! Shops write `SM-G991N`, `sm g991n` and `ＳＭ－Ｇ９９１Ｎ`. What has no digit is
//! not a model number but a remark such as "see details", and gives nothing.

use super::brand::fold_text;

/// Longest model number; longer text is a description.
const MODEL_BYTES_MAX: usize = 128;

/// Letters and digits in capitals; empty where there is no model number.
pub fn model_key(model: &str) -> String {
    if model.len() > MODEL_BYTES_MAX {
        return String::new();
    }
    let folded = match model.is_ascii() {
        true => model.to_owned(),
        false => fold_text(model),
    };
    if !folded.bytes().any(|b| b.is_ascii_digit()) {
        return String::new();
    }
    let kept = folded.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_model_are_one() {
        let check = |found: &str, expected: &str| {
            assert_eq!(model_key(found), expected, "{found:?}");
        };
        check("SM-G991N", "SMG991N");
        check("sm g991n", "SMG991N");
        check(" SM_G991N/", "SMG991N");
        check("ＳＭ－Ｇ９９１Ｎ", "SMG991N");
        check("NT950XDA-K71A (블랙)", "NT950XDAK71A블랙");
        check("iPhone 15", "IPHONE15");
        check("상세페이지 참조", "");
        check("none", "");
        check("-", "");
        check("", "");
        check(&"1".repeat(129), "");
    }
}
