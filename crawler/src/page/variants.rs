//! The variants of a product: those that it lists, those of the group that it
//! belongs to, and offers that have numbers of their own.

use std::collections::HashSet;

use super::dom::collapse;
use super::fields::VariantFields;
use super::limits::{TEXT_CHARS_MAX, VARIANTS_MAX};
use super::offers::Offer;
use super::schema::{Reader, reference, short, trade_number};
use super::value::Value;

/// What a product is a variant of.
#[derive(Debug, Default)]
pub(super) struct Group<'v> {
    pub(super) id: Option<String>,
    /// The other variants.
    pub(super) members: Vec<&'v Value>,
}

impl<'v> Reader<'_, 'v> {
    /// The group of a product, among the products of the page.
    pub(super) fn group(&self, product: &'v Value, products: &[&'v Value]) -> Group<'v> {
        if product.get("hasVariant").is_some() {
            let id = short(product, "productGroupID")
                .or_else(|| short(product, "sku"))
                .or_else(|| short(product, "productID"));
            return Group {
                id,
                members: Vec::new(),
            };
        }
        let is_other = |other: &&'v Value| !std::ptr::eq(*other, product);
        if let Some(id) = group_id(product) {
            let same = |other: &&'v Value| group_id(other).as_deref() == Some(id.as_str());
            let others = products.iter().copied().filter(is_other).filter(same);
            let listed = self.parent(product).map(|parent| self.listed(parent));
            let members = match listed.filter(|listed| !listed.is_empty()) {
                Some(listed) => {
                    let is_same = |other: &&'v Value| !self.is_same(other, product);
                    listed.into_iter().filter(is_same).collect()
                }
                None => others.take(VARIANTS_MAX).collect(),
            };
            return Group {
                id: Some(id),
                members,
            };
        }
        let Some(parent) = self.parent(product) else {
            return Group::default();
        };
        let id = short(parent, "productGroupID")
            .or_else(|| short(parent, "sku"))
            .or_else(|| short(parent, "productID"))
            .or_else(|| short(parent, "@id"));
        let listed = self.listed(parent);
        Group {
            id,
            members: listed
                .into_iter()
                .filter(|other| !self.is_same(other, product))
                .collect(),
        }
    }

    fn parent(&self, product: &'v Value) -> Option<&'v Value> {
        let parent = product.get("isVariantOf")?.each().first()?;
        Some(self.graph.resolve(parent))
    }

    fn listed(&self, parent: &'v Value) -> Vec<&'v Value> {
        let members = parent.get("hasVariant").map(Value::each);
        members
            .unwrap_or_default()
            .iter()
            .take(VARIANTS_MAX)
            .map(|member| self.graph.resolve(member))
            .collect()
    }

    fn is_same(&self, one: &Value, other: &Value) -> bool {
        std::ptr::eq(one, other)
            || ["@id", "sku", "url"].iter().any(|name| {
                let said = one.get(name).and_then(reference);
                said.is_some() && said == other.get(name).and_then(reference)
            })
    }

    /// The variants that the offers are of. None unless there are two at
    /// least, each with a number or address that no other has.
    pub(super) fn variants(
        &mut self,
        title: Option<&str>,
        offers: &[Offer<'v>],
    ) -> Vec<VariantFields> {
        let mut variants: Vec<VariantFields> = Vec::new();
        let mut left_out = 0_usize;
        let mut ids = HashSet::new();
        // What holds every offer says nothing of one of them.
        let holder = offers.first().and_then(|offer| offer.holder);
        let is_shared = offers.iter().all(|offer| match (offer.holder, holder) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            (_, _) => false,
        });
        for offer in offers {
            if variants.len() == VARIANTS_MAX {
                left_out += 1;
                continue;
            }
            let variant = self.variant(title, offer, is_shared);
            let Some(id) = variant.id.clone() else {
                return Vec::new();
            };
            // Sellers of one variant have one row, that of the first.
            if ids.insert(id) {
                variants.push(variant);
            }
        }
        if left_out > 0 {
            self.remarks.add(format!(
                "{}: {left_out} variants over {VARIANTS_MAX} were left out",
                self.rule.name()
            ));
        }
        if variants.len() < 2 {
            variants.clear();
        }
        variants
    }

    fn variant(
        &mut self,
        title: Option<&str>,
        offer: &Offer<'v>,
        is_shared: bool,
    ) -> VariantFields {
        let nodes = [offer.holder, offer.node];
        let own: Vec<&Value> = nodes
            .into_iter()
            .skip(usize::from(is_shared))
            .flatten()
            .collect();
        let text = |name: &str| own.iter().find_map(|node| short(node, name));
        let named = |name: &str| own.iter().find_map(|node| self.name_of(node.get(name)?));
        let (color, size, material) = (named("color"), named("size"), named("material"));
        let mut options: Vec<String> = [&color, &size, &material, &named("pattern")]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for node in &own {
            let properties = node.get("additionalProperty").map(Value::each);
            let values = properties.unwrap_or_default().iter().take(OPTIONS_MAX);
            options.extend(values.filter_map(|property| short(property, "value")));
        }
        let mut name = text("name");
        // Offers of one product are named by what tells them apart.
        if is_shared
            && let Some(option) = name.take_if(|name| !name.contains(title.unwrap_or_default()))
        {
            options.insert(0, option);
        }
        let link = own.iter().find_map(|node| self.link(node));
        let images = own.iter().map(|node| self.images(node));
        let images = images.into_iter().find(|images| !images.is_empty());
        let id = text("sku")
            .or_else(|| text("productID"))
            .or_else(|| trade_number(own.first()?, text))
            .or_else(|| text("mpn"))
            .or_else(|| text("@id"))
            .or_else(|| link.as_ref().map(ToString::to_string));
        VariantFields {
            id,
            sku: text("sku"),
            gtin: own.first().and_then(|node| trade_number(node, text)),
            mpn: text("mpn"),
            title: full_title(title, name.as_deref(), &options),
            price: offer.price.clone(),
            list_price: offer.list_price.clone(),
            currency: offer.currency,
            availability: offer.availability,
            link,
            images: images.unwrap_or_default(),
            color,
            size,
            material,
            options,
        }
    }
}

/// Options of one variant that are read.
const OPTIONS_MAX: usize = 10;

fn group_id(product: &Value) -> Option<String> {
    short(product, "inProductGroupWithID")
}

/// The name of a variant: its own, else the product's with the options after
/// it that the name does not hold yet.
pub(super) fn full_title(
    product: Option<&str>,
    variant: Option<&str>,
    options: &[String],
) -> Option<String> {
    let Some(product) = product else {
        return variant.map(str::to_owned);
    };
    if let Some(variant) = variant.filter(|variant| *variant != product) {
        return Some(variant.to_owned());
    }
    let new = options
        .iter()
        .filter(|option| !product.contains(option.as_str()));
    let added = new.map(String::as_str).collect::<Vec<_>>().join(" / ");
    if added.is_empty() {
        return Some(product.to_owned());
    }
    Some(collapse(&format!("{product} - {added}"), TEXT_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_completed_with_the_options() {
        let check = |product: &str, variant: Option<&str>, options: &[&str], expected: &str| {
            let options: Vec<String> = options.iter().map(ToString::to_string).collect();
            let found = full_title(Some(product), variant, &options);
            assert_eq!(found.as_deref(), Some(expected));
        };
        check("Shirt", None, &["Red", "L"], "Shirt - Red / L");
        check("Red shirt", None, &["Red", "L"], "Red shirt - L");
        check("Shirt Red", None, &["Red", "L"], "Shirt Red - L");
        check("Shirt", Some("Shirt, red"), &["Red"], "Shirt, red");
        check("Shirt", Some("Shirt"), &["Red"], "Shirt - Red");
        check("Shirt", None, &[], "Shirt");
        assert_eq!(full_title(None, Some("Red"), &[]).as_deref(), Some("Red"));
        assert_eq!(full_title(None, None, &[]), None);
    }
}
