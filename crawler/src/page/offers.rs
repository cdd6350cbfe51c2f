//! The offers of a product, and which of them speaks for it.

use trawler_core::product::Currency;

use super::availability::Availability;
use super::fields::PriceText;
use super::limits::OFFERS_MAX;
use super::price;
use super::remarks::quoted;
use super::scan::PRODUCT_TYPES;
use super::schema::Reader;
use super::value::{Value, type_name};

/// What is compared and kept of one offer.
#[derive(Debug, Default)]
pub(super) struct Offer<'v> {
    pub(super) node: Option<&'v Value>,
    pub(super) price: Option<PriceText>,
    pub(super) list_price: Option<PriceText>,
    pub(super) currency: Option<Currency>,
    pub(super) availability: Option<Availability>,
}

impl<'v> Reader<'_, 'v> {
    /// The offers of a product and of its variants, nested ones included.
    pub(super) fn offers(&mut self, product: &'v Value) -> Vec<Offer<'v>> {
        let mut offers = Vec::new();
        let mut pending: Vec<&Value> = Vec::new();
        let add = |holder: &'v Value, pending: &mut Vec<&'v Value>| {
            for name in ["hasVariant", "offers"] {
                let members = holder.get(name).map(Value::each).unwrap_or_default();
                pending.extend(members.iter().rev());
            }
        };
        add(product, &mut pending);
        // References may form a circle, so visits are bounded too.
        for _ in 0..OFFERS_MAX {
            let Some(node) = pending.pop() else { break };
            let node = self.graph.resolve(node);
            if !node.has_type(PRODUCT_TYPES) {
                offers.push(self.offer(node));
            }
            if pending.len() < OFFERS_MAX {
                add(node, &mut pending);
            }
        }
        if !pending.is_empty() {
            self.remarks.add(format!(
                "{}: the product has more than {OFFERS_MAX} offers; the rest was not read",
                self.rule.name()
            ));
        }
        offers
    }

    fn offer(&mut self, node: &'v Value) -> Offer<'v> {
        let mut offer = Offer {
            node: Some(node),
            price: price_field(node, "price").or_else(|| price_field(node, "lowPrice")),
            ..Offer::default()
        };
        let mut currency = node.get("priceCurrency").and_then(Value::text);
        let specifications = node.get("priceSpecification").map(Value::each);
        for specification in specifications.unwrap_or_default().iter().take(OFFERS_MAX) {
            let specification = self.graph.resolve(specification);
            let amount = price_field(specification, "price")
                .or_else(|| price_field(specification, "minPrice"));
            currency = currency.or_else(|| specification.get("priceCurrency")?.text());
            let kind = specification
                .get("priceType")
                .and_then(|kind| kind.text().or_else(|| kind.get("@id")?.text()))
                .map(type_name);
            match kind {
                Some("ListPrice" | "StrikethroughPrice" | "MSRP" | "SRP" | "RegularPrice") => {
                    offer.list_price = offer.list_price.or(amount);
                }
                // A price per 100 g is not the product's.
                _ if specification.get("referenceQuantity").is_some() => {}
                _ => offer.price = offer.price.or(amount),
            }
        }
        offer.currency = currency.and_then(|text| {
            let currency = price::currency_field(text);
            if currency.is_none() {
                self.remarks.add(format!(
                    "{} priceCurrency {} is not a currency",
                    self.rule.name(),
                    quoted(text)
                ));
            }
            currency
        });
        offer.availability = node
            .get("availability")
            .and_then(|value| value.text().or_else(|| value.get("@id")?.text()))
            .and_then(|text| {
                let availability = Availability::parse(text);
                if availability.is_none() {
                    self.remarks.add(format!(
                        "{} availability {} is not known",
                        self.rule.name(),
                        quoted(text)
                    ));
                }
                availability
            });
        offer
    }
}

/// The offer that speaks for the product: one that can be bought before one
/// of which that is not known, then the lowest price in the currency of the
/// first, then the order on the page.
pub(super) fn cheapest(offers: Vec<Offer<'_>>) -> Option<Offer<'_>> {
    if offers.len() < 2 {
        return offers.into_iter().next();
    }
    let main_currency = offers.iter().find_map(|offer| offer.currency);
    let rank = |offer: &Offer<'_>| {
        let buyable = match offer.availability.map(Availability::can_be_bought) {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        };
        let currency = offer.currency.or(main_currency);
        // Amounts are only compared here; any currency serves.
        let compared = currency.unwrap_or(Currency::KRW);
        let amount = offer
            .price
            .as_ref()
            .and_then(|text| price::read(text, Some(compared)).ok())
            .map(|read| read.money.amount_minor);
        (amount.is_none(), buyable, currency != main_currency, amount)
    };
    offers.into_iter().min_by_key(rank)
}

pub(super) fn price_field(node: &Value, name: &str) -> Option<PriceText> {
    let text = node.get(name)?.text()?;
    Some(PriceText::of_field(text.to_owned()))
}
