//! Own categories and brand spellings for what partners send.
//!
//! Mapping tables are CSV files that people keep (see [`MappingTable`]); what
//! they do not cover is counted, so that the tables can grow where it pays.
//! Nothing is guessed: without a rule, a category stays unmapped and a brand
//! is only folded to one spelling.

mod brand;
mod model;
mod table;
mod unmapped;

use std::collections::HashMap;

pub use brand::{CorporateForms, fold};
pub use model::model_key;
pub use table::{MappingError, MappingTable};
pub use unmapped::{Unmapped, UnmappedValue};

use unmapped::Counter;

/// Looked-up values remembered; a feed repeats few categories and brands many
/// times.
const REMEMBERED_MAX: usize = 4_096;

/// Maps categories and brands of one pipe: the pipe's own tables come before
/// the global ones.
#[derive(Debug, Default)]
pub struct Normaliser {
    categories: Tables,
    brands: Tables,
    forms: CorporateForms,
    category_memory: HashMap<String, Option<String>>,
    brand_memory: HashMap<String, (String, bool)>,
    unmapped_categories: Counter,
    unmapped_brands: Counter,
}

/// Tables in the order in which they are asked.
#[derive(Debug, Default)]
struct Tables(Vec<MappingTable>);

impl Normaliser {
    /// Tables in the order of precedence: the pipe's own, then the global.
    pub fn new(categories: Vec<MappingTable>, brands: Vec<MappingTable>) -> Self {
        Self {
            categories: Tables(categories),
            brands: Tables(brands),
            ..Self::default()
        }
    }

    /// Own category of a partner's category path, joined by `>`: in each
    /// table the exact path, then the path without case and blanks, then the
    /// longest beginning of it.
    pub fn category(&mut self, path: &str) -> Option<&str> {
        if self.categories.0.is_empty() {
            return None;
        }
        if !self.category_memory.contains_key(path) {
            make_room(&mut self.category_memory);
            let tables = &self.categories.0;
            let mapped = tables.iter().find_map(|table| table.path(path));
            self.category_memory
                .insert(path.to_owned(), mapped.map(str::to_owned));
        }
        let mapped = self.category_memory.get(path).and_then(Option::as_deref);
        if mapped.is_none() {
            self.unmapped_categories.count(path);
        }
        mapped
    }

    /// Own spelling of a partner's brand: what a table gives, else the brand
    /// folded.
    pub fn brand(&mut self, brand: &str) -> &str {
        if !self.brand_memory.contains_key(brand) {
            make_room(&mut self.brand_memory);
            let normalised = fold(brand, &self.forms);
            let rule = self
                .brands
                .0
                .iter()
                .find_map(|table| table.exact(brand).or_else(|| table.folded(&normalised)));
            let known = match rule {
                Some(rule) => (rule.to_owned(), true),
                None => (normalised, false),
            };
            self.brand_memory.insert(brand.to_owned(), known);
        }
        let (normalised, mapped) = &self.brand_memory[brand];
        if !mapped && !self.brands.0.is_empty() {
            self.unmapped_brands.count(brand);
        }
        normalised
    }

    /// Categories without rule, most frequent first; empty without tables.
    pub fn unmapped_categories(&self) -> Unmapped {
        self.unmapped_categories.report()
    }

    /// Brands without rule, most frequent first; empty without tables.
    pub fn unmapped_brands(&self) -> Unmapped {
        self.unmapped_brands.report()
    }
}

fn make_room<V>(memory: &mut HashMap<String, V>) {
    if memory.len() >= REMEMBERED_MAX {
        memory.clear();
    }
}

#[cfg(test)]
mod tests;
