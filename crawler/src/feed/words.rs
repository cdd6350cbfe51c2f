//! Closed vocabularies: what partners write to the word of the schema.
//! Spelling, case, blanks, underscores and schema.org URLs do not matter.

use super::convert::Bad;

/// Written forms and the word of the schema.
pub(super) type Vocabulary = &'static [(&'static str, &'static str)];

pub(super) const AVAILABILITY: Vocabulary = &[
    ("instock", "in_stock"),
    ("available", "in_stock"),
    ("limitedavailability", "in_stock"),
    ("instoreonly", "in_stock"),
    ("onlineonly", "in_stock"),
    ("판매중", "in_stock"),
    ("outofstock", "out_of_stock"),
    ("soldout", "out_of_stock"),
    ("discontinued", "out_of_stock"),
    ("unavailable", "out_of_stock"),
    ("품절", "out_of_stock"),
    ("preorder", "preorder"),
    ("presale", "preorder"),
    ("예약판매", "preorder"),
    ("backorder", "backorder"),
    ("availablefororder", "backorder"),
];

pub(super) const CONDITION: Vocabulary = &[
    ("new", "new"),
    ("newcondition", "new"),
    ("신상품", "new"),
    ("used", "used"),
    ("usedcondition", "used"),
    ("중고", "used"),
    ("refurbished", "refurbished"),
    ("refurbishedcondition", "refurbished"),
    ("리퍼", "refurbished"),
    ("display", "display"),
    ("전시", "display"),
    ("returned", "returned"),
    ("반품", "returned"),
    ("scratched", "scratched"),
    ("damagedcondition", "scratched"),
    ("스크래치", "scratched"),
    ("스크레치", "scratched"),
];

pub(super) const AGE_GROUP: Vocabulary = &[
    ("newborn", "newborn"),
    ("infant", "infant"),
    ("유아", "infant"),
    ("toddler", "toddler"),
    ("kids", "kids"),
    ("아동", "kids"),
    ("teen", "teen"),
    ("청소년", "teen"),
    ("adult", "adult"),
    ("성인", "adult"),
];

pub(super) const GENDER: Vocabulary = &[
    ("male", "male"),
    ("남성", "male"),
    ("female", "female"),
    ("여성", "female"),
    ("unisex", "unisex"),
    ("남녀공용", "unisex"),
];

/// Longest word looked up.
const WORD_BYTES_MAX: usize = 64;

pub(super) fn look_up(found: &str, vocabulary: Vocabulary) -> Result<&'static str, Bad> {
    let last = found.rsplit('/').next().unwrap_or(found);
    let mut word = String::with_capacity(WORD_BYTES_MAX);
    for c in last.chars() {
        if !matches!(c, ' ' | '_' | '-') && word.len() < WORD_BYTES_MAX {
            word.push(c.to_ascii_lowercase());
        }
    }
    vocabulary
        .iter()
        .find(|(written, _)| *written == word)
        .map(|(_, known)| *known)
        .ok_or("is no word of the column's vocabulary")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        let check = |found: &str, vocabulary: Vocabulary, expected: Option<&str>| {
            assert_eq!(look_up(found, vocabulary).ok(), expected, "{found:?}");
        };
        check("in stock", AVAILABILITY, Some("in_stock"));
        check("in_stock", AVAILABILITY, Some("in_stock"));
        check("In Stock", AVAILABILITY, Some("in_stock"));
        check(
            "https://schema.org/OutOfStock",
            AVAILABILITY,
            Some("out_of_stock"),
        );
        check("pre-order", AVAILABILITY, Some("preorder"));
        check("perhaps", AVAILABILITY, None);
        check("신상품", CONDITION, Some("new"));
        check("Refurbished", CONDITION, Some("refurbished"));
        check("성인", AGE_GROUP, Some("adult"));
        check("남녀공용", GENDER, Some("unisex"));
        check("", GENDER, None);
    }
}
