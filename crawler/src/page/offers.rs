//! The offers of a product and its variants, and which of them speaks for it.

use trawler_core::product::Currency;

use super::availability::Availability;
use super::fields::PriceText;
use super::limits::OFFERS_MAX;
use super::measure::Measure;
use super::price;
use super::remarks::quoted;
use super::scan::PRODUCT_TYPES;
use super::schema::{Reader, reference};
use super::value::{Value, type_name};

/// What is compared and kept of one offer.
#[derive(Debug, Default)]
pub(super) struct Offer<'v> {
    pub(super) node: Option<&'v Value>,
    /// The product or variant that it offers.
    pub(super) holder: Option<&'v Value>,
    /// Whether it is of the product itself and not of one of its siblings.
    pub(super) is_own: bool,
    pub(super) price: Option<PriceText>,
    pub(super) list_price: Option<PriceText>,
    pub(super) currency: Option<Currency>,
    pub(super) availability: Option<Availability>,
    /// What is sold, and what its price is compared by, of a price per unit.
    pub(super) unit_measure: Option<Measure>,
    pub(super) unit_base: Option<Measure>,
}

/// A product or offer that is still to be looked at.
#[derive(Clone, Copy)]
struct Pending<'v> {
    node: &'v Value,
    holder: &'v Value,
    is_own: bool,
    /// Of the offer that it lies in.
    currency: Option<Currency>,
}

impl<'v> Pending<'v> {
    fn members(self, pending: &mut Vec<Self>) {
        for name in ["hasVariant", "offers"] {
            let members = self.node.get(name).map(Value::each).unwrap_or_default();
            pending.extend(members.iter().rev().map(|node| Self { node, ..self }));
        }
    }
}

impl<'v> Reader<'_, 'v> {
    /// The offers of a product, of its variants and of its siblings, nested
    /// ones included.
    pub(super) fn offers(&mut self, product: &'v Value, siblings: &[&'v Value]) -> Vec<Offer<'v>> {
        let mut offers = Vec::new();
        let mut aggregates = Vec::new();
        let mut pending: Vec<Pending<'v>> = Vec::new();
        for sibling in siblings.iter().rev() {
            pending.push(Pending {
                node: sibling,
                holder: sibling,
                is_own: false,
                currency: None,
            });
        }
        let own = Pending {
            node: product,
            holder: product,
            is_own: true,
            currency: None,
        };
        own.members(&mut pending);
        // References may form a circle, so visits are bounded too.
        for _ in 0..OFFERS_MAX {
            let Some(mut at) = pending.pop() else { break };
            at.node = self.graph.resolve(at.node);
            let is_product = at.node.has_type(PRODUCT_TYPES);
            if is_product {
                at.holder = at.node;
            }
            let holds_offers = at.node.get("offers").is_some();
            if !is_product || (!holds_offers && at.node.get("price").is_some()) {
                let offer = self.offer(&at);
                at.currency = offer.currency;
                // It may hold the offers that it sums up, or stand beside them.
                match holds_offers || at.node.has_type(&["AggregateOffer"]) {
                    true => aggregates.push(offer),
                    false => offers.push(offer),
                }
            }
            if pending.len() < OFFERS_MAX {
                at.members(&mut pending);
            }
        }
        // What sums up offers counts only where these say no price.
        if offers.iter().all(|offer| offer.price.is_none()) {
            aggregates.append(&mut offers);
            offers = aggregates;
        }
        if !pending.is_empty() {
            self.remarks.add(format!(
                "{}: the product has more than {OFFERS_MAX} offers; the rest was not read",
                self.rule.name()
            ));
        }
        offers
    }

    fn offer(&mut self, at: &Pending<'v>) -> Offer<'v> {
        let node = at.node;
        let item = node.get("itemOffered").and_then(|item| item.each().first());
        let item = item.map(|item| self.graph.resolve(item));
        let mut offer = Offer {
            node: Some(node),
            holder: item
                .filter(|item| item.get("name").is_some())
                .or(Some(at.holder)),
            is_own: at.is_own,
            price: price_field(node, "price").or_else(|| price_field(node, "lowPrice")),
            currency: self.currency_of(node),
            ..Offer::default()
        };
        let mut currency_text = node.get("priceCurrency").and_then(Value::text);
        let specifications = node.get("priceSpecification").map(Value::each);
        for specification in specifications.unwrap_or_default().iter().take(OFFERS_MAX) {
            let specification = self.graph.resolve(specification);
            self.specification(specification, &mut offer);
            currency_text = currency_text.or_else(|| specification.get("priceCurrency")?.text());
        }
        if let Some(text) = currency_text.filter(|_| offer.currency.is_none()) {
            self.remarks.add(format!(
                "{} priceCurrency {} is not a currency",
                self.rule.name(),
                quoted(text)
            ));
        }
        offer.currency = offer.currency.or(at.currency);
        offer.availability = self.availability(node);
        offer
    }

    fn specification(&mut self, specification: &'v Value, offer: &mut Offer<'v>) {
        let amount =
            price_field(specification, "price").or_else(|| price_field(specification, "minPrice"));
        offer.currency = offer.currency.or_else(|| self.currency_of(specification));
        let is_per_unit = self.reference_quantity(specification, offer);
        let kind = specification
            .get("priceType")
            .and_then(reference)
            .map(type_name);
        match kind {
            Some("ListPrice" | "StrikethroughPrice" | "MSRP" | "SRP" | "RegularPrice") => {
                offer.list_price = offer.list_price.take().or(amount);
            }
            // A price per 100 g is not the product's, a member's price not
            // everybody's.
            _ if is_per_unit || specification.get("validForMemberTier").is_some() => {}
            Some("SalePrice") if amount.is_some() => {
                let regular = std::mem::replace(&mut offer.price, amount);
                offer.list_price = offer.list_price.take().or(regular);
            }
            _ => offer.price = offer.price.take().or(amount),
        }
    }

    /// Reads what a price refers to, and says whether it is one per unit. With
    /// a `valueReference` the quantity is what is sold, at this very price, and
    /// that reference is the unit; so Google has shops write it.
    fn reference_quantity(&self, specification: &'v Value, offer: &mut Offer<'v>) -> bool {
        let Some(quantity) = specification.get("referenceQuantity") else {
            return false;
        };
        let Some(quantity) = quantity.each().first() else {
            return true;
        };
        let quantity = self.graph.resolve(quantity);
        let unit = quantity.get("valueReference");
        let unit = unit.and_then(|unit| unit.each().first());
        let Some(unit) = unit.map(|unit| self.graph.resolve(unit)) else {
            offer.unit_base = offer.unit_base.take().or_else(|| Measure::read(quantity));
            return true;
        };
        offer.unit_measure = Measure::read(quantity);
        offer.unit_base = Measure::read(unit);
        false
    }

    pub(super) fn availability(&mut self, node: &'v Value) -> Option<Availability> {
        let text = reference(node.get("availability")?)?;
        let availability = Availability::parse(text);
        if availability.is_none() {
            self.remarks.add(format!(
                "{} availability {} is not known",
                self.rule.name(),
                quoted(text)
            ));
        }
        availability
    }

    /// Whether the URL of the page selects what this offers: it is the URL of
    /// the offer or of its variant, or its query names their number.
    pub(super) fn is_selected(&self, offer: &Offer<'_>) -> bool {
        [offer.node, offer.holder]
            .into_iter()
            .flatten()
            .any(|node| {
                let by_url = node
                    .get("url")
                    .and_then(reference)
                    .is_some_and(|url| self.links.is_page(url, None));
                by_url
                    || ["sku", "productID", "mpn"].iter().any(|name| {
                        let number = node.get(name).and_then(Value::text);
                        number.is_some_and(|number| self.links.query_names(number))
                    })
            })
    }
}

/// The offer that speaks for the product: what the page's URL selects, then
/// the product's own before those of its siblings, then one that can be bought
/// before one of which that is not known, then the lowest price in the
/// currency of the first, then the order on the page.
pub(super) fn speaker<'v>(
    offers: Vec<Offer<'v>>,
    is_selected: impl Fn(&Offer<'v>) -> bool,
) -> Option<Offer<'v>> {
    if offers.len() < 2 {
        return offers.into_iter().next();
    }
    let main_currency = offers.iter().find_map(|offer| offer.currency);
    let rank = |offer: &Offer<'v>| {
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
        (
            amount.is_none(),
            !is_selected(offer),
            !offer.is_own,
            buyable,
            currency != main_currency,
            amount,
        )
    };
    offers.into_iter().min_by_key(rank)
}

pub(super) fn price_field(node: &Value, name: &str) -> Option<PriceText> {
    let text = node.get(name)?.text()?;
    Some(PriceText::of_field(text.to_owned()))
}
