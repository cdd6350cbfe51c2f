//! Whether a product can be bought: schema.org's ItemAvailability, and the
//! other ways in which shops write it.

use serde::Serialize;

/// Serialised with schema.org's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Availability {
    InStock,
    OutOfStock,
    PreOrder,
    BackOrder,
    Discontinued,
    InStoreOnly,
}

/// Written forms, letters only and in lower case.
#[rustfmt::skip]
const WORDS: &[(&str, Availability)] = &[
    ("instock", Availability::InStock),
    ("limitedavailability", Availability::InStock),
    ("onlineonly", Availability::InStock),
    ("madetoorder", Availability::InStock),
    ("available", Availability::InStock),
    ("availableforsale", Availability::InStock),
    ("availablefororder", Availability::InStock),
    ("lowstock", Availability::InStock),
    ("재고있음", Availability::InStock),
    ("판매중", Availability::InStock),
    ("auflager", Availability::InStock),
    ("enstock", Availability::InStock),
    ("outofstock", Availability::OutOfStock),
    ("oos", Availability::OutOfStock),
    ("soldout", Availability::OutOfStock),
    ("reserved", Availability::OutOfStock),
    ("unavailable", Availability::OutOfStock),
    ("notavailable", Availability::OutOfStock),
    ("notinstock", Availability::OutOfStock),
    ("currentlyunavailable", Availability::OutOfStock),
    ("품절", Availability::OutOfStock),
    ("일시품절", Availability::OutOfStock),
    ("재고없음", Availability::OutOfStock),
    ("ausverkauft", Availability::OutOfStock),
    ("preorder", Availability::PreOrder),
    ("presale", Availability::PreOrder),
    ("예약판매", Availability::PreOrder),
    ("backorder", Availability::BackOrder),
    ("availableonbackorder", Availability::BackOrder),
    ("discontinued", Availability::Discontinued),
    ("단종", Availability::Discontinued),
    ("instoreonly", Availability::InStoreOnly),
];

impl Availability {
    /// Reads `http://schema.org/InStock`, `InStock`, `in stock`, `in_stock`,
    /// `품절` and the like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = text.trim().trim_end_matches('/');
        let name = name.rsplit(['/', '#']).next().unwrap_or(name);
        let letters: String = name
            .chars()
            .filter(|c| c.is_alphabetic())
            .flat_map(char::to_lowercase)
            .collect();
        let letters = letters.strip_prefix("schema").unwrap_or(&letters);
        WORDS
            .iter()
            .find(|(word, _)| *word == letters)
            .map(|(_, availability)| *availability)
    }

    /// Reads free text such as `In stock (22 available)`: its first words.
    pub(super) fn parse_sentence(text: &str) -> Option<Self> {
        let head = text.split(['(', ',', '.', '!', ':', ';', '-']).next()?;
        Self::parse(head).or_else(|| Self::parse(text))
    }

    /// Whether a shopper can have it now or on order.
    pub(super) fn can_be_bought(self) -> bool {
        match self {
            Self::InStock | Self::PreOrder | Self::BackOrder | Self::InStoreOnly => true,
            Self::OutOfStock | Self::Discontinued => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn availability_has_many_spellings() {
        let check = |text: &str, expected: Option<Availability>| {
            assert_eq!(Availability::parse(text), expected, "{text:?}");
        };
        check("http://schema.org/InStock", Some(Availability::InStock));
        check(
            "  https://schema.org/OutOfStock ",
            Some(Availability::OutOfStock),
        );
        check("schema:PreOrder", Some(Availability::PreOrder));
        check("InStock", Some(Availability::InStock));
        check("in stock", Some(Availability::InStock));
        check("in_stock", Some(Availability::InStock));
        check("Sold out!", Some(Availability::OutOfStock));
        check("품절", Some(Availability::OutOfStock));
        check("재고 있음", Some(Availability::InStock));
        check("discontinued", Some(Availability::Discontinued));
        check("maybe", None);
        check("", None);
    }

    #[test]
    fn sentences_are_read_by_their_start() {
        let check = |text: &str, expected: Option<Availability>| {
            assert_eq!(Availability::parse_sentence(text), expected, "{text:?}");
        };
        check("In stock (22 available)", Some(Availability::InStock));
        check("Out of stock - back in May", Some(Availability::OutOfStock));
        check("Ships to 22 countries", None);
    }
}
